//! Attention between two lists of sequences, or within one, whose scores have a bias of distances:
//! the self-attention and the cross-attention of T5 (Raffel et al., arXiv 1910.10683, section 2.1).
//!
//! The score of query i and key j is `scale * q_i . k_j + bias[c, head]` with the bucket c of
//! i - j; cross-attention has no bias. As in `attention.rs`, no matrix of scores outlives a block.

use std::sync::Arc;

use crate::kernels::kernels;
use crate::ops::attention::{AttentionSpan, Heads, attention_flops};
use crate::ops::relative_attention::DistanceBuckets;
use crate::spans::Spans;
use crate::tape::{Backward, DropoutMask, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

/// The heads of an attention with a bias.
#[derive(Clone, Debug, PartialEq)]
pub struct BiasedHeads {
    /// The heads, each with keys and values of its own and without rotary positions.
    pub heads: Heads,
    /// What products of queries and keys are multiplied by; 1 in T5.
    pub scale: f32,
    /// The buckets of the distances, where there is a bias.
    pub buckets: Option<Arc<DistanceBuckets>>,
}

/// The sequences of an attention: those of the queries, and those of the keys that they see, which
/// may be the same.
#[derive(Clone, Copy, Debug)]
pub struct SpanPairs<'a> {
    /// Rows of queries.
    pub queries: &'a Spans,
    /// Rows of keys, one sequence for each of the queries'.
    pub keys: &'a Spans,
}

kernels! {
    /// Kernels of attention with a bias. `queries` is `[query rows, query columns]`, `keys_values`
    /// `[key rows, 2 * query columns]` and `bias` `[buckets, heads]`. Spans have no prefix.
    pub trait BiasedAttentionKernels {
        /// `output = softmax(scores) * values` per head, over the keys that a query sees;
        /// `logsumexp` `[query rows, heads]` receives the logarithm of each softmax's denominator.
        #[flops(2.0 * attention_flops(spans, &heads.heads))]
        fn biased_attention(
            &self,
            queries: View<'_>,
            keys_values: View<'_>,
            bias: Option<View<'_>>,
            spans: &[AttentionSpan],
            heads: &BiasedHeads,
            dropout: Option<DropoutMask>,
            output: ViewMut<'_>,
            logsumexp: Option<ViewMut<'_>>,
        );

        /// The gradients of queries, of keys and values, and of the bias, all written.
        #[flops(5.0 * attention_flops(spans, &heads.heads))]
        fn biased_attention_gradient(
            &self,
            d_output: View<'_>,
            queries: View<'_>,
            keys_values: View<'_>,
            bias: Option<View<'_>>,
            output: View<'_>,
            logsumexp: View<'_>,
            spans: &[AttentionSpan],
            heads: &BiasedHeads,
            dropout: Option<DropoutMask>,
            d_queries: ViewMut<'_>,
            d_keys_values: ViewMut<'_>,
            d_bias: Option<ViewMut<'_>>,
        );
    }
}

struct BiasedAttentionNode {
    queries: Var,
    keys_values: Var,
    bias: Option<Var>,
    output: Var,
    logsumexp: Tensor,
    spans: Vec<AttentionSpan>,
    heads: BiasedHeads,
    dropout: Option<DropoutMask>,
}

impl Tape<'_> {
    /// Attention of every sequence of queries over its sequence of keys: queries `[query rows,
    /// query columns]`, keys and values beside each other `[key rows, 2 * query columns]` and,
    /// where `heads` have buckets, a bias `[buckets, heads]`, to `[query rows, query columns]`.
    ///
    /// # Panics
    /// When shapes disagree, there are not as many sequences of keys as of queries, a sequence of
    /// queries has no keys, sequences share rows, or heads share keys or have rotary positions;
    /// also when, with a bias or causal, sequences of queries and keys differ in length, or are
    /// longer than the buckets reach.
    pub fn biased_attention(
        &mut self,
        queries: &Var,
        keys_values: &Var,
        bias: Option<&Var>,
        pairs: SpanPairs<'_>,
        heads: &BiasedHeads,
    ) -> Var {
        let Heads { num_heads, num_kv_heads, rotary, dropout, .. } = heads.heads;
        let columns = heads.heads.query_columns();
        assert!(num_heads == num_kv_heads && rotary.is_none(), "heads without a form of their own");
        assert_eq!(queries.value().columns(), columns, "queries");
        assert_eq!(keys_values.value().columns(), 2 * columns, "keys and values");
        let table = bias.map(|bias| (bias.value().rows(), bias.value().columns()));
        let expected = heads.buckets.as_ref().map(|buckets| (buckets.count(), num_heads));
        assert_eq!(table, expected, "a bias for each bucket and head");
        let spans = attention_spans(pairs, heads);
        let dropout = self.next_dropout(dropout);
        let rows = queries.value().rows();
        let mut output = self.allocate_compact(rows, columns);
        let mut logsumexp = self.allocate(rows, num_heads);
        let kept = self.is_recording().then(|| logsumexp.view_mut());
        self.device().biased_attention(
            queries.value().view(),
            keys_values.value().view(),
            bias.map(|bias| bias.value().view()),
            &spans,
            heads,
            dropout,
            output.view_mut(),
            kept,
        );
        self.record(output, |output| BiasedAttentionNode {
            queries: queries.clone(),
            keys_values: keys_values.clone(),
            bias: bias.cloned(),
            output: output.clone(),
            logsumexp,
            spans,
            heads: heads.clone(),
            dropout,
        })
    }
}

/// The rows of each sequence's queries and keys.
fn attention_spans(pairs: SpanPairs<'_>, heads: &BiasedHeads) -> Vec<AttentionSpan> {
    let SpanPairs { queries, keys } = pairs;
    assert!(!queries.share_rows() && !keys.share_rows(), "attention with a bias knows no prefix");
    assert_eq!(queries.count(), keys.count(), "sequences of queries and of keys");
    let pair = |(queries, keys): (std::ops::Range<usize>, std::ops::Range<usize>)| {
        assert!(queries.is_empty() || !keys.is_empty(), "queries without keys");
        if heads.heads.causal || heads.buckets.is_some() {
            assert_eq!(queries.len(), keys.len(), "queries and keys of one sequence");
        }
        if let Some(buckets) = &heads.buckets {
            let most = buckets.longest_sequence();
            assert!(queries.len() <= most, "a sequence longer than the distances with a bucket");
        }
        AttentionSpan { prefix: Vec::new(), queries, keys }
    };
    queries.iter().zip(keys.iter()).map(pair).collect()
}

impl Node for BiasedAttentionNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output.id) else { return };
        let device = pass.device();
        let gradient = |of: &Var| Tensor::of_shape(device, of.value().shape());
        let (mut d_queries, mut d_keys_values) =
            (gradient(&self.queries), gradient(&self.keys_values));
        let mut d_bias = self.bias.as_ref().map(gradient);
        device.biased_attention_gradient(
            d_output.view(),
            self.queries.value().view(),
            self.keys_values.value().view(),
            self.bias.as_ref().map(|bias| bias.value().view()),
            self.output.value().view(),
            self.logsumexp.view(),
            &self.spans,
            &self.heads,
            self.dropout,
            d_queries.view_mut(),
            d_keys_values.view_mut(),
            d_bias.as_mut().map(Tensor::view_mut),
        );
        pass.give(self.queries.id, d_queries);
        pass.give(self.keys_values.id, d_keys_values);
        if let Some((bias, d_bias)) = self.bias.zip(d_bias) {
            pass.give(bias.id, d_bias);
        }
    }
}

#[cfg(test)]
mod tests;
