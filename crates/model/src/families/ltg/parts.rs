//! What LTG-BERT and its successors share: embeddings, the table of distances, attention with
//! both, the feed-forward part, the layer before the output layer, and the head of classifiers.

use std::ops::Range;
use std::sync::Arc;

use engine::ops::attention::Heads;
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::ops::relative_attention::{DistanceBuckets, PositionColumns, RelativeHeads};
use engine::{Layout, Role, Segment, Tape, Var};

use super::PositionHeads;
use crate::batch::Batch;
use crate::decoder::{Backbone, Decoder};
use crate::families::ModelConfig;
use crate::families::segments::{layer_norm, linear, plain_heads};
use crate::head::{Head, PerceptronHead, PooledToken, Pooling};
use crate::kv_cache::KvCache;
use crate::normed_dense::NormedDense;

/// The bucket of a distance, from `1 - size` to `size - 1`: the distance itself up to half of
/// `size`, and larger ones by their logarithms, which are of f32, up to `longest - 1`
/// (`make_log_bucket_position`).
fn bucket(distance: isize, size: usize, longest: usize) -> isize {
    let half = size / 2;
    if distance.unsigned_abs() <= half {
        return distance;
    }
    let far = distance.unsigned_abs().min(longest - 1);
    let log = |ratio: f64| ratio.ln() as f32;
    let part = log(f64::from(far as f32 / half as f32)) / log((longest - 1) as f64 / half as f64);
    let steps = (part * (half - 1) as f32).ceil() as usize;
    distance.signum() * (half + steps).min(size - 1) as isize
}

/// The buckets of all distances between two tokens of a sequence.
fn buckets(config: &ModelConfig) -> DistanceBuckets {
    let (size, longest) = (config.position_buckets.unwrap_or(2), config.max_positions.max(1));
    let place = |distance| (size as isize - 1 + bucket(distance, size, longest)) as usize;
    DistanceBuckets::new(longest - 1, 2 * size - 1, place)
}

/// Where the embeddings of tokens and of distances are, and how attention sees the latter.
pub(super) struct Embeddings {
    tokens: Embedding,
    /// `[2 * position buckets - 1, hidden]`, one row for each bucket of distances.
    distances: Embedding,
    distance_norm: Norm,
    pub heads: RelativeHeads,
    epsilon: f32,
    dropout: f32,
}

impl Embeddings {
    /// Names of tensors begin with `prefix`.
    pub(super) fn new(config: &ModelConfig, prefix: &str, layout: &mut Layout) -> Self {
        let name = |part: &str| format!("{prefix}embedding.{part}");
        let hidden = config.hidden_size;
        let table = |tokens| Embedding { tokens, positions: None, shared: None, padding: None };
        let tokens = name("word_embedding.weight");
        let tokens = layout.add(tokens, config.vocab_size, hidden, Role::Embedding);
        let buckets = Arc::new(buckets(config));
        let distances = name("relative_embedding");
        let distances = layout.add(distances, buckets.count(), hidden, Role::Positions);
        let columns = match config.position_heads.unwrap_or(PositionHeads::Halves) {
            PositionHeads::Halves => PositionColumns::Halves,
            PositionHeads::Interleaved => PositionColumns::Interleaved,
        };
        Self {
            tokens: table(tokens),
            distances: table(distances),
            distance_norm: layer_norm(layout, &name("relative_layer_norm"), config),
            heads: RelativeHeads { heads: plain_heads(config, false), buckets, columns },
            epsilon: config.norm_epsilon,
            dropout: config.embedding_dropout,
        }
    }

    /// The table of distances, which every layer projects: `[buckets, hidden]`.
    pub(super) fn distances(&self, tape: &mut Tape<'_>) -> Var {
        let rows: Arc<[u32]> = (0..self.heads.buckets.count() as u32).collect();
        let distances = tape.embed(&self.distances, &rows, &rows);
        tape.norm(&distances, &self.distance_norm)
    }

    /// The states before the first layer.
    pub(super) fn states(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        let x = tape.embed(&self.tokens, &batch.ids, &batch.positions);
        let x = tape.plain_layer_norm(&x, self.epsilon);
        tape.dropout(x, self.dropout)
    }
}

/// Queries, keys and values of a layer.
pub(super) struct Projections {
    /// All three: neighbours read as one matrix.
    qkv: Linear,
    /// Queries and keys alone, which the table of distances passes too.
    qk: Linear,
}

impl Projections {
    /// Queries and keys are in the tensor `NAME.in_proj_qk`, values in `NAME.in_proj_v`.
    fn new(config: &ModelConfig, name: &str, layout: &mut Layout) -> Self {
        Self::of(&ProjectedParts::new(config, name, "in_proj_v", 1, layout))
    }

