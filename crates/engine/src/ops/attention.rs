//! Attention over packed sequences (Vaswani et al., arXiv 1706.03762), causal or not, with grouped
//! key and value heads (arXiv 2305.13245) and rotary positions (arXiv 2104.09864) where the model
//! has them.
//!
//! No `[length, length]` matrix outlives a block: the backward recomputes the weights from the row
//! sums.

use std::ops::Range;
use std::sync::Arc;

use crate::kernels::kernels;
use crate::spans::Spans;
use crate::tape::{Backward, DropoutMask, Node, Tape, Var};
use crate::tensor::{Precision, Shape, Tensor, View, ViewMut};

/// Rotary positions: the first channels of a head turn by angles that grow with the position, in
/// half-split pairs ("rotate half"); the others stay as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// Base of the frequencies: pair `j` turns by `position * theta^(-2j / channels)`.
    pub theta: f32,
    /// Channels that turn; an even number, at most those of a head.
    pub channels: usize,
}

impl Rotary {
    /// The pairs that turn.
    pub fn pairs(&self) -> usize {
        self.channels / 2
    }

    /// The angle of every pair at position 1.
    pub fn frequencies(&self) -> Vec<f32> {
        let pairs = self.pairs();
        let frequency = |pair: usize| (self.theta as f64).powf(-(pair as f64) / pairs as f64);
        (0..pairs).map(|pair| frequency(pair) as f32).collect()
    }
}

/// The heads of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Heads of queries.
    pub num_heads: usize,
    /// Heads of keys and values; each serves `num_heads / num_kv_heads` query heads.
    pub num_kv_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// The rotary positions, if positions are rotary.
    pub rotary: Option<Rotary>,
    /// Whether a token sees only those up to itself, or all of its sequence.
    pub causal: bool,
    /// Share of attention weights dropped in training.
    pub dropout: f32,
}

