//! GPT-BERT against PyTorch (`tools/golden/gpt_bert.py`): states, logits, loss and every gradient
//! in both directions, ten AdamW steps of both kinds in turn, and a classifier.

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

const NAME: &str = "gpt-bert";
/// Tokens of a sequence, and below of the three of a step.
const LENGTH: usize = 11;
const STEP: usize = 3 * LENGTH;

fn load() -> Model {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    hugging_face::load(&folder(NAME), &device).unwrap()
}

/// Sequences, read in both directions or not, and what is predicted at each token.
fn micro_batch(ids: &[u32], targets: &[u32], bidirectional: bool) -> MicroBatch {
    let target = |&id: &u32| if id as i32 == -100 { NO_TARGET } else { id };
    let batch = Batch { bidirectional, ..Batch::from_sequences(ids.chunks(LENGTH)) };
    MicroBatch { targets: Some(targets.iter().map(target).collect()), ..batch.into() }
}

#[test]
fn states_and_logits() {
    let (model, expected) = (load(), Fixture::expected(NAME));
    let batch = micro_batch(&expected.ids("ids"), &expected.ids("targets"), true).batch;
    let hidden = model.hidden_states(&batch);
    assert_close("hidden", &hidden.value().to_vec(), &expected.floats("hidden"), 1e-4);
    let mut logits = vec![0.0; STEP * model.config().vocab_size];
    model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
    assert_close("logits", &logits, &expected.floats("logits"), 1e-4);
}

#[test]
fn loss_and_every_gradient() {
    let expected = Fixture::expected(NAME);
    let mut trainer = Trainer::new(load(), &TrainSettings::default(), 0, None);
    let batch = micro_batch(&expected.ids("ids"), &expected.ids("targets"), true);
    let found = trainer.step(&[batch], 1, 0.0).unwrap();
    let loss = expected.floats("loss")[0] as f64;
    assert!((found.loss - loss).abs() < 1e-5 * loss, "{} instead of {loss}", found.loss);
    let (model, gradient) = (&trainer.model, trainer.gradients().values().to_vec());
    let layout = model.parameters().layout();
    compare_segments(model.config(), layout, &gradient, &expected, "grad", 1e-3);
}

/// Hidden tokens in odd steps and the next token in even ones.
#[test]
fn ten_steps_of_both_kinds_follow_pytorch_however_they_are_split() {
    let expected = Fixture::expected(NAME);
    let (ids, targets) = (expected.ids("step_ids"), expected.ids("step.targets"));
    let (losses, norms) = (expected.floats("losses"), expected.floats("grad_norms"));
    let settings = TrainSettings { weight_decay: 0.1, ..TrainSettings::default() };
    for size in [STEP, LENGTH] {
        let mut trainer = Trainer::new(load(), &settings, 0, None);
        for (step, &rate) in expected.floats("learning_rates").iter().enumerate() {
            let of_step = step % 2 * STEP..(step % 2 + 1) * STEP;
            let parts = ids[of_step.clone()].chunks(size).zip(targets[of_step].chunks(size));
            let batches: Vec<_> =
                parts.map(|(ids, targets)| micro_batch(ids, targets, step % 2 == 0)).collect();
            let found = trainer.step(&batches, step as u64 + 1, rate as f64).unwrap();
            for (what, found, expected) in
                [("loss", found.loss, losses[step]), ("norm", found.gradient_norm, norms[step])]
            {
                let error = (found / expected as f64 - 1.0).abs();
                assert!(error < 1e-3, "step {step}: {what} {found}, not {expected}");
            }
        }
        let (model, values) = (&trainer.model, trainer.model.parameters().values().to_vec());
        let layout = model.parameters().layout();
        compare_segments(model.config(), layout, &values, &expected, "final", 1e-3);
    }
}

#[test]
fn a_classifier_has_its_logits_loss_and_gradients() {
    let (name, device) = ("gpt-bert-classifier", Arc::new(Cpu::new()) as Arc<dyn Device>);
    let expected = Fixture::expected(name);
    let classifier = hugging_face::load_classifier(&folder(name), &device).unwrap();
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

/// The weights are the same on any number of threads, with dropout everywhere.
#[test]
fn threads_do_not_change_a_bit_of_training() {
    let expected = Fixture::expected(NAME);
    let (ids, targets) = (expected.ids("ids"), expected.ids("targets"));
    let trained = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let source = load();
            let config = source.config().clone().with_dropout(0.2);
            let mut model = Model::zeros(config, source.device()).unwrap();
            *model.parameters_mut().values_mut() = source.parameters().values().clone();
            let mut trainer = Trainer::new(model, &TrainSettings::default(), 5, None);
            for step in 1..=4 {
                let batch = micro_batch(&ids, &targets, step % 2 == 0);
                trainer.step(&[batch], step, 1e-2).unwrap();
            }
            let values = trainer.model.parameters().values().to_vec();
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        })
    };
    let one = trained(1);
    assert!(one == trained(2) && one == trained(3));
}
