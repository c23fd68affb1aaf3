//! What training takes of a GPU's memory, estimated from shapes alone.

use engine::Arithmetic;
use model::ModelConfig;
use train::TrainSettings;
use train::settings::SignalKind;

use super::phases::optimizer_bytes;

/// Buffers are handed out in sizes that are rounded up; and libraries take some memory of their
/// own.
const ROUNDING: f64 = 1.08;
const LIBRARIES: f64 = 128e6;

/// The most values of one block of logits: as many as the GPU's output layer takes.
const LOGITS_BLOCK: f64 = (1u64 << 26) as f64;

/// Bytes of each weight's copies: its average, and where it was before the climb of
/// sharpness-aware minimisation.
pub(super) fn copies(settings: &TrainSettings) -> usize {
    let mut climbs = settings.resolved_phases().into_iter().filter_map(|phase| phase.sam);
    let climbs = climbs.any(|sam| sam.rho > 0.0);
    size_of::<f32>() * (usize::from(settings.has_average()) + usize::from(climbs))
}

/// Bytes that training a model takes.
#[derive(Clone, Copy, Debug)]
pub struct TrainingMemory {
    /// Weights with their copies for products, gradient and optimizer state.
    pub model: f64,
    /// Weights of the teachers that are in memory until all their outputs are stored, with their
    /// copies.
    pub teachers: f64,
    /// Bytes of every token that passes through at a time, besides logits: what the backward pass
    /// reads again, and what both passes need in between.
    pub per_token: f64,
    vocab_size: usize,
    /// Blocks of logits that are alive together.
    blocks: usize,
}

impl TrainingMemory {
    /// The memory of a model's training, alone or as a student of teachers.
    pub fn of(
        config: &ModelConfig,
        settings: &TrainSettings,
        teachers: &[ModelConfig],
        signal: Option<SignalKind>,
        arithmetic: Arithmetic,
    ) -> Self {
        // A weight and its gradient in f32, and what the optimizer keeps of it.
        let kept = optimizer_bytes(settings) + copies(settings);
        let state = 8.0 + kept as f64;
        // Values that only products and operations on single values read, and their copies.
        let (compact, copy) = match arithmetic {
            Arithmetic::Bf16 => (2.0, 2.0),
            Arithmetic::Bf16x3 | Arithmetic::F32 => (4.0, 0.0),
        };
        let weights = |config: &ModelConfig| config.parameter_count() as f64;
        let activations = |config: &ModelConfig| config.architecture.activations(config);
        let own = activations(config);
        let read = |teacher: &ModelConfig| {
            activations(teacher).forward.bytes(compact) + distance_bytes(teacher, 4.0)
        };
        let reading = teachers.iter().map(read).fold(0.0, f64::max);
        let states: f64 = teachers.iter().map(|teacher| 4.0 * teacher.hidden_size as f64).sum();
        let has_logits = signal.is_some_and(|signal| signal != SignalKind::Sampled);
        Self {
            // The backward computes the logits' gradient in their place.
            blocks: 1 + if has_logits { teachers.len() } else { 0 },
            model: (state + copy) * weights(config),
            teachers: teachers.iter().map(|teacher| (4.0 + copy) * weights(teacher)).sum(),
            per_token: own.kept.bytes(compact)
                + own.backward.bytes(compact)
                + distance_bytes(config, 4.0 + compact)
                + reading
                + states,
            vocab_size: config.vocab_size,
        }
    }

    /// Bytes of a training in which `tokens` tokens pass through at a time.
    pub fn bytes(&self, tokens: usize) -> f64 {
        let logits = ((tokens * self.vocab_size) as f64).min(LOGITS_BLOCK);
        let passing = tokens as f64 * self.per_token + 4.0 * self.blocks as f64 * logits;
        self.model + self.teachers + ROUNDING * passing + LIBRARIES
    }

    /// How many sequences of a step fit into `free` bytes at a time; none when not even one does.
    pub fn fits(&self, free: f64, batch_size: usize, length: usize) -> Option<usize> {
        (1..=batch_size).rev().find(|sequences| self.bytes(sequences * length) <= free)
    }
}