impl Heads {
    /// Channels of all query heads.
    pub fn query_columns(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Channels of all key heads; values have as many.
    pub fn key_columns(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// Channels of the fused queries, keys and values.
    pub fn qkv_columns(&self) -> usize {
        self.query_columns() + 2 * self.key_columns()
    }

    /// Heads of queries and keys together: those that turn with the position.
    pub fn turned(&self) -> usize {
        self.num_heads + self.num_kv_heads
    }

    /// What scores are multiplied by.
    pub fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// How many of a span's keys its query number `index` sees.
    pub fn visible(&self, span: &AttentionSpan, index: usize) -> usize {
        if self.causal {
            span.key_count() - span.queries.len() + index + 1
        } else {
            span.key_count()
        }
    }
}

/// One sequence: its rows among the queries and its rows among the keys. Where attention is causal,
/// the last query sees all keys, the one before it all but the last, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionSpan {
    /// Rows of keys that precede `keys` in the sequence and that every query sees. The backward
    /// knows none.
    pub prefix: Vec<Range<usize>>,
    /// Rows of the queries.
    pub queries: Range<usize>,
    /// Rows of the keys.
    pub keys: Range<usize>,
}

impl AttentionSpan {
    /// Number of keys that the last query sees.
    pub fn key_count(&self) -> usize {
        self.prefix.iter().map(Range::len).sum::<usize>() + self.keys.len()
    }
}

kernels! {
    /// Kernels of attention. Views of queries, keys and values may be columns of one fused matrix.
    pub trait AttentionKernels {
        /// Turns the query and key heads of a fused `[tokens, qkv columns]` matrix by their
        /// positions, in place, or back when `inverse`.
        fn rotate(&self, fused_qkv: ViewMut<'_>, positions: &[u32], heads: &Heads, inverse: bool);

        /// `output = softmax(queries * keys^T * scale) * values` per head, over the keys that a
        /// query sees; `logsumexp` `[tokens, heads]` receives the logarithm of each softmax's
        /// denominator.
        // Scores and output.
        #[flops(2.0 * attention_flops(spans, heads))]
        fn attention(
            &self,
            queries: View<'_>,
            keys: View<'_>,
            values: View<'_>,
            spans: &[AttentionSpan],
            heads: &Heads,
            dropout: Option<DropoutMask>,
            output: ViewMut<'_>,
            logsumexp: Option<ViewMut<'_>>,
        );

        /// The gradient of the fused matrix, written. Queries and keys of a span are the same rows;
        /// it has no prefix.
        // The scores once more, and the gradients of weights, queries, keys and values.
        #[flops(5.0 * attention_flops(spans, heads))]
        fn attention_gradient(
            &self,
            d_output: View<'_>,
            fused_qkv: View<'_>,
            output: View<'_>,
            logsumexp: View<'_>,
            spans: &[AttentionSpan],
            heads: &Heads,
            dropout: Option<DropoutMask>,
            d_fused_qkv: ViewMut<'_>,
        );

        /// Copies rows of the fused matrix's keys and values behind the `length` rows that a cache
        /// `[capacity, 2 * keys]` already has.
        fn append_to_cache(
            &self,
            fused_qkv: View<'_>,
            heads: &Heads,
            length: usize,
            cache: ViewMut<'_>,
        );
    }
}

/// Floating-point operations of one product between the queries of all heads and the keys that they
/// see, which is as much as one between their weights and the values.
pub(crate) fn attention_flops(spans: &[AttentionSpan], heads: &Heads) -> f64 {
    let seen = |span: &AttentionSpan| {
        let (queries, keys) = (span.queries.len(), span.key_count());
        // Where it is causal, the last query sees all keys, the one before it all but the last, and
        // so on.
        let unseen = if heads.causal { queries * queries.saturating_sub(1) / 2 } else { 0 };
        queries * keys - unseen
    };
    2.0 * (spans.iter().map(seen).sum::<usize>() * heads.query_columns()) as f64
}

struct AttentionNode {
    fused_qkv: usize,
    rotated: Tensor,
    output: Var,
    logsumexp: Tensor,
    positions: Arc<[u32]>,
    spans: Vec<AttentionSpan>,
    heads: Heads,
    dropout: Option<DropoutMask>,
}

impl Tape<'_> {
    /// Attention of every sequence over its prefix and itself, from `[tokens, qkv columns]` to
    /// `[tokens, heads * head_dim]`.
    ///
    /// # Panics
    /// When sequences share rows and the attention is not causal, or gradients are being recorded:
    /// there is no backward for that.
    pub fn attention(
        &mut self,
        fused_qkv: Var,
        spans: &Spans,
        positions: &Arc<[u32]>,
        heads: &Heads,
    ) -> Var {
        assert_eq!(
            fused_qkv.value().columns(),
            heads.qkv_columns(),
            "fused queries, keys and values"
        );
        assert!(
            !(self.is_recording() && spans.share_rows()),
            "sequences that share rows cannot be trained on"
        );
        assert!(heads.causal || !spans.share_rows(), "rows that see later ones cannot be shared");
        let fused_qkv_id = fused_qkv.id;
        let rotated = self.rotated(fused_qkv, positions, heads);
        let spans: Vec<_> = spans
            .iter()
            .zip(spans.prefixes())
            .map(|(rows, prefix)| AttentionSpan {
                prefix: prefix.to_vec(),
                queries: rows.clone(),
                keys: rows,
            })
            .collect();
        let dropout = self.next_dropout(heads.dropout);
        let mut output = self.allocate_compact(rotated.rows(), heads.query_columns());
        let mut logsumexp = self.allocate(rotated.rows(), heads.num_heads);
        let kept = self.is_recording().then(|| logsumexp.view_mut());
        let (queries, keys, values) = split(rotated.view(), heads);
        self.device().attention(
            queries,
            keys,
            values,
            &spans,
            heads,
            dropout,
            output.view_mut(),
            kept,
        );
        let (positions, heads) = (positions.clone(), *heads);
        self.record(output, |output| AttentionNode {
            fused_qkv: fused_qkv_id,
            rotated,
            output: output.clone(),
            logsumexp,
            positions,
            spans,
            heads,
            dropout,
        })
    }

    /// Attention of new tokens over those in a cache and themselves, which are appended to the
    /// cache. For generation.
    ///
    /// # Panics
    /// When the cache is full, or the attention is not causal.
    pub fn attention_cached(
        &mut self,
        fused_qkv: Var,
        positions: &Arc<[u32]>,
        heads: &Heads,
        cache: &mut LayerCache,
    ) -> Var {
        assert!(heads.causal, "tokens that see later ones cannot be read one after the other");
        let rotated = self.rotated(fused_qkv, positions, heads);
        let rows = rotated.rows();
        assert!(
            cache.length + rows <= cache.keys_values.rows(),
            "the cache has no room for {rows} more tokens"
        );
        self.device().append_to_cache(
            rotated.view(),
            heads,
            cache.length,
            cache.keys_values.view_mut(),
        );
        cache.length += rows;
        let mut output = self.allocate_compact(rows, heads.query_columns());
        let queries = rotated.view().column_range(0..heads.query_columns());
        let kept = cache.keys_values.view().row_range(0..cache.length);
        let keys = kept.column_range(0..heads.key_columns());
        let values = kept.column_range(heads.key_columns()..2 * heads.key_columns());
        let span = AttentionSpan { prefix: Vec::new(), queries: 0..rows, keys: 0..cache.length };
        self.device().attention(
            queries,
            keys,
            values,
            &[span],
            heads,
            None,
            output.view_mut(),
            None,
        );
        self.variable(output)
    }

    fn rotated(&mut self, fused_qkv: Var, positions: &[u32], heads: &Heads) -> Tensor {
        let mut rotated = fused_qkv.into_owned();
        if heads.rotary.is_some() {
            self.device().rotate(rotated.view_mut(), positions, heads, false);
        }
        rotated
    }
}

/// Queries, keys and values of a fused matrix.
pub fn split<'a>(fused_qkv: View<'a>, heads: &Heads) -> (View<'a>, View<'a>, View<'a>) {
    let (q, k) = (heads.query_columns(), heads.key_columns());
    (
        fused_qkv.column_range(0..q),
        fused_qkv.column_range(q..q + k),
        fused_qkv.column_range(q + k..q + 2 * k),
    )
}

