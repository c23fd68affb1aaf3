use std::path::Path;
use std::sync::Arc;

use base::rng::Rng;
use engine::Device;
use engine::cpu::Cpu;
use model::{Architecture, Model, ModelConfig, hugging_face};

use super::cache::CacheFormat;
use super::teacher_weights::TeacherWeights;
use super::*;
use crate::data::Sequences;
use crate::settings::Selection;

/// A model of two layers for a vocabulary of 61.
pub(crate) fn config(architecture: Architecture, hidden_size: usize) -> ModelConfig {
    ModelConfig {
        vocab_size: 61,
        hidden_size,
        intermediate_size: hidden_size + 6,
        num_heads: 2,
        num_kv_heads: if architecture == Architecture::LLAMA { 1 } else { 2 },
        head_dim: hidden_size / 2,
        max_positions: 40,
        norm_epsilon: 1e-5,
        initializer_range: 0.2,
        ..ModelConfig::tiny(architecture)
    }
}

/// Two teachers in their folders and a text of twelve sequences.
fn setting(
    folder: &Path,
    signal: SignalKind,
) -> (Distillation, Arc<dyn Device>, Vec<u32>, TrainSettings) {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let open = |(name, architecture, seed): (&str, _, _)| {
        let model = Model::new(config(architecture, 16), &device, seed).unwrap();
        hugging_face::save(&model, &folder.join(name)).unwrap();
        Teacher::open(name, &folder.join(name)).unwrap()
    };
    let teachers = [("a", Architecture::GPT2, 1), ("b", Architecture::LLAMA, 2)].map(open).to_vec();
    let settings = DistillSettings {
        signal,
        samples: 9,
        ..DistillSettings::new(vec!["a".into(), "b".into()])
    };
    let distillation =
        Distillation { settings, teachers, caches: folder.join("caches"), sample_seed: 1 };
    let tokens = (0..100).map(|at| Rng::new(1, "test tokens").below(at, 61) as u32).collect();
    (distillation, device, tokens, TrainSettings { sequence_length: 8, ..TrainSettings::default() })
}

/// What distilling on the tokens reads, without held-out text.
fn inputs<'a>(
    device: &'a Arc<dyn Device>,
    settings: &'a TrainSettings,
    tokens: &'a Vec<u32>,
) -> DistillInputs<'a> {
    DistillInputs { device, vocab_size: 61, settings, training: tokens, validation: None }
}

/// Reads everything, and returns which of the teachers' weights are in memory at the start, before
/// the last batch, and at the end.
fn weights<F: CacheFormat>(
    format: F,
    distillation: &Distillation,
    inputs: &DistillInputs<'_>,
) -> [char; 3] {
    let mut cached = CachedSignals::open(format, distillation, inputs, Opening::Train).unwrap();
    let in_memory = |cached: &CachedSignals<F>| match cached.weights() {
        TeacherWeights::Models(models) => char::from_digit(models.len() as u32, 10).unwrap(),
        TeacherWeights::Outputs(_) => 'o',
        TeacherWeights::None => '-',
    };
    let sequences = Sequences::training(inputs.settings, inputs.training.len()).unwrap();
    let read = |cached: &mut CachedSignals<F>, numbers: &[usize]| {
        cached.read(&sequences.micro_batch(inputs.training, numbers), None).map(drop).unwrap();
    };
    let start = in_memory(&cached);
    read(&mut cached, &[7, 3, 0, 1, 9]);
    read(&mut cached, &[2, 4, 10, 11]);
    let before = in_memory(&cached);
    read(&mut cached, &[8, 5, 3, 6]);
    let end = in_memory(&cached);
    // The steady state takes no new memory.
    let fresh = inputs.device.fresh_allocations();
    (0..5).for_each(|first| read(&mut cached, &[first, 6, 5, 3]));
    assert_eq!(inputs.device.fresh_allocations(), fresh);
    [start, before, end]
}

#[test]
fn weights_are_released_when_a_cache_is_complete_and_not_loaded_again() {
    for (signal, rest) in [(SignalKind::Hidden, 'o'), (SignalKind::Sampled, '-')] {
        let folder = tempfile::tempdir().unwrap();
        let (distillation, device, tokens, settings) = setting(folder.path(), signal);
        let inputs = inputs(&device, &settings, &tokens);
        let found = || match signal {
            SignalKind::Hidden => {
                weights(Hidden::new(&distillation, &inputs), &distillation, &inputs)
            }
            _ => weights(Sampled::new(&distillation, &inputs), &distillation, &inputs),
        };
        assert_eq!(found(), ['2', '2', rest]);
        assert_eq!(found(), [rest; 3]);
    }
}

