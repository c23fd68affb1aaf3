//! The KV cache: keys and values of earlier tokens, for generation.

use std::sync::Arc;

use engine::ops::attention::{Heads, LayerCache};
use engine::{Device, Tape, Var};

use crate::batch::Batch;

/// Keys and values of every layer for the tokens generated so far.
pub struct KvCache {
    layers: Vec<LayerCache>,
}

impl KvCache {
    /// Room for `capacity` tokens in every layer.
    pub fn new(
        device: &Arc<dyn Device>,
        capacity: usize,
        num_layers: usize,
        heads: &Heads,
    ) -> Self {
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
    qkv: Var,
    batch: &Batch,
    heads: &Heads,
    layer: usize,
    cache: Option<&mut KvCache>,
) -> Var {
    match cache {
        None => {
            let heads = Heads { causal: heads.causal && !batch.bidirectional, ..*heads };
            tape.attention(qkv, &batch.spans, &batch.positions, &heads)
        }
        Some(cache) => {
            tape.attention_cached(qkv, &batch.positions, heads, &mut cache.layers[layer])
        }
    }
}