/// Keys and values of one layer for the tokens generated so far.
pub struct LayerCache {
    /// `[capacity, 2 * key columns]`.
    keys_values: Tensor,
    length: usize,
}

impl LayerCache {
    /// An empty cache with room for `capacity` tokens.
    pub fn new(device: &Arc<dyn crate::Device>, capacity: usize, heads: &Heads) -> Self {
        let shape = Shape {
            rows: capacity,
            columns: 2 * heads.key_columns(),
            precision: Precision::Compact,
        };
        Self { keys_values: Tensor::of_shape(device, shape), length: 0 }
    }

    /// Tokens in the cache.
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Node for AttentionNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output.id) else { return };
        let device = pass.device();
        let mut d_fused_qkv = Tensor::of_shape(device, self.rotated.shape());
        device.attention_gradient(
            d_output.view(),
            self.rotated.view(),
            self.output.value().view(),
            self.logsumexp.view(),
            &self.spans,
            &self.heads,
            self.dropout,
            d_fused_qkv.view_mut(),
        );
        if self.heads.rotary.is_some() {
            device.rotate(d_fused_qkv.view_mut(), &self.positions, &self.heads, true);
        }
        pass.give(self.fused_qkv, d_fused_qkv);
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a prefix of one range of rows")]
mod tests {
    use super::*;
    use crate::params::Layout;
    use crate::testing::{Check, assert_close, device, random};

    fn rotated(fused_qkv: &[f32], positions: &[u32], heads: &Heads) -> Vec<f32> {
        let Some(Rotary { theta, channels }) = heads.rotary else { return fused_qkv.to_vec() };
        let (columns, half) = (heads.qkv_columns(), channels / 2);
        let mut output = fused_qkv.to_vec();
        for (row, &position) in positions.iter().enumerate() {
            for head in 0..heads.num_heads + heads.num_kv_heads {
                for pair in 0..half {
                    let angle = position as f64 / (theta as f64).powf(pair as f64 / half as f64);
                    let first = row * columns + head * heads.head_dim + pair;
                    let (a, b) = (fused_qkv[first] as f64, fused_qkv[first + half] as f64);
                    output[first] = (a * angle.cos() - b * angle.sin()) as f32;
                    output[first + half] = (b * angle.cos() + a * angle.sin()) as f32;
                }
            }
        }
        output
    }

