//! Attention with a bias of distances, and between the sequences of two lists.

use super::buckets::{Buckets, sums_row_bytes};
use super::call::{Backward, Call, Terms, no_terms};
use super::family::{BIASED, Kernels};
use super::plan::Plan;
use crate::cuda::Cuda;
use crate::cuda::kernels::{Launch, Parameter};
use crate::cuda::memory::{Values, dense};
use crate::cuda::tables::TablesInUse;
use crate::ops::attention::{AttentionSpan, Heads};
use crate::ops::biased_attention::{BiasedAttentionKernels, BiasedHeads};
use crate::tape::DropoutMask;
use crate::tensor::{Precision, View, ViewMut};

/// `BiasTerms` of `biased_attention.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct BiasTerms {
    bias: Values,
    buckets: Buckets,
    tile_sums: u64,
    num_heads: u32,
}

// Safety: `repr(C)`, seven words.
unsafe impl Parameter for BiasTerms {}

impl BiasTerms {
    fn new(
        bias: View<'_>,
        heads: &BiasedHeads,
        tile_sums: u64,
        tables: &mut TablesInUse<'_>,
    ) -> Option<Self> {
        let buckets = Buckets::new(heads.buckets.as_deref()?, tables);
        let num_heads = heads.heads.num_heads as u32;
        Some(Self { bias: dense(bias), buckets, tile_sums, num_heads })
    }
}

fn with_bias<'a>(terms: BiasTerms, row_bytes: usize) -> Terms<impl Fn(Launch<'a>) -> Launch<'a>> {
    Terms { with: move |launch: Launch<'a>| launch.with(terms), row_bytes }
}

/// Keys and values as they stand beside each other.
fn halves<'a>(keys_values: View<'a>, heads: &Heads) -> [View<'a>; 2] {
    let columns = heads.key_columns();
    [keys_values.column_range(0..columns), keys_values.column_range(columns..2 * columns)]
}

impl BiasedAttentionKernels for Cuda {
    fn biased_attention(
        &self,
        queries: View<'_>,
        keys_values: View<'_>,
        bias: Option<View<'_>>,
        spans: &[AttentionSpan],
        heads: &BiasedHeads,
        dropout: Option<DropoutMask>,
        mut output: ViewMut<'_>,
        logsumexp: Option<ViewMut<'_>>,
    ) {
        let (of_heads, scale) = (&heads.heads, heads.scale);
        heads.buckets.iter().for_each(|buckets| self.require_buckets(buckets));
        let [keys, values] = halves(keys_values, of_heads);
        let (stride, output) = (output.columns, self.values_mut(&mut output));
        let call =
            Call { queries, keys, values, spans, heads: of_heads, scale, dropout, wide: true };
        let mut tables = self.tables();
        let terms = bias.and_then(|bias| BiasTerms::new(bias, heads, 0, &mut tables));
        match terms {
            Some(terms) => {
                let kernels = Kernels::of_width(self, &BIASED, of_heads);
                let (terms, to) = (with_bias(terms, 0), (output, stride));
                call.forward(self, kernels, &mut tables, &terms, to, logsumexp);
            }
            None => {
                let kernels = Kernels::choose(self, &[queries, keys, values], &[output], of_heads);
                let (terms, to) = (no_terms(), (output, stride));
                call.forward(self, kernels, &mut tables, &terms, to, logsumexp);
            }
        }
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
        mut d_queries: ViewMut<'_>,
        mut d_keys_values: ViewMut<'_>,
        d_bias: Option<ViewMut<'_>>,
    ) {
        let (of_heads, scale) = (&heads.heads, heads.scale);
        let [keys, values] = halves(keys_values, of_heads);
        // Keys that no query sees are of no tile.
        if spans.iter().any(|span| span.queries.is_empty() && !span.keys.is_empty()) {
            let length = d_keys_values.rows * d_keys_values.columns;
            let all = self.values_mut(&mut d_keys_values);
            self.fill_values(all, length, 0.0);
        }
        let strides = [d_queries.columns, d_keys_values.columns];
        let d_queries = self.values_mut(&mut d_queries);
        let d_keys = self.values_mut(&mut d_keys_values);
        let d_values = d_keys.skip(of_heads.key_columns());
        let along = self.along(d_output, output, of_heads);
        let call =
            Call { queries, keys, values, spans, heads: of_heads, scale, dropout, wide: true };
        let from = Backward { d_output, logsumexp, along: along.pointer() };
        let (to_queries, to_keys) = ((d_queries, strides[0]), ([d_keys, d_values], strides[1]));
        let mut tables = self.tables();
        let (Some(buckets), Some(bias)) = (&heads.buckets, bias) else {
            let (views, results) =
                ([queries, keys, values, d_output], [d_queries, d_keys, d_values]);
            let kernels = Kernels::choose(self, &views, &results, of_heads);
            let terms = no_terms();
            call.keys_gradient(self, kernels, &mut tables, &terms, from, to_keys);
            return call.queries_gradient(self, kernels, &mut tables, &terms, from, to_queries);
        };
        let kernels = Kernels::of_width(self, &BIASED, of_heads);
        let tiles = Plan::of_queries(spans, of_heads, kernels.queries).tiles.len();
        let columns = buckets.count() * of_heads.num_heads;
        let tile_sums = self.scratch(tiles * columns, Precision::Full);
        let Some(terms) = BiasTerms::new(bias, heads, tile_sums.pointer(), &mut tables) else {
            return;
        };
        let of_keys = with_bias(terms, 0);
        call.keys_gradient(self, kernels, &mut tables, &of_keys, from, to_keys);
        let of_queries = with_bias(terms, sums_row_bytes(buckets.count()));
        call.queries_gradient(self, kernels, &mut tables, &of_queries, from, to_queries);
        if let Some(mut d_bias) = d_bias {
            let d_bias = self.values_mut(&mut d_bias);
            self.add_rows(tile_sums.pointer(), tiles, columns, d_bias, false);
        }
    }
}
