//! Gradients of whole models by finite differences: of every segment, through the language-model
//! loss and through the distillation loss.

use std::sync::Arc;

use base::rng::Rng;
use engine::cpu::Cpu;
use engine::ops::distillation_loss::{
    DistillationObjective, Divergence, Ensemble, TeacherSamples, TeacherSignal,
};
use engine::{Device, Parameters, Tape};
use model::{Architecture, Batch, Model, ModelConfig};

fn config(architecture: Architecture) -> ModelConfig {
    ModelConfig {
        architecture,
        vocab_size: 11,
        hidden_size: 8,
        intermediate_size: 12,
        num_layers: 1,
        num_heads: 2,
        num_kv_heads: if architecture == Architecture::Llama { 1 } else { 2 },
        head_dim: 4,
        max_positions: 8,
        norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: architecture == Architecture::Roberta,
        embedding_dropout: 0.0,
        attention_dropout: 0.0,
        residual_dropout: 0.0,
        classifier_dropout: None,
        initializer_range: 0.3,
        bos_token_id: 1,
        eos_token_id: 2,
        pad_token_id: Some(0),
    }
}

/// A model all of whose parameters were trained: no bias is 0, no gain 1.
fn trained(architecture: Architecture, device: &Arc<dyn Device>) -> Model {
    let mut model = Model::zeros(config(architecture), device).unwrap();
    let rng = Rng::new(3, "trained parameters");
    let count = model.parameters().layout().length() as u64;
    let values: Vec<f32> = (0..count).map(|index| 0.2 + 0.3 * rng.normal(index)).collect();
    device.write(model.parameters_mut().values_mut().view_mut(), &values);
    model
}

/// A loss of the model on the tape; when recording, the backward starts from it.
type Loss = dyn Fn(&Model, &mut Tape<'_>) -> f64;

fn gradient(model: &Model, loss: &Loss) -> Vec<f32> {
    let mut gradients = Parameters::zeros(model.device(), model.parameters().layout().clone());
    let mut tape = Tape::training(model.parameters(), &mut gradients, None);
    loss(model, &mut tape);
    tape.backward();
    gradients.values().to_vec()
}

/// Compares about five values of every segment's gradient with central differences.
fn check(mut model: Model, name: &str, loss: &Loss) {
    let device = model.device().clone();
    let gradient = gradient(&model, loss);
    let values = model.parameters().values().to_vec();
    let layout = model.parameters().layout().clone();
    let scale = gradient.iter().fold(0.0f32, |top, value| top.max(value.abs())) as f64;
    let mut at = |index: usize, by: f32| {
        let mut values = values.clone();
        values[index] += by;
        device.write(model.parameters_mut().values_mut().view_mut(), &values);
        loss(&model, &mut Tape::inference(model.parameters()))
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

#[test]
fn gradients_of_every_family_are_finite_differences() {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let batch = Batch::from_sequences([&[3, 4, 5, 6, 7][..], &[8, 4, 10]]);
    let targets = batch.next_tokens();
    let samples: Vec<u32> = (0..16).map(|index| index * 5 % 11).collect();
    let objective = DistillationObjective {
        temperature: 2.0,
        cross_entropy: 0.3,
        kl: 0.7,
        divergence: Divergence::ForwardKl,
        ensemble: Ensemble::MeanLogits,
    };
    for architecture in
        [Architecture::Gpt2, Architecture::Llama, Architecture::Opt, Architecture::Roberta]
    {
        let (batch, targets) = (batch.clone(), targets.clone());
        let language_model = {
            let (batch, targets) = (batch.clone(), targets.clone());
            move |model: &Model, tape: &mut Tape<'_>| {
                let hidden = model.decoder().hidden_states(tape, &batch, None);
                tape.language_model_loss(&hidden, model.decoder().output(), &targets, 1.0)
            }
        };
        check(trained(architecture, &device), "language-model loss", &language_model);
        let samples = samples.clone();
        let distillation = move |model: &Model, tape: &mut Tape<'_>| {
            let hidden = model.decoder().hidden_states(tape, &batch, None);
            let signal = TeacherSignal::Samples(TeacherSamples {
                ids: &samples,
                count: 2,
                negative_entropies: &[-1.0; 8],
            });
            let output = model.decoder().output();
            let sums = tape.distillation_loss(&hidden, output, signal, &targets, objective);
            0.3 * sums.cross_entropy + 0.7 * sums.kl
        };
        check(trained(architecture, &device), "distillation loss", &distillation);
    }
}

/// The bias of an output layer gets the sum of its logits' gradients in both losses, and logits
/// follow it.
#[test]
fn a_trained_output_bias_is_part_of_logits_and_losses() {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let mut model = trained(Architecture::Roberta, &device);
    let bias = model.decoder().output().bias.expect("RoBERTa has an output bias");
    let batch = Batch::from_sequences([[3, 4, 5]]);
    let logits = |model: &Model| {
        let hidden = model.hidden_states(&batch);
        let mut logits = vec![0.0; 33];
        model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
        logits
    };
    let before = logits(&model);
    device.fill(model.parameters_mut().view_mut(bias), 1.5);
    let values = model.parameters().values().to_vec();
    assert!(values[bias.offset..][..bias.length()].iter().all(|&value| value == 1.5));
    assert_ne!(logits(&model), before);
    let gradient = gradient(&model, &move |model, tape| {
        let hidden = model.decoder().hidden_states(tape, &batch, None);
        let targets = batch.next_tokens();
        tape.language_model_loss(&hidden, model.decoder().output(), &targets, 1.0)
    });
    // Softmax minus target: the gradients of a row's logits sum to 0, and so do the bias's.
    let of_bias = &gradient[bias.offset..][..bias.length()];
    assert!(of_bias.iter().all(|&value| value != 0.0));
    assert!(of_bias.iter().sum::<f32>().abs() < 1e-5);
}
