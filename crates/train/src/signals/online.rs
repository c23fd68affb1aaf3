//! Teachers that run on every batch.

use std::borrow::Cow;

use engine::Var;
use engine::ops::language_model_loss::Projection;
use model::{Batch, Model};

use super::{TeacherOutputs, TeacherSignals, teacher};
use crate::data::{MicroBatch, Origin};
use crate::error::TrainError;
use crate::settings::DistillSettings;

/// Frozen models in memory.
pub struct Online {
    models: Vec<Model>,
    shares: Vec<f32>,
    /// The teachers' states of the micro-batch that was read last.
    states: Vec<Var>,
}

impl Online {
    /// Teachers for a student of the given vocabulary, reading sequences of the given length.
    ///
    /// # Errors
    /// When a teacher's vocabulary has another size, or it has too few positions. Whether token ids
    /// mean the same is for the caller to compare, who has the tokenizers.
    pub fn new(
        models: Vec<(String, Model)>,
        settings: &DistillSettings,
        vocab_size: usize,
        sequence_length: usize,
    ) -> Result<Self, TrainError> {
        let named = models.iter().map(|(name, model)| (name.as_str(), model.config()));
        teacher::check(named, vocab_size, sequence_length)?;
        let shares = settings.shares(models.len());
        let models = models.into_iter().map(|(_, model)| model).collect();
        Ok(Self { models, shares, states: Vec::new() })
    }
}

impl TeacherSignals for Online {
    fn read(
        &mut self,
        micro_batch: &MicroBatch,
        _next: Option<&Origin>,
    ) -> Result<TeacherOutputs<'_>, TrainError> {
        // The pool reuses the memory of the last micro-batch's states.
        self.states.clear();
        let states = |model| hidden_states(model, &micro_batch.batch);
        self.states.extend(self.models.iter().map(states));
        let teachers = self.models.iter().zip(&self.states).zip(&self.shares);
        let rows = 0..micro_batch.batch.tokens();
        let projections = teachers.map(|((model, states), &share)| {
            Projection::new(states.value().view().row_range(rows.clone()), model.output(), share)
        });
        Ok(TeacherOutputs::States(projections.collect()))
    }
}

/// A teacher's final states: `[tokens or more, hidden]`. A token's bits depend on nothing but its
/// own sequence, whatever else is in the batch, so that they can be cached.
pub(super) fn hidden_states(model: &Model, batch: &Batch) -> Var {
    model.hidden_states(&at_least(batch, independent_rows(model)))
}

/// From this many rows on, no product of the model is so small that it is added up in another order
/// than larger ones.
fn independent_rows(model: &Model) -> usize {
    let config = model.config();
    let heads = config.num_heads * config.head_dim;
    let narrowest = config.hidden_size.min(config.intermediate_size).min(heads).max(1);
    model.device().independent_rows(narrowest)
}

/// The batch, padded to at least `tokens` tokens with copies of its first sequence. Only batches of
/// a few dozen tokens are that small.
fn at_least(batch: &Batch, tokens: usize) -> Cow<'_, Batch> {
    let mut sequences: Vec<&[u32]> = batch.spans.iter().map(|rows| &batch.ids[rows]).collect();
    let missing = tokens.saturating_sub(batch.tokens());
    match sequences.first().copied().filter(|first| missing > 0 && !first.is_empty()) {
        None => Cow::Borrowed(batch),
        Some(first) => {
            sequences.extend(std::iter::repeat_n(first, missing.div_ceil(first.len())));
            Cow::Owned(Batch::from_sequences(sequences))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::rng::Rng;
    use engine::Device;
    use engine::cpu::Cpu;
    use model::Architecture;

    use super::*;
    use crate::signals::tests::config;

    #[test]
    fn a_sequence_has_the_same_bits_in_any_batch() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let rng = Rng::new(1, "test tokens");
        for (architecture, hidden_size, length) in [
            (Architecture::GPT2, 16, 16),
            (Architecture::LLAMA, 8, 5),
            (Architecture::LLAMA, 48, 33),
            (Architecture::GPT2, 64, 2),
        ] {
            let model = Model::new(config(architecture, hidden_size), &device, 7).unwrap();
            let sequences: Vec<Vec<u32>> = (0..17u64)
                .map(|row| (0..length).map(|at| rng.at(row).below(at, 61) as u32).collect())
                .collect();
            let bits = |sequences: &[Vec<u32>]| -> Vec<u32> {
                let states =
                    hidden_states(&model, &Batch::from_sequences(sequences)).value().to_vec();
                let count = sequences.len() * length as usize * hidden_size;
                states[..count].iter().map(|value| value.to_bits()).collect()
            };
            let whole = bits(&sequences);
            let width = length as usize * hidden_size;
            for group in [1, 2, 3, 5, 16] {
                let parts: Vec<u32> = sequences.chunks(group).flat_map(bits).collect();
                assert!(
                    parts == whole,
                    "{architecture:?} {hidden_size}, {length} tokens, groups of {group}"
                );
            }
            assert!(bits(&sequences[4..6]) == whole[4 * width..6 * width]);
        }
    }

    #[test]
    fn small_batches_are_filled_up_and_others_left_alone() {
        let batch = Batch::from_sequences([vec![1, 2, 3], vec![4, 5, 6]]);
        assert!(matches!(at_least(&batch, 6), Cow::Borrowed(_)));
        assert_eq!(at_least(&batch, 7).ids[..], [1, 2, 3, 4, 5, 6, 1, 2, 3]);
        assert_eq!(at_least(&batch, 13).spans.count(), 5);
    }
}
