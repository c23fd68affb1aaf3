//! What every optimizer promises, whichever is added to the list: a run learns, gives the same bits
//! on any number of threads, and continues from a checkpoint to the same bits.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base::rng::Rng;
use engine::Device;
use engine::cpu::Cpu;
use model::{Architecture, Model, ModelConfig};
use train::optimizers::{OPTIMIZERS, OptimizerKind, ParameterGroup};
use train::{Event, Listener, Outcome, TrainSettings, TrainingRun};

const VOCAB: usize = 61;

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

fn settings(optimizer: &str, groups: Vec<ParameterGroup>) -> TrainSettings {
    TrainSettings {
        epochs: 6.0,
        batch_size: 4,
        sequence_length: 8,
        checkpoint_steps: 3,
        learning_rate: 1e-2,
        weight_decay: 0.1,
        warmup_steps: 2,
        optimizer: OptimizerKind::named(optimizer).unwrap(),
        groups,
        ..TrainSettings::default()
    }
}

/// Records held-out losses, and stops the run after some steps if that is not 0.
#[derive(Default)]
struct Recorder {
    stop: u64,
    steps: u64,
    losses: Vec<f64>,
    /// Of each phase but the first: parameters whose optimizer begins anew.
    begun_anew: Vec<usize>,
}

impl Listener for Recorder {
    fn on_event(&mut self, event: Event<'_>) -> std::io::Result<()> {
        match event {
            Event::Step(_) => self.steps += 1,
            Event::Evaluation(record) => self.losses.push(record.cross_entropy),
            Event::Phase { begins_anew, .. } => self.begun_anew.push(begins_anew),
            _ => {}
        }
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.stop > 0 && self.steps == self.stop
    }
}

/// Trains a model in a folder, from its last checkpoint if there is one.
fn run(folder: &Path, settings: &TrainSettings, stop: u64) -> (Outcome, Recorder) {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    // Tokens of which each follows from the one before it but for a few.
    let text = |purpose, count: u64| -> Vec<u32> {
        let rng = Rng::new(4, purpose);
        let odd = |at: u64| if rng.below(at, 8) == 0 { 7 } else { 0 };
        (0..count).map(|at| ((at * 5 + odd(at)) % VOCAB as u64) as u32).collect()
    };
    let (training, validation) = (text("training", 150), text("validation", 60));
    let run = TrainingRun {
        folder,
        settings,
        seed: 9,
        model: Model::new(config(), &device, 5).unwrap(),
        distill: None,
        training: &training,
        validation: Some(&validation),
        words: None,
        mask_token: None,
        hidden_tokens: None,
        inputs_fingerprint: String::new(),
    };
    let mut recorder = Recorder { stop, ..Recorder::default() };
    let outcome = run.execute(&mut recorder).unwrap();
    (outcome, recorder)
}

fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("final/model.safetensors")).unwrap()
}

/// The optimizers alone, and each for the matrices of a model whose rest has the default.
fn cases() -> Vec<TrainSettings> {
    let alone = OPTIMIZERS.iter().map(|optimizer| settings(optimizer.name(), Vec::new()));
    let of_matrices = OPTIMIZERS.iter().map(|optimizer| {
        let text = format!(
            r#"{{"pattern": "*.mlp.*", "optimizer": "{}", "learning_rate_factor": 0.5}}"#,
            optimizer.name()
        );
        settings("adamw", vec![serde_json::from_str(&text).unwrap()])
    });
    alone.chain(of_matrices).collect()
}

#[test]
fn a_run_that_was_stopped_continues_to_the_same_bits() {
    for settings in cases() {
        let folder = tempfile::tempdir().unwrap();
        let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
        let (_, recorder) = run(&whole, &settings, 0);
        let (first, last) = (recorder.losses[0], recorder.losses.last().unwrap());
        assert!(*last < first - 0.05, "{first} to {last}: {settings:?}");
        for stop in [4, 7] {
            let (outcome, _) = run(&stopped, &settings, stop);
            assert!(matches!(outcome, Outcome::Interrupted { .. }), "{outcome:?}");
        }
        let (outcome, _) = run(&stopped, &settings, 0);
        assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
        assert!(weights(&stopped) == weights(&whole), "{settings:?}");
    }
}

/// Between two phases with the model's optimizer, one with another: whatever each keeps, the run
/// begins it anew where it changes, and goes on to the same bits after a break at any step.
#[test]
fn a_phase_with_any_other_optimizer_is_left_and_returned_from() {
    for (model, other) in OPTIMIZERS.iter().flat_map(|a| OPTIMIZERS.iter().map(move |b| (a, b))) {
        let (model, other) = (model.name(), other.name());
        let phases = format!(
            r#"[{{"max_steps": 2}}, {{"max_steps": 2, "optimizer": "{other}"}},
                {{"max_steps": 2}}]"#
        );
        let phases = serde_json::from_str(&phases).unwrap();
        let settings = TrainSettings { phases, checkpoint_steps: 1, ..settings(model, Vec::new()) };
        let folder = tempfile::tempdir().unwrap();
        let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
        let (_, recorder) = run(&whole, &settings, 0);
        let last = recorder.begun_anew[1];
        assert!(recorder.begun_anew[0] > 0 && (last == 0) == (model == other), "{model} {other}");
        for _ in 1..6 {
            run(&stopped, &settings, 1);
        }
        run(&stopped, &settings, 0);
        assert!(weights(&stopped) == weights(&whole), "{model}, {other}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for settings in cases() {
        let folder = tempfile::tempdir().unwrap();
        let on = |threads: usize| {
            let place = folder.path().join(threads.to_string());
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&place, &settings, 0));
            weights(&place)
        };
        let alone = on(1);
        assert!(on(3) == alone && on(4) == alone, "{settings:?}");
    }
}

#[test]
fn a_group_for_all_segments_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let group = serde_json::from_str(r#"{"pattern": "*"}"#).unwrap();
    let [plain, grouped] = ["plain", "grouped"].map(|name| folder.path().join(name));
    run(&plain, &settings("adamw", Vec::new()), 0);
    run(&grouped, &settings("adamw", vec![group]), 0);
    assert!(weights(&plain) == weights(&grouped));
}

#[test]
fn a_group_without_a_segment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let group = serde_json::from_str(r#"{"pattern": "model.layers.*"}"#).unwrap();
    let run = TrainingRun {
        folder: folder.path(),
        settings: &settings("adamw", vec![group]),
        seed: 9,
        model: Model::new(config(), &device, 5).unwrap(),
        distill: None,
        training: &vec![1; 100],
        validation: None,
        words: None,
        mask_token: None,
        hidden_tokens: None,
        inputs_fingerprint: String::new(),
    };
    let message = run.execute(&mut Recorder::default()).unwrap_err().to_string();
    assert!(message.contains("`groups[0]` is \"model.layers.*\""), "{message}");
}
