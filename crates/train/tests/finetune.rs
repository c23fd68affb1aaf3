//! Fine-tuning against transformers (`tools/golden/classifier.py`): logits, every gradient, fifty
//! AdamW steps; and what the loop promises: the same bits on any number of threads, batches that
//! may be split, and which weights are kept.

mod common;

use std::cell::Cell;
use std::sync::Arc;

use base::rng::Rng;
use common::{Fixture, assert_close, batches, compare_segments, folder};
use engine::Device;
use engine::cpu::Cpu;
use model::{Architecture, Batch, Classifier, Model, ModelConfig, hugging_face};
use train::TrainError;
use train::finetune::{
    ClassifierTrainer, Evaluation, Example, Finetune, FinetuneEvent, FinetuneListener,
    FinetuneSettings, Finetuned, Silent, predict, predicted_labels,
};
use train::schedule::Schedule;

const FOLDERS: [&str; 6] = [
    "llama-classifier",
    "gpt2-classifier",
    "gptj-classifier",
    "opt-classifier",
    "qwen3-classifier",
    "roberta-classifier",
];

fn cpu() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

fn load(name: &str) -> Classifier {
    hugging_face::load_classifier(&folder(name), &cpu()).unwrap()
}

#[test]
fn logits_and_labels_of_a_folder_that_transformers_wrote() {
    for name in FOLDERS {
        let (classifier, expected) = (load(name), Fixture::expected(name));
        let examples = batches(&expected, "").remove(0);
        let logits =
            classifier.logits(&Batch::from_sequences(examples.iter().map(|example| &example.ids)));
        assert_close(name, &logits, &expected.floats("logits"), 1e-5);
        let (predicted, loss) = predict(&classifier, &examples).unwrap();
        assert_close(name, &predicted.concat(), &expected.floats("logits"), 1e-5);
        assert_close(name, &[loss as f32], &expected.floats("loss"), 1e-5);
    }
    for name in ["llama-classifier", "qwen3-classifier", "roberta-classifier"] {
        assert_eq!(load(name).labels(), ["contradiction", "entailment", "neutral"]);
    }
    assert_eq!(load("gpt2-classifier").labels(), ["LABEL_0", "LABEL_1"]);
}

#[test]
fn loss_and_every_gradient() {
    for name in FOLDERS {
        let expected = Fixture::expected(name);
        let examples = batches(&expected, "").remove(0);
        let mut trainer = ClassifierTrainer::new(load(name), &FinetuneSettings::default());
        let found = trainer.step(&examples.iter().collect::<Vec<_>>(), 1, 0.0).unwrap();
        assert_close(name, &[found.loss as f32], &expected.floats("loss"), 1e-5);
        let (classifier, gradient) = (&trainer.classifier, trainer.gradients().values().to_vec());
        compare_segments(
            classifier.config(),
            classifier.parameters().layout(),
            &gradient,
            &expected,
            "grad",
            1e-3,
        );
    }
}

#[test]
fn fifty_steps_follow_transformers() {
    for name in FOLDERS {
        let expected = Fixture::expected(name);
        let settings = FinetuneSettings {
            learning_rate: 3e-3,
            warmup_steps: 5,
            weight_decay: 0.1,
            ..FinetuneSettings::default()
        };
        let schedule = Schedule::with_warmup(
            settings.schedule,
            settings.learning_rate,
            settings.warmup_steps,
            50,
        );
        let mut trainer = ClassifierTrainer::new(load(name), &settings);
        let (losses, norms) = (expected.floats("losses"), expected.floats("grad_norms"));
        let (rates, batches_of_steps) =
            (expected.floats("learning_rates"), batches(&expected, "step_"));
        assert_eq!(batches_of_steps.len(), 50);
        let mut worst = 0.0f64;
        for (index, batch) in batches_of_steps.iter().enumerate() {
            let rate = schedule.learning_rate(index as u64);
            assert!((rate - rates[index] as f64).abs() < 1e-9, "{name}, step {index}: rate {rate}");
            let found =
                trainer.step(&batch.iter().collect::<Vec<_>>(), index as u64 + 1, rate).unwrap();
            let error = (found.loss - losses[index] as f64).abs();
            worst = worst.max(error);
            assert!(
                error < 1e-5,
                "{name}, step {index}: loss {} instead of {}",
                found.loss,
                losses[index]
            );
            let norm = (found.gradient_norm / norms[index] as f64 - 1.0).abs();
            assert!(
                norm < 1e-3,
                "{name}, step {index}: norm {} instead of {}",
                found.gradient_norm,
                norms[index]
            );
        }
        assert!(worst > 0.0, "a comparison of something with itself");
        let examples = batches(&expected, "").remove(0);
        let logits = predict(&trainer.classifier, &examples).unwrap().0.concat();
        assert_close(
            &format!("{name} after the steps"),
            &logits,
            &expected.floats("final_logits"),
            1e-4,
        );
    }
}

