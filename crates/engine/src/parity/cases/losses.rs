//! The output layer and its losses.

use std::sync::Arc;

use super::{Case, compact};
use crate::Device;
use crate::ops::distillation_loss::{
    DistillationObjective, Divergence, Ensemble, TeacherSamples, TeacherSignal,
};
use crate::ops::language_model_loss::{NO_TARGET, Projection, Target};
use crate::ops::linear::Linear;
use crate::ops::teacher_samples::SoftenedTeachers;
use crate::params::{Layout, Role};
use crate::parity::problem::{Output, Problem, random, random_ids, random_tensor};
use crate::tensor::{Precision, Tensor};
use base::rng::Rng;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (tokens, width, vocab) in [(200, 64, 512), (9, 5, 33)] {
        cases.extend([false, true].map(|bias| language_model(tokens, width, vocab, bias)));
        cases.push(log_probabilities(tokens, width, vocab));
        for (_, divergence) in Divergence::NAMED {
            for (_, ensemble) in Ensemble::NAMED {
                cases.push(distillation((tokens, width, vocab, false), divergence, ensemble));
            }
            let ensemble = Ensemble::MeanLogits;
            cases.push(distillation((tokens, width, vocab, true), divergence, ensemble));
        }
        cases.extend([false, true].map(|bias| sampled(tokens, width, vocab, bias)));
        cases.push(entropies(tokens, vocab));
    }
    cases.extend(many_rows());
    cases.extend([false, true].map(classifier));
    cases
}

/// More rows than any device computes at a time.
fn many_rows() -> [Case; 8] {
    let (tokens, width, vocab) = (8_300, 4, 12);
    let distillation = |divergence, ensemble| {
        let bias = ensemble == Ensemble::MeanProbs;
        distillation((tokens, width, vocab, bias), divergence, ensemble)
    };
    [
        language_model(tokens, width, vocab, false),
        language_model(tokens, width, vocab, true),
        // Of every third row nothing is asked.
        log_probabilities(tokens * 3 / 2, width, vocab),
        distillation(Divergence::ForwardKl, Ensemble::MeanLogits),
        distillation(Divergence::ReverseKl, Ensemble::MeanProbs),
        distillation(Divergence::JensenShannon, Ensemble::SumKl),
        sampled(tokens, width, vocab, false),
        entropies(tokens, vocab),
    ]
}

fn targets(tokens: usize, vocab: usize) -> Vec<u32> {
    let ids = random_ids(3, tokens, vocab).into_iter().enumerate();
    ids.map(|(row, id)| if row % 4 == 3 { NO_TARGET } else { id }).collect()
}

/// An output layer, and what to call it.
fn output_layer(layout: &mut Layout, width: usize, vocab: usize, bias: bool) -> (Linear, String) {
    let weight = layout.add("output", vocab, width, Role::Matrix);
    let bias = bias.then(|| layout.add("bias", 1, vocab, Role::Bias));
    let name = format!("[{vocab}, {width}]{}", if bias.is_some() { " with bias" } else { "" });
    (Linear { weight, bias }, name)
}

fn language_model(tokens: usize, width: usize, vocab: usize, bias: bool) -> Case {
    let mut layout = Layout::default();
    let (output, name) = output_layer(&mut layout, width, vocab, bias);
    let problem = Problem::new(layout, &[compact(tokens, width)]);
    let targets = targets(tokens, vocab);
    Case {
        operation: "language-model loss",
        shape: format!("[{tokens}, {width}] x {name}"),
        run: Box::new(move |device| {
            problem.loss(device, |tape, inputs| {
                vec![tape.language_model_loss(&inputs[0], output, &targets, 0.01) as f32]
            })
        }),
    }
}

/// Hidden states and output matrices, as teachers have them.
struct Teachers(Vec<(Tensor, Tensor)>);

impl Teachers {
    fn random(device: &Arc<dyn Device>, tokens: usize, vocab: usize) -> Self {
        let teacher = |(seed, width): (u64, usize)| {
            let hidden = random_tensor(device, seed, tokens, width, Precision::Compact);
            (hidden, random_tensor(device, seed + 1, vocab, width, Precision::Full))
        };
        Self([(20, 7), (30, 16)].map(teacher).into())
    }

    fn projections(&self) -> Vec<Projection<'_>> {
        let teachers = self.0.iter().zip([0.25, 0.75]);
        teachers
            .map(|((hidden, output), share)| Projection {
                hidden: hidden.view(),
                output: output.view(),
                bias: None,
                share,
            })
            .collect()
    }
}

fn log_probabilities(tokens: usize, width: usize, vocab: usize) -> Case {
    let wanted: Vec<Target> = (0..tokens as u32)
        .filter(|row| row % 3 != 0)
        .flat_map(|row| {
            (0..1 + row % 2).map(move |nth| Target { row, id: (row * 31 + nth * 7) % vocab as u32 })
        })
        .collect();
    let run = move |device: &Arc<dyn Device>| {
        let teachers = Teachers::random(device, tokens, vocab);
        let bias = Tensor::from_slice(device, 1, vocab, &random(9, vocab));
        let mut projections = teachers.projections();
        projections[0].bias = Some(bias.view());
        let mut found = vec![0.0; wanted.len()];
        device.log_probabilities(&projections, &wanted, &mut found);
        let mut logits = vec![0.0; tokens * vocab];
        device.logits(&projections, &mut logits);
        let found = found.into_iter().map(|value| value as f32).collect();
        vec![
            Output { name: "log-probabilities", values: found },
            Output { name: "logits", values: logits },
        ]
    };
    let shape = format!("[{tokens}, {width}] x [{vocab}, {width}]");
    Case { operation: "log-probabilities, logits", shape, run: Box::new(run) }
}