    /// Every weight one by one, in double precision.
    fn reference(fused_qkv: &[f32], spans: &Spans, heads: &Heads) -> Vec<f32> {
        let fused_qkv = rotated(fused_qkv, &spans.positions(), heads);
        let (columns, width) = (heads.qkv_columns(), heads.head_dim);
        let mut output = vec![0.0; spans.tokens() * heads.query_columns()];
        for (rows, prefix) in spans.iter().zip(spans.prefixes()) {
            for head in 0..heads.num_heads {
                let kv_head = head / (heads.num_heads / heads.num_kv_heads);
                let key_at = heads.query_columns() + kv_head * width;
                let value_at = key_at + heads.key_columns();
                for query in rows.clone() {
                    let own = rows.start..if heads.causal { query + 1 } else { rows.end };
                    let keys: Vec<usize> = prefix.iter().cloned().flatten().chain(own).collect();
                    let score = |key: usize| -> f64 {
                        let products = (0..width).map(|c| {
                            fused_qkv[query * columns + head * width + c] as f64
                                * fused_qkv[key * columns + key_at + c] as f64
                        });
                        (products.sum::<f64>() * heads.scale() as f64).exp()
                    };
                    let weights: Vec<f64> = keys.iter().map(|&key| score(key)).collect();
                    let total: f64 = weights.iter().sum();
                    for c in 0..width {
                        let mixed = weights
                            .iter()
                            .zip(&keys)
                            .map(|(w, &key)| w * fused_qkv[key * columns + value_at + c] as f64);
                        output[query * heads.query_columns() + head * width + c] =
                            (mixed.sum::<f64>() / total) as f32;
                    }
                }
            }
        }
        output
    }

    fn cases() -> Vec<(Heads, Spans)> {
        let heads = |num_heads, num_kv_heads, head_dim, rotary: Option<(f32, usize)>| Heads {
            num_heads,
            num_kv_heads,
            head_dim,
            rotary: rotary.map(|(theta, channels)| Rotary { theta, channels }),
            causal: true,
            dropout: 0.0,
        };
        let both_ways = |spans: [usize; 2], heads| {
            (Heads { causal: false, ..heads }, Spans::from_lengths(spans))
        };
        vec![
            (heads(1, 1, 2, None), Spans::from_lengths([1])),
            (heads(2, 2, 4, Some((10_000.0, 4))), Spans::from_lengths([3, 1, 5])),
            (heads(4, 2, 6, Some((100.0, 6))), Spans::from_lengths([7, 2])),
            (heads(2, 1, 7, Some((100.0, 4))), Spans::from_lengths([66, 1, 9])),
            (heads(1, 1, 3, Some((100.0, 2))), Spans::from_lengths([1])),
            (heads(3, 1, 8, None), Spans::from_lengths([70, 3])),
            both_ways([1, 4], heads(2, 2, 3, None)),
            both_ways([70, 3], heads(4, 2, 6, Some((100.0, 6)))),
        ]
    }

    #[test]
    fn matches_the_reference_and_finite_differences() {
        for (heads, spans) in cases() {
            let positions: Arc<[u32]> = spans.positions().into();
            let mut check = Check::new(Layout::default(), &[(spans.tokens(), heads.qkv_columns())]);
            let forward = |tape: &mut Tape, inputs: &[Var]| {
                tape.attention(inputs[0].clone(), &spans, &positions, &heads)
            };
            assert_close(
                &check.output(forward),
                &reference(&check.inputs[0], &spans, &heads),
                1e-5,
            );
            check.gradients(forward);
        }
    }

    /// Trees of sequences: chains, forks at the root and deeper, and one that is only the beginning
    /// of another.
    fn trees() -> Vec<Spans> {
        let tree = |spans: &[(usize, &[Range<usize>])]| {
            let mut tree = Spans::from_lengths([]);
            spans.iter().for_each(|(length, prefix)| tree.push(*length, prefix.to_vec()));
            tree
        };
        vec![
            tree(&[(3, &[]), (1, &[0..2]), (5, &[0..3])]),
            tree(&[
                (1, &[]),
                (2, &[0..1]),
                (7, &[0..1, 1..2]),
                (1, &[0..2, 3..9]),
                (4, &[]),
                (0, &[10..12]),
            ]),
            tree(&[(70, &[]), (66, &[0..65]), (2, &[0..65, 70..71])]),
        ]
    }