fn config(architecture: Architecture, dropout: f32) -> ModelConfig {
    ModelConfig {
        vocab_size: 61,
        hidden_size: 24,
        intermediate_size: 40,
        num_heads: 4,
        num_kv_heads: if architecture == Architecture::LLAMA { 2 } else { 4 },
        head_dim: 6,
        max_positions: 40,
        norm_epsilon: 1e-5,
        initializer_range: 0.1,
        ..ModelConfig::tiny(architecture).with_dropout(dropout)
    }
}

const FAMILIES: [Architecture; 5] = [
    Architecture::LLAMA,
    Architecture::GPT2,
    Architecture::ROBERTA,
    Architecture::SWITCH_GPT2,
    Architecture::SWITCH_LLAMA,
];

fn classifier(architecture: Architecture, dropout: f32, num_labels: usize) -> Classifier {
    let model = Model::new(config(architecture, dropout), &cpu(), 1).unwrap();
    Classifier::from_model(&model, num_labels, 2).unwrap()
}

/// Texts whose label is whether token 5 occurs, which it does in every second one.
fn examples(seed: u64, count: usize) -> Vec<Example> {
    let example = |at: u64| {
        let (rng, label) = (Rng::new(seed, "test examples").at(at), (at % 2) as u32);
        let length = 1 + rng.below(0, 20);
        let mut ids: Vec<u32> = (1..=length).map(|index| 6 + rng.below(index, 55) as u32).collect();
        if label == 1 {
            ids[rng.below(99, length) as usize] = 5;
        }
        Example { ids, label }
    };
    (0..count as u64).map(example).collect()
}

fn accuracy(examples: &[Example]) -> impl Fn(&[u32]) -> f64 {
    let labels: Vec<u32> = examples.iter().map(|example| example.label).collect();
    move |predicted| {
        let right =
            predicted.iter().zip(&labels).filter(|(predicted, label)| predicted == label).count();
        right as f64 / labels.len() as f64
    }
}

fn quick() -> FinetuneSettings {
    FinetuneSettings {
        learning_rate: 3e-3,
        batch_size: 8,
        epochs: 4.0,
        ..FinetuneSettings::default()
    }
}

/// Fine-tunes on 90 examples with 40 others for validation.
fn finetune(architecture: Architecture, dropout: f32, settings: &FinetuneSettings) -> Finetuned {
    let (training, validation) = (examples(1, 90), examples(2, 40));
    let select = accuracy(&validation);
    let classifier = classifier(architecture, dropout, 2);
    let (training, validation) = (&training[..], &validation[..]);
    Finetune { classifier, training, validation, settings, select: &select }
        .execute(&mut Silent)
        .unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_small_task_is_learned() {
    let training = &examples(1, 90)[..];
    let (select, settings) =
        (accuracy(training), FinetuneSettings { epochs: 12.0, patience: None, ..quick() });
    for architecture in FAMILIES {
        let classifier = classifier(architecture, 0.0, 2);
        let run = Finetune {
            classifier,
            training,
            validation: training,
            settings: &settings,
            select: &select,
        };
        let found = run.execute(&mut Silent).unwrap();
        assert_eq!((found.steps, found.history.len(), found.best), (12 * 12, 12, None));
        let (first, last) = (found.history[0], found.history[11]);
        assert!(
            last.metric > 0.95 && last.loss < 0.3 * first.loss,
            "{architecture:?}: {first:?}, {last:?}"
        );
        let tokens: usize = training.iter().map(|example| example.ids.len()).sum();
        assert_eq!(found.tokens, 12 * tokens as u64);
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    for architecture in FAMILIES {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| {
                finetune(architecture, 0.1, &FinetuneSettings { epochs: 2.0, ..quick() })
            });
            let weights = bits(&found.classifier.parameters().values().to_vec());
            (weights, bits(&found.logits.concat()), found.loss.to_bits(), found.history)
        };
        let alone = on(1);
        for threads in [2, 3, 7] {
            assert!(alone == on(threads), "{architecture:?} on {threads} threads");
        }
    }
}

