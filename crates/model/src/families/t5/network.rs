//! T5's parameters and forward pass.

use std::sync::Arc;

use engine::ops::attention::Heads;
use engine::ops::biased_attention::{BiasedHeads, SpanPairs};
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::ops::relative_attention::DistanceBuckets;
use engine::{Layout, Role, Segment, Spans, Tape, Var};

use super::super::segments::{linear, plain_heads, rms_norm};
use super::ModelConfig;
use crate::batch::Batch;
use crate::decoder::{Backbone, Decoder};
use crate::head::Head;
use crate::kv_cache::KvCache;

/// The bucket of a key seen from a query, `distance` tokens behind it: of `count` buckets the first
/// half for single distances, the others for ranges that grow with the logarithm up to `longest`
/// (`T5Attention._relative_position_bucket`, whose logarithms are of f32).
fn bucket_of_size(distance: usize, count: usize, longest: usize) -> usize {
    let near = count / 2;
    if distance < near {
        return distance;
    }
    let log = |ratio: f64| ratio.ln() as f32;
    let share = (distance as f32 / near as f32).ln() / log(longest as f64 / near as f64);
    (near + (share * (count - near) as f32) as usize).min(count - 1)
}

/// The buckets of an encoder, where keys on both sides have half of them each, or of a decoder,
/// where no later key is seen. Distances are query minus key.
fn buckets(config: &ModelConfig, causal: bool) -> DistanceBuckets {
    let count = config.position_buckets.unwrap_or(4);
    let longest = config.encoder_decoder.map_or(128, |own| own.max_distance);
    let place = |distance: isize| match causal {
        true => bucket_of_size(distance.max(0) as usize, count, longest),
        false => {
            let size = bucket_of_size(distance.unsigned_abs(), count / 2, longest);
            size + if distance < 0 { count / 2 } else { 0 }
        }
    };
    DistanceBuckets::new(config.max_positions.max(1) - 1, count, place)
}

/// The whole model.
pub(super) struct EncoderDecoderNetwork {
    encoder: Encoder,
    decoder: Stack,
    output: Linear,
    /// What the last states are multiplied by: where the output matrix is the embedding, the root
    /// of their width divides them.
    output_scale: f32,
    /// What the encoder reads of a batch without a text for it.
    end: u32,
}

/// The encoder alone, which a classifier has as its backbone.
pub(super) struct Encoder {
    embedding: Embedding,
    stack: Stack,
}

/// One half of the model.
struct Stack {
    blocks: Vec<Block>,
    /// `[buckets, heads]`, of all layers.
    bias: Embedding,
    norm: Norm,
    heads: BiasedHeads,
    /// Of attention to the encoder's states.
    cross_heads: BiasedHeads,
    dropout: f32,
}

struct Block {
    attention: Attention,
    /// Of a decoder: to the encoder's states.
    cross_attention: Option<Attention>,
    norm: Norm,
    /// Up, or with a gate up and gate: neighbours read as one matrix.
    up: Linear,
    down: Linear,
    is_gated: bool,
}

struct Attention {
    norm: Norm,
    query: Linear,
    /// Neighbours read as one matrix.
    key_value: Linear,
    output: Linear,
}

fn plain(weight: Segment) -> Linear {
    Linear { weight, bias: None }
}

impl Attention {
    fn new(config: &ModelConfig, layer: &str, part: &str, layout: &mut Layout) -> Self {
        let (hidden, width) = (config.hidden_size, config.num_heads * config.head_dim);
        let mut weight = |name: &str, rows, columns| {
            layout.add(format!("{layer}.{part}.{name}.weight"), rows, columns, Role::Matrix)
        };
        let [query, key, value] = ["q", "k", "v"].map(|name| weight(name, width, hidden));
        let output = weight("o", hidden, width);
        Self {
            query: plain(query),
            key_value: plain(Segment::stack(&[key, value])),
            output: plain(output),
            norm: rms_norm(layout, &format!("{layer}.layer_norm"), config),
        }
    }
}

