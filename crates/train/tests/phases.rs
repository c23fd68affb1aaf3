//! Trainings of several phases, with sharpness-aware minimisation, gradient ascent and averages:
//! the same bits after any break and on any number of threads, and each lever does what it is for.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use base::rng::Rng;
use engine::Device;
use engine::cpu::Cpu;
use model::{Architecture, Model, ModelConfig};
use safetensors::SafeTensors;
use train::data::SourceRange;
use train::optimizers::OptimizerKind;
use train::settings::{ChallengeTrack, ScheduleKind, Selection};
use train::{EvaluationRecord, Event, Listener, Outcome, StepRecord, TokenSource, TrainingRun};
use train::{TrainError, TrainSettings};

const VOCAB: usize = 61;

/// Words of the training text of 150 tokens, as if each token were twenty thousand words.
const WORDS: Option<u64> = Some(3_000_000);

fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: VOCAB,
        hidden_size: 16,
        intermediate_size: 24,
        num_heads: 2,
        num_kv_heads: 2,
        head_dim: 8,
        max_positions: 40,
        norm_epsilon: 1e-5,
        initializer_range: 0.1,
        ..ModelConfig::tiny(Architecture::GPT2).with_dropout(0.1)
    }
}

/// A text of two files.
struct Text(Vec<u32>, Vec<SourceRange>);

impl TokenSource for Text {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
        self.0.read(range, ids);
    }

    fn sources(&self) -> &[SourceRange] {
        &self.1
    }
}

/// Tokens of which each follows from the one before it but for a few.
fn text(purpose: &str, count: u64) -> Text {
    let rng = Rng::new(4, purpose);
    let odd = |at: u64| if rng.below(at, 8) == 0 { 7 } else { 0 };
    let tokens = (0..count).map(|at| ((at * 5 + odd(at)) % VOCAB as u64) as u32).collect();
    let file = |name: &str, tokens| SourceRange { name: name.into(), tokens };
    Text(tokens, vec![file("easy", 0..60), file("hard", 60..count as usize)])
}

fn settings(keys: &str) -> TrainSettings {
    let settings: TrainSettings = serde_json::from_str(keys).unwrap();
    TrainSettings {
        batch_size: 4,
        sequence_length: 8,
        checkpoint_minutes: 0.0,
        checkpoint_steps: 1,
        learning_rate: 1e-2,
        weight_decay: 0.1,
        ..settings
    }
}

/// Curriculum, plain, sharpness-aware and ascent, with an average of the weights.
fn four_phases(average: &str) -> TrainSettings {
    settings(&format!(
        r#"{{"average": {average}, "phases": [
            {{"name": "easy", "epochs": 1.0, "sources": ["easy"]}},
            {{"epochs": 1.5, "weight_decay": 0.5, "hybrid": {{"steps": 0.5, "mask": 0.2}},
              "corruption": {{"replace": 0.1, "varies": true}}}},
            {{"epochs": 1.0, "batch_size": 6, "sam": {{"rho": 0.05, "dropout": "new"}}}},
            {{"max_steps": 3, "objective": "ascent", "batch_size": 1, "same_batch": true,
              "dropout": false, "learning_rate": 1e-4, "schedule": "constant",
              "weight_decay": 0.0, "max_grad_norm": 0.0, "adam_beta2": 0.98}}]}}"#
    ))
}

/// The phases of [`four_phases`], trained by Muon but for the ascent.
fn four_phases_with_muon(average: &str) -> TrainSettings {
    let mut settings = four_phases(average);
    settings.optimizer = OptimizerKind::named("muon").unwrap();
    settings.phases[3].optimizer = OptimizerKind::named("adamw");
    settings
}

#[derive(Default)]
struct Recorder {
    stop: u64,
    steps: Vec<StepRecord>,
    evaluations: Vec<EvaluationRecord>,
    phases: Vec<(String, u64)>,
}

impl Listener for Recorder {
    fn on_event(&mut self, event: Event<'_>) -> std::io::Result<()> {
        match event {
            Event::Step(step) => self.steps.push(step),
            Event::Evaluation(record) => self.evaluations.push(record),
            Event::Phase { name, first_step, .. } => {
                self.phases.push((name.to_owned(), first_step));
            }
            _ => {}
        }
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.stop > 0 && self.steps.len() as u64 == self.stop
    }
}

