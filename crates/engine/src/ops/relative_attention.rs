//! Attention whose scores also depend on how far two tokens are apart: the disentangled attention
//! of DeBERTa (He et al., arXiv 2006.03654) in the form of LTG-BERT (Samuel et al., arXiv
//! 2303.09859), where distances share the vectors of a few buckets.
//!
//! The score of query i and key j is `scale * (q_i . k_j + q_i . k_pos[c] + k_j . q_pos[c])` with
//! the bucket c of i - j. Besides a block of scores, a sequence and a head have in memory the
//! products of their keys with `q_pos` and of a block of queries with `k_pos`.

use std::sync::Arc;

use crate::kernels::kernels;
use crate::ops::attention::{AttentionSpan, Heads, attention_flops};
use crate::spans::Spans;
use crate::tape::{Backward, DropoutMask, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

/// Neighbouring keys that share a bucket, by their places relative to the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The place of the first key minus the query's.
    pub first: isize,
    /// The place behind the last key minus the query's.
    pub end: isize,
    /// The bucket of their distances.
    pub bucket: usize,
}

/// Which bucket every distance of two tokens belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistanceBuckets {
    longest: usize,
    count: usize,
    /// In the order of the keys.
    key_ranges: Vec<KeyRange>,
}

impl DistanceBuckets {
    /// Buckets of the distances, query minus key, from `-longest` to `longest`; there are `count`.
    ///
    /// # Panics
    /// When a bucket is not below `count`.
    pub fn new(longest: usize, count: usize, bucket: impl Fn(isize) -> usize) -> Self {
        let far = longest as isize;
        let mut key_ranges: Vec<KeyRange> = Vec::new();
        for place in -far..=far {
            let bucket = bucket(-place);
            assert!(bucket < count, "bucket {bucket} of {count}");
            match key_ranges.last_mut() {
                Some(keys) if keys.bucket == bucket => keys.end = place + 1,
                _ => key_ranges.push(KeyRange { first: place, end: place + 1, bucket }),
            }
        }
        Self { longest, count, key_ranges }
    }

    /// Number of buckets.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The longest sequence whose distances all have a bucket.
    pub fn longest_sequence(&self) -> usize {
        self.longest + 1
    }

    /// Neighbouring keys of one bucket each, in the order of the keys.
    pub fn key_ranges(&self) -> &[KeyRange] {
        &self.key_ranges
    }
}

/// Where a head's vectors are in a row of the projected table of buckets. Both are
/// `head_dim` wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionColumns {
    /// The queries of all heads, then the keys of all heads, as in the projected tokens.
    Halves,
    /// Head by head: its query, then its key.
    Interleaved,
}

/// The heads of a relative attention.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativeHeads {
    /// The heads, each with keys and values of its own and without rotary positions.
    pub heads: Heads,
    /// The buckets of the distances.
    pub buckets: Arc<DistanceBuckets>,
    /// The order of columns in the table of buckets.
    pub columns: PositionColumns,
}

impl RelativeHeads {
    /// What scores, sums of three products, are multiplied by.
    pub fn scale(&self) -> f32 {
        1.0 / (3.0 * self.heads.head_dim as f32).sqrt()
    }

    /// The first columns of a head's query and key in the table of buckets.
    pub fn position_columns(&self, head: usize) -> [usize; 2] {
        let width = self.heads.head_dim;
        match self.columns {
            PositionColumns::Halves => [head * width, self.heads.query_columns() + head * width],
            PositionColumns::Interleaved => [2 * head * width, (2 * head + 1) * width],
        }
    }
}

