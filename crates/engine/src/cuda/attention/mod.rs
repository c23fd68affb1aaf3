//! Attention. A block of threads works on one tile, some queries of one sequence with one head, and
//! walks over the keys they see (FlashAttention-2, arXiv 2307.08691), or on some keys and walks
//! over the queries. Every sum is made by one block, in order.
//!
//! There are two families of kernels: for bf16 values on tensor cores, and for all others in f32
//! arithmetic.

mod plan;
#[cfg(test)]
mod tests;

use super::Cuda;
use super::kernels::{ATTENTION, ATTENTION_BF16, BLOCK, Mask, Parameter, Source};
use super::memory::{Scratch, Values, dense, values, wide};
use super::tables::TablesInUse;
use crate::fault::{Fault, raise};
use crate::ops::attention::{AttentionKernels, AttentionSpan, Heads, split};
use crate::tape::DropoutMask;
use crate::tensor::{Precision, View, ViewMut};
use plan::Plan;

/// Kernels for heads of up to so many channels.
struct Kernels {
    channels: usize,
    source: Source,
    threads: u32,
    /// Queries and keys of a tile.
    queries: usize,
    keys: usize,
    /// The forward, and the gradients of keys and values, and of queries.
    forward: &'static str,
    keys_gradient: &'static str,
    queries_gradient: &'static str,
}