fn try_run(
    folder: &Path,
    settings: &TrainSettings,
    stop: u64,
) -> Result<(Outcome, Recorder), TrainError> {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let (training, validation) = (text("training", 150), text("validation", 60));
    let run = TrainingRun {
        folder,
        settings,
        seed: 9,
        model: Model::new(config(), &device, 5).unwrap(),
        distill: None,
        training: &training,
        validation: Some(&validation),
        words: WORDS,
        mask_token: Some(1),
        hidden_tokens: None,
        inputs_fingerprint: String::new(),
    };
    let mut recorder = Recorder { stop, ..Recorder::default() };
    let outcome = run.execute(&mut recorder)?;
    Ok((outcome, recorder))
}

fn run(folder: &Path, settings: &TrainSettings, stop: u64) -> (Outcome, Recorder) {
    try_run(folder, settings, stop).unwrap()
}

fn weights(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name).join("model.safetensors")).unwrap()
}

const AVERAGES: [&str; 3] = [
    r#"{"kind": "ema_steps", "decay": 0.8}"#,
    r#"{"kind": "ema_epochs", "decay": 0.5}"#,
    r#"{"kind": "last_epochs", "epochs": 2}"#,
];

#[test]
fn a_run_that_is_stopped_after_every_step_continues_to_the_same_bits() {
    let by_adamw = AVERAGES.map(four_phases);
    for settings in by_adamw.into_iter().chain(AVERAGES.map(four_phases_with_muon)) {
        let folder = tempfile::tempdir().unwrap();
        let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
        let (_, recorder) = run(&whole, &settings, 0);
        let total = recorder.steps.len();
        // 7 and 18 sequences: 2, 5 * 1.5, 3 and 3 steps.
        assert_eq!(total, 2 + 8 + 3 + 3);
        let expected = [("2", 3), ("3", 11), ("4", 14)].map(|(name, step)| (name.into(), step));
        assert_eq!(recorder.phases, expected);
        for _ in 1..total {
            let (outcome, _) = run(&stopped, &settings, 1);
            assert!(matches!(outcome, Outcome::Interrupted { .. }), "{outcome:?}");
        }
        let (outcome, _) = run(&stopped, &settings, 0);
        assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
        for name in ["final", "best"] {
            assert!(weights(&stopped, name) == weights(&whole, name), "{name}, {settings:?}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let on = |threads: usize| {
        let place = folder.path().join(threads.to_string());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&place, &four_phases(AVERAGES[0]), 0));
        weights(&place, "final")
    };
    let alone = on(1);
    assert!(on(2) == alone && on(3) == alone);
}

#[test]
fn one_phase_with_the_settings_of_the_whole_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, phased] = ["plain", "phased"].map(|name| folder.path().join(name));
    run(&plain, &TrainSettings { epochs: 2.0, ..settings("{}") }, 0);
    let two = r#"{"phases": [{"epochs": 1.0}, {"epochs": 1.0}]}"#;
    let (_, recorder) = run(&phased, &settings(two), 0);
    assert!(weights(&plain, "final") == weights(&phased, "final"));
    assert_eq!(recorder.evaluations.len(), 2);
}

#[test]
fn ascent_raises_the_loss_of_its_text_and_the_last_weights_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let keys = r#"{"select_by": "last", "phases": [{"epochs": 4.0},
        {"max_steps": 8, "objective": "ascent", "batch_size": 1, "same_batch": true,
         "dropout": false, "learning_rate": 5e-3, "schedule": "constant"}]}"#;
    let (_, recorder) = run(folder.path(), &settings(keys), 0);
    let ascent = &recorder.steps[20..];
    assert!(ascent.iter().all(|step| step.loss == -step.cross_entropy), "{ascent:?}");
    let (first, last) = (ascent[0].cross_entropy, ascent[7].cross_entropy);
    assert!(last > first + 0.05, "{first} to {last}");
    assert!(weights(folder.path(), "final") != weights(folder.path(), "best"));
}