kernels! {
    /// Kernels of relative attention. `positions` is `[buckets, 2 * query columns]`. Queries and
    /// keys of a span are the same rows; it has no prefix.
    pub trait RelativeAttentionKernels {
        /// `output = softmax(scores) * values` per head, over the keys that a query sees;
        /// `logsumexp` `[tokens, heads]` receives the logarithm of each softmax's denominator.
        #[flops(2.0 * attention_flops(spans, &heads.heads) + 2.0 * bucket_flops(fused_qkv, heads))]
        fn relative_attention(
            &self,
            fused_qkv: View<'_>,
            positions: View<'_>,
            spans: &[AttentionSpan],
            heads: &RelativeHeads,
            dropout: Option<DropoutMask>,
            output: ViewMut<'_>,
            logsumexp: Option<ViewMut<'_>>,
        );

        /// The gradients of the fused matrix and of `positions`, both written.
        // The products with buckets once more, and two gradients of each.
        #[flops(5.0 * attention_flops(spans, &heads.heads) + 6.0 * bucket_flops(fused_qkv, heads))]
        fn relative_attention_gradient(
            &self,
            d_output: View<'_>,
            fused_qkv: View<'_>,
            positions: View<'_>,
            output: View<'_>,
            logsumexp: View<'_>,
            spans: &[AttentionSpan],
            heads: &RelativeHeads,
            dropout: Option<DropoutMask>,
            d_fused_qkv: ViewMut<'_>,
            d_positions: ViewMut<'_>,
        );
    }
}

/// Floating-point operations of the product of all tokens' queries, or keys, with the buckets.
fn bucket_flops(fused_qkv: View<'_>, heads: &RelativeHeads) -> f64 {
    2.0 * (fused_qkv.rows * heads.heads.query_columns() * heads.buckets.count()) as f64
}

struct RelativeAttentionNode {
    fused_qkv: Var,
    positions: Var,
    output: Var,
    logsumexp: Tensor,
    spans: Vec<AttentionSpan>,
    heads: RelativeHeads,
    dropout: Option<DropoutMask>,
}

impl Tape<'_> {
    /// Relative attention of every sequence: `[tokens, qkv columns]` and the projected table of
    /// buckets `[buckets, 2 * query columns]` to `[tokens, query columns]`.
    ///
    /// # Panics
    /// When a sequence is longer than the buckets reach, sequences share rows, or heads share keys.
    pub fn relative_attention(
        &mut self,
        fused_qkv: &Var,
        positions: &Var,
        spans: &Spans,
        heads: &RelativeHeads,
    ) -> Var {
        let Heads { num_heads, num_kv_heads, rotary, dropout, .. } = heads.heads;
        let (table, columns) = (positions.value(), heads.heads.query_columns());
        assert_eq!(fused_qkv.value().columns(), 3 * columns, "fused queries, keys and values");
        assert_eq!((table.rows(), table.columns()), (heads.buckets.count(), 2 * columns));
        assert!(num_heads == num_kv_heads && rotary.is_none(), "heads without a form of their own");
        assert!(!spans.share_rows(), "relative attention knows no prefix");
        assert!(
            spans.longest() <= heads.buckets.longest_sequence(),
            "a sequence longer than the distances that have a bucket"
        );
        let spans: Vec<_> = spans
            .iter()
            .map(|rows| AttentionSpan { prefix: Vec::new(), queries: rows.clone(), keys: rows })
            .collect();
        let dropout = self.next_dropout(dropout);
        let rows = fused_qkv.value().rows();
        let mut output = self.allocate_compact(rows, columns);
        let mut logsumexp = self.allocate(rows, num_heads);
        let kept = self.is_recording().then(|| logsumexp.view_mut());
        self.device().relative_attention(
            fused_qkv.value().view(),
            table.view(),
            &spans,
            heads,
            dropout,
            output.view_mut(),
            kept,
        );
        let (fused_qkv, positions, heads) = (fused_qkv.clone(), positions.clone(), heads.clone());
        self.record(output, |output| RelativeAttentionNode {
            fused_qkv,
            positions,
            output: output.clone(),
            logsumexp,
            spans,
            heads,
            dropout,
        })
    }
}

impl Node for RelativeAttentionNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output.id) else { return };
        let device = pass.device();
        let mut d_fused_qkv = Tensor::of_shape(device, self.fused_qkv.value().shape());
        let mut d_positions = Tensor::of_shape(device, self.positions.value().shape());
        device.relative_attention_gradient(
            d_output.view(),
            self.fused_qkv.value().view(),
            self.positions.value().view(),
            self.output.value().view(),
            self.logsumexp.view(),
            &self.spans,
            &self.heads,
            self.dropout,
            d_fused_qkv.view_mut(),
            d_positions.view_mut(),
        );
        pass.give(self.fused_qkv.id, d_fused_qkv);
        pass.give(self.positions.id, d_positions);
    }
}

#[cfg(test)]
mod tests;