    /// Projections whose values are in the upper half of `NAME.in_proj_vg`, and its lower half,
    /// which gates what attention reads; queries and keys are in `NAME.in_proj_qk`.
    pub(super) fn with_gate(
        config: &ModelConfig,
        name: &str,
        layout: &mut Layout,
    ) -> (Self, Linear) {
        let parts = ProjectedParts::new(config, name, "in_proj_vg", 2, layout);
        (Self::of(&parts), parts.range(3..4))
    }

    fn of(parts: &ProjectedParts) -> Self {
        Self { qkv: parts.range(0..3), qk: parts.range(0..2) }
    }

    /// What the heads read of states behind a norm, before the product that brings it together:
    /// `[tokens, hidden]`.
    pub(super) fn context(
        &self,
        tape: &mut Tape<'_>,
        h: &Var,
        distances: &Var,
        batch: &Batch,
        heads: &RelativeHeads,
    ) -> Var {
        let qkv = tape.linear(h, &self.qkv);
        let table = tape.dropout_of_table(distances.clone(), heads.heads.dropout);
        let table = tape.linear(&table, &self.qk);
        tape.relative_attention(&qkv, &table, &batch.spans, heads)
    }
}

/// The products of attention's input, each as wide as the states, whose weights are neighbours.
struct ProjectedParts {
    all: Linear,
    hidden: usize,
}

impl ProjectedParts {
    /// The products of the tensors `NAME.in_proj_qk`, with two of them, and `NAME.VALUES`, with
    /// `parts`.
    fn new(
        config: &ModelConfig,
        name: &str,
        values: &str,
        parts: usize,
        layout: &mut Layout,
    ) -> Self {
        let hidden = config.hidden_size;
        let tensors = [("in_proj_qk", 2), (values, parts)];
        let weights = tensors.map(|(part, count)| {
            let weight = format!("{name}.{part}.weight");
            let weight = layout.add(weight, count * hidden, hidden, Role::Matrix);
            layout.divide(weight, count);
            weight
        });
        let biases = tensors.map(|(part, count)| {
            layout.add(format!("{name}.{part}.bias"), 1, count * hidden, Role::Bias)
        });
        let (weight, bias) = (Segment::stack(&weights), Some(Segment::join(&biases)));
        Self { all: Linear { weight, bias }, hidden }
    }

    /// Some of them, one below the other.
    fn range(&self, parts: Range<usize>) -> Linear {
        let Linear { weight, bias } = self.all;
        let (first, count) = (parts.start * self.hidden, parts.len() * self.hidden);
        Linear {
            weight: Segment { offset: weight.offset + first * self.hidden, rows: count, ..weight },
            bias: bias.map(|bias| Segment { offset: bias.offset + first, columns: count, ..bias }),
        }
    }
}

/// Attention as LTG-BERT has it: a norm without parameters before it, and one with behind it.
pub(super) struct Attention {
    projections: Projections,
    output: Linear,
    norm: Norm,
    epsilon: f32,
}

impl Attention {
    pub(super) fn new(config: &ModelConfig, name: &str, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        Self {
            projections: Projections::new(config, name, layout),
            output: linear(layout, &format!("{name}.out_proj"), hidden, hidden),
            norm: layer_norm(layout, &format!("{name}.post_layer_norm"), config),
            epsilon: config.norm_epsilon,
        }
    }

    /// What it makes of states, without dropout.
    pub(super) fn states(
        &self,
        tape: &mut Tape<'_>,
        x: &Var,
        distances: &Var,
        batch: &Batch,
        heads: &RelativeHeads,
    ) -> Var {
        let h = tape.plain_layer_norm(x, self.epsilon);
        let h = self.projections.context(tape, &h, distances, batch, heads);
        let h = tape.linear(&h, &self.output);
        tape.norm(&h, &self.norm)
    }
}

/// The feed-forward part: GeGLU between two norms without parameters.
pub(super) struct FeedForward {
    up_gate: Segment,
    down: Segment,
    epsilon: f32,
    dropout: f32,
}

impl FeedForward {
    pub(super) fn new(config: &ModelConfig, name: &str, layout: &mut Layout) -> Self {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let up_gate =
            layout.add(format!("{name}.1.weight"), 2 * intermediate, hidden, Role::Matrix);
        layout.divide(up_gate, 2);
        let down = layout.add(format!("{name}.4.weight"), hidden, intermediate, Role::Matrix);
        let (epsilon, dropout) = (config.norm_epsilon, config.residual_dropout);
        Self { up_gate, down, epsilon, dropout }
    }

