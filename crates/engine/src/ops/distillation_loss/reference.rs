//! The slow reference of the distillation loss, in double precision and straight from the
//! definitions, and a small problem to hold the kernels to it.

use std::sync::Arc;

use super::{DistillationObjective, DistillationSums, Divergence, Ensemble, TeacherSignal};
use crate::ops::language_model_loss::tests::{log_softmax, reference_logits};
use crate::ops::language_model_loss::{NO_TARGET, Projection};
use crate::ops::linear::Linear;
use crate::params::{Layout, Parameters, Role};
use crate::testing::{device, random};
use crate::{Device, Tape, Tensor};

pub(crate) const ENSEMBLES: [Ensemble; Ensemble::NAMED.len()] = {
    let mut ensembles = [Ensemble::MeanLogits; Ensemble::NAMED.len()];
    let mut index = 0;
    while index < ensembles.len() {
        ensembles[index] = Ensemble::NAMED[index].1;
        index += 1;
    }
    ensembles
};

/// An objective with every divergence and every ensemble.
pub(crate) fn objectives(
    temperature: f32,
    cross_entropy: f32,
    kl: f32,
) -> Vec<DistillationObjective> {
    let pairs = Divergence::NAMED
        .into_iter()
        .flat_map(|(_, divergence)| ENSEMBLES.map(|ensemble| (divergence, ensemble)));
    pairs
        .map(|(divergence, ensemble)| DistillationObjective {
            temperature,
            cross_entropy,
            kl,
            divergence,
            ensemble,
        })
        .collect()
}

/// Log-probabilities of a row at a temperature.
fn soften(logits: &[f64], temperature: f32) -> Vec<f64> {
    log_softmax(&logits.iter().map(|logit| logit / temperature as f64).collect::<Vec<_>>())
}

/// `D(p, q)` from log-probabilities.
pub(crate) fn divergence(divergence: Divergence, log_p: &[f64], log_q: &[f64]) -> f64 {
    let kl = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a.exp() * (a - b)).sum::<f64>();
    match divergence {
        Divergence::ForwardKl => kl(log_p, log_q),
        Divergence::ReverseKl => kl(log_q, log_p),
        Divergence::JensenShannon => {
            let middle: Vec<f64> =
                log_p.iter().zip(log_q).map(|(p, q)| ((p.exp() + q.exp()) / 2.0).ln()).collect();
            (kl(log_p, &middle) + kl(log_q, &middle)) / 2.0
        }
    }
}

/// The distributions that a row's student is compared with, as log-probabilities with their
/// weights. `logits` and `weights` are the teachers'.
pub(crate) fn distributions(
    logits: &[&[f64]],
    weights: &[f32],
    ensemble: Ensemble,
    temperature: f32,
) -> Vec<(f64, Vec<f64>)> {
    let weights: Vec<f64> = weights.iter().map(|&weight| weight as f64).collect();
    let mean = |rows: &[Vec<f64>]| -> Vec<f64> {
        (0..rows[0].len())
            .map(|id| rows.iter().zip(&weights).map(|(row, weight)| weight * row[id]).sum())
            .collect()
    };
    let each: Vec<Vec<f64>> = logits.iter().map(|logits| soften(logits, temperature)).collect();
    match ensemble {
        Ensemble::MeanLogits => {
            let logits: Vec<Vec<f64>> = logits.iter().map(|logits| logits.to_vec()).collect();
            vec![(1.0, soften(&mean(&logits), temperature))]
        }
        Ensemble::MeanProbs => {
            let probabilities: Vec<Vec<f64>> =
                each.iter().map(|row| row.iter().map(|log_p| log_p.exp()).collect()).collect();
            vec![(1.0, mean(&probabilities).into_iter().map(f64::ln).collect())]
        }
        Ensemble::SumKl => weights.into_iter().zip(each).collect(),
    }
}

/// A student, its teachers and their weights.
pub(crate) struct Problem {
    pub device: Arc<dyn Device>,
    pub parameters: Parameters,
    /// The student's output layer: a matrix, perhaps with a bias.
    pub output: Linear,
    /// The student's hidden states.
    pub hidden: Tensor,
    /// Hidden states and output matrices.
    pub teachers: Vec<(Tensor, Tensor)>,
    pub weights: Vec<f32>,
    pub targets: Vec<u32>,
}

