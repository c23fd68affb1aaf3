//! Whole models and losses against PyTorch and transformers (`tools/golden/models.py`,
//! `losses.py`): logits, loss, every gradient, ten AdamW steps, and the distillation objective in
//! both normalisations.

mod common;
#[path = "../../engine/tests/common/mod.rs"]
mod device;

use std::sync::Arc;

use common::{Fixture, assert_close, folder};

use device::test_device;
use engine::ops::distillation_loss::{DistillationObjective, Divergence, Ensemble, TeacherSignal};
use engine::ops::language_model_loss::{NO_TARGET, Projection};
use engine::{Device, Layout, Parameters, Role, Tape, Tensor};
use model::{Batch, Model, hugging_face};
use train::MicroBatch;
use train::settings::{DistillSettings, KlNormalisation, TrainSettings};
use train::step::{Normalisers, Trainer, objective};

fn load(name: &str) -> Model {
    let device: Arc<dyn Device> = test_device();
    hugging_face::load(&folder(name), &device).unwrap()
}

const MODELS: [&str; 13] = [
    "gpt2",
    "gpt2-untied",
    "gptj",
    "gptj-tied",
    "llama",
    "llama-grouped",
    "llama-tied",
    "opt",
    "opt-untied",
    "qwen3",
    "qwen3-tied",
    "switch-llama",
    "switch-llama-step",
];

/// [`common::compare_segments`] of a language model.
fn compare_segments(
    model: &Model,
    vector: &[f32],
    expected: &Fixture,
    prefix: &str,
    tolerance: f32,
) {
    let (config, layout) = (model.config(), model.parameters().layout());
    common::compare_segments(config, layout, vector, expected, prefix, tolerance);
}

#[test]
fn logits_and_hidden_states() {
    for name in MODELS {
        let (model, expected) = (load(name), Fixture::expected(name));
        let hidden = model.hidden_states(&Batch::from_sequences(expected.ids("ids").chunks(11)));
        assert_close(
            &format!("{name} hidden"),
            &hidden.value().to_vec(),
            &expected.floats("hidden"),
            1e-4,
        );
        let mut logits = vec![0.0; 33 * model.config().vocab_size];
        model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
        assert_close(&format!("{name} logits"), &logits, &expected.floats("logits"), 1e-4);
    }
}

#[test]
fn a_masked_model_with_its_gradients() {
    let expected = Fixture::expected("roberta");
    let device: Arc<dyn Device> = test_device();
    let model = hugging_face::load_any(&folder("roberta"), &device).unwrap();
    let batch = Batch::from_sequences(expected.ids("ids").chunks(11));
    let mut gradients = Parameters::zeros(&device, model.parameters().layout().clone());
    let mut tape = Tape::training(model.parameters(), &mut gradients, None);
    let hidden = model.decoder().hidden_states(&mut tape, &batch, None);
    assert_close("hidden", &hidden.value().to_vec(), &expected.floats("hidden"), 1e-5);
    let mut logits = vec![0.0; 33 * model.config().vocab_size];
    device.logits(&[model.projection(&hidden, 1.0)], &mut logits);
    assert_close("logits", &logits, &expected.floats("logits"), 1e-5);

    let (targets, predicted) = targets(&expected);
    let sum = device.language_model_loss(model.projection(&hidden, 1.0), &targets, 1.0, None);
    assert_close("loss", &[(sum / predicted as f64) as f32], &expected.floats("loss"), 1e-5);

    tape.seed(&hidden, Tensor::from_slice(&device, 33, 24, &expected.floats("d_hidden")));
    tape.backward();
    let gradients = gradients.values().to_vec();
    for named in model.parameters().layout().segments() {
        let name = format!("grad.{}", named.name);
        let found = &gradients[named.segment.offset..named.segment.offset + named.segment.length()];
        match name.as_str() {
            // What stands behind the states has no part in this gradient.
            "grad.lm_head.bias" => assert!(found.iter().all(|&value| value == 0.0)),
            // The second token type is not ours.
            _ if name.contains("token_type") => {
                assert_close(&name, found, &expected.floats(&name)[..24], 1e-4)
            }
            _ if name.ends_with("key.bias") => {
                assert!(found.iter().all(|value| value.abs() < 1e-4), "{name}")
            }
            _ => assert_close(&name, found, &expected.floats(&name), 1e-4),
        }
    }
}

#[test]
fn shards_hold_the_same_model() {
    let whole = Fixture::expected("llama").floats("logits");
    let model = load("llama-sharded");
    let hidden = model
        .hidden_states(&Batch::from_sequences(Fixture::expected("llama").ids("ids").chunks(11)));
    let mut logits = vec![0.0; whole.len()];
    model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
    assert_close("sharded logits", &logits, &whole, 1e-4);
}

#[test]
fn loss_gradients_and_ten_steps() {
    for name in MODELS {
        let expected = Fixture::expected(name);
        let settings = TrainSettings { weight_decay: 0.1, ..TrainSettings::default() };
        let mut trainer = Trainer::new(load(name), &settings, 0, None);
        let batch = Batch::from_sequences(expected.ids("ids").chunks(11));
        // A rate of 0 leaves the weights alone; the moments that it starts are thrown away with the
        // trainer.
        let found = trainer.step(&[batch.into()], 1, 0.0).unwrap();
        let loss = expected.floats("loss")[0] as f64;
        assert!(
            (found.loss - loss).abs() < 1e-5 * loss,
            "{name}: {} instead of {loss}",
            found.loss
        );
        compare_segments(
            &trainer.model,
            &trainer.gradients().values().to_vec(),
            &expected,
            "grad",
            1e-3,
        );

        for micro_batch_size in [3, 1] {
            ten_steps(name, &expected, &settings, micro_batch_size);
        }
    }
}

