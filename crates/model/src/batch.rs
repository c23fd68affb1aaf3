//! What a model reads: token ids of several sequences, laid end to end.

use std::sync::Arc;

use engine::Spans;
use engine::ops::language_model_loss::NO_TARGET;

/// Packed sequences of token ids.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The token ids of all sequences, one row each: `[tokens]`.
    pub ids: Arc<[u32]>,
    /// Where each sequence begins and ends among the rows.
    pub spans: Spans,
    /// The position of every token in its sequence: `[tokens]`.
    pub positions: Arc<[u32]>,
    /// Whether every token sees its whole sequence, also in a model that predicts the next token:
    /// for training steps that predict masked tokens.
    pub bidirectional: bool,
    /// What the encoder of an encoder-decoder reads, one sequence for each of the batch's, which
    /// its decoder reads. Without it each is the empty text; other models read none.
    pub source: Option<Arc<Batch>>,
}

impl Batch {
    /// Sequences of any lengths.
    pub fn from_sequences<S: AsRef<[u32]>>(sequences: impl IntoIterator<Item = S>) -> Self {
        let (mut ids, mut lengths) = (Vec::new(), Vec::new());
        for sequence in sequences {
            ids.extend_from_slice(sequence.as_ref());
            lengths.push(sequence.as_ref().len());
        }
        let spans = Spans::from_lengths(lengths);
        let positions = spans.positions().into();
        Self { ids: ids.into(), positions, spans, bidirectional: false, source: None }
    }

    /// This batch for an encoder-decoder, whose encoder reads the sequences of `source`, one for
    /// each.
    pub fn with_source(self, source: Batch) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// One sequence that goes on after `past` tokens, for generation.
    pub fn continuation(ids: &[u32], past: usize) -> Self {
        let positions = (past as u32..(past + ids.len()) as u32).collect();
        let spans = Spans::from_lengths([ids.len()]);
        Self { ids: ids.into(), spans, positions, bidirectional: false, source: None }
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The token that follows each token in its sequence; `NO_TARGET` for the last.
    ///
    /// # Panics
    /// When sequences share rows, which then are followed by several tokens.
    pub fn next_tokens(&self) -> Vec<u32> {
        assert!(!self.spans.share_rows(), "a shared row has no one next token");
        let mut targets = Vec::with_capacity(self.ids.len());
        for rows in self.spans.iter().filter(|rows| !rows.is_empty()) {
            targets.extend_from_slice(&self.ids[rows.start + 1..rows.end]);
            targets.push(NO_TARGET);
        }
        targets
    }

    /// Number of tokens that follow another: what the cross-entropy is averaged over.
    pub fn predicted_tokens(&self) -> usize {
        self.spans.iter().map(|rows| rows.len().saturating_sub(1)).sum()
    }
}

/// A batch that grows by sequences, each of which goes on where it leaves the one before it: what
/// both begin with is read once. Added in lexicographic order, all sequences share all they can.
/// For inference only.
pub struct SharedBatch {
    ids: Vec<u32>,
    spans: Spans,
    /// The rows of the last sequence's tokens.
    path: Vec<usize>,
    /// Whether every sequence has rows of its own alone.
    whole: bool,
}

impl Default for SharedBatch {
    fn default() -> Self {
        Self { ids: Vec::new(), spans: Spans::from_lengths([]), path: Vec::new(), whole: false }
    }
}

impl SharedBatch {
    /// For models that read every sequence whole
    /// ([`has_kv_cache`](crate::Family::has_kv_cache)).
    pub fn of_whole_sequences() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Number of rows so far.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Tokens that a sequence has in common with the beginning of the last one.
    fn shared(&self, sequence: &[u32]) -> usize {
        if self.whole {
            return 0;
        }
        self.path.iter().zip(sequence).take_while(|(row, id)| self.ids[**row] == **id).count()
    }

    /// Rows that a sequence would add.
    pub fn new_rows(&self, sequence: &[u32]) -> usize {
        sequence.len() - self.shared(sequence)
    }

