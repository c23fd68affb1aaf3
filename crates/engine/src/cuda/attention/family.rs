//! Kernels of attention: their names, by what they compute and for how many channels of a head, and
//! the shared memory that they get.

use super::buckets::{MOST_BUCKETS, sums_row_bytes};
use crate::cuda::Cuda;
use crate::cuda::kernels::{
    ATTENTION, ATTENTION_BF16, BIASED_ATTENTION, RELATIVE_ATTENTION, Source,
};
use crate::cuda::memory::{Values, values};
use crate::fault::{Fault, raise};
use crate::ops::attention::Heads;
use crate::tensor::View;

/// Kernels for heads of up to a number of channels.
pub(super) struct Kernels {
    channels: usize,
    pub source: Source,
    pub threads: u32,
    /// Queries and keys of a tile.
    pub queries: usize,
    pub keys: usize,
    /// The forward, and the gradients of keys and values, and of queries.
    pub forward: &'static str,
    pub keys_gradient: &'static str,
    pub queries_gradient: &'static str,
}

const fn general(
    source: Source,
    channels: usize,
    queries: usize,
    [forward, keys_gradient, queries_gradient]: [&'static str; 3],
) -> Kernels {
    Kernels {
        channels,
        source,
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
    general(ATTENTION, 64, 32, ["attention_64", "attention_keys_64", "attention_queries_64"]),
    general(ATTENTION, 128, 32, ["attention_128", "attention_keys_128", "attention_queries_128"]),
    general(ATTENTION, 256, 8, ["attention_256", "attention_keys_256", "attention_queries_256"]),
];

/// For scores with terms of distances, and any values.
pub(super) const RELATIVE: [Kernels; 3] = [
    general(RELATIVE_ATTENTION, 64, 32, ["relative_64", "relative_keys_64", "relative_queries_64"]),
    general(
        RELATIVE_ATTENTION,
        128,
        32,
        ["relative_128", "relative_keys_128", "relative_queries_128"],
    ),
    general(
        RELATIVE_ATTENTION,
        256,
        8,
        ["relative_256", "relative_keys_256", "relative_queries_256"],
    ),
];

/// For scores with a bias of distances, and any values.
pub(super) const BIASED: [Kernels; 3] = [
    general(BIASED_ATTENTION, 64, 32, ["biased_64", "biased_keys_64", "biased_queries_64"]),
    general(BIASED_ATTENTION, 128, 32, ["biased_128", "biased_keys_128", "biased_queries_128"]),
    general(BIASED_ATTENTION, 256, 8, ["biased_256", "biased_keys_256", "biased_queries_256"]),
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
    pub(super) fn choose(
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
        let bf16 = BF16.iter().find(|kernels| heads.head_dim <= kernels.channels);
        bf16.filter(|_| on_tensor_cores).unwrap_or_else(|| Self::of_width(device, &GENERAL, heads))
    }

    /// The kernels of a family for the width of these heads.
    pub(super) fn of_width(device: &Cuda, family: &'static [Self], heads: &Heads) -> &'static Self {
        let found = family.iter().find(|kernels| heads.head_dim <= kernels.channels);
        found.unwrap_or_else(|| {
            let most = family.iter().map(|kernels| kernels.channels).max().unwrap_or(0);
            let what = format!(
                "attention heads have {} channels, and {most} are the most that its kernels take",
                heads.head_dim
            );
            raise(Fault::Unsupported { device: device.context.label(), what })
        })
    }

    fn is_general(&self) -> bool {
        self.source.file != ATTENTION_BF16.file
    }

    /// Bytes of shared memory, of which the tensor cores' kernels name most themselves.
    pub(super) fn forward_bytes(&self, heads: &Heads) -> usize {
        let width = heads.head_dim.next_multiple_of(4);
        if self.is_general() {
            4 * (self.queries * (width + self.keys) + self.keys * (width + 1))
        } else {
            0
        }
    }

    pub(super) fn keys_gradient_bytes(&self, heads: &Heads) -> usize {
        let width = heads.head_dim.next_multiple_of(4);
        if self.is_general() {
            return 4 * (2 * self.queries * (width + self.keys) + 2 * self.keys * (width + 1));
        }
        let queries_at_once = if self.channels <= 64 { 64 } else { 32 };
        2 * 2 * (self.keys + queries_at_once) * (self.channels + 8) + 2 * 4 * queries_at_once
    }

    pub(super) fn queries_gradient_bytes(&self, heads: &Heads) -> usize {
        let width = heads.head_dim.next_multiple_of(4);
        let own = self.queries * (2 * width + self.keys);
        if self.is_general() { 4 * (own + 2 * self.keys * (width + 1)) } else { 0 }
    }
}

/// The kernels that get dynamic shared memory, each with the most bytes that it gets for heads of
/// any size. No GPU has less than 99 KiB for a block (compute capability 8.6, 8.9 and 12.0), and
/// none of them needs more, so that tiles are of one size on all.
pub fn dynamic_shared_memory() -> Vec<(&'static str, usize)> {
    let of_kernels = |kernels: &Kernels| {
        let heads = (1..=kernels.channels).map(|head_dim| Heads {
            num_heads: 1,
            num_kv_heads: 1,
            head_dim,
            rotary: None,
            causal: true,
            dropout: 0.0,
        });
        let most = |bytes: fn(&Kernels, &Heads) -> usize| {
            heads.clone().map(|heads| bytes(kernels, &heads)).max().unwrap_or(0)
        };
        let has_buckets = ![ATTENTION.file, ATTENTION_BF16.file].contains(&kernels.source.file);
        let sums = if has_buckets { sums_row_bytes(MOST_BUCKETS) } else { 0 };
        [
            (kernels.forward, most(Kernels::forward_bytes)),
            (kernels.keys_gradient, most(Kernels::keys_gradient_bytes) + kernels.keys * sums),
            (
                kernels.queries_gradient,
                most(Kernels::queries_gradient_bytes) + kernels.queries * sums,
            ),
        ]
    };
    let all = GENERAL.iter().chain(&BF16).chain(&RELATIVE).chain(&BIASED).flat_map(of_kernels);
    all.filter(|&(_, bytes)| bytes > 0).collect()
}