#[test]
fn dropout_and_order_follow_from_the_seed() {
    let weights = |seed, dropout| {
        let settings = FinetuneSettings { seed, epochs: 1.0, ..quick() };
        bits(
            &finetune(Architecture::GPT2, dropout, &settings)
                .classifier
                .parameters()
                .values()
                .to_vec(),
        )
    };
    assert!(weights(1, 0.1) == weights(1, 0.1));
    assert!(weights(1, 0.1) != weights(2, 0.1));
    assert!(weights(1, 0.1) != weights(1, 0.0));
}

#[test]
fn a_large_batch_is_the_sum_of_its_parts() {
    // Enough tokens for three parts, against the mean gradient of the examples one by one.
    let rng = Rng::new(3, "long examples");
    let long = |at: u64| Example {
        ids: (0..40).map(|index| 6 + rng.at(at).below(index, 55) as u32).collect(),
        label: (at % 2) as u32,
    };
    let batch: Vec<Example> = (0..257).map(long).collect();
    let settings = FinetuneSettings { max_grad_norm: 0.0, ..FinetuneSettings::default() };
    let mut whole = ClassifierTrainer::new(classifier(Architecture::LLAMA, 0.0, 2), &settings);
    let found = whole.step(&batch.iter().collect::<Vec<_>>(), 1, 0.0).unwrap();
    let mut mean = vec![0.0f64; whole.gradients().values().columns()];
    let mut loss = 0.0;
    for example in &batch {
        let mut single = ClassifierTrainer::new(classifier(Architecture::LLAMA, 0.0, 2), &settings);
        loss += single.step(&[example], 1, 0.0).unwrap().loss / 257.0;
        let gradient = single.gradients().values().to_vec();
        mean.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value as f64 / 257.0);
    }
    assert!((found.loss - loss).abs() < 1e-6, "{} instead of {loss}", found.loss);
    assert_eq!(found.tokens, 257 * 40);
    let mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
    assert_close("gradient", &whole.gradients().values().to_vec(), &mean, 1e-4);
}

#[test]
fn memory_does_not_grow_with_the_steps() {
    let mut trainer = ClassifierTrainer::new(classifier(Architecture::GPT2, 0.1, 2), &quick());
    let all = examples(5, 400);
    let mut step = |at: usize| {
        let size = [9, 30, 1, 17, 4][at % 5];
        let batch: Vec<&Example> = all[at * 7..at * 7 + size].iter().collect();
        trainer.step(&batch, at as u64 + 1, 1e-3).unwrap();
        trainer.classifier.device().fresh_allocations()
    };
    let after_the_largest = (0..10).map(&mut step).last().unwrap();
    let later: Vec<u64> = (10..50).map(step).collect();
    // A larger batch than ever asks for memory of its own; there are few of those.
    assert!(
        later.windows(2).filter(|pair| pair[0] != pair[1]).count() <= 4,
        "{after_the_largest} {later:?}"
    );
}

#[test]
fn the_weights_of_the_best_evaluation_are_kept() {
    // The metric is made up: the third evaluation is the best, the fourth ties with it.
    let metrics = [0.5, 0.5005, 0.6, 0.6, 0.55, 0.6004, 0.9];
    let (training, validation) = (examples(1, 90), examples(2, 40));
    let run = |max_steps, patience| {
        let calls = Cell::new(0);
        let select = |_: &[u32]| metrics[calls.replace(calls.get() + 1)];
        let settings = FinetuneSettings { patience, evaluate_every: 5, max_steps, ..quick() };
        let classifier = classifier(Architecture::LLAMA, 0.0, 2);
        let (training, validation, settings) = (&training[..], &validation[..], &settings);
        Finetune { classifier, training, validation, settings, select: &select }
            .execute(&mut Silent)
            .unwrap()
    };
    let found = run(30, Some(2));
    assert_eq!((found.best, found.stopped_early, found.steps), (Some(2), true, 25));
    let failures: Vec<u32> = found.history.iter().map(|evaluation| evaluation.failures).collect();
    assert_eq!(failures, [0, 1, 0, 1, 2]);
    let best: Vec<bool> = found.history.iter().map(|evaluation| evaluation.best).collect();
    assert_eq!(best, [true, true, true, false, false]);
    assert_eq!(found.loss, found.history[2].loss);
    // What was kept is what a fresh look at the kept weights finds, and not the last weights.
    let (logits, loss) = predict(&found.classifier, &validation).unwrap();
    assert!(logits == found.logits && loss == found.loss && loss != found.history[4].loss);

    let patient = run(30, Some(10));
    assert_eq!((patient.best, patient.stopped_early, patient.steps), (Some(5), false, 30));
    let without = run(32, None);
    assert_eq!((without.best, without.history.len(), without.steps), (None, 6, 32));
    let (logits, loss) = predict(&without.classifier, &validation).unwrap();
    assert!(logits == without.logits && loss == without.loss);
    assert_ne!(loss, without.history[5].loss, "two more steps followed");
}