impl Block {
    fn new(config: &ModelConfig, block: &str, is_decoder: bool, layout: &mut Layout) -> Self {
        let attention =
            Attention::new(config, &format!("{block}.layer.0"), "SelfAttention", layout);
        let cross =
            || Attention::new(config, &format!("{block}.layer.1"), "EncDecAttention", layout);
        let cross_attention = is_decoder.then(cross);
        let layer = format!("{block}.layer.{}", if is_decoder { 2 } else { 1 });
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let mut weight = |name: &str, rows, columns| {
            let name = format!("{layer}.DenseReluDense.{name}.weight");
            layout.add(name, rows, columns, Role::Matrix)
        };
        let is_gated = config.architecture.is_gated(config);
        let up = match is_gated {
            false => weight("wi", inner, hidden),
            // The operation reads the gate behind what it multiplies.
            true => Segment::stack(&["wi_1", "wi_0"].map(|name| weight(name, inner, hidden))),
        };
        let down = weight("wo", hidden, inner);
        let norm = rms_norm(layout, &format!("{layer}.layer_norm"), config);
        Self { attention, cross_attention, norm, up: plain(up), down: plain(down), is_gated }
    }
}

impl Stack {
    fn new(config: &ModelConfig, half: &str, layers: usize, layout: &mut Layout) -> Self {
        let is_decoder = half == "decoder";
        let block = |index: usize| format!("{half}.block.{index}");
        let blocks = (0..layers)
            .map(|index| Block::new(config, &block(index), is_decoder, layout))
            .collect();
        let buckets = buckets(config, is_decoder);
        let name = format!("{}.layer.0.SelfAttention.relative_attention_bias.weight", block(0));
        let bias = layout.add(name, buckets.count(), config.num_heads, Role::Positions);
        let heads = |causal, buckets| BiasedHeads {
            heads: plain_heads(config, causal),
            scale: 1.0,
            buckets,
        };
        Self {
            blocks,
            bias: Embedding { tokens: bias, positions: None, shared: None, padding: None },
            norm: rms_norm(layout, &format!("{half}.final_layer_norm"), config),
            heads: heads(is_decoder, Some(Arc::new(buckets))),
            cross_heads: heads(false, None),
            dropout: config.residual_dropout,
        }
    }

    /// The last states of embedded tokens; a decoder's layers also see `source`, the encoder's
    /// states with their sequences.
    fn states(
        &self,
        tape: &mut Tape<'_>,
        x: Var,
        spans: &Spans,
        source: Option<(&Var, &Spans)>,
    ) -> Var {
        let rows: Arc<[u32]> = (0..self.bias.tokens.rows as u32).collect();
        let bias = tape.embed(&self.bias, &rows, &rows);
        let mut x = tape.dropout(x, self.dropout);
        let within = SpanPairs { queries: spans, keys: spans };
        for block in &self.blocks {
            let h = tape.norm(&x, &block.attention.norm);
            x = self.attend(tape, &block.attention, x, [&h, &h], Some(&bias), within);
            if let (Some(attention), Some((states, keys))) = (&block.cross_attention, source) {
                let h = tape.norm(&x, &attention.norm);
                let across = SpanPairs { queries: spans, keys };
                x = self.attend(tape, attention, x, [&h, states], None, across);
            }
            let h = tape.norm(&x, &block.norm);
            let h = tape.linear(&h, &block.up);
            let h = if block.is_gated { tape.geglu(h) } else { tape.relu(h) };
            let h = tape.dropout(h, self.dropout);
            x = tape.linear_add(&h, &block.down, x, self.dropout);
        }
        let x = tape.norm(&x, &self.norm);
        tape.dropout(x, self.dropout)
    }

    /// Adds to `x` the attention of some states to others, or to themselves.
    fn attend(
        &self,
        tape: &mut Tape<'_>,
        attention: &Attention,
        x: Var,
        [from, to]: [&Var; 2],
        bias: Option<&Var>,
        pairs: SpanPairs<'_>,
    ) -> Var {
        let queries = tape.linear(from, &attention.query);
        let keys_values = tape.linear(to, &attention.key_value);
        let heads = if bias.is_some() { &self.heads } else { &self.cross_heads };
        let h = tape.biased_attention(&queries, &keys_values, bias, pairs, heads);
        tape.linear_add(&h, &attention.output, x, self.dropout)
    }
}

impl Encoder {
    pub(super) fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let tokens =
            layout.add("shared.weight", config.vocab_size, config.hidden_size, Role::Embedding);
        Self {
            embedding: Embedding { tokens, positions: None, shared: None, padding: None },
            stack: Stack::new(config, "encoder", config.num_layers, layout),
        }
    }

    fn states(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        let x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        self.stack.states(tape, x, &batch.spans, None)
    }
}

