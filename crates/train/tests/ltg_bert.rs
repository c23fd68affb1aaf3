//! LTG-BERT against PyTorch (`tools/golden/ltg_bert.py`), with both ways to cut its table of
//! distances into heads, and ELC-BERT (`elc_bert.py`): logits, loss, every gradient, ten AdamW
//! steps, and a classifier.

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

const MODELS: [&str; 3] = ["ltg-bert", "ltg-bert-interleaved", "elc-bert"];
/// Tokens of a sequence.
const LENGTH: usize = 11;

fn load(name: &str) -> Model {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    hugging_face::load_any(&folder(name), &device).unwrap()
}

/// Sequences with masked tokens, and what is predicted there; `NO_TARGET` elsewhere.
fn micro_batch(ids: &[u32], targets: &[u32]) -> MicroBatch {
    let target = |&id: &u32| if id as i32 == -100 { NO_TARGET } else { id };
    let targets = Some(targets.iter().map(target).collect());
    MicroBatch { targets, ..Batch::from_sequences(ids.chunks(LENGTH)).into() }
}

#[test]
fn hidden_states_and_logits() {
    for name in MODELS {
        let (model, expected) = (load(name), Fixture::expected(name));
        let hidden =
            model.hidden_states(&Batch::from_sequences(expected.ids("ids").chunks(LENGTH)));
        let found = hidden.value().to_vec();
        assert_close(&format!("{name} hidden"), &found, &expected.floats("hidden"), 1e-4);
        let mut logits = vec![0.0; 3 * LENGTH * model.config().vocab_size];
        model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
        assert_close(&format!("{name} logits"), &logits, &expected.floats("logits"), 1e-4);
    }
    let logits = MODELS.map(|name| Fixture::expected(name).floats("logits"));
    assert_ne!(logits[0], logits[1]);
}

#[test]
fn loss_and_every_gradient() {
    for name in MODELS {
        let expected = Fixture::expected(name);
        let mut trainer = Trainer::new(load(name), &TrainSettings::default(), 0, None);
        let batch = micro_batch(&expected.ids("ids"), &expected.ids("targets"));
        let found = trainer.step(&[batch], 1, 0.0).unwrap();
        let loss = expected.floats("loss")[0] as f64;
        assert!((found.loss - loss).abs() < 1e-5 * loss, "{} instead of {loss}", found.loss);
        let (model, gradient) = (&trainer.model, trainer.gradients().values().to_vec());
        let layout = model.parameters().layout();
        compare_segments(model.config(), layout, &gradient, &expected, "grad", 1e-3);
    }
}

#[test]
fn ten_steps_follow_pytorch_however_they_are_split() {
    for name in MODELS {
        let expected = Fixture::expected(name);
        let (ids, targets) = (expected.ids("step_ids"), expected.ids("step.targets"));
        let (losses, norms) = (expected.floats("losses"), expected.floats("grad_norms"));
        let settings = TrainSettings { weight_decay: 0.1, ..TrainSettings::default() };
        for sequences in [3, 1] {
            let mut trainer = Trainer::new(load(name), &settings, 0, None);
            for (step, &rate) in expected.floats("learning_rates").iter().enumerate() {
                let of_step = step % 2 * 3 * LENGTH..(step % 2 + 1) * 3 * LENGTH;
                let (ids, targets) = (&ids[of_step.clone()], &targets[of_step]);
                let size = sequences * LENGTH;
                let batches: Vec<_> = ids
                    .chunks(size)
                    .zip(targets.chunks(size))
                    .map(|(ids, targets)| micro_batch(ids, targets))
                    .collect();
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
    let (name, device) = ("ltg-bert-classifier", Arc::new(Cpu::new()) as Arc<dyn Device>);
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

/// Weights, gradients and moments are the same on any number of threads, with dropout everywhere.
#[test]
fn threads_do_not_change_a_bit_of_training() {
    let expected = Fixture::expected("ltg-bert");
    let batch = micro_batch(&expected.ids("ids"), &expected.ids("targets"));
    let trained = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let source = load("ltg-bert");
            let config = source.config().clone().with_dropout(0.2);
            let mut model = Model::zeros(config, source.device()).unwrap();
            *model.parameters_mut().values_mut() = source.parameters().values().clone();
            let mut trainer = Trainer::new(model, &TrainSettings::default(), 5, None);
            for step in 1..=4 {
                trainer.step(std::slice::from_ref(&batch), step, 1e-2).unwrap();
            }
            let values = trainer.model.parameters().values().to_vec();
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        })
    };
    let one = trained(1);
    assert!(one == trained(2) && one == trained(3));
}