#[test]
fn a_run_without_evaluations_keeps_its_final_weights() {
    let found =
        finetune(Architecture::LLAMA, 0.0, &FinetuneSettings { evaluate_every: 1000, ..quick() });
    assert_eq!(
        (found.history.len(), found.best, found.steps, found.stopped_early),
        (0, None, 48, false)
    );
    let predicted = predict(&found.classifier, &examples(2, 40)).unwrap();
    assert!(predicted == (found.logits, found.loss));
}

#[test]
fn predictions_do_not_depend_on_the_order() {
    let classifier = classifier(Architecture::GPT2, 0.1, 3);
    // Fifty texts, ten of them twice.
    let mut some = [examples(4, 50), examples(4, 10)].concat();
    let (logits, _) = predict(&classifier, &some).unwrap();
    assert_eq!(predicted_labels(&logits).len(), 60);
    assert!(logits[..10] == logits[50..]);
    some.reverse();
    let (mut reversed, _) = predict(&classifier, &some).unwrap();
    reversed.reverse();
    assert_eq!(bits(&logits.concat()), bits(&reversed.concat()));
    for (example, logits) in some.iter().rev().zip(&logits) {
        let alone = classifier.logits(&Batch::from_sequences([&example.ids]));
        assert_close("alone", logits, &alone, 1e-4);
    }
}

/// Records events and asks to stop at one of them.
struct Recorder {
    events: Vec<String>,
    stop_after: Box<dyn Fn(&FinetuneEvent) -> bool>,
    stop: bool,
}

impl FinetuneListener for Recorder {
    fn on_event(&mut self, event: FinetuneEvent) {
        self.stop |= (self.stop_after)(&event);
        self.events.push(match event {
            FinetuneEvent::Started { total_steps, steps_per_epoch } => {
                format!("{total_steps} by {steps_per_epoch}")
            }
            FinetuneEvent::Split { tokens } => format!("{tokens} at a time"),
            FinetuneEvent::Step(step) => {
                format!("step {} at {:.0e}", step.step, step.learning_rate)
            }
            FinetuneEvent::Evaluating { done, .. } => format!("read {done}"),
            FinetuneEvent::Evaluation { evaluation: Evaluation { step, .. }, .. } => {
                format!("evaluation at {step}")
            }
        });
    }

    fn should_stop(&self) -> bool {
        self.stop
    }
}

fn listen(stop_after: impl Fn(&FinetuneEvent) -> bool + 'static) -> (Finetuned, Vec<String>) {
    let (training, validation) = (examples(1, 20), examples(2, 10));
    let settings = FinetuneSettings { batch_size: 10, epochs: 2.0, ..FinetuneSettings::default() };
    let mut recorder =
        Recorder { events: Vec::new(), stop_after: Box::new(stop_after), stop: false };
    let (classifier, select) = (classifier(Architecture::LLAMA, 0.0, 2), accuracy(&validation));
    let (training, validation, settings) = (&training[..], &validation[..], &settings);
    let run = Finetune { classifier, training, validation, settings, select: &select };
    (run.execute(&mut recorder).unwrap(), recorder.events)
}

#[test]
fn a_listener_hears_everything_and_may_stop_it() {
    let (found, events) = listen(|_| false);
    assert!(!found.interrupted);
    let steps = ["step 1 at 5e-5", "step 2 at 4e-5", "read 0", "evaluation at 2"];
    let rest = ["step 3 at 3e-5", "step 4 at 1e-5", "read 0", "evaluation at 4"];
    let expected: Vec<_> = ["4 by 2"].into_iter().chain(steps).chain(rest).collect();
    assert_eq!(events, expected);

    let (found, events) =
        listen(|event| matches!(event, FinetuneEvent::Step(step) if step.step == 3));
    assert_eq!((found.interrupted, found.steps, events.len()), (true, 3, 6));
    assert!(found.logits.is_empty() && found.loss.is_nan());
    let (found, events) = listen(|event| matches!(event, FinetuneEvent::Evaluating { .. }));
    assert_eq!(
        (found.interrupted, found.history.len(), events.last().unwrap().as_str()),
        (true, 0, "read 0")
    );
}

