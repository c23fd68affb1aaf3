//! What happens when a device has no memory for a whole step: smaller micro-batches, the same
//! result, and one word about it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use base::rng::Rng;
use corpus::Chunks;
use engine::cpu::Cpu;
use engine::{Device, Profiler, Tensor, fault};
use model::{Architecture, Batch, Classifier, Model, ModelConfig, hugging_face};
use train::data::batch;
use train::finetune::{
    Example, Finetune, FinetuneEvent, FinetuneListener, FinetuneSettings, FinetuneStep, Finetuned,
    predict,
};
use train::heldout::Heldout;
use train::settings::{Codec, SignalKind};
use train::signals::{DistillInputs, open_cache};
use train::{
    DistillSettings, Distillation, Event, Listener, Outcome, StepRecord, Teacher, TrainError,
    TrainSettings, TrainingRun,
};

const LENGTH: usize = 32;

/// Dropout too, whose masks may not depend on the split.
fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 101,
        hidden_size: 32,
        intermediate_size: 128,
        num_heads: 4,
        num_kv_heads: 4,
        head_dim: 8,
        max_positions: LENGTH,
        norm_epsilon: 1e-5,
        initializer_range: 0.1,
        ..ModelConfig::tiny(Architecture::GPT2).with_dropout(0.1)
    }
}

fn settings() -> TrainSettings {
    TrainSettings {
        batch_size: 16,
        sequence_length: LENGTH,
        epochs: 1.0,
        ..TrainSettings::default()
    }
}

/// Tokens of `steps` steps.
fn tokens(steps: u64) -> Vec<u32> {
    let rng = Rng::new(3, "test tokens");
    (0..steps * 16 * LENGTH as u64).map(|at| rng.below(at, 101) as u32).collect()
}

/// Records the events of a run.
#[derive(Default)]
struct Notes {
    steps: Vec<StepRecord>,
    splits: Vec<(usize, usize)>,
    heldout: Vec<f64>,
    /// Stop after this step.
    last: Option<u64>,
}

impl Listener for Notes {
    fn on_event(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Step(record) => self.steps.push(record),
            Event::Split { sequences, batch_size } => self.splits.push((sequences, batch_size)),
            Event::Evaluation(record) => self.heldout.push(record.cross_entropy),
            _ => {}
        }
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.last.is_some_and(|last| self.steps.len() as u64 == last)
    }
}

/// A run in a folder, alone or with a teacher.
fn run(
    folder: &Path,
    device: Arc<dyn Device>,
    settings: &TrainSettings,
    distill: Option<Distillation>,
    notes: &mut Notes,
) -> Result<Outcome, TrainError> {
    let (training, validation) = (tokens(4), tokens(1));
    TrainingRun {
        folder,
        settings,
        seed: 9,
        model: Model::new(config(), &device, 1).unwrap(),
        distill,
        training: &training,
        validation: Some(&validation),
        words: None,
        mask_token: None,
        hidden_tokens: None,
        inputs_fingerprint: String::new(),
    }
    .execute(notes)
}

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("final/model.safetensors")).unwrap()
}

/// Runs alone on a device: its notes and its weights.
fn alone(device: Arc<dyn Device>, settings: &TrainSettings) -> (Notes, Vec<u8>) {
    let (folder, mut notes) = (tempfile::tempdir().unwrap(), Notes::default());
    run(folder.path(), device, settings, None, &mut notes).unwrap();
    (notes, weights(folder.path()))
}

fn cpu() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

fn small() -> Arc<dyn Device> {
    Arc::new(Cpu::with_memory(3 << 20))
}

