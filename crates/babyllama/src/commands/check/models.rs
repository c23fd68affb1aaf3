//! Whole runs of small models on both devices: the losses of every step, and checkpoints that
//! change the device.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use base::rng::Rng;
use engine::Device;
use model::{Architecture, Model, ModelConfig, hugging_face};
use tempfile::TempDir;
use train::settings::SignalKind;
use train::{DistillSettings, Distillation, Event, Listener, Teacher, TrainSettings, TrainingRun};

use super::{Row, Tolerances, largest_difference};
use crate::console;

const SEQUENCE_LENGTH: usize = 64;
const BATCH_SIZE: usize = 8;

/// Steps of an epoch, after each of which there is a held-out loss.
const STEPS_PER_EPOCH: usize = 25;

/// Width of the feed-forward part where the family has no default.
const INTERMEDIATE_SIZE: usize = 344;

/// A small model of the shapes that real ones have: heads of 64 channels, and the family's dropout;
/// one head of keys and values where the family can share them; where some channels may be without
/// positions, some are.
pub fn config(architecture: Architecture) -> ModelConfig {
    let (hidden_size, num_heads) = (128, 2);
    let tiny = ModelConfig::tiny(architecture);
    ModelConfig {
        vocab_size: 500,
        hidden_size,
        intermediate_size: architecture.intermediate_size(hidden_size).unwrap_or(INTERMEDIATE_SIZE),
        num_layers: 2,
        num_heads,
        num_kv_heads: if tiny.num_kv_heads < tiny.num_heads { 1 } else { num_heads },
        head_dim: hidden_size / num_heads,
        max_positions: SEQUENCE_LENGTH,
        norm_epsilon: 1e-5,
        rotary_dim: tiny.rotary_dim.map(|_| 24),
        position_buckets: tiny.position_buckets,
        encoder_decoder: tiny.encoder_decoder,
        ..architecture.defaults()
    }
}

/// Tokens that can be learnt: each follows from the one before it, up to a few possibilities.
fn tokens(seed: u64, sequences: usize) -> Vec<u32> {
    let (rng, vocab_size) = (Rng::new(seed, "check tokens"), 500);
    let next = |last: &mut u64, at: u64| {
        *last = (*last * 7 + 1 + rng.below(at, 4)) % vocab_size;
        Some(*last as u32)
    };
    (0..(sequences * SEQUENCE_LENGTH) as u64).scan(seed, next).collect()
}

/// What is trained.
struct Case {
    architecture: Architecture,
    signal: Option<SignalKind>,
}

impl Case {
    fn name(&self) -> String {
        let model = self.architecture.title();
        match self.signal {
            None => model.to_owned(),
            Some(SignalKind::Online) => format!("{model}; two teachers, online"),
            Some(SignalKind::Hidden) => format!("{model}; two teachers, hidden"),
            Some(SignalKind::Sampled) => format!("{model}; two teachers, sampled"),
        }
    }
}

/// Runs in folders of their own.
struct Runs {
    folder: TempDir,
    steps: u64,
    training: Vec<u32>,
    validation: Vec<u32>,
}

/// What a run showed.
#[derive(Default)]
struct Recorder {
    losses: Vec<f64>,
    gradient_norms: Vec<f64>,
    heldout: Vec<f64>,
    stop_after: Option<u64>,
}

impl Listener for Recorder {
    fn on_event(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Step(step) => {
                self.losses.push(step.loss);
                self.gradient_norms.push(step.gradient_norm);
            }
            Event::Evaluation(evaluation) => self.heldout.push(evaluation.cross_entropy),
            _ => {}
        }
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.stop_after == Some(self.losses.len() as u64)
    }
}

impl Runs {
    fn new(steps: u64, reference: &Arc<dyn Device>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        for (seed, architecture) in [(5, Architecture::GPT2), (6, Architecture::LLAMA)] {
            let teacher = Model::new(config(architecture), reference, seed)?;
            hugging_face::save(&teacher, &folder.path().join(format!("teacher-{seed}")))?;
        }
        let (training, validation) =
            (tokens(3, STEPS_PER_EPOCH * BATCH_SIZE), tokens(4, 2 * BATCH_SIZE));
        Ok(Self { folder, steps, training, validation })
    }