#[test]
fn what_makes_no_sense_is_named() {
    let message = |training: &[Example], validation: &[Example], settings: &FinetuneSettings| {
        let classifier = classifier(Architecture::GPT2, 0.0, 2);
        let run = Finetune { classifier, training, validation, settings, select: &|_| 0.0 };
        run.execute(&mut Silent).err().unwrap().to_string()
    };
    let (good, settings) = (examples(1, 20), quick());
    let with = |ids: Vec<u32>, label| [good[0].clone(), Example { ids, label }];
    for (example, problem) in [
        (with(vec![], 0), "training example 2: it has no tokens"),
        (
            with(vec![3, 61], 0),
            "training example 2: token id 61 is outside the model's vocabulary of 61",
        ),
        (with(vec![3; 41], 0), "training example 2: 41 tokens do not fit the model's 40 positions"),
        (
            with(vec![3], 2),
            "training example 2: its label is 2, but the classifier has 2 labels, counted from 0",
        ),
    ] {
        assert_eq!(message(&example, &good, &settings), problem);
        assert_eq!(message(&good, &example, &settings), problem.replace("training", "validation"));
    }
    assert_eq!(message(&[], &good, &settings), "there are no training examples");
    assert_eq!(message(&good, &[], &settings), "there are no validation examples");
    assert!(
        message(&good, &good, &FinetuneSettings { batch_size: 0, ..quick() })
            .contains("`batch_size` is 0")
    );
    let wild = FinetuneSettings { learning_rate: 1e30, max_grad_norm: 0.0, ..quick() };
    let stopped = message(&good, &good, &wild);
    assert!(
        stopped.contains("of fine-tuning") || stopped.contains("logits are not finite"),
        "{stopped}"
    );
}

#[test]
fn a_loss_that_is_not_finite_leaves_the_weights_alone() {
    let mut broken = classifier(Architecture::LLAMA, 0.0, 2);
    let device = broken.device().clone();
    let head = broken.parameters().layout().segments().last().unwrap().segment;
    device.fill(broken.parameters_mut().view_mut(head), f32::NAN);
    let before = bits(&broken.parameters().values().to_vec());
    let mut trainer = ClassifierTrainer::new(broken, &quick());
    let example = Example { ids: vec![3, 4], label: 1 };
    let error = trainer.step(&[&example], 7, 1e-3).unwrap_err();
    assert!(matches!(error, TrainError::FinetuneNotFinite { step: 7, .. }), "{error}");
    assert!(bits(&trainer.classifier.parameters().values().to_vec()) == before);
}

/// Not a test: writes a classifier into the folder that `BABYLLAMA_CLASSIFIER` names, for
/// `tools/golden/classifier_check.py`.
#[test]
#[ignore = "writes a folder for transformers; see tools/golden/README.md"]
fn writes_a_folder_for_transformers() {
    let place = std::path::PathBuf::from(
        std::env::var("BABYLLAMA_CLASSIFIER").expect("BABYLLAMA_CLASSIFIER names a folder"),
    );

    for (name, architecture) in [
        ("llama", Architecture::LLAMA),
        ("gpt2", Architecture::GPT2),
        ("gptj", Architecture::GPTJ),
        ("opt", Architecture::OPT),
        ("qwen3", Architecture::QWEN3),
        ("roberta", Architecture::ROBERTA),
        ("switch", Architecture::SWITCH_LLAMA),
    ] {
        let found = finetune(architecture, 0.0, &quick());
        hugging_face::save_classifier(&found.classifier, None, &place.join(name)).unwrap();
        let texts = examples(2, 40);
        let words =
            |numbers: Vec<u32>| numbers.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
        let tensors = [
            ("ids", words(texts.iter().flat_map(|example| example.ids.clone()).collect())),
            ("lengths", words(texts.iter().map(|example| example.ids.len() as u32).collect())),
            ("logits", words(bits(&found.logits.concat()))),
        ];
        let views = tensors.iter().map(|(name, bytes)| {
            let kind =
                if *name == "logits" { safetensors::Dtype::F32 } else { safetensors::Dtype::U32 };
            (
                *name,
                safetensors::tensor::TensorView::new(kind, vec![bytes.len() / 4], bytes).unwrap(),
            )
        });
        safetensors::serialize_to_file(views, None, &place.join(format!("{name}.safetensors")))
            .unwrap();
    }
}