#[test]
fn a_step_that_does_not_fit_is_split_to_the_same_result() {
    let (whole, same) =
        (alone(cpu(), &settings()), alone(Arc::new(Cpu::with_memory(1 << 40)), &settings()));
    assert_eq!(
        (whole.0.splits.len(), whole.1 == same.1),
        (0, true),
        "enough memory changes nothing"
    );

    let (found, split_weights) = alone(small(), &settings());
    let [(sequences, 16)] = found.splits[..] else { panic!("{:?}", found.splits) };
    assert!((1..16).contains(&sequences), "{sequences}");
    assert_eq!(found.steps.len(), whole.0.steps.len());
    for (a, b) in found.steps.iter().zip(&whole.0.steps) {
        assert!(
            (a.loss / b.loss - 1.0).abs() < 1e-5
                && (a.gradient_norm / b.gradient_norm - 1.0).abs() < 1e-4
        );
        assert_eq!((a.step, a.tokens), (b.step, b.tokens));
    }
    assert!((found.heldout[0] / whole.0.heldout[0] - 1.0).abs() < 1e-5);
    // The split that was found is one that could have been asked for.
    let asked = alone(cpu(), &TrainSettings { micro_batch_size: sequences, ..settings() });
    assert!(asked.1 == split_weights, "an attempt that failed left something behind");
}

#[test]
fn where_not_even_one_sequence_fits_the_error_says_what_is_missing() {
    let refused = |bytes, settings: &TrainSettings| {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), Arc::new(Cpu::with_memory(bytes)), settings, None, &mut Notes::default())
            .unwrap_err()
    };
    // Room for parameters, gradient and moments, of 30 thousand values each, and for little more.
    let error = refused(560 << 10, &settings());
    let message = error.to_string();
    assert!(matches!(error, TrainError::OutOfMemory { sequences: 1, .. }), "{message}");
    assert!(
        message.starts_with(
            "there is no memory for one sequence of 32 tokens: cpu has no memory for "
        ),
        "{message}"
    );
    // What was asked for is what is done.
    let error = refused(3 << 20, &TrainSettings { micro_batch_size: 16, ..settings() });
    assert!(matches!(error, TrainError::OutOfMemory { sequences: 16, .. }), "{error}");
    // Not even the parameters.
    let folder = tempfile::tempdir().unwrap();
    let device: Arc<dyn Device> = Arc::new(Cpu::with_memory(200 << 10));
    let error = run(folder.path(), device, &settings(), None, &mut Notes::default()).unwrap_err();
    assert!(matches!(error, TrainError::Device(_)), "{error}");
}

/// A teacher in a folder, whose hidden states are cached in another.
fn distillation(folder: &Path) -> Distillation {
    let place = folder.join("teacher");
    hugging_face::save(&Model::new(config(), &cpu(), 5).unwrap(), &place).unwrap();
    let signal = DistillSettings {
        signal: SignalKind::Hidden,
        codec: Codec::F32,
        ..DistillSettings::new(Vec::new())
    };
    let teachers = vec![Teacher::open("teacher", &place).unwrap()];
    Distillation { settings: signal, teachers, caches: folder.join("caches"), sample_seed: 3 }
}

#[test]
fn teachers_run_in_parts_too() {
    let students = [cpu(), small()].map(|device| {
        let (folder, mut notes) = (tempfile::tempdir().unwrap(), Notes::default());
        run(folder.path(), device, &settings(), Some(distillation(folder.path())), &mut notes)
            .unwrap();
        notes
    });
    assert_eq!([students[0].splits.len(), students[1].splits.len()], [0, 1]);
    for (a, b) in students[0].steps.iter().zip(&students[1].steps) {
        assert!(
            (a.loss / b.loss - 1.0).abs() < 1e-5
                && (a.kl.unwrap() / b.kl.unwrap() - 1.0).abs() < 1e-4
        );
    }
}

#[test]
fn teacher_outputs_do_not_depend_on_the_batch_limit() {
    let kept = [cpu(), Arc::new(Cpu::with_memory(700 << 10))].map(|device: Arc<dyn Device>| {
        let folder = tempfile::tempdir().unwrap();
        let (distillation, training, settings) =
            (distillation(folder.path()), tokens(2), settings());
        let inputs = DistillInputs {
            device: &device,
            vocab_size: 101,
            settings: &settings,
            training: &training,
            validation: None,
        };
        let mut cache = open_cache(&distillation, &inputs).unwrap().unwrap();
        let mut calls = 0;
        let is_whole = cache.complete(&inputs, 32, &mut |_| {
            calls += 1;
            true
        });
        assert!(is_whole.unwrap());
        (calls, std::fs::read(cache.folders()[0].0.join("blocks.bin")).unwrap())
    });
    assert!(kept[0].0 == 1 && kept[1].0 > 1, "{} and {} calls", kept[0].0, kept[1].0);
    assert!(kept[0].1 == kept[1].1);
}