    /// All but the last product: `[tokens, hidden] -> [tokens, intermediate]`.
    pub(super) fn inner(&self, tape: &mut Tape<'_>, x: &Var) -> Var {
        let h = tape.plain_layer_norm(x, self.epsilon);
        let h = tape.linear(&h, &self.up_gate.into());
        let h = tape.geglu(h);
        tape.plain_layer_norm(&h, self.epsilon)
    }

    /// The last product, and `residual`.
    pub(super) fn add(&self, tape: &mut Tape<'_>, inner: &Var, residual: Var) -> Var {
        tape.linear_add(inner, &self.down.into(), residual, self.dropout)
    }
}

/// From tokens to states: a model without its output layer.
pub(super) trait Encoder: Send + Sync {
    fn embeddings(&self) -> &Embeddings;

    /// The states behind the last layer, `[tokens, hidden]`.
    fn states(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var;

    /// The heads of its attention.
    fn heads(&self) -> Heads {
        self.embeddings().heads.heads
    }
}

/// An encoder alone.
pub(super) struct WithoutOutput<E>(pub E);

/// An encoder and what makes logits of its states, which reads the tokens' embeddings.
pub(super) struct WithOutput<E> {
    encoder: E,
    dense: NormedDense,
    output: Linear,
    dropout: f32,
}

impl<E: Encoder> WithOutput<E> {
    /// The tensors of the output layer begin with `name`.
    pub(super) fn new(encoder: E, config: &ModelConfig, name: &str, layout: &mut Layout) -> Self {
        let (hidden, epsilon) = (config.hidden_size, config.norm_epsilon);
        let dense = NormedDense::new(name, hidden, epsilon, layout);
        let bias = format!("{name}.nonlinearity.5.bias");
        let output = Linear {
            weight: encoder.embeddings().tokens.tokens,
            bias: Some(layout.add(bias, 1, config.vocab_size, Role::Bias)),
        };
        Self { encoder, dense, output, dropout: config.residual_dropout }
    }
}

impl<E: Encoder> Backbone for WithOutput<E> {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        assert!(cache.is_none(), "relative attention reads whole texts");
        let x = self.encoder.states(tape, batch);
        let x = self.dense.states(tape, &x);
        tape.dropout(x, self.dropout)
    }

    fn heads(&self) -> Heads {
        self.encoder.heads()
    }
}

impl<E: Encoder> Decoder for WithOutput<E> {
    fn output(&self) -> Linear {
        self.output
    }
}

impl<E: Encoder> Backbone for WithoutOutput<E> {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        assert!(cache.is_none(), "relative attention reads whole texts");
        self.0.states(tape, batch)
    }

    fn heads(&self) -> Heads {
        self.0.heads()
    }
}

/// The classification head on the first token, which stands for the sequence: that of the output
/// layer with labels in place of words.
pub(super) fn head(config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Box<dyn Head> {
    let dropout = config.classifier_dropout.unwrap_or(config.residual_dropout);
    let pooling = Pooling { token: PooledToken::First, dropout };
    let (hidden, epsilon) = (config.hidden_size, config.norm_epsilon);
    Box::new(PerceptronHead::new("head", hidden, epsilon, num_labels, pooling, layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the authors' function, which are odd in the distance.
    #[test]
    fn buckets_are_those_of_the_authors_code() {
        for (distances, expected) in [
            (&[0usize, 1, 15, 16][..], &[0isize, 1, 15, 16][..]),
            (&[17, 18, 19, 20], &[17; 4]),
            (&[24, 28, 32, 40, 48], &[18, 19, 20, 20, 21]),
            (&[64, 96, 128, 200], &[23, 24, 26, 27]),
            (&[256, 300, 400, 511, 600], &[29, 29, 30, 31, 31]),
        ] {
            for (&distance, &expected) in distances.iter().zip(expected) {
                assert_eq!(bucket(distance as isize, 32, 512), expected, "{distance}");
                assert_eq!(bucket(-(distance as isize), 32, 512), -expected, "-{distance}");
            }
        }
    }

    #[test]
    fn every_distance_has_a_bucket_whatever_the_sizes() {
        for size in 2..20 {
            for longest in 1..60 {
                let far = longest as isize - 1;
                let found: Vec<isize> =
                    (-far..=far).map(|distance| bucket(distance, size, longest)).collect();
                assert!(found.is_sorted(), "{size} buckets, {longest} positions: {found:?}");
                assert!(found.iter().all(|place| place.unsigned_abs() < size), "{found:?}");
            }
        }
    }
}
