//! T5 against transformers (`tools/golden/t5.py`), in both forms: logits, loss, every gradient, ten
//! AdamW steps, and a classifier.

mod common;

use std::sync::Arc;

use common::{Fixture, assert_close, compare_segments, folder};
use engine::Device;
use engine::cpu::Cpu;
use engine::ops::language_model_loss::NO_TARGET;
use model::{Batch, Model, hugging_face};
use train::MicroBatch;
use train::finetune::{ClassifierTrainer, Example, FinetuneSettings};
use train::settings::TrainSettings;
use train::step::Trainer;

const MODELS: [&str; 2] = ["t5", "t5-gated"];
/// Sequences of a batch, tokens that the encoder reads of each, and tokens that are predicted.
const SEQUENCES: usize = 3;
const SOURCE: usize = 11;
const LENGTH: usize = 7;

fn load(name: &str) -> Model {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    hugging_face::load_any(&folder(name), &device).unwrap()
}

/// What encoder and decoder read, and what is predicted.
fn micro_batch(source: &[u32], ids: &[u32], targets: &[u32]) -> MicroBatch {
    let target = |&id: &u32| if id as i32 == -100 { NO_TARGET } else { id };
    let targets = Some(targets.iter().map(target).collect());
    let batch = Batch::from_sequences(ids.chunks(LENGTH));
    let batch = batch.with_source(Batch::from_sequences(source.chunks(SOURCE)));
    MicroBatch { targets, ..batch.into() }
}

fn of_fixture(expected: &Fixture) -> MicroBatch {
    micro_batch(&expected.ids("source"), &expected.ids("ids"), &expected.ids("targets"))
}

#[test]
fn hidden_states_and_logits() {
    for name in MODELS {
        let (model, expected) = (load(name), Fixture::expected(name));
        let hidden = model.hidden_states(&of_fixture(&expected).batch);
        let found = hidden.value().to_vec();
        assert_close(&format!("{name} hidden"), &found, &expected.floats("hidden"), 1e-4);
        let mut logits = vec![0.0; SEQUENCES * LENGTH * model.config().vocab_size];
        model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
        assert_close(&format!("{name} logits"), &logits, &expected.floats("logits"), 1e-4);
    }
}

#[test]
fn loss_and_every_gradient() {
    for name in MODELS {
        let expected = Fixture::expected(name);
        let mut trainer = Trainer::new(load(name), &TrainSettings::default(), 0, None);
        let found = trainer.step(&[of_fixture(&expected)], 1, 0.0).unwrap();
        let loss = expected.floats("loss")[0] as f64;
        assert!((found.loss - loss).abs() < 1e-5 * loss, "{} instead of {loss}", found.loss);
        let (model, gradient) = (&trainer.model, trainer.gradients().values().to_vec());
        let layout = model.parameters().layout();
        compare_segments(model.config(), layout, &gradient, &expected, "grad", 1e-3);
    }
}

/// The micro-batches of a step, of `sequences` sequences each.
fn of_step(expected: &Fixture, step: usize, sequences: usize) -> Vec<MicroBatch> {
    let part = |name: &str, length: usize| -> Vec<Vec<u32>> {
        let all = expected.ids(name);
        let size = SEQUENCES * length;
        let of_step = &all[step % 2 * size..(step % 2 + 1) * size];
        of_step.chunks(sequences * length).map(<[u32]>::to_vec).collect()
    };
    let (ids, targets) = (part("step_ids", LENGTH), part("step.targets", LENGTH));
    let pairs = part("step_source", SOURCE).into_iter().zip(ids).zip(targets);
    pairs.map(|((source, ids), targets)| micro_batch(&source, &ids, &targets)).collect()
}

#[test]
fn ten_steps_follow_transformers_however_they_are_split() {
    for name in MODELS {
        let expected = Fixture::expected(name);
        let (losses, norms) = (expected.floats("losses"), expected.floats("grad_norms"));
        let settings = TrainSettings { weight_decay: 0.1, ..TrainSettings::default() };
        for sequences in [3, 1] {
            let mut trainer = Trainer::new(load(name), &settings, 0, None);
            for (step, &rate) in expected.floats("learning_rates").iter().enumerate() {
                let batches = of_step(&expected, step, sequences);
                let found = trainer.step(&batches, step as u64 + 1, rate as f64).unwrap();
                for (what, found, expected) in
                    [("loss", found.loss, losses[step]), ("norm", found.gradient_norm, norms[step])]
                {
                    let error = (found / expected as f64 - 1.0).abs();
                    assert!(error < 1e-3, "{name}, step {step}: {what} {found}, not {expected}");
                }
            }
            let (model, values) = (&trainer.model, trainer.model.parameters().values().to_vec());
            let layout = model.parameters().layout();
            compare_segments(model.config(), layout, &values, &expected, "final", 1e-3);
        }
    }
}

#[test]
fn a_classifier_has_its_logits_loss_and_gradients() {
    let (name, device) = ("t5-classifier", Arc::new(Cpu::new()) as Arc<dyn Device>);
    let expected = Fixture::expected(name);
    let classifier = hugging_face::load_classifier(&folder(name), &device).unwrap();
    assert_eq!(classifier.labels(), ["no", "maybe", "yes"]);
    let mut ids = expected.ids("ids").into_iter();
    let lengths = expected.ids("lengths").into_iter();
    let examples: Vec<Example> = lengths
        .zip(expected.ids("labels"))
        .map(|(length, label)| Example { ids: ids.by_ref().take(length as usize).collect(), label })
        .collect();
    let batch = Batch::from_sequences(examples.iter().map(|example| &example.ids));
    assert_close(name, &classifier.logits(&batch), &expected.floats("logits"), 1e-5);
    let mut trainer = ClassifierTrainer::new(classifier, &FinetuneSettings::default());
    let found = trainer.step(&examples.iter().collect::<Vec<_>>(), 1, 0.0).unwrap();
    assert_close(name, &[found.loss as f32], &expected.floats("loss"), 1e-5);
    let (classifier, gradient) = (&trainer.classifier, trainer.gradients().values().to_vec());
    let (config, layout) = (classifier.config(), classifier.parameters().layout());
    compare_segments(config, layout, &gradient, &expected, "grad", 1e-3);
}

/// The model of a fixture with dropout everywhere, after a few steps.
fn trained_with_dropout(sequences: usize) -> Vec<f32> {
    let expected = Fixture::expected("t5");
    let source = load("t5");
    let config = source.config().clone().with_dropout(0.2);
    let mut model = Model::zeros(config, source.device()).unwrap();
    *model.parameters_mut().values_mut() = source.parameters().values().clone();
    let mut trainer = Trainer::new(model, &TrainSettings::default(), 5, None);
    for step in 0..4 {
        trainer.step(&of_step(&expected, step, sequences), step as u64 + 1, 1e-3).unwrap();
    }
    trainer.model.parameters().values().to_vec()
}

#[test]
fn threads_do_not_change_a_bit_of_training() {
    let trained = |threads: usize| -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let values = pool.install(|| trained_with_dropout(3));
        values.into_iter().map(f32::to_bits).collect()
    };
    let one = trained(1);
    assert!(one == trained(2) && one == trained(3));
}

/// Masks of the encoder's tokens and of the decoder's follow from their places in the step.
#[test]
fn splits_of_a_step_change_no_dropout_mask() {
    let whole = trained_with_dropout(3);
    for sequences in [1, 2] {
        assert_close("weights", &trained_with_dropout(sequences), &whole, 1e-4);
    }
}