#[test]
fn held_out_sequences_are_measured_in_parts_too() {
    let text = tokens(2);
    let [whole, parts] =
        [cpu(), Arc::new(Cpu::with_memory(800 << 10))].map(|device: Arc<dyn Device>| {
            let model = Model::new(config(), &device, 1).unwrap();
            let chunks = Chunks::fixed(text.len(), LENGTH, 0).unwrap();
            let sequences = (0..32).collect();
            let fits = fault::catch(|| {
                model.hidden_states(&batch(&text, &chunks, &(0..32).collect::<Vec<_>>()))
            });
            assert_eq!(fits.is_ok(), device.memory().is_none());
            let heldout = Heldout {
                source: &text,
                chunks,
                sequences,
                batch_size: 32,
                masking: None,
                should_stop: None,
            };
            let mut seen = Vec::new();
            let found = heldout
                .cross_entropy_of_each(&[&model], |place, of_one| seen.push((place, of_one.len())))
                .unwrap();
            (found, seen)
        });
    assert!((whole.0.cross_entropy / parts.0.cross_entropy - 1.0).abs() < 1e-6);
    assert_eq!((whole.0.tokens, whole.1.len()), (parts.0.tokens, 32));
    assert_eq!(whole.1, parts.1);
}

/// Of RoBERTa also with dropout in the head, on one row for each sequence.
fn classifier(device: &Arc<dyn Device>, architecture: Architecture) -> Classifier {
    let pad_token_id = (architecture == Architecture::ROBERTA).then_some(1);
    let config = ModelConfig { architecture, pad_token_id, ..config() };
    Classifier::from_model(&Model::new(config, device, 1).unwrap(), 2, 1).unwrap()
}

/// Texts of all lengths.
fn examples(seed: u64, count: u64) -> Vec<Example> {
    let rng = Rng::new(seed, "test examples");
    let id = |at: u64, place: u64| rng.below(at << 8 | place, 101) as u32;
    let ids =
        |at: u64| (0..1 + rng.below(1000 + at, LENGTH as u64)).map(|place| id(at, place)).collect();
    (0..count).map(|at| Example { ids: ids(at), label: rng.below(at, 2) as u32 }).collect()
}

/// Records the events of a fine-tuning.
#[derive(Default)]
struct FinetuneNotes {
    steps: Vec<FinetuneStep>,
    splits: Vec<usize>,
}

impl FinetuneListener for FinetuneNotes {
    fn on_event(&mut self, event: FinetuneEvent) {
        match event {
            FinetuneEvent::Step(step) => self.steps.push(step),
            FinetuneEvent::Split { tokens } => self.splits.push(tokens),
            _ => {}
        }
    }
}

/// Fine-tunes for four steps of 40 examples each.
fn finetune(
    device: Arc<dyn Device>,
    architecture: Architecture,
) -> (FinetuneNotes, Result<Finetuned, TrainError>) {
    let (training, validation) = (examples(1, 80), examples(2, 60));
    let settings = FinetuneSettings {
        batch_size: 40,
        epochs: 2.0,
        learning_rate: 1e-3,
        ..FinetuneSettings::default()
    };
    let mut notes = FinetuneNotes::default();
    let (training, validation, settings) = (&training[..], &validation[..], &settings);
    let run = Finetune {
        classifier: classifier(&device, architecture),
        training,
        validation,
        settings,
        select: &|_| 0.5,
    };
    let found = run.execute(&mut notes);
    (notes, found)
}

fn values(finetuned: &Finetuned) -> Vec<f32> {
    finetuned.classifier.parameters().values().to_vec()
}

fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    let pairs = || found.iter().flatten().zip(expected.iter().flatten());
    assert!(
        pairs().all(|(a, b)| (a - b).abs() < 1e-4),
        "{:?}",
        pairs().find(|(a, b)| (*a - *b).abs() >= 1e-4)
    );
}