    fn place(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Trains in a folder, on from what is there. `stop_after` counts this part's steps.
    fn train(
        &self,
        case: &Case,
        folder: &Path,
        device: &Arc<dyn Device>,
        stop_after: Option<u64>,
    ) -> anyhow::Result<Recorder> {
        let settings = TrainSettings {
            max_steps: self.steps,
            batch_size: BATCH_SIZE,
            sequence_length: SEQUENCE_LENGTH,
            learning_rate: 1e-3,
            warmup_ratio: 0.1,
            weight_decay: 0.1,
            ..TrainSettings::default()
        };
        let mut recorder = Recorder { stop_after, ..Recorder::default() };
        let run = TrainingRun {
            folder,
            settings: &settings,
            seed: 7,
            model: Model::new(config(case.architecture), device, 8)?,
            distill: case.signal.map(|signal| self.distillation(signal, folder)).transpose()?,
            training: &self.training,
            validation: Some(&self.validation),
            words: None,
            mask_token: None,
            hidden_tokens: None,
            inputs_fingerprint: String::new(),
        };
        run.execute(&mut recorder)?;
        Ok(recorder)
    }

    /// Whether a run ends with the bits of one that is done, on whatever device.
    fn same_bits(
        &self,
        name: &str,
        case: &Case,
        device: &Arc<dyn Device>,
        (done, folder): (&Recorder, &Path),
    ) -> anyhow::Result<Row> {
        let place = self.place(&format!("{name} {}", case.architecture.title()).replace(' ', "-"));
        let recorder = self.train(case, &place, device, None)?;
        let differs = recorder.losses != done.losses || weights(&place)? != weights(folder)?;
        Ok(Row::new(name, case.name(), f64::from(u8::from(differs)), 0.0))
    }

    fn distillation(&self, signal: SignalKind, folder: &Path) -> anyhow::Result<Distillation> {
        let open = |name: &&str| Teacher::open(*name, &self.place(name));
        let teachers = ["teacher-5", "teacher-6"].iter().map(open).collect::<Result<_, _>>()?;
        let settings = DistillSettings { signal, ..DistillSettings::new(Vec::new()) };
        Ok(Distillation { settings, teachers, caches: folder.join("caches"), sample_seed: 9 })
    }
}

/// A model of every family that recipes make and that predicts the next token, and students of the
/// first of them by turns. Not of those with experts, where a route that rounding turns over is
/// another model.
fn cases() -> Vec<Case> {
    let is_compared = |family: &Architecture| {
        family.is_made_by_recipes() && family.is_causal() && !family.has_experts()
    };
    let mut families: Vec<_> = Architecture::all().filter(is_compared).collect();
    families.reverse();
    let alone = families.iter().map(|&architecture| Case { architecture, signal: None });
    let signals = [SignalKind::Online, SignalKind::Hidden, SignalKind::Sampled];
    let students = families.iter().cycle().zip(signals);
    let students =
        students.map(|(&architecture, signal)| Case { architecture, signal: Some(signal) });
    alone.chain(students).collect()
}

/// Trains on both devices, and from one to the other; on a GPU also without graphs.
pub fn compare(
    reference: &Arc<dyn Device>,
    device: &Arc<dyn Device>,
    one_by_one: Option<&Arc<dyn Device>>,
    steps: u64,
    tolerances: Tolerances,
) -> anyhow::Result<Vec<Row>> {
    let runs = Runs::new(steps, reference)?;
    let mut rows = Vec::new();
    for (number, case) in cases().into_iter().enumerate() {
        let signal = case.signal;
        console::note(format_args!("{}: {steps} steps", case.name()));
        let place = |kind: &str| runs.place(&format!("{kind}-{number}"));
        let expected = runs.train(&case, &place("reference"), reference, None)?;
        let found = runs.train(&case, &place("device"), device, None)?;
        rows.extend(course_rows(&case.name(), &expected, &found, tolerances));
        let done = (&found, &*place("device"));
        if number == 0 {
            rows.push(runs.same_bits("the same bits again", &case, device, done)?);
            rows.extend(changed_devices(&runs, &case, &expected, [reference, device], tolerances)?);
        }
        if let (None, Some(one_by_one)) = (signal, one_by_one) {
            rows.push(runs.same_bits("the same bits without graphs", &case, one_by_one, done)?);
        }
    }
    Ok(rows)
}

fn weights(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let path = folder.join("final/model.safetensors");
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn course_rows(
    name: &str,
    expected: &Recorder,
    found: &Recorder,
    tolerances: Tolerances,
) -> [Row; 3] {
    [
        ("loss of every step", &expected.losses, &found.losses, tolerances.loss),
        (
            "gradient norm of every step",
            &expected.gradient_norms,
            &found.gradient_norms,
            tolerances.gradient_norm,
        ),
        ("held-out loss", &expected.heldout, &found.heldout, tolerances.loss),
    ]
    .map(|(check, expected, found, tolerance)| {
        Row::new(check, name, largest_difference(expected, found), tolerance)
    })
}

/// Runs whose first half is done by one device and the second by the other.
fn changed_devices(
    runs: &Runs,
    case: &Case,
    expected: &Recorder,
    [reference, device]: [&Arc<dyn Device>; 2],
    tolerances: Tolerances,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (check, first, second) in
        [("from the CPU to it", reference, device), ("from it to the CPU", device, reference)]
    {
        let folder = runs.place(&check.replace(' ', "-"));
        let begun = runs.train(case, &folder, first, Some(runs.steps / 2))?;
        let ended = runs.train(case, &folder, second, None)?;
        let losses = [begun.losses, ended.losses].concat();
        let error = largest_difference(&expected.losses, &losses);
        rows.push(Row::new(format!("a checkpoint {check}"), case.name(), error, tolerances.loss));
    }
    Ok(rows)
}