/// What the loss takes of outputs, in bits.
fn bits(outputs: &TeacherOutputs<'_>) -> Vec<u32> {
    match outputs {
        TeacherOutputs::States(states) => {
            states.iter().flat_map(|of| of.hidden.tensor.to_vec()).map(f32::to_bits).collect()
        }
        TeacherOutputs::Samples(samples) => {
            let entropies = samples.negative_entropies.iter().map(|value| value.to_bits());
            samples.ids.iter().copied().chain(entropies).collect()
        }
    }
}

/// Reads every sequence in three batches, in pieces of `at_a_time` blocks, with the next batch
/// ahead or not. With it the file is overwritten before the last batch is read.
fn read_all<F: CacheFormat>(
    format: F,
    distillation: &Distillation,
    inputs: &DistillInputs<'_>,
    at_a_time: usize,
    ahead: bool,
) -> Vec<Vec<u32>> {
    let mut cached = CachedSignals::open(format, distillation, inputs, Opening::Train).unwrap();
    cached.read_at_a_time(at_a_time);
    let sequences = Sequences::training(inputs.settings, inputs.training.len()).unwrap();
    let batch = |numbers: &[usize]| sequences.micro_batch(inputs.training, numbers);
    let batches = [batch(&[7, 3, 0, 1, 9]), batch(&[2, 4, 10, 11, 8]), batch(&[5, 6])];
    let mut found = Vec::new();
    for (index, micro_batch) in batches.iter().enumerate() {
        if ahead && index == 2 {
            assert!(cached.wait_for_next(), "the last batch is read before it is asked for");
            let blocks = cached.cache(TextKind::Training).unwrap().folder().join("blocks.bin");
            let length = std::fs::metadata(&blocks).unwrap().len();
            let mut file = std::fs::OpenOptions::new().write(true).open(&blocks).unwrap();
            std::io::Write::write_all(&mut file, &vec![0; length as usize]).unwrap();
        }
        let next = batches.get(index + 1).filter(|_| ahead).and_then(|next| next.origin.as_ref());
        found.push(bits(&cached.read(micro_batch, next).unwrap()));
    }
    if ahead {
        assert!(cached.read(&batches[2], None).is_err(), "the file is no longer what was written");
    }
    found
}

#[test]
fn blocks_that_are_read_ahead_or_in_pieces_are_the_same() {
    for signal in [SignalKind::Hidden, SignalKind::Sampled] {
        let folder = tempfile::tempdir().unwrap();
        let (distillation, device, tokens, settings) = setting(folder.path(), signal);
        let inputs = inputs(&device, &settings, &tokens);
        let read = |at_a_time, ahead| match signal {
            SignalKind::Hidden => {
                let format = Hidden::new(&distillation, &inputs);
                read_all(format, &distillation, &inputs, at_a_time, ahead)
            }
            _ => {
                let format = Sampled::new(&distillation, &inputs);
                read_all(format, &distillation, &inputs, at_a_time, ahead)
            }
        };
        // The first writes the cache.
        let computed = read(100, false);
        for (at_a_time, ahead) in [(100, false), (2, false), (1, false), (2, true)] {
            assert!(read(at_a_time, ahead) == computed, "{signal:?}, {at_a_time}, {ahead}");
        }
    }
}

#[test]
fn held_out_outputs_are_cached_only_where_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (distillation, device, tokens, mut settings) = setting(folder.path(), SignalKind::Hidden);
    for (select_by, is_cached) in [(Selection::CrossEntropy, false), (Selection::Objective, true)] {
        settings.select_by = select_by;
        let without = inputs(&device, &settings, &tokens);
        let inputs = DistillInputs { validation: Some(&tokens), ..without };
        let mut signals = open(&distillation, &inputs).unwrap();
        assert_eq!(signals.cache(TextKind::Heldout).is_some(), is_cached);
        let sequences = Sequences::heldout(&settings, tokens.len()).unwrap();
        let read = signals.read(&sequences.micro_batch(&tokens, &[1, 2]), None);
        assert_eq!(read.is_ok(), is_cached);
        drop(read);
        // Sequences without an origin are not in the cache.
        let without = MicroBatch { origin: None, ..sequences.micro_batch(&tokens, &[1]) };
        assert!(matches!(signals.read(&without, None), Err(TrainError::NotInCache)));
    }
}

#[test]
fn a_teacher_of_another_vocabulary_or_too_few_positions_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (distillation, device, tokens, mut settings) = setting(folder.path(), SignalKind::Hidden);
    let refusal = |vocab_size, settings: &TrainSettings| {
        let inputs = DistillInputs {
            device: &device,
            vocab_size,
            settings,
            training: &tokens,
            validation: None,
        };
        open(&distillation, &inputs).err().unwrap().to_string()
    };
    assert!(
        refusal(62, &settings).contains("teacher a has a vocabulary of 61, the student one of 62")
    );
    settings.sequence_length = 41;
    assert!(refusal(61, &settings).contains("teacher a has 40 positions"));
}
