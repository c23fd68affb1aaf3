//! How fast this machine trains a model: a few steps of one of its shape, measured before an
//! estimate of how long everything will take.

use std::sync::Arc;
use std::time::Instant;

use engine::Device;
use model::{Batch, Model, ModelConfig};
use train::settings::DistillSettings;
use train::signals::DistillState;
use train::step::Trainer;
use train::{MicroBatch, Online, TrainSettings};

use super::work::Work;
use crate::error::Result;

/// Models of more layers than this are measured with one layer and with this number; every further
/// layer takes as long.
const MOST_LAYERS: usize = 4;

/// A step that takes longer, in seconds, is not measured with more sequences.
const LONG_STEP: f64 = 0.15;

/// How long one measurement goes on, in seconds.
const MEASUREMENT: f64 = 0.4;

/// The operations of a sequence beyond which a CPU measures shorter ones: about a second of work.
const MOST_FLOPS: f64 = 3e10;

/// Bytes a second that go to disk, synced; that of a common solid-state disk.
const DISK: f64 = 300e6;

/// A model with what its training steps follow from.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) config: ModelConfig,
    pub(super) teachers: Vec<ModelConfig>,
    pub(super) settings: TrainSettings,
    pub(super) distill: Option<DistillSettings>,
}

/// How long the steps of one model take: a line through the times of steps of different work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Operations of a token of the model alone.
    own_flops: f64,
    /// Operations of a token in a measured step, teachers' included.
    flops: f64,
    /// Seconds of such a token.
    seconds: f64,
    /// Seconds of each operation more.
    slope: f64,
}

impl Speed {
    /// A line from two measurements, operations and seconds of a token; of no use where the second
    /// took no longer.
    fn of(own_flops: f64, few: Option<(f64, f64)>, many: (f64, f64)) -> Self {
        let (flops, seconds) = many;
        let through_both = few.map(|few| (seconds - few.1) / (flops - few.0));
        let sound = through_both.filter(|slope| slope.is_finite() && *slope > 0.0);
        Self { own_flops, flops, seconds, slope: sound.unwrap_or(seconds / flops) }
    }

    /// Measures a model of this shape, with teachers of theirs that it learns from.
    ///
    /// # Errors
    /// When a model cannot be made or a step fails.
    pub(super) fn measure(device: &Arc<dyn Device>, subject: &Subject) -> Result<Self> {
        let deepest = subject.teachers.iter().map(|teacher| teacher.num_layers);
        let layers = deepest.fold(subject.config.num_layers, usize::max);
        let many = seconds_per_token(device, &subject.with_layers(MOST_LAYERS))?;
        let is_cached = subject.distill.is_some();
        let few = match layers > MOST_LAYERS || (is_cached && layers > 1) {
            true => Some(seconds_per_token(device, &subject.with_layers(1))?),
            false => None,
        };
        Ok(Self::of(subject.own_flops(), few, many))
    }

    /// How long some work takes.
    pub fn seconds(&self, work: &Work) -> f64 {
        let training: f64 =
            work.training.iter().map(|(tokens, flops)| tokens * self.per_token(*flops)).sum();
        training + self.reading(work.reading) + work.written / DISK
    }

    fn per_token(&self, flops: f64) -> f64 {
        let by_line = self.seconds + self.slope * (flops - self.flops);
        // Not beyond what the fixed part of a step allows.
        by_line.max(self.seconds * (flops / self.flops).min(1.0) / 2.0)
    }

    /// Forward passes take as long for an operation as the model's own steps.
    fn reading(&self, flops: f64) -> f64 {
        flops * self.per_token(self.own_flops) / self.own_flops
    }
}

impl Subject {
    /// Whether steps take as long as another's: those of one shape, on batches of one size.
    pub(super) fn is_as_fast(&self, other: &Self) -> bool {
        let settings = |of: &Self| {
            let of = &of.settings;
            (of.batch_size, of.sequence_length, of.micro_batch_size, of.optimizer)
        };
        let ways = |of: &Self| of.distill.as_ref().map(|distill| (distill.signal, distill.codec));
        self.config == other.config
            && self.teachers == other.teachers
            && settings(self) == settings(other)
            && ways(self) == ways(other)
    }

    /// Of a training step without teachers, for each token.
    fn own_flops(&self) -> f64 {
        3.0 * self.settings.forward_flops_per_token(&self.config)
    }

    /// Of a training step in which the teachers read the tokens.
    fn flops(&self, length: usize) -> f64 {
        let settings = TrainSettings { sequence_length: length, ..self.settings.clone() };
        let own = 3.0 * settings.forward_flops_per_token(&self.config);
        let teachers = self.teachers.iter().map(|teacher| teacher.forward_flops_per_token(length));
        own + teachers.sum::<f64>()
    }

    fn with_layers(&self, most: usize) -> Self {
        let cut = |config: &ModelConfig| ModelConfig {
            num_layers: config.num_layers.min(most),
            ..config.clone()
        };
        Self {
            config: cut(&self.config),
            teachers: self.teachers.iter().map(cut).collect(),
            ..self.clone()
        }
    }