#[test]
fn the_climb_goes_to_a_higher_loss_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, zero, sharp, adaptive] =
        ["plain", "zero", "sharp", "adaptive"].map(|name| folder.path().join(name));
    let with = |sam: &str| TrainSettings { epochs: 2.0, ..settings(sam) };
    run(&plain, &with("{}"), 0);
    run(&zero, &with(r#"{"sam": {"rho": 0}}"#), 0);
    assert!(weights(&plain, "final") == weights(&zero, "final"), "rho = 0 is off");
    run(&sharp, &with(r#"{"sam": {"rho": 0.05}}"#), 0);
    run(&adaptive, &with(r#"{"sam": {"rho": 0.5, "adaptive": true}}"#), 0);
    let all = [&plain, &sharp, &adaptive].map(|place| weights(place, "final"));
    assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
    // So near a point that both gradients are one, a step is as without.
    let near = folder.path().join("near");
    let (_, found) = run(&near, &with(r#"{"sam": {"rho": 1e-12}}"#), 0);
    let (_, expected) = run(&folder.path().join("again"), &with("{}"), 0);
    for (found, expected) in found.steps.iter().zip(&expected.steps) {
        assert!((found.loss - expected.loss).abs() < 1e-5, "{found:?} {expected:?}");
    }
}

/// The weights of a snapshot, or those of `final`.
fn values(folder: &Path, name: &str) -> Vec<f32> {
    let bytes = weights(folder, name);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: BTreeMap<_, _> = tensors.tensors().into_iter().collect();
    let words = |data: &[u8]| {
        let words = data.as_chunks::<4>().0.iter();
        words.map(|word| f32::from_le_bytes(*word)).collect::<Vec<f32>>()
    };
    tensors.values().flat_map(|tensor| words(tensor.data())).collect()
}

#[track_caller]
fn assert_average(folder: &Path, shares: &[(u64, f64)]) {
    let parts: Vec<(Vec<f32>, f64)> = shares
        .iter()
        .map(|(epoch, share)| (values(folder, &format!("snapshots/epoch-{epoch}")), *share))
        .collect();
    let found = values(folder, "final");
    for (place, found) in found.iter().enumerate() {
        let expected: f64 = parts.iter().map(|(of, share)| share * f64::from(of[place])).sum();
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found}, not {expected}");
    }
    let last = values(folder, &format!("snapshots/epoch-{}", shares.last().unwrap().0));
    assert!(found.iter().zip(&last).any(|(a, b)| (a - b).abs() > 1e-3), "it is the last");
}

#[test]
fn averages_are_those_of_the_weights_that_they_are_of() {
    let run = |keys: &str, snapshots: Vec<u64>| {
        let folder = tempfile::tempdir().unwrap();
        let keys = format!(r#"{{"select_by": "last", "schedule": "constant", {keys}}}"#);
        let settings = settings(&keys);
        let epochs = if settings.phases.is_empty() { 4.0 } else { settings.epochs };
        run(folder.path(), &TrainSettings { epochs, snapshots, ..settings }, 0);
        folder
    };
    let of_last = r#""average": {"kind": "last_epochs", "epochs": 3}"#;
    let third = 1.0 / 3.0;
    let folder = run(of_last, vec![2, 3, 4]);
    assert_average(folder.path(), &[(2, third), (3, third), (4, third)]);
    let by_epoch = r#""average": {"kind": "ema_epochs", "decay": 0.6}"#;
    let folder = run(by_epoch, vec![1, 2, 3, 4]);
    let shares = [0.6 * 0.6 * 0.6, 0.4 * 0.6 * 0.6, 0.4 * 0.6, 0.4];
    let shares: Vec<(u64, f64)> = (1..).zip(shares).collect();
    assert_average(folder.path(), &shares);
    // Steps that are epochs.
    let by_step = r#""phases": [{"epochs": 4.0, "batch_size": 18,
        "average": {"kind": "ema_steps", "decay": 0.6}}]"#;
    let folder = run(by_step, vec![1, 2, 3, 4]);
    assert_average(folder.path(), &shares);
}

#[test]
fn an_average_of_a_phase_begins_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let average = r#"{"kind": "ema_epochs", "decay": 0.6}"#;
    let keys = format!(
        r#"{{"select_by": "last", "schedule": "constant", "snapshots": [2, 3, 4], "phases": [
            {{"epochs": 1.0}}, {{"epochs": 1.0, "average": {average}}},
            {{"epochs": 2.0, "average": {average}}}]}}"#
    );
    let (_, recorder) = run(folder.path(), &settings(&keys), 0);
    assert_average(folder.path(), &[(2, 0.36), (3, 0.24), (4, 0.4)]);
    let averaged = recorder.evaluations.iter().map(|record| record.averaged.is_some());
    assert_eq!(averaged.collect::<Vec<bool>>(), [false, true, true, true]);
    // Another average begins anew, and after the last one the weights are themselves.
    let folder = tempfile::tempdir().unwrap();
    let other = keys.replacen("0.6", "0.5", 1);
    run(folder.path(), &settings(&other), 0);
    assert_average(folder.path(), &[(3, 0.6), (4, 0.4)]);
    let folder = tempfile::tempdir().unwrap();
    let plain = keys.replace(r#"{"epochs": 2.0, "average""#, r#"{"epochs": 2.0, "sam""#);
    let plain =
        plain.replacen(r#""sam": {"kind": "ema_epochs", "decay": 0.6}"#, r#""sam": null"#, 1);
    run(folder.path(), &settings(&plain), 0);
    assert!(weights(folder.path(), "final") == weights(folder.path(), "snapshots/epoch-4"));
}

#[test]
fn a_climb_beyond_all_measure_names_its_setting_and_a_checkpoint_where_there_is_one() {
    let message = |keys: &str| {
        let folder = tempfile::tempdir().unwrap();
        let settings = TrainSettings { checkpoint_steps: 0, ..settings(keys) };
        try_run(folder.path(), &settings, 0).err().unwrap().to_string()
    };
    let found = message(r#"{"sam": {"rho": 1e30}}"#);
    assert!(found.ends_with(" at step 1, uphill by the `sam.rho` of 1e30"), "{found}");
    let phases = r#"{"phases": [{"max_steps": 4}, {"max_steps": 4, "sam": {"rho": 1e30}}]}"#;
    let found = message(phases);
    let expected = " at step 5, uphill by the `sam.rho` of 1e30; the last checkpoint is kept, that \
                    after step 4";
    assert!(found.ends_with(expected), "{found}");
}

#[test]
fn metrics_mark_masked_steps_and_optimizers_that_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let keys = r#"{"optimizer": "muon", "phases": [{"max_steps": 2}, {"max_steps": 2,
        "hybrid": {"steps": 1.0, "mask": 0.3}}, {"max_steps": 2, "optimizer": "lion"},
        {"max_steps": 2}]}"#;
    let (_, recorder) = run(folder.path(), &settings(keys), 0);
    let masked: Vec<bool> = recorder.steps.iter().map(|step| step.masked).collect();
    assert_eq!(masked, [false, false, true, true, false, false, false, false]);
    let anew = recorder.steps.iter().map(|step| step.optimizer_begins_anew);
    let anew: Vec<Option<usize>> = anew.collect();
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let all = Model::new(config(), &device, 5).unwrap().parameters().layout().length();
    let all = Some(all);
    assert_eq!(anew, [None, None, None, None, all, None, all, None]);
}