#[test]
fn a_fine_tuning_step_that_does_not_fit_is_split_to_the_same_result() {
    [Architecture::GPT2, Architecture::ROBERTA].into_iter().for_each(split_to_the_same_result);
}

fn split_to_the_same_result(architecture: Architecture) {
    let (whole, expected) = finetune(cpu(), architecture);
    let (same, enough) = finetune(Arc::new(Cpu::with_memory(1 << 40)), architecture);
    let (expected, enough) = (expected.unwrap(), enough.unwrap());
    assert!(whole.splits.is_empty() && same.splits.is_empty());
    assert!(values(&expected) == values(&enough), "enough memory changes nothing");

    let (split, found) = finetune(Arc::new(Cpu::with_memory(2 << 20)), architecture);
    let found = found.unwrap();
    // The first split is not always the last: later steps are cut elsewhere.
    let range = 32..whole.steps[0].tokens;
    assert!(
        !split.splits.is_empty() && split.splits.iter().all(|tokens| range.contains(tokens)),
        "{:?}",
        split.splits
    );
    assert_eq!((split.steps.len(), whole.steps.len()), (4, 4));
    for (a, b) in split.steps.iter().zip(&whole.steps) {
        assert!(
            (a.loss / b.loss - 1.0).abs() < 1e-5
                && (a.gradient_norm / b.gradient_norm - 1.0).abs() < 1e-4
        );
        assert_eq!((a.step, a.tokens, a.learning_rate), (b.step, b.tokens, b.learning_rate));
    }
    assert_close(&found.logits, &expected.logits);
}

#[test]
fn a_single_example_that_does_not_fit_is_an_error() {
    // Room for weights, gradient and moments, of 27 thousand values each, and for little more.
    let (notes, found) = finetune(Arc::new(Cpu::with_memory(560 << 10)), Architecture::GPT2);
    let message = found.err().unwrap().to_string();
    assert!(
        message.starts_with(
            "there is no memory for one sequence of 32 tokens: cpu has no memory for "
        ),
        "{message}"
    );
    assert_eq!(notes.steps.len(), 0);
}

#[test]
fn predictions_are_made_in_parts_too() {
    let texts = examples(2, 200);
    let expected = predict(&classifier(&cpu(), Architecture::GPT2), &texts).unwrap();
    let device: Arc<dyn Device> = Arc::new(Cpu::with_memory(1 << 20));
    let small = classifier(&device, Architecture::GPT2);
    let all = Batch::from_sequences(texts.iter().map(|text| &text.ids));
    assert!(fault::catch(|| small.logits(&all)).is_err(), "there is memory for everything");
    let found = predict(&small, &texts).unwrap();
    assert_close(&found.0, &expected.0);
    assert!((found.1 / expected.1 - 1.0).abs() < 1e-5);

    device.trim();
    let free = device.memory().unwrap().free as usize;
    let _others = Tensor::zeros(&device, 1, free / 4 * 31 / 32);
    let error = predict(&small, &texts).unwrap_err();
    assert!(matches!(error, TrainError::OutOfMemory { sequences: 1, length: 32, .. }), "{error}");
}

/// A checkpoint does not depend on the device that wrote it.
#[test]
fn a_checkpoint_goes_on_on_another_device() {
    let through = alone(cpu(), &settings()).1;
    let (folder, mut notes) =
        (tempfile::tempdir().unwrap(), Notes { last: Some(2), ..Notes::default() });
    let stopped = run(folder.path(), cpu(), &settings(), None, &mut notes).unwrap();
    assert_eq!(stopped, Outcome::Interrupted { step: 2 });
    let other: Arc<dyn Device> = Arc::new(Profiler::new(Arc::new(Cpu::with_memory(1 << 40))));
    let mut notes = Notes::default();
    run(folder.path(), other, &settings(), None, &mut notes).unwrap();
    assert_eq!(notes.steps[0].step, 3);
    assert!(weights(folder.path()) == through);
}
