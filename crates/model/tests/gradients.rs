//! Gradients of whole models by finite differences, for every family: of every segment, through the
//! language-model loss, the distillation loss and a classifier's loss.

use std::sync::Arc;

use base::rng::Rng;
use engine::cpu::Cpu;
use engine::ops::distillation_loss::{
    DistillationObjective, Divergence, Ensemble, TeacherSamples, TeacherSignal,
};
use engine::{Device, Parameters, Tape};
use model::{Architecture, Batch, Classifier, Model, ModelConfig};

fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

/// A model or a classifier.
trait Trained {
    fn weights(&self) -> &Parameters;
    fn weights_mut(&mut self) -> &mut Parameters;
}

impl Trained for Model {
    fn weights(&self) -> &Parameters {
        self.parameters()
    }

    fn weights_mut(&mut self) -> &mut Parameters {
        self.parameters_mut()
    }
}

impl Trained for Classifier {
    fn weights(&self) -> &Parameters {
        self.parameters()
    }

    fn weights_mut(&mut self) -> &mut Parameters {
        self.parameters_mut()
    }
}

/// A model as after training: no bias is 0, no gain 1, and all are far enough from the next kink
/// of a ReLU.
fn trained<M: Trained>(mut model: M) -> M {
    let rng = Rng::new(5, "trained parameters");
    let count = model.weights().layout().length() as u64;
    let values: Vec<f32> = (0..count).map(|index| 0.1 + 0.2 * rng.normal(index)).collect();
    let device = model.weights().device().clone();
    device.write(model.weights_mut().values_mut().view_mut(), &values);
    model
}

fn tiny(architecture: Architecture) -> Model {
    let config = ModelConfig { norm_epsilon: 1e-5, ..ModelConfig::tiny(architecture) };
    trained(Model::zeros(config, &device()).unwrap())
}

fn gradient<M: Trained>(model: &M, loss: impl Fn(&M, &mut Tape<'_>) -> f64) -> Vec<f32> {
    let weights = model.weights();
    let mut gradients = Parameters::zeros(weights.device(), weights.layout().clone());
    let mut tape = Tape::training(weights, &mut gradients, None);
    loss(model, &mut tape);
    tape.backward();
    gradients.values().to_vec()
}

/// Compares about five values of every segment's gradient with central differences of a loss from
/// which the backward starts.
fn check<M: Trained>(mut model: M, name: &str, loss: impl Fn(&M, &mut Tape<'_>) -> f64) {
    let gradient = gradient(&model, &loss);
    let (device, layout) = (model.weights().device().clone(), model.weights().layout().clone());
    let values = model.weights().values().to_vec();
    let scale = gradient.iter().fold(0.0f32, |top, value| top.max(value.abs())) as f64;
    let mut at = |index: usize, by: f32| {
        let mut values = values.clone();
        values[index] += by;
        device.write(model.weights_mut().values_mut().view_mut(), &values);
        loss(&model, &mut Tape::inference(model.weights()))
    };
    for named in layout.segments() {
        let (start, length) = (named.segment.offset, named.segment.length());
        for index in (start..start + length).step_by(length / 5 + 1) {
            const STEP: f32 = 4e-3;
            let [up, down, up2, down2] =
                [STEP, -STEP, 2.0 * STEP, -2.0 * STEP].map(|by| at(index, by));
            let slope = (8.0 * (up - down) - (up2 - down2)) / (12.0 * STEP as f64);
            let error = (slope - gradient[index] as f64).abs();
            assert!(
                error < 5e-3 * scale,
                "{name}, value {} of {}: gradient {} but slope {slope} (largest {scale})",
                index - start,
                named.name,
                gradient[index]
            );
        }
    }
}

fn batch() -> Batch {
    Batch::from_sequences([&[3, 4, 5, 6, 7][..], &[8, 4, 10]])
}

#[test]
fn through_the_language_model_loss() {
    let (batch, targets) = (batch(), batch().next_tokens());
    for architecture in Architecture::all() {
        check(tiny(architecture), architecture.name(), |model: &Model, tape| {
            let hidden = model.decoder().hidden_states(tape, &batch, None);
            tape.language_model_loss(&hidden, model.decoder().output(), &targets, 1.0)
        });
    }
}

/// Matrices of one row are joined as matrices, not as vectors. Not for OPT: the only unit of its
/// inner layer may be close to the kink of the ReLU.
#[test]
fn through_the_smallest_inner_layer() {
    let (batch, targets) = (batch(), batch().next_tokens());
    for architecture in [Architecture::GPT2, Architecture::LLAMA] {
        let config = ModelConfig { intermediate_size: 1, ..ModelConfig::tiny(architecture) };
        let model = trained(Model::zeros(config, &device()).unwrap());
        check(model, architecture.name(), |model: &Model, tape| {
            let hidden = model.decoder().hidden_states(tape, &batch, None);
            tape.language_model_loss(&hidden, model.decoder().output(), &targets, 1.0)
        });
    }
}

#[test]
fn through_the_distillation_loss() {
    let (batch, targets) = (batch(), batch().next_tokens());
    let ids: Vec<u32> = (0..16).map(|index| index * 13 % 50).collect();
    let objective = DistillationObjective {
        temperature: 2.0,
        cross_entropy: 0.3,
        kl: 0.7,
        divergence: Divergence::ForwardKl,
        ensemble: Ensemble::MeanLogits,
    };
    for architecture in Architecture::all() {
        check(tiny(architecture), architecture.name(), |model: &Model, tape| {
            let hidden = model.decoder().hidden_states(tape, &batch, None);
            let drawn = TeacherSamples { ids: &ids, count: 2, negative_entropies: &[-1.0; 8] };
            let signal = TeacherSignal::Samples(drawn);
            let output = model.decoder().output();
            let sums = tape.distillation_loss(&hidden, output, signal, &targets, objective);
            0.3 * sums.cross_entropy + 0.7 * sums.kl
        });
    }
}

#[test]
fn through_a_classifiers_loss() {
    let batch = batch();
    for architecture in Architecture::all() {
        let classifier = trained(Classifier::from_model(&tiny(architecture), 3, 1).unwrap());
        check(classifier, architecture.name(), |classifier: &Classifier, tape| {
            classifier.loss(tape, &batch, &[2, 0], 1.0)
        });
    }
}

/// The bias of an output layer is part of logits and losses.
#[test]
fn a_trained_output_bias_counts() {
    let mut model = tiny(Architecture::ROBERTA);
    let bias = model.decoder().output().bias.expect("RoBERTa has an output bias");
    let batch = batch();
    let logits = |model: &Model| {
        let hidden = model.hidden_states(&batch);
        let mut logits = vec![0.0; 8 * 50];
        model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
        logits
    };
    let before = logits(&model);
    device().fill(model.parameters_mut().view_mut(bias), 1.5);
    assert_ne!(logits(&model), before);
    let gradient = gradient(&model, |model, tape| {
        let hidden = model.decoder().hidden_states(tape, &batch, None);
        let targets = batch.next_tokens();
        tape.language_model_loss(&hidden, model.decoder().output(), &targets, 1.0)
    });
    // Softmax minus target: the gradients of a row's logits sum to 0, and so do the bias's.
    let of_bias = &gradient[bias.offset..][..bias.length()];
    assert!(of_bias.iter().all(|&value| value != 0.0));
    assert!(of_bias.iter().sum::<f32>().abs() < 1e-5);
}