    /// A trainer of random weights. Teachers that cannot be read as they are, because their
    /// vocabularies are padded, are left out.
    fn trainer(&self, device: &Arc<dyn Device>) -> Result<Trainer> {
        let mut distill = None;
        if let Some(settings) = &self.distill {
            let model = |config: &ModelConfig| {
                Ok(("teacher".to_owned(), Model::new(config.clone(), device, 0)?))
            };
            let teachers = self.teachers.iter().map(model).collect::<Result<Vec<_>>>()?;
            let (vocab_size, length) = (self.config.vocab_size, self.settings.sequence_length);
            let online = Online::new(teachers, settings, vocab_size, length).ok();
            distill = online.map(|online| DistillState {
                settings: settings.clone(),
                signals: Box::new(online),
            });
        }
        let model = Model::new(self.config.clone(), device, 0)?;
        Ok(Trainer::new(model, &self.settings, 0, distill))
    }

    /// The length of the sequences that are measured.
    fn length(&self, device: &Arc<dyn Device>) -> usize {
        let is_short = |length: usize| self.flops(length) * length as f64 <= MOST_FLOPS;
        let mut length = self.settings.sequence_length;
        while device.memory().is_none() && length > 16 && !is_short(length) {
            length /= 2;
        }
        length
    }

    fn batch(&self, sequences: usize, length: usize) -> Vec<MicroBatch> {
        let most = match self.settings.micro_batch_size {
            0 => sequences,
            most => most.min(sequences),
        };
        let id = |row: usize, at: usize| ((row * 131 + at * 17) % self.config.vocab_size) as u32;
        let sequence = |row| (0..length).map(|at| id(row, at)).collect::<Vec<u32>>();
        let rows: Vec<Vec<u32>> = (0..sequences).map(sequence).collect();
        let parts = rows.chunks(most.max(1));
        parts.map(|part| MicroBatch::from(Batch::from_sequences(part.to_vec()))).collect()
    }
}

/// Operations and seconds of a token in a training step.
fn seconds_per_token(device: &Arc<dyn Device>, subject: &Subject) -> Result<(f64, f64)> {
    let (mut trainer, length) = (subject.trainer(device)?, subject.length(device));
    let (mut number, mut sequences) = (0, 1);
    let mut step = |batch: &[MicroBatch]| -> Result<f64> {
        number += 1;
        let start = Instant::now();
        trainer.step(batch, number, 1e-4)?;
        device.synchronise();
        Ok(start.elapsed().as_secs_f64())
    };
    // As many sequences as a step has, unless it takes too long.
    let mut batch = subject.batch(sequences, length);
    while step(&batch)? < LONG_STEP / 4.0 && sequences < subject.settings.batch_size {
        sequences = (4 * sequences).min(subject.settings.batch_size);
        batch = subject.batch(sequences, length);
    }
    let (mut seconds, mut steps) = (0.0, 0);
    while steps < 2 || seconds < MEASUREMENT {
        seconds += step(&batch)?;
        steps += 1;
    }
    let per_token = seconds / (steps * sequences * length) as f64;
    // Shorter sequences have less attention.
    let whole = subject.flops(subject.settings.sequence_length);
    Ok((whole, per_token * whole / subject.flops(length)))
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;
    use model::Architecture;

    use super::*;

    #[test]
    fn times_follow_a_line_through_what_was_measured() {
        // A fixed part of 2 s, and 1 s for 10 operations.
        let speed = Speed::of(30.0, Some((30.0, 5.0)), (60.0, 8.0));
        assert_eq!([60.0, 90.0, 40.0].map(|flops| speed.per_token(flops)), [8.0, 11.0, 6.0]);
        let work =
            Work { training: vec![(2.0, 90.0), (3.0, 40.0)], reading: 60.0, written: 4.0 * DISK };
        assert_eq!(speed.seconds(&work), 22.0 + 18.0 + 10.0 + 4.0);
        // One measurement alone, or two in the wrong order, count by the operations.
        for few in [None, Some((30.0, 9.0))] {
            let speed = Speed::of(30.0, few, (60.0, 8.0));
            assert_eq!(speed.per_token(30.0), 4.0);
        }
    }

    #[test]
    fn shapes_are_measured_as_they_are_and_deep_ones_with_few_layers() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let tiny = ModelConfig { num_layers: 9, ..ModelConfig::tiny(Architecture::LLAMA) };
        let settings = TrainSettings {
            batch_size: 3,
            micro_batch_size: 2,
            sequence_length: tiny.max_positions.min(16),
            ..TrainSettings::default()
        };
        let subject = Subject {
            config: tiny.clone(),
            teachers: vec![tiny],
            settings,
            distill: Some(DistillSettings::new(vec!["a".into()])),
        };
        assert_eq!(subject.with_layers(MOST_LAYERS).config.num_layers, MOST_LAYERS);
        assert_eq!(subject.with_layers(MOST_LAYERS).teachers[0].num_layers, MOST_LAYERS);
        let sizes: Vec<usize> =
            subject.batch(3, 16).iter().map(|part| part.batch.tokens()).collect();
        assert_eq!(sizes, [32, 16]);
        let speed = Speed::measure(&device, &subject).unwrap();
        assert!(speed.own_flops == subject.own_flops() && speed.seconds > 0.0, "{speed:?}");
        assert!(speed.flops < subject.flops(16), "{speed:?}");
    }
}