/// What the kernels make of a problem.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub sums: DistillationSums,
    pub d_hidden: Vec<f32>,
    /// Of the output matrix and, behind it, its bias.
    pub d_output: Vec<f32>,
}

impl Problem {
    /// Random values; every fourth row has no target. One teacher per weight, each of another
    /// width.
    pub(crate) fn random(rows: usize, width: usize, vocab: usize, weights: &[f32]) -> Self {
        let device = device();
        let tensor = |seed, rows, width| {
            Tensor::from_slice(&device, rows, width, &random(seed, rows * width))
        };
        let teachers = (0..weights.len())
            .map(|index| {
                let (seed, width) = (10 * index as u64, [5, 2, 3][index % 3]);
                (tensor(seed + 11, rows, width), tensor(seed + 12, vocab, width))
            })
            .collect();
        let targets = (0..rows)
            .map(|row| if row % 4 == 3 { NO_TARGET } else { (row * 7 % vocab) as u32 })
            .collect();
        let hidden = tensor(1, rows, width);
        let problem = Self::with_output(&random(2, vocab * width), hidden, vocab, teachers);
        Self { weights: weights.to_vec(), targets, ..problem }
    }

    /// A student of the given output matrix and hidden states; teachers of equal weight; no
    /// targets.
    pub(crate) fn with_output(
        output: &[f32],
        hidden: Tensor,
        vocab: usize,
        teachers: Vec<(Tensor, Tensor)>,
    ) -> Self {
        let device = hidden.device().clone();
        let mut layout = Layout::default();
        let weight = layout.add("output", vocab, hidden.columns(), Role::Matrix);
        let mut parameters = Parameters::zeros(&device, Arc::new(layout));
        device.write(parameters.values_mut().view_mut(), output);
        let weights = vec![1.0 / teachers.len() as f32; teachers.len()];
        let targets = vec![NO_TARGET; hidden.rows()];
        Self { device, parameters, output: weight.into(), hidden, teachers, weights, targets }
    }

    /// The same problem for a student whose output layer has a random bias.
    pub(crate) fn with_bias(self) -> Self {
        let Linear { weight, .. } = self.output;
        let mut layout = Layout::default();
        layout.add("output", weight.rows, weight.columns, Role::Matrix);
        let bias = layout.add("bias", 1, weight.rows, Role::Bias);
        let mut parameters = Parameters::zeros(&self.device, Arc::new(layout));
        let values = [self.parameters.values().to_vec(), random(5, weight.rows)].concat();
        self.device.write(parameters.values_mut().view_mut(), &values);
        Self { parameters, output: Linear { weight, bias: Some(bias) }, ..self }
    }