#[test]
fn the_average_becomes_the_model_where_its_loss_is_lower() {
    let folder = tempfile::tempdir().unwrap();
    // At a rate at which the last weights jump about.
    let keys = r#"{"average": {"kind": "last_epochs", "epochs": 3}, "schedule": "constant"}"#;
    let settings = TrainSettings { epochs: 8.0, learning_rate: 4e-2, ..settings(keys) };
    let (_, recorder) = run(folder.path(), &settings, 0);
    let averaged: Vec<bool> =
        recorder.evaluations.iter().map(|record| record.averaged.is_some()).collect();
    assert_eq!(averaged, [false, false, false, false, false, true, true, true]);
    let last = recorder.evaluations.last().unwrap();
    assert!(last.averaged.unwrap() < last.cross_entropy, "{last:?}");
    let lowest = recorder.evaluations.iter().map(EvaluationRecord::lowest).fold(9.0, f64::min);
    assert_eq!(last.best, last.lowest() == lowest);
}

#[test]
fn a_step_in_parts_is_the_step_and_masked_steps_are_learned() {
    let folder = tempfile::tempdir().unwrap();
    let keys = r#"{"hybrid": {"steps": 1.0, "mask": 0.3}, "offset_per_sequence": true,
        "dropout": false}"#;
    let whole = TrainSettings { epochs: 24.0, ..settings(keys) };
    let (_, found) = run(&folder.path().join("whole"), &whole, 0);
    let parts = TrainSettings { micro_batch_size: 1, ..whole };
    let (_, expected) = run(&folder.path().join("parts"), &parts, 0);
    for (found, expected) in found.steps.iter().zip(&expected.steps).take(5) {
        assert!((found.loss - expected.loss).abs() < 1e-4, "{found:?} {expected:?}");
    }
    let mean =
        |steps: &[StepRecord]| steps.iter().map(|step| step.loss).sum::<f64>() / steps.len() as f64;
    let (first, last) = (mean(&found.steps[..5]), mean(&found.steps[found.steps.len() - 5..]));
    assert!(last < first - 0.3, "{first} to {last}");
}

