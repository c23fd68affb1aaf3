//! Attention with a bias of distances: the tasks of `attention.rs`, to whose scores a value of each
//! bucket and head is added.

use super::attention::{Destination, ForwardPass, GradientTask, Inputs, Shared};
use super::relative_attention::seen;
use super::{Cpu, slice, values_mut, vectorised};
use crate::ops::attention::AttentionSpan;
use crate::ops::biased_attention::{BiasedAttentionKernels, BiasedHeads};
use crate::ops::relative_attention::{DistanceBuckets, KeyRange};
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};

/// The values that are added to scores.
pub(super) struct Bias<'a> {
    /// `[heads, buckets]`.
    values: Vec<f32>,
    buckets: &'a DistanceBuckets,
}

impl<'a> Bias<'a> {
    /// The bias of a table, `[buckets, heads]`.
    fn new(table: View<'_>, buckets: &'a DistanceBuckets) -> Self {
        Self { values: transposed(slice(table), table.columns), buckets }
    }

    /// Number of buckets.
    pub(super) fn count(&self) -> usize {
        self.buckets.count()
    }

    /// Adds to the scores of the keys that query number `query` of its sequence sees.
    pub(super) fn add(&self, scores: &mut [f32], head: usize, query: usize) {
        let values = &self.values[head * self.count()..][..self.count()];
        add_values(scores, values, query, self.buckets.key_ranges());
    }

    /// Adds the gradients of those scores to that of the head's values, `[buckets]`.
    pub(super) fn add_gradient(&self, d_scores: &[f32], d_values: &mut [f32], query: usize) {
        add_sums(d_scores, d_values, query, self.buckets.key_ranges());
    }
}

/// The transpose of a matrix with `columns` columns.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|first| values[first..].iter().step_by(columns)).copied().collect()
}

vectorised! {
    fn add_values(scores: &mut [f32], values: &[f32], query: usize, key_ranges: &[KeyRange]) {
        for range in key_ranges {
            let keys = seen(range, query, scores.len());
            let value = values[range.bucket];
            scores[keys].iter_mut().for_each(|score| *score += value);
        }
    }
}

vectorised! {
    fn add_sums(d_scores: &[f32], d_values: &mut [f32], query: usize, key_ranges: &[KeyRange]) {
        for range in key_ranges {
            let keys = seen(range, query, d_scores.len());
            d_values[range.bucket] += d_scores[keys].iter().sum::<f32>();
        }
    }
}

/// Keys and values, the two halves of a matrix.
fn halves<'a>(keys_values: View<'a>) -> [View<'a>; 2] {
    let columns = keys_values.columns / 2;
    [keys_values.column_range(0..columns), keys_values.column_range(columns..2 * columns)]
}

impl Cpu {
    fn inputs<'a>(
        &self,
        queries: View<'a>,
        keys_values: View<'a>,
        bias: Option<&'a Bias<'a>>,
        heads: &'a BiasedHeads,
        dropout: Option<DropoutMask>,
    ) -> Inputs<'a> {
        let [keys, values] = halves(keys_values);
        let (products, scale, heads) = (self.products, heads.scale, &heads.heads);
        Inputs { products, queries, keys, values, heads, scale, bias, dropout }
    }
}

/// The bias of a table, if there is one.
fn of_table<'a>(table: Option<View<'_>>, heads: &'a BiasedHeads) -> Option<Bias<'a>> {
    Some(Bias::new(table?, heads.buckets.as_deref()?))
}

impl BiasedAttentionKernels for Cpu {
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
    ) {
        let bias = of_table(bias, heads);
        self.inputs(queries, keys_values, bias.as_ref(), heads, dropout)
            .attention(spans, output, logsumexp);
    }

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
    ) {
        let bias = of_table(bias, heads);
        let columns = [heads.heads.query_columns(), heads.heads.key_columns()];
        let of_queries = Shared::new(values_mut(d_queries), columns[0]);
        let matrix = Shared::new(values_mut(d_keys_values), 2 * columns[1]);
        let task = GradientTask {
            inputs: self.inputs(queries, keys_values, bias.as_ref(), heads, dropout),
            pass: ForwardPass { d_output, output, logsumexp: slice(logsumexp), dropout },
            d_queries: Destination { matrix: of_queries, first: 0 },
            d_keys: Destination { matrix, first: 0 },
            d_values: Destination { matrix, first: columns[1] },
        };
        let sums = task.gradient(spans);
        if let Some(d_bias) = d_bias {
            let buckets = sums.len() / heads.heads.num_heads;
            values_mut(d_bias).copy_from(&transposed(&sums, buckets));
        }
    }
}