/// A student, its output layer, and what to call that.
fn student(tokens: usize, width: usize, vocab: usize, bias: bool) -> (Problem, Linear, String) {
    let mut layout = Layout::default();
    let (output, name) = output_layer(&mut layout, width, vocab, bias);
    (Problem::new(layout, &[compact(tokens, width)]), output, name)
}

fn objective(divergence: Divergence, ensemble: Ensemble) -> DistillationObjective {
    DistillationObjective { temperature: 2.0, cross_entropy: 0.01, kl: 0.02, divergence, ensemble }
}

fn distillation(
    (tokens, width, vocab, bias): (usize, usize, usize, bool),
    divergence: Divergence,
    ensemble: Ensemble,
) -> Case {
    let (problem, output, name) = student(tokens, width, vocab, bias);
    let targets = targets(tokens, vocab);
    Case {
        operation: "distillation loss",
        shape: format!("{divergence:?}, {ensemble:?}, [{tokens}, {width}] x {name}"),
        run: Box::new(move |device| {
            let teachers = Teachers::random(device, tokens, vocab);
            problem.loss(device, |tape, inputs| {
                let projections = teachers.projections();
                let signal = TeacherSignal::States(&projections);
                let objective = objective(divergence, ensemble);
                let sums = tape.distillation_loss(&inputs[0], output, signal, &targets, objective);
                vec![sums.cross_entropy as f32, sums.kl as f32]
            })
        }),
    }
}

fn sampled(tokens: usize, width: usize, vocab: usize, bias: bool) -> Case {
    let (problem, output, name) = student(tokens, width, vocab, bias);
    let (targets, count) = (targets(tokens, vocab), 12);
    let ids = random_ids(7, tokens * count, vocab);
    let negative_entropies: Vec<f32> = random(8, tokens).iter().map(|value| -value.abs()).collect();
    Case {
        operation: "distillation from samples",
        shape: format!("[{tokens}, {width}] x {name}"),
        run: Box::new(move |device| {
            problem.loss(device, |tape, inputs| {
                let samples =
                    TeacherSamples { ids: &ids, count, negative_entropies: &negative_entropies };
                let objective = objective(Divergence::ForwardKl, Ensemble::MeanLogits);
                let signal = TeacherSignal::Samples(samples);
                let sums = tape.distillation_loss(&inputs[0], output, signal, &targets, objective);
                vec![sums.cross_entropy as f32, sums.kl as f32]
            })
        }),
    }
}

/// Draws of teachers. Ids may differ where a draw falls on an edge; how often each is drawn hardly
/// does.
fn entropies(tokens: usize, vocab: usize) -> Case {
    let run = move |device: &Arc<dyn Device>| {
        let teachers = Teachers::random(device, tokens, vocab);
        let projections = teachers.projections();
        let rng = Rng::new(4, "parity draws");
        let uniforms: Vec<f32> = (0..tokens as u64).map(|row| rng.uniform(row)).collect();
        let mut outputs = Vec::new();
        for (_, ensemble) in Ensemble::NAMED {
            let softened =
                SoftenedTeachers { projections: &projections, ensemble, temperature: 2.0 };
            let (mut ids, mut entropies) = (vec![0; tokens * 16], vec![0.0; tokens]);
            device.sample_teachers(softened, &uniforms, 16, &mut ids, &mut entropies);
            outputs.push(Output { name: "entropies", values: entropies });
            // Over many rows: where a draw falls on the edge between two tokens, rounding decides.
            let means =
                ids.chunks(16 * 25).map(|ids| ids.iter().sum::<u32>() as f32 / ids.len() as f32);
            outputs.push(Output { name: "mean of the draws", values: means.collect() });
        }
        outputs
    };
    Case {
        operation: "drawing from teachers",
        shape: format!("{tokens} rows of {vocab}"),
        run: Box::new(run),
    }
}

fn classifier(bias: bool) -> Case {
    let mut layout = Layout::default();
    let (output, name) = output_layer(&mut layout, 40, 3, bias);
    let problem = Problem::new(layout, &[compact(50, 40)]);
    let rows: Arc<[u32]> = [4, 49, 0, 17, 4].into();
    Case {
        operation: "classifier loss",
        shape: format!("5 of [50, 40] x {name}"),
        run: Box::new(move |device| {
            problem.loss(device, |tape, inputs| {
                let picked = tape.gather_rows(&inputs[0], &rows);
                vec![tape.language_model_loss(&picked, output, &[0, 2, 1, 1, 0], 0.2) as f32]
            })
        }),
    }
}
