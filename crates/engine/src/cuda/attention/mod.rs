//! Attention. A block of threads works on one tile, some queries of one sequence with one head, and
//! walks over the keys they see (FlashAttention-2, arXiv 2307.08691), or on some keys and walks
//! over the queries. Every sum is made by one block, in order.
//!
//! There are two families of kernels: for bf16 values on tensor cores, and for all others in f32
//! arithmetic. Of the second kind are those whose scores depend on distances, too.

mod biased;
mod buckets;
mod call;
mod family;
mod plan;
mod relative;
#[cfg(test)]
mod tests;

use super::Cuda;
use super::kernels::{ATTENTION, BLOCK};
use super::memory::{values, wide};
use crate::ops::attention::{AttentionKernels, AttentionSpan, Heads, split};
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};
use call::{Backward, Call, no_terms};
use family::Kernels;

pub use family::dynamic_shared_memory;

/// Heads that a thread of `rotate` turns.
const HEADS_AT_ONCE: usize = 4;

impl AttentionKernels for Cuda {
    fn rotate(&self, mut fused_qkv: ViewMut<'_>, positions: &[u32], heads: &Heads, inverse: bool) {
        let Some(rotary) = heads.rotary else { return };
        let (mut tables, half) = (self.tables(), rotary.pairs());
        let frequencies = tables.place(&rotary.frequencies());
        let on_gpu = tables.place(positions);
        let (columns, rows) = (fused_qkv.columns, positions.len());
        assert_eq!(rows, fused_qkv.rows, "a position for every row");
        let places = [half, heads.head_dim, columns, fused_qkv.offset];
        let wide = places.iter().all(|place| place.is_multiple_of(4));
        let launch = self
            .kernels
            .get(ATTENTION, "rotate")
            .with(self.values_mut(&mut fused_qkv))
            .with(on_gpu);
        let launch = launch.with(frequencies).with(rows as u64).with(columns as u32);
        let launch = launch.with(half as u32).with(heads.head_dim as u32);
        let launch = launch.with((heads.num_heads + heads.num_kv_heads) as u32);
        let launch = launch.with(if inverse { -1.0f32 } else { 1.0 }).with(wide as u32);
        let threads = rows * half / if wide { 4 } else { 1 };
        let turned = heads.num_heads + heads.num_kv_heads;
        // Safety: `rotate(fused_qkv, positions, frequencies, rows, columns, half, head_dim,
        // heads, direction, wide)`.
        unsafe {
            launch.run_grid(
                (threads.div_ceil(BLOCK as usize), turned.div_ceil(HEADS_AT_ONCE), 1),
                BLOCK,
            )
        }
    }

    fn attention(
        &self,
        queries: View<'_>,
        keys: View<'_>,
        of_keys: View<'_>,
        spans: &[AttentionSpan],
        heads: &Heads,
        dropout: Option<DropoutMask>,
        mut output: ViewMut<'_>,
        logsumexp: Option<ViewMut<'_>>,
    ) {
        let stride = output.columns;
        let output = self.values_mut(&mut output);
        let kernels = Kernels::choose(self, &[queries, keys, of_keys], &[output], heads);
        let (scale, wide) = (heads.scale(), true);
        let call = Call { queries, keys, values: of_keys, spans, heads, scale, dropout, wide };
        let (mut tables, terms) = (self.tables(), no_terms());
        call.forward(self, kernels, &mut tables, &terms, (output, stride), logsumexp);
    }

    fn attention_gradient(
        &self,
        d_output: View<'_>,
        fused_qkv: View<'_>,
        output: View<'_>,
        logsumexp: View<'_>,
        spans: &[AttentionSpan],
        heads: &Heads,
        dropout: Option<DropoutMask>,
        mut d_fused_qkv: ViewMut<'_>,
    ) {
        assert!(
            spans.iter().all(|span| span.prefix.is_empty()),
            "attention over a prefix has no backward"
        );
        let (queries, keys, of_keys) = split(fused_qkv, heads);
        let stride = d_fused_qkv.columns;
        let d_queries = self.values_mut(&mut d_fused_qkv);
        let d_keys = d_queries.skip(heads.query_columns());
        let d_values = d_keys.skip(heads.key_columns());
        let along = self.along(d_output, output, heads);
        let results = [d_queries, d_keys, d_values];
        let kernels = Kernels::choose(self, &[queries, keys, of_keys, d_output], &results, heads);
        let (scale, wide) = (heads.scale(), true);
        let call = Call { queries, keys, values: of_keys, spans, heads, scale, dropout, wide };
        let from = Backward { d_output, logsumexp, along: along.pointer() };
        let (mut tables, terms) = (self.tables(), no_terms());
        let to = ([d_keys, d_values], stride);
        call.keys_gradient(self, kernels, &mut tables, &terms, from, to);
        call.queries_gradient(self, kernels, &mut tables, &terms, from, (d_queries, stride));
    }

    fn append_to_cache(
        &self,
        fused_qkv: View<'_>,
        heads: &Heads,
        length: usize,
        mut cache: ViewMut<'_>,
    ) {
        let kept = fused_qkv.column_range(heads.query_columns()..heads.qkv_columns());
        let (columns, offset) = (cache.columns, cache.offset + length * cache.columns);
        assert_eq!(kept.columns, columns, "columns of keys and values");
        let to = self.values_mut(&mut cache).skip(length * columns);
        let wide = wide(&[kept]) & (offset % 4 == 0) as u32;
        let launch = self
            .kernels
            .get(ATTENTION, "append_to_cache")
            .with(values(kept))
            .with(kept.stride as u32);
        let launch = launch.with(to).with(kept.rows as u64).with(columns as u32).with(wide);
        let threads = kept.rows * columns / if wide == 1 { 4 } else { 1 };
        // Safety: `append_to_cache(from, stride, to, rows, columns, wide)`; the caller has seen to
        // the cache's room.
        unsafe { launch.run(threads.div_ceil(BLOCK as usize), BLOCK) }
    }
}