    /// Adds a sequence and returns the row of each of its tokens.
    pub fn add(&mut self, sequence: &[u32]) -> &[usize] {
        let (shared, first) = (self.shared(sequence), self.tokens());
        let new = &sequence[shared..];
        self.path.truncate(shared);
        if !new.is_empty() {
            let runs = self.path.chunk_by(|row, next| row + 1 == *next);
            self.spans.push(new.len(), runs.map(|run| run[0]..run[0] + run.len()).collect());
            self.ids.extend_from_slice(new);
            self.path.extend(first..first + new.len());
        }
        &self.path
    }

    /// What was added, for a model to read.
    pub fn into_batch(self) -> Batch {
        let positions = self.spans.positions().into();
        let (ids, spans) = (self.ids.into(), self.spans);
        Batch { ids, positions, spans, bidirectional: false, source: None }
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a prefix of one range of rows")]
mod tests {
    use super::*;
    use engine::Device;

    use crate::families::config::tests::{gpt2, llama};
    use crate::{Model, ModelConfig};

    #[test]
    fn targets_are_the_next_tokens_of_each_sequence() {
        let batch = Batch::from_sequences([vec![5, 6, 7], vec![8]]);
        assert_eq!(batch.next_tokens(), [6, 7, NO_TARGET, NO_TARGET]);
        assert_eq!((batch.tokens(), batch.predicted_tokens()), (4, 2));
        assert_eq!(batch.positions[..], [0, 1, 2, 0]);
        assert_eq!(Batch::continuation(&[1, 2], 7).positions[..], [7, 8]);
    }

    #[test]
    fn common_beginnings_are_read_once() {
        let mut shared = SharedBatch::default();
        let sequences: [&[u32]; 6] =
            [&[1, 5], &[1, 5, 6, 7], &[1, 5, 6, 8, 9], &[1, 5, 6, 8, 9], &[1, 5, 9], &[2]];
        let rows = sequences.map(|sequence| {
            let (before, new) = (shared.tokens(), shared.new_rows(sequence));
            let rows = shared.add(sequence).to_vec();
            assert_eq!((rows.len(), shared.tokens()), (sequence.len(), before + new));
            rows
        });
        assert_eq!(rows[2], [0, 1, 2, 4, 5]);
        assert_eq!(rows[3], rows[2]);
        let batch = shared.into_batch();
        for (rows, sequence) in rows.iter().zip(sequences) {
            let read: Vec<(u32, u32)> =
                rows.iter().map(|&row| (batch.ids[row], batch.positions[row])).collect();
            assert_eq!(read, sequence.iter().copied().zip(0..).collect::<Vec<_>>());
        }
        assert_eq!(batch.ids[..], [1, 5, 6, 7, 8, 9, 9, 2]);
        assert_eq!(
            batch.spans.prefixes().collect::<Vec<_>>(),
            [&[][..], &[0..2], &[0..3], &[0..2], &[]]
        );
    }

    /// Every architecture with learned and with rotary positions, all heads and grouped ones.
    #[test]
    fn shared_rows_have_the_states_of_whole_sequences() {
        let device: Arc<dyn Device> = Arc::new(engine::cpu::Cpu::new());
        let sequences: [&[u32]; 5] =
            [&[3], &[3, 4, 5, 6, 7, 8, 9], &[3, 4, 5, 9], &[3, 4, 6], &[7, 4, 5]];
        for config in [gpt2(16, 24, 2, 4, 8), llama(16, 24, 2, 4, 4), llama(16, 24, 2, 4, 2)] {
            let config =
                ModelConfig { vocab_size: 20, max_positions: 8, initializer_range: 0.3, ..config };
            let model = Model::new(config, &device, 7).unwrap();
            let mut shared = SharedBatch::default();
            let rows = sequences.map(|sequence| shared.add(sequence).to_vec());
            let states = model.hidden_states(&shared.into_batch()).value().to_vec();
            for (rows, sequence) in rows.iter().zip(sequences) {
                let expected =
                    model.hidden_states(&Batch::from_sequences([sequence])).value().to_vec();
                for (row, expected) in rows.iter().zip(expected.chunks(16)) {
                    let close = states[row * 16..][..16]
                        .iter()
                        .zip(expected)
                        .all(|(a, b)| (a - b).abs() < 1e-4);
                    assert!(close, "row {row} of {sequence:?}");
                }
            }
        }
    }
}