const fn general(
    channels: usize,
    queries: usize,
    [forward, keys_gradient, queries_gradient]: [&'static str; 3],
) -> Kernels {
    Kernels {
        channels,
        source: ATTENTION,
        threads: 256,
        queries,
        keys: 32,
        forward,
        keys_gradient,
        queries_gradient,
    }
}

const fn bf16(
    channels: usize,
    [forward, keys_gradient, queries_gradient]: [&'static str; 3],
) -> Kernels {
    let (source, threads) = (ATTENTION_BF16, 128);
    Kernels {
        channels,
        source,
        threads,
        queries: 64,
        keys: 64,
        forward,
        keys_gradient,
        queries_gradient,
    }
}

/// For any values.
const GENERAL: [Kernels; 3] = [
    general(64, 32, ["attention_64", "attention_keys_64", "attention_queries_64"]),
    general(128, 32, ["attention_128", "attention_keys_128", "attention_queries_128"]),
    general(256, 8, ["attention_256", "attention_keys_256", "attention_queries_256"]),
];

/// For bf16 values.
const BF16: [Kernels; 4] = [
    bf16(32, ["attention_bf16_32", "attention_bf16_keys_32", "attention_bf16_queries_32"]),
    bf16(64, ["attention_bf16_64", "attention_bf16_keys_64", "attention_bf16_queries_64"]),
    bf16(96, ["attention_bf16_96", "attention_bf16_keys_96", "attention_bf16_queries_96"]),
    bf16(128, ["attention_bf16_128", "attention_bf16_keys_128", "attention_bf16_queries_128"]),
];

impl Kernels {
    /// The kernels for these values and results.
    fn choose(
        device: &Cuda,
        views: &[View<'_>],
        results: &[Values],
        heads: &Heads,
    ) -> &'static Self {
        let aligned = |view: &View<'_>| {
            let values = values(*view);
            values.is_compact()
                && values.pointer.is_multiple_of(16)
                && view.stride.is_multiple_of(8)
        };
        let on_tensor_cores = heads.head_dim.is_multiple_of(8)
            && views.iter().all(aligned)
            && results.iter().all(|result| result.pointer % 8 == 0);
        let fits = |kernels: &&'static Kernels| heads.head_dim <= kernels.channels;
        let bf16 = BF16.iter().find(fits).filter(|_| on_tensor_cores);
        bf16.or_else(|| GENERAL.iter().find(fits)).unwrap_or_else(|| {
            let (found, most) = (heads.head_dim, GENERAL[2].channels);
            let what = format!(
                "attention heads have {found} channels, and {most} are the most that its kernels \
             take"
            );
            raise(Fault::Unsupported { device: device.context.label(), what })
        })
    }

    fn is_general(&self) -> bool {
        self.source.file == ATTENTION.file
    }

    /// Bytes of shared memory, of which the tensor cores' kernels name most themselves.
    fn forward_bytes(&self, heads: &Heads) -> usize {
        let width = heads.head_dim.next_multiple_of(4);
        if self.is_general() {
            4 * (self.queries * (width + self.keys) + self.keys * (width + 1))
        } else {
            0
        }
    }

    fn keys_gradient_bytes(&self, heads: &Heads) -> usize {
        let width = heads.head_dim.next_multiple_of(4);
        if self.is_general() {
            return 4 * (2 * self.queries * (width + self.keys) + 2 * self.keys * (width + 1));
        }
        let queries_at_once = if self.channels <= 64 { 64 } else { 32 };
        2 * 2 * (self.keys + queries_at_once) * (self.channels + 8) + 2 * 4 * queries_at_once
    }

    fn queries_gradient_bytes(&self, heads: &Heads) -> usize {
        let width = heads.head_dim.next_multiple_of(4);
        let own = self.queries * (2 * width + self.keys);
        if self.is_general() { 4 * (own + 2 * self.keys * (width + 1)) } else { 0 }
    }
}

/// The kernels that get dynamic shared memory, each with the most bytes that it gets for heads of
/// any size. No GPU has less than 99 KiB for a block (compute capability 8.6, 8.9 and 12.0), and
/// none of them needs more, so that tiles are of one size on all.
pub fn dynamic_shared_memory() -> Vec<(&'static str, usize)> {
    let of_family = |kernels: &Kernels| {
        let heads = (1..=kernels.channels).map(|head_dim| Heads {
            num_heads: 1,
            num_kv_heads: 1,
            head_dim,
            rotary: None,
            causal: true,
            dropout: 0.0,
        });
        let most = |bytes: fn(&Kernels, &Heads) -> usize| {
            heads.clone().map(|heads| bytes(kernels, &heads)).max()
        };
        [
            (kernels.forward, most(Kernels::forward_bytes)),
            (kernels.keys_gradient, most(Kernels::keys_gradient_bytes)),
            (kernels.queries_gradient, most(Kernels::queries_gradient_bytes)),
        ]
    };
    let all = GENERAL.iter().chain(&BF16).flat_map(of_family);
    all.filter_map(|(name, bytes)| Some((name, bytes.filter(|&bytes| bytes > 0)?))).collect()
}

/// `Attention` of `attention.cuh`: what all blocks of a call share.
#[repr(C)]
#[derive(Clone, Copy)]
struct Shared {
    tiles: u64,
    rows: u64,
    query_stride: u32,
    key_stride: u32,
    value_stride: u32,
    output_stride: u32,
    gradient_stride: u32,
    num_heads: u32,
    group: u32,
    head_dim: u32,
    wide: u32,
    scale: f32,
}

// Safety: `repr(C)`, seven words.
unsafe impl Parameter for Shared {}

impl Shared {
    fn new(queries: View<'_>, keys: View<'_>, values: View<'_>, heads: &Heads) -> Self {
        Self {
            tiles: 0,
            rows: 0,
            query_stride: queries.stride as u32,
            key_stride: keys.stride as u32,
            value_stride: values.stride as u32,
            output_stride: 0,
            gradient_stride: 0,
            num_heads: heads.num_heads as u32,
            group: (heads.num_heads / heads.num_kv_heads) as u32,
            head_dim: heads.head_dim as u32,
            wide: wide(&[queries, keys, values]) & heads.head_dim.is_multiple_of(4) as u32,
            scale: heads.scale(),
        }
    }

    /// The same with the tiles of a plan.
    fn with_plan(self, plan: &Plan, tables: &mut TablesInUse<'_>) -> Self {
        let rows = if plan.rows.is_empty() { 0 } else { tables.place(&plan.rows) };
        Self { tiles: tables.place(&plan.tiles), rows, ..self }
    }
}

impl Cuda {
    /// For every row and head the product of the output and its gradient: `[tokens, heads]` in f32.
    fn along(&self, d_output: View<'_>, output: View<'_>, heads: &Heads) -> Scratch<'_> {
        let along = self.scratch(output.rows * heads.num_heads, Precision::Full);
        let launch = self
            .kernels
            .get(ATTENTION, "attention_along")
            .with(values(d_output))
            .with(d_output.stride as u32);
        let launch = launch.with(values(output)).with(output.stride as u32).with(along.pointer());
        let launch = launch
            .with(output.rows as u64)
            .with(heads.num_heads as u32)
            .with(heads.head_dim as u32);
        // Safety: `attention_along(d_output, d_stride, output, stride, along, rows, num_heads,
        // head_dim)`.
        unsafe { launch.run((output.rows * heads.num_heads).div_ceil(BLOCK as usize / 32), BLOCK) }
        along
    }
}

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
        let output_stride = output.columns as u32;
        let output = self.values_mut(&mut output);
        let logsumexp =
            logsumexp.map_or(Values::full(0), |mut logsumexp| self.values_mut(&mut logsumexp));
        assert!(!logsumexp.is_compact(), "sums are kept in f32");
        let kernels = Kernels::choose(self, &[queries, keys, of_keys], &[output], heads);
        let (plan, mut tables) = (Plan::of_queries(spans, heads, kernels.queries), self.tables());
        let shared = Shared { output_stride, ..Shared::new(queries, keys, of_keys, heads) };
        let launch = self
            .kernels
            .get(kernels.source, kernels.forward)
            .with(shared.with_plan(&plan, &mut tables));
        let launch =
            launch.with(values(queries)).with(values(keys)).with(values(of_keys)).with(output);
        let launch = launch
            .with(logsumexp.pointer)
            .with(Mask::of(dropout))
            .shared(kernels.forward_bytes(heads) as u32);
        // Safety: `attention_N(attention, queries, keys, values, output, logsumexp, mask)`; tiles
        // lie within the views.
        unsafe { launch.run(plan.tiles.len() * heads.num_heads, kernels.threads) }
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
        let gradient_stride = d_fused_qkv.columns as u32;
        let d_queries = self.values_mut(&mut d_fused_qkv);
        let d_keys = d_queries.skip(heads.query_columns());
        let d_values = d_keys.skip(heads.key_columns());
        let logsumexp = dense(logsumexp);
        assert!(!logsumexp.is_compact(), "sums are kept in f32");
        let along = self.along(d_output, output, heads);
        let results = [d_queries, d_keys, d_values];
        let kernels = Kernels::choose(self, &[queries, keys, of_keys, d_output], &results, heads);
        let mut shared = Shared::new(queries, keys, of_keys, heads);
        shared = Shared { output_stride: d_output.stride as u32, gradient_stride, ..shared };
        shared.wide &= wide(&[d_output]);

        let (plan, mut tables) = (Plan::of_keys(spans, heads, kernels.keys), self.tables());
        let launch = self.kernels.get(kernels.source, kernels.keys_gradient);
        let launch = launch.with(shared.with_plan(&plan, &mut tables));
        let launch = launch
            .with(values(queries))
            .with(values(keys))
            .with(values(of_keys))
            .with(values(d_output));
        let launch =
            launch.with(d_keys).with(d_values).with(logsumexp.pointer).with(along.pointer());
        let launch =
            launch.with(Mask::of(dropout)).shared(kernels.keys_gradient_bytes(heads) as u32);
        // Safety: `attention_keys_N(attention, queries, keys, values, d_output, d_keys, d_values,
        // logsumexp, along, mask)`.
        unsafe { launch.run(plan.tiles.len() * heads.num_kv_heads, kernels.threads) }

        let plan = Plan::of_queries(spans, heads, kernels.queries);
        let launch = self.kernels.get(kernels.source, kernels.queries_gradient);
        let launch = launch.with(shared.with_plan(&plan, &mut tables));
        let launch = launch
            .with(values(queries))
            .with(values(keys))
            .with(values(of_keys))
            .with(values(d_output));
        let launch = launch
            .with(d_queries)
            .with(logsumexp.pointer)
            .with(along.pointer())
            .with(Mask::of(dropout));
        let launch = launch.shared(kernels.queries_gradient_bytes(heads) as u32);
        // Safety: `attention_queries_N(attention, queries, keys, values, d_output, d_queries,
        // logsumexp, along, mask)`.
        unsafe { launch.run(plan.tiles.len() * heads.num_heads, kernels.threads) }
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