    #[test]
    fn a_shared_prefix_gives_what_the_reference_gives() {
        let device = device();
        let parameters = crate::Parameters::zeros(&device, Arc::new(Layout::default()));
        for ((heads, _), spans) in
            cases().into_iter().flat_map(|case| trees().into_iter().map(move |t| (case.clone(), t)))
        {
            if !heads.causal {
                continue;
            }
            let mut tape = Tape::inference(&parameters);
            let fused_qkv = random(13, spans.tokens() * heads.qkv_columns());
            let input = tape.input(Tensor::from_slice(
                &device,
                spans.tokens(),
                heads.qkv_columns(),
                &fused_qkv,
            ));
            let output = tape.attention(input, &spans, &spans.positions().into(), &heads);
            assert_close(&output.value().to_vec(), &reference(&fused_qkv, &spans, &heads), 1e-5);
        }
    }

    #[test]
    #[should_panic(expected = "cannot be trained on")]
    fn a_shared_prefix_cannot_be_trained_on() {
        let ((heads, _), spans) = (cases().swap_remove(1), trees().swap_remove(0));
        let positions: Arc<[u32]> = spans.positions().into();
        let mut check = Check::new(Layout::default(), &[(spans.tokens(), heads.qkv_columns())]);
        check.output(|tape, inputs| tape.attention(inputs[0].clone(), &spans, &positions, &heads));
    }

    #[test]
    fn dropout_has_the_right_gradient() {
        for (heads, spans) in cases() {
            let heads = Heads { dropout: 0.4, ..heads };
            let positions: Arc<[u32]> = spans.positions().into();
            let mut check = Check::new(Layout::default(), &[(spans.tokens(), heads.qkv_columns())])
                .with_dropout(0);
            check.gradients(|tape, inputs| {
                tape.attention(inputs[0].clone(), &spans, &positions, &heads)
            });
        }
    }

    #[test]
    fn a_cache_gives_what_the_whole_sequence_gives() {
        for (heads, _) in cases().into_iter().filter(|(heads, _)| heads.causal) {
            let device = device();
            let parameters = crate::Parameters::zeros(&device, Arc::new(Layout::default()));
            let mut tape = Tape::inference(&parameters);
            let (length, columns) = (9, heads.qkv_columns());
            let fused_qkv = random(11, length * columns);
            let expected = reference(&fused_qkv, &Spans::from_lengths([length]), &heads);
            let mut cache = LayerCache::new(&device, length, &heads);
            let mut output = Vec::new();
            for rows in [0..4, 4..5, 5..9] {
                let part = Tensor::from_slice(
                    &device,
                    rows.len(),
                    columns,
                    &fused_qkv[rows.start * columns..rows.end * columns],
                );
                let positions: Arc<[u32]> = (rows.start as u32..rows.end as u32).collect();
                let input = tape.input(part);
                output.extend(
                    tape.attention_cached(input, &positions, &heads, &mut cache).value().to_vec(),
                );
            }
            assert_close(&output, &expected, 1e-5);
        }
    }

    #[test]
    fn queries_are_counted_with_the_keys_they_see() {
        let heads = Heads {
            num_heads: 3,
            num_kv_heads: 1,
            head_dim: 2,
            rotary: None,
            causal: true,
            dropout: 0.0,
        };
        for (past, queries, keys) in
            [(0, 0, 0), (0, 1, 1), (0, 4, 4), (0, 1, 6), (0, 3, 7), (5, 3, 3)]
        {
            let seen: usize = (0..queries).map(|query| past + keys - (queries - 1 - query)).sum();
            let prefix = if past > 0 { vec![0..past - 1, 7..8] } else { Vec::new() };
            let spans = [AttentionSpan { prefix, queries: 0..queries, keys: 0..keys }];
            let flops = (2 * seen * 6) as f64;
            assert_eq!(
                attention_flops(&spans, &heads),
                flops,
                "{past} past, {queries} queries, {keys} keys"
            );
            let all = attention_flops(&spans, &Heads { causal: false, ..heads });
            assert_eq!(
                all,
                (2 * queries * (past + keys) * 6) as f64,
                "{past} past, {queries} queries, {keys} keys"
            );
        }
    }
}