fn ten_steps(name: &str, expected: &Fixture, settings: &TrainSettings, micro_batch_size: usize) {
    let mut trainer = Trainer::new(load(name), settings, 0, None);
    let (ids, rates) = (expected.ids("step_ids"), expected.floats("learning_rates"));
    let (losses, norms) = (expected.floats("losses"), expected.floats("grad_norms"));
    for (index, step_ids) in ids.chunks(33).enumerate() {
        let sequences: Vec<&[u32]> = step_ids.chunks(11).collect();
        let micro_batch =
            |group: &[&[u32]]| MicroBatch::from(Batch::from_sequences(group.iter().copied()));
        let batches: Vec<_> = sequences.chunks(micro_batch_size).map(micro_batch).collect();
        let found = trainer.step(&batches, index as u64 + 1, rates[index] as f64).unwrap();
        for (what, found, expected) in
            [("loss", found.loss, losses[index]), ("norm", found.gradient_norm, norms[index])]
        {
            let error = (found / expected as f64 - 1.0).abs();
            assert!(error < 1e-3, "{name}, step {index}: {what} {found} instead of {expected}");
        }
    }
    compare_segments(
        &trainer.model,
        &trainer.model.parameters().values().to_vec(),
        expected,
        "final",
        1e-3,
    );
}

/// The targets of a fixture, and how many there are.
fn targets(expected: &Fixture) -> (Vec<u32>, usize) {
    let target = |id: u32| if id as i32 == -100 { NO_TARGET } else { id };
    let targets: Vec<u32> = expected.ids("targets").into_iter().map(target).collect();
    let predicted = targets.iter().filter(|&&target| target != NO_TARGET).count();
    (targets, predicted)
}

#[test]
fn distillation_in_both_normalisations() {
    let expected = Fixture::open("train/tests/fixtures/losses.safetensors");
    let device: Arc<dyn Device> = test_device();
    let mut layout = Layout::default();
    let output = layout.add("output", 33, 8, Role::Matrix);
    let mut parameters = Parameters::zeros(&device, Arc::new(layout));
    device.write(parameters.values_mut().view_mut(), &expected.floats("weight"));
    let (targets, predicted) = targets(&expected);
    let teachers: Vec<_> = (0..2)
        .map(|index| {
            let tensor = |part| expected.tensor(&device, &format!("teachers.{index}.{part}"));
            (tensor("hidden"), tensor("weight"))
        })
        .collect();
    let projections: Vec<_> = teachers
        .iter()
        .map(|(h, w)| Projection { hidden: h.view(), output: w.view(), bias: None, share: 0.5 })
        .collect();
    let total = Normalisers {
        predicted,
        positions: targets.len(),
        sequences: expected.ids("lengths").len(),
    };

    for (kl, name, positions) in
        [(KlNormalisation::Token, "token", 7.0), (KlNormalisation::Batchmean, "batchmean", 2.0)]
    {
        for (temperature, alpha) in [(1.0, 0.3), (1.0, 0.5), (2.0, 0.3), (2.0, 0.5)] {
            let case = format!("{name}.temperature_{temperature}.alpha_{alpha}");
            let mut gradients = Parameters::zeros(&device, parameters.layout().clone());
            let mut tape = Tape::training(&parameters, &mut gradients, None);
            let hidden = tape.input(expected.tensor(&device, "hidden"));
            let weighed = DistillationObjective {
                temperature: temperature as f32,
                cross_entropy: (alpha / predicted as f64) as f32,
                kl: ((1.0 - alpha) / positions) as f32,
                divergence: Divergence::ForwardKl,
                ensemble: Ensemble::MeanLogits,
            };
            let sums = tape.distillation_loss(
                &hidden,
                output,
                TeacherSignal::States(&projections),
                &targets,
                weighed,
            );
            let d_hidden = tape.backward().of(&hidden).unwrap().to_vec();
            let settings =
                DistillSettings { temperature, alpha, kl, ..DistillSettings::new(Vec::new()) };
            let (loss, cross_entropy, divergence) =
                objective(sums.cross_entropy, Some(sums.kl), &total, Some(&settings));
            for (part, found) in
                [("loss", loss), ("cross_entropy", cross_entropy), ("kl", divergence.unwrap())]
            {
                assert_close(
                    &format!("{case}.{part}"),
                    &[found as f32],
                    &expected.floats(&format!("{case}.{part}")),
                    1e-5,
                );
            }
            assert_close(
                &format!("{case}.d_hidden"),
                &d_hidden,
                &expected.floats(&format!("{case}.d_hidden")),
                1e-4,
            );
            let d_weight = gradients.values().to_vec();
            assert_close(
                &format!("{case}.d_weight"),
                &d_weight,
                &expected.floats(&format!("{case}.d_weight")),
                1e-4,
            );
        }
    }
}