    pub(crate) fn projections(&self) -> Vec<Projection<'_>> {
        let teachers = self.teachers.iter().zip(&self.weights);
        teachers
            .map(|((hidden, output), &share)| Projection {
                hidden: hidden.view(),
                output: output.view(),
                bias: None,
                share,
            })
            .collect()
    }

    /// Runs the kernels on the teachers' states.
    pub(crate) fn run(&self, objective: DistillationObjective) -> Found {
        self.run_with(TeacherSignal::States(&self.projections()), objective)
    }

    /// Runs the kernels.
    pub(crate) fn run_with(
        &self,
        signal: TeacherSignal<'_>,
        objective: DistillationObjective,
    ) -> Found {
        let mut gradients = Parameters::zeros(&self.device, self.parameters.layout().clone());
        let mut tape = Tape::training(&self.parameters, &mut gradients, None);
        let hidden = tape.input(self.hidden.clone());
        let sums = tape.distillation_loss(&hidden, self.output, signal, &self.targets, objective);
        let d_hidden =
            tape.backward().of(&hidden).expect("a gradient of the hidden states").to_vec();
        Found { sums, d_hidden, d_output: gradients.values().to_vec() }
    }

    /// Each row's distributions to compare with.
    pub(crate) fn distributions(
        &self,
        ensemble: Ensemble,
        temperature: f32,
    ) -> Vec<Vec<(f64, Vec<f64>)>> {
        let logits: Vec<Vec<Vec<f64>>> = self
            .teachers
            .iter()
            .map(|(h, w)| reference_logits(&h.to_vec(), &w.to_vec(), h.columns()))
            .collect();
        (0..self.targets.len())
            .map(|row| {
                let logits: Vec<&[f64]> = logits.iter().map(|teacher| &teacher[row][..]).collect();
                distributions(&logits, &self.weights, ensemble, temperature)
            })
            .collect()
    }

    /// The first row's log-probabilities under the student, at a temperature.
    pub(crate) fn student_log_probabilities(&self, temperature: f32) -> Vec<f64> {
        let (hidden, output) = (self.hidden.to_vec(), self.parameters.values().to_vec());
        soften(&reference_logits(&hidden, &output, self.hidden.columns())[0], temperature)
    }

    /// Both sums by the definitions, for a student of these values.
    fn sums(
        &self,
        hidden: &[f64],
        output: &[f64],
        teachers: &[Vec<(f64, Vec<f64>)>],
        objective: DistillationObjective,
    ) -> DistillationSums {
        let width = self.hidden.columns();
        let mut sums = DistillationSums::default();
        for ((row, teachers), &target) in hidden.chunks(width).zip(teachers).zip(&self.targets) {
            let logit = |weights: &[f64]| row.iter().zip(weights).map(|(a, b)| a * b).sum();
            let (matrix, bias) = output.split_at(self.output.weight.length());
            let mut logits: Vec<f64> = matrix.chunks(width).map(logit).collect();
            logits.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
            let log_q = soften(&logits, objective.temperature);
            let of_teacher = |(weight, log_p): &(f64, Vec<f64>)| {
                weight * divergence(objective.divergence, log_p, &log_q)
            };
            sums.kl += (objective.temperature as f64).powi(2)
                * teachers.iter().map(of_teacher).sum::<f64>();
            if target != NO_TARGET {
                sums.cross_entropy -= log_softmax(&logits)[target as usize];
            }
        }
        sums
    }

    /// Panics unless sums and gradients are the reference's; gradients by central differences of
    /// the reference, at about thirty places each.
    #[track_caller]
    pub(crate) fn check(&self, found: &Found, objective: DistillationObjective, tolerance: f64) {
        let teachers = self.distributions(objective.ensemble, objective.temperature);
        let double = |values: Vec<f32>| -> Vec<f64> { values.into_iter().map(f64::from).collect() };
        let (mut hidden, mut output) =
            (double(self.hidden.to_vec()), double(self.parameters.values().to_vec()));
        let expected = self.sums(&hidden, &output, &teachers, objective);
        let close = |found: f64, expected: f64| {
            (found - expected).abs() <= tolerance * expected.abs().max(1e-2)
        };
        assert!(
            close(found.sums.kl, expected.kl)
                && close(found.sums.cross_entropy, expected.cross_entropy),
            "{objective:?}: {:?} instead of {expected:?}",
            found.sums
        );
        let weighed = |hidden: &[f64], output: &[f64]| {
            let sums = self.sums(hidden, output, &teachers, objective);
            objective.cross_entropy as f64 * sums.cross_entropy + objective.kl as f64 * sums.kl
        };
        let step = 1e-5;
        for (what, values) in [("hidden state", &found.d_hidden), ("output layer", &found.d_output)]
        {
            let scale = values.iter().fold(1e-2f32, |top, value| top.max(value.abs())) as f64;
            for index in (0..values.len()).step_by(values.len() / 30 + 1) {
                let mut at = |by: f64| {
                    let shifted = if what == "hidden state" { &mut hidden } else { &mut output };
                    shifted[index] += by;
                    let value = weighed(&hidden, &output);
                    let shifted = if what == "hidden state" { &mut hidden } else { &mut output };
                    shifted[index] -= by;
                    value
                };
                let slope = (at(step) - at(-step)) / (2.0 * step);
                let error = (slope - values[index] as f64).abs();
                assert!(
                    error <= tolerance * scale,
                    "{objective:?}, {what} {index}: gradient {} but slope {slope} (largest \
                     {scale})",
                    values[index]
                );
            }
        }
    }
}