/// Bytes of a token's terms of relative attention, two for each head and bucket of distances.
/// `each` is the bytes of a term, in f32, and of its gradient, which products read.
fn distance_bytes(config: &ModelConfig, each: f64) -> f64 {
    match config.position_buckets {
        Some(size) if !config.architecture.is_encoder_decoder() => {
            (2 * config.num_heads * (2 * size - 1)) as f64 * each
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;
    use model::{Architecture, Batch, Model};
    use train::settings::DistillSettings;
    use train::signals::DistillState;
    use train::step::Trainer;
    use train::{MicroBatch, Online};

    use std::sync::Arc;

    use engine::Device;

    use super::*;

    fn config(architecture: Architecture, layers: usize, hidden: usize) -> ModelConfig {
        ModelConfig {
            vocab_size: 64,
            hidden_size: hidden,
            intermediate_size: 3 * hidden,
            num_layers: layers,
            num_heads: hidden / 16,
            num_kv_heads: hidden / 16,
            head_dim: 16,
            max_positions: 64,
            tie_word_embeddings: false,
            ..ModelConfig::tiny(architecture)
        }
    }

    /// Bytes that two steps took of a CPU that counts them.
    fn measured(config: &ModelConfig, teachers: &[ModelConfig], sequences: usize) -> f64 {
        let device: Arc<dyn Device> = Arc::new(Cpu::with_memory(1 << 40));
        let distill = || -> DistillState {
            let model = |config: &ModelConfig| {
                ("t".to_owned(), Model::new(config.clone(), &device, 1).unwrap())
            };
            let settings = DistillSettings::new(Vec::new());
            let online =
                Online::new(teachers.iter().map(model).collect(), &settings, 64, 64).unwrap();
            DistillState { settings, signals: Box::new(online) }
        };
        let distill = (!teachers.is_empty()).then(distill);
        let mut trainer = Trainer::new(
            Model::new(config.clone(), &device, 1).unwrap(),
            &TrainSettings::default(),
            1,
            distill,
        );
        let rows = (0..sequences as u32)
            .map(|row| (0..64u32).map(|at| (row * 13 + at * 7) % 64).collect::<Vec<_>>());
        let batch = MicroBatch::from(Batch::from_sequences(rows));
        for step in 1..=2 {
            trainer.step(std::slice::from_ref(&batch), step, 1e-3).unwrap();
        }
        let memory = device.memory().unwrap();
        (memory.total - memory.free) as f64
    }

    #[test]
    fn the_estimate_is_near_what_a_step_takes() {
        let [llama, gpt2] = [Architecture::LLAMA, Architecture::GPT2];
        let [gptj, qwen3] = [Architecture::GPTJ, Architecture::QWEN3];
        for (config, teachers, sequences) in [
            (config(llama, 4, 64), vec![], 16),
            (config(llama, 12, 96), vec![], 3),
            (config(gpt2, 6, 80), vec![], 8),
            (config(gptj, 6, 80), vec![], 8),
            (config(qwen3, 6, 80), vec![], 8),
            (config(Architecture::SWITCH_GPT2, 4, 64), vec![], 16),
            (config(Architecture::SWITCH_LLAMA, 3, 80), vec![config(gpt2, 3, 64)], 8),
            (config(llama, 2, 64), vec![config(gpt2, 3, 128), config(llama, 4, 96)], 16),
        ] {
            let signal = (!teachers.is_empty()).then_some(SignalKind::Online);
            let estimate = TrainingMemory::of(
                &config,
                &TrainSettings::default(),
                &teachers,
                signal,
                Arithmetic::F32,
            );
            let (found, expected) = (
                estimate.bytes(sequences * 64) - LIBRARIES,
                measured(&config, &teachers, sequences),
            );
            assert!(
                (0.85..1.25).contains(&(found / expected)),
                "{found} for {expected}: {config:?}, {sequences}"
            );
        }
    }

    #[test]
    fn as_many_sequences_fit_as_there_is_memory_for() {
        let config = config(Architecture::LLAMA, 4, 64);
        let memory =
            TrainingMemory::of(&config, &TrainSettings::default(), &[], None, Arithmetic::Bf16);
        let bytes = |sequences: usize| memory.bytes(sequences * 64);
        assert_eq!(memory.fits(bytes(16), 16, 64), Some(16));
        assert_eq!(memory.fits(bytes(16) - 1.0, 16, 64), Some(15));
        assert_eq!(memory.fits(bytes(1), 16, 64), Some(1));
        assert_eq!(memory.fits(bytes(1) - 1.0, 16, 64), None);
        let full =
            TrainingMemory::of(&config, &TrainSettings::default(), &[], None, Arithmetic::F32);
        assert!(full.per_token > 1.3 * memory.per_token && full.model < memory.model);
    }
}
