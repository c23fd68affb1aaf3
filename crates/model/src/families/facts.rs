//! How much work and memory a token takes, for transformers whose layers are attention and a
//! feed-forward part with a norm each.

use super::ModelConfig;

/// A matrix product of a forward pass: `[tokens, inputs] x [outputs, inputs]^T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixProduct {
    /// What it computes.
    pub name: &'static str,
    /// Channels that it reads.
    pub inputs: usize,
    /// Channels that it writes.
    pub outputs: usize,
    /// How many of them a forward pass has.
    pub count: usize,
}

/// Values of one token, by the precision in which devices keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenValues {
    /// Values that are always in f32.
    pub full: usize,
    /// Values in the device's compact precision.
    pub compact: usize,
}

impl TokenValues {
    /// Bytes of the values, of which a compact one has `compact`.
    pub fn bytes(&self, compact: f64) -> f64 {
        4.0 * self.full as f64 + compact * self.compact as f64
    }
}

/// Values of one token that are in memory during a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activations {
    /// Values of all layers, from the forward pass until the backward pass reads them.
    pub kept: TokenValues,
    /// The most values at a time during the backward pass, besides `kept`.
    pub backward: TokenValues,
    /// The most values at a time during a forward pass that keeps nothing.
    pub forward: TokenValues,
}

/// Columns of the queries of a token.
fn query_columns(config: &ModelConfig) -> usize {
    config.num_heads * config.head_dim
}

/// Columns of a token's fused queries, keys and values.
pub(super) fn qkv_columns(config: &ModelConfig) -> usize {
    query_columns(config) + 2 * config.num_kv_heads * config.head_dim
}

/// Columns of the first product of the feed-forward part: gate and up, or up alone.
fn up_columns(config: &ModelConfig) -> usize {
    if config.architecture.is_gated(config) {
        2 * config.intermediate_size
    } else {
        config.intermediate_size
    }
}

/// The products of all layers.
pub(super) fn products(config: &ModelConfig) -> Vec<MatrixProduct> {
    let (hidden, count) = (config.hidden_size, config.num_layers);
    let up = if config.architecture.is_gated(config) { "gate_up" } else { "up" };
    [
        ("qkv", hidden, qkv_columns(config)),
        ("attention_output", query_columns(config), hidden),
        (up, hidden, up_columns(config)),
        ("down", config.intermediate_size, hidden),
    ]
    .map(|(name, inputs, outputs)| MatrixProduct { name, inputs, outputs, count })
    .into()
}

/// Kept of every layer: two norms' outputs with their statistics, queries, keys and values,
/// attention's output with its logarithms, the feed-forward part's two widths, and the residual
/// stream twice. A layer's backward has besides the residual stream's gradient, old and new, and
/// those of the feed-forward part.
pub(super) fn activations(config: &ModelConfig) -> Activations {
    let (hidden, layers) = (config.hidden_size, config.num_layers);
    let feed_forward = up_columns(config) + config.intermediate_size;
    let attention = qkv_columns(config) + query_columns(config);
    Activations {
        kept: TokenValues {
            full: layers * (2 * hidden + 4 + config.num_heads) + hidden + 2,
            compact: layers * (2 * hidden + attention + feed_forward) + hidden,
        },
        backward: TokenValues { full: 2 * hidden, compact: 2 * hidden + feed_forward },
        forward: TokenValues {
            full: 2 * hidden,
            compact: hidden + attention.max(up_columns(config)) + config.intermediate_size,
        },
    }
}
