//! What a model reads: token ids of several sequences, laid end to end.

use std::sync::Arc;

use engine::ops::attention::{Heads, LayerCache};
use engine::ops::language_model_loss::NO_TARGET;
use engine::{Device, Spans, Tape, Var};

/// Packed sequences of token ids.
#[derive(Clone, Debug)]
pub struct Batch {
    pub ids: Arc<[u32]>,
    pub spans: Spans,
    /// The position of every token.
    pub positions: Arc<[u32]>,
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
        Self { ids: ids.into(), positions: spans.positions().into(), spans }
    }

    /// One sequence that goes on after `past` tokens, for generation.
    pub fn continuation(ids: &[u32], past: usize) -> Self {
        let positions = (past as u32..(past + ids.len()) as u32).collect();
        Self { ids: ids.into(), spans: Spans::from_lengths([ids.len()]), positions }
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The token that follows each token in its sequence; `NO_TARGET` for the last.
    pub fn next_tokens(&self) -> Vec<u32> {
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

/// Keys and values of every layer for the tokens generated so far.
pub struct Cache {
    layers: Vec<LayerCache>,
}

impl Cache {
    /// Room for `capacity` tokens in every layer.
    pub fn new(device: &Arc<dyn Device>, capacity: usize, num_layers: usize, heads: &Heads) -> Self {
        Self { layers: (0..num_layers).map(|_| LayerCache::new(device, capacity, heads)).collect() }
    }

    /// Tokens that the cache holds.
    pub fn length(&self) -> usize {
        self.layers.first().map_or(0, LayerCache::length)
    }
}

/// Attention of one layer: within the batch, or over the cache when there is one.
pub(crate) fn attend(
    tape: &mut Tape<'_>,
    joined: Var,
    batch: &Batch,
    heads: &Heads,
    layer: usize,
    cache: Option<&mut Cache>,
) -> Var {
    match cache {
        None => tape.attention(joined, &batch.spans, &batch.positions, heads),
        Some(cache) => tape.attention_cached(joined, &batch.positions, heads, &mut cache.layers[layer]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_next_tokens_of_each_sequence() {
        let batch = Batch::from_sequences([vec![5, 6, 7], vec![8]]);
        assert_eq!(batch.next_tokens(), [6, 7, NO_TARGET, NO_TARGET]);
        assert_eq!((batch.tokens(), batch.predicted_tokens()), (4, 2));
        assert_eq!(batch.positions[..], [0, 1, 2, 0]);
        assert_eq!(Batch::continuation(&[1, 2], 7).positions[..], [7, 8]);
    }
}