#[test]
fn snapshots_are_the_weights_of_shorter_trainings() {
    let folder = tempfile::tempdir().unwrap();
    let constant = r#"{"schedule": "constant", "select_by": "last"}"#;
    let [long, short] = ["long", "short"].map(|name| folder.path().join(name));
    let snapshots = vec![1, 2];
    run(&long, &TrainSettings { epochs: 3.0, snapshots, ..settings(constant) }, 0);
    run(&short, &TrainSettings { epochs: 2.0, ..settings(constant) }, 0);
    assert!(weights(&long, "snapshots/epoch-2") == weights(&short, "final"));
    assert!(weights(&long, "snapshots/epoch-1") != weights(&short, "final"));
    let settings = TrainSettings { epochs: 2.5, snapshots: vec![3], ..settings(constant) };
    let error = try_run(folder.path(), &settings, 0).err().unwrap().to_string();
    assert!(error.contains("`snapshots[0]` is 3; no epoch of that number ends"), "{error}");
}

#[test]
fn what_phases_cannot_do_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let message = |keys: &str| {
        let settings = settings(keys);
        try_run(folder.path(), &settings, 0).err().map(|error| error.to_string()).unwrap()
    };
    for (keys, expected) in [
        (r#"{"sources": ["none"]}"#, "`sources[0]` is \"none\"; the files of the text are easy"),
        (
            r#"{"phases": [{"epochs": 1.0}, {"epochs": 1.0, "sources": ["x"]}]}"#,
            "`phases[1].sources[0]` is \"x\"; the files of the text are easy, hard",
        ),
        (
            r#"{"phases": [{"sources": ["easy"]}]}"#,
            "`phases[0].epochs` is left out; a phase states",
        ),
    ] {
        let found = message(keys);
        assert!(found.contains(expected), "{found}");
    }
}

/// The challenge's checkpoints are the weights of the steps that reach them, whether or not the
/// training is stopped on the way.
#[test]
fn checkpoints_of_the_challenge_are_kept_by_the_words_seen() {
    let settings = TrainSettings {
        epochs: 4.0,
        batch_size: 4,
        sequence_length: 8,
        challenge_checkpoints: Some(ChallengeTrack::StrictSmall),
        ..TrainSettings::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
    let (_, recorder) = run(&whole, &settings, 0);
    // Eighteen sequences an epoch, 2.88 million words: 11.52 million in all.
    let mut names: Vec<String> = fs::read_dir(whole.join("snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected: Vec<String> = (1..=10).map(|millions| format!("chck_{millions}M")).collect();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(names, sorted);
    for _ in 1..recorder.steps.len() {
        run(&stopped, &settings, 1);
    }
    run(&stopped, &settings, 0);
    for name in &expected {
        let place = format!("snapshots/{name}");
        assert!(weights(&whole, &place) == weights(&stopped, &place), "{name}");
    }
    // A step has four sequences, 640,000 words: the second reaches the first million.
    let two_steps = folder.path().join("two");
    let shorter = TrainSettings { schedule: ScheduleKind::Constant, ..settings.clone() };
    let first = TrainSettings { max_steps: 2, select_by: Selection::Last, ..shorter.clone() };
    run(&two_steps, &first, 0);
    let full = folder.path().join("full");
    run(&full, &shorter, 0);
    assert!(weights(&full, "snapshots/chck_1M") == weights(&two_steps, "final"));
    assert!(weights(&full, "snapshots/chck_2M") != weights(&two_steps, "final"));
}