impl EncoderDecoderNetwork {
    pub(super) fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let encoder = Encoder::new(config, layout);
        let decoder = Stack::new(config, "decoder", config.decoder_layers(), layout);
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let (output, output_scale) = match config.tie_word_embeddings {
            true => (encoder.embedding.tokens, (hidden as f32).powf(-0.5)),
            false => (layout.add("lm_head.weight", vocab, hidden, Role::Matrix), 1.0),
        };
        let end = config.eos_token_ids.first().copied().unwrap_or(0);
        Self { encoder, decoder, output: plain(output), output_scale, end }
    }

    /// The texts of the encoder: where a batch has none, the empty text for each of its sequences,
    /// as the BabyLM pipeline of 2023 encodes it, the token that ends a text twice.
    fn source(&self, batch: &Batch) -> Arc<Batch> {
        let empty = || Batch::from_sequences(batch.spans.iter().map(|_| [self.end; 2]));
        batch.source.clone().unwrap_or_else(|| Arc::new(empty()))
    }
}

impl Backbone for EncoderDecoderNetwork {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        assert!(cache.is_none(), "an encoder-decoder reads whole texts");
        let source = self.source(batch);
        let states = tape.within_source(|tape| self.encoder.states(tape, &source));
        let x = tape.embed(&self.encoder.embedding, &batch.ids, &batch.positions);
        let x = self.decoder.states(tape, x, &batch.spans, Some((&states, &source.spans)));
        if self.output_scale == 1.0 { x } else { tape.scale(&x, self.output_scale) }
    }

    fn heads(&self) -> Heads {
        self.decoder.heads.heads
    }
}

impl Decoder for EncoderDecoderNetwork {
    fn output(&self) -> Linear {
        self.output
    }
}

impl Backbone for Encoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        assert!(cache.is_none(), "an encoder reads whole texts");
        self.states(tape, batch)
    }

    fn heads(&self) -> Heads {
        self.stack.heads.heads
    }
}

/// The classification head of the BabyLM pipeline of 2023: the mean of the encoder's states,
/// weighted by the softmax of a product with `pooler.w`, dropout, and the output matrix.
pub(super) struct AttentionHead {
    pooler: Linear,
    /// `[labels, hidden]`, with a bias.
    classifier: Linear,
    dropout: f32,
}

impl AttentionHead {
    pub(super) fn new(config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Self {
        let weight = layout.add("pooler.w.weight", 1, config.hidden_size, Role::Matrix);
        // A bias of all scores changes no softmax: its gradient is 0.
        let bias = Some(layout.add("pooler.w.bias", 1, 1, Role::Bias));
        Self {
            pooler: Linear { weight, bias },
            classifier: linear(layout, "classifier", num_labels, config.hidden_size),
            dropout: config.classifier_dropout.unwrap_or(config.residual_dropout),
        }
    }
}

impl Head for AttentionHead {
    fn features(&self, tape: &mut Tape<'_>, states: &Var, batch: &Batch) -> Var {
        let scores = tape.linear(states, &self.pooler);
        let mean = tape.attention_pooling(states, &scores, &batch.spans);
        tape.dropout_of_sequences(mean, self.dropout)
    }

    fn output(&self) -> Linear {
        self.classifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of transformers' function for 32 buckets up to a distance of 128.
    #[test]
    fn buckets_are_those_of_transformers() {
        for (place, encoder, decoder) in [
            (-200, 15, 31),
            (-128, 15, 31),
            (-127, 15, 31),
            (-64, 14, 26),
            (-33, 12, 21),
            (-20, 10, 17),
            (-16, 10, 16),
            (-12, 9, 12),
            (-9, 8, 9),
            (-8, 8, 8),
            (-7, 7, 7),
            (-1, 1, 1),
            (0, 0, 0),
            (1, 17, 0),
            (7, 23, 0),
            (8, 24, 0),
            (12, 25, 0),
            (16, 26, 0),
            (20, 26, 0),
            (33, 28, 0),
            (64, 30, 0),
            (127, 31, 0),
        ] {
            let config = ModelConfig {
                max_positions: 256,
                position_buckets: Some(32),
                ..crate::Architecture::T5.defaults()
            };
            for (causal, expected) in [(false, encoder), (true, decoder)] {
                let buckets = buckets(&config, causal);
                let mut ranges = buckets.key_ranges().iter();
                let keys = ranges.find(|keys| (keys.first..keys.end).contains(&place));
                let bucket = keys.map(|keys| keys.bucket);
                assert_eq!(bucket, Some(expected), "{place}, causal {causal}");
            }
        }
    }
}
