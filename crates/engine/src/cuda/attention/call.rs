//! Starting the kernels of attention, whatever their scores have beside products.

use super::family::Kernels;
use super::plan::Plan;
use crate::cuda::Cuda;
use crate::cuda::kernels::{ATTENTION, BLOCK, Launch, Mask, Parameter};
use crate::cuda::memory::{Scratch, Values, dense, in_multiples, values, wide};
use crate::cuda::tables::TablesInUse;
use crate::ops::attention::{AttentionSpan, Heads};
use crate::tape::DropoutMask;
use crate::tensor::{Precision, View, ViewMut};

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

/// One attention.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub queries: View<'a>,
    pub keys: View<'a>,
    pub values: View<'a>,
    pub spans: &'a [AttentionSpan],
    pub heads: &'a Heads,
    /// What products of queries and keys are multiplied by.
    pub scale: f32,
    pub dropout: Option<DropoutMask>,
    /// Whether what else kernels read may be taken four values at a time.
    pub wide: bool,
}

/// What the gradients of a call come from.
#[derive(Clone, Copy)]
pub(super) struct Backward<'a> {
    pub d_output: View<'a>,
    /// `[tokens, heads]` in f32.
    pub logsumexp: View<'a>,
    /// For every row and head the product of the output and its gradient, in f32.
    pub along: u64,
}

/// What scores have beside products, as the kernels' last parameters, and the bytes of shared
/// memory that it takes for a query or key of a tile.
pub(super) struct Terms<F> {
    pub with: F,
    pub row_bytes: usize,
}

/// Nothing beside products.
pub(super) fn no_terms<'a>() -> Terms<impl Fn(Launch<'a>) -> Launch<'a>> {
    Terms { with: |launch| launch, row_bytes: 0 }
}

impl Cuda {
    /// For every row and head the product of the output and its gradient: `[tokens, heads]` in f32.
    pub(super) fn along(&self, d_output: View<'_>, output: View<'_>, heads: &Heads) -> Scratch<'_> {
        let along = self.scratch(output.rows * heads.num_heads, Precision::Full);
        let launch = self
            .kernels
            .get(ATTENTION, "attention_along")
            .with(values(d_output))
            .with(d_output.stride as u32);
        let launch = launch.with(values(output)).with(output.stride as u32).with(along.pointer());
        let wide = in_multiples(8, &[d_output, output]) & heads.head_dim.is_multiple_of(8) as u32;
        // As many lanes as a head has packs of values, up to a warp.
        let packs = heads.head_dim.div_ceil(if wide == 1 { 8 } else { 1 });
        let lanes = packs.next_power_of_two().min(32);
        let launch = launch.with(output.rows as u64).with(heads.num_heads as u32);
        let launch = launch.with(heads.head_dim as u32).with(lanes as u32).with(wide);
        let threads = output.rows * heads.num_heads * lanes;
        // Safety: `attention_along(d_output, d_stride, output, stride, along, rows, num_heads,
        // head_dim, lanes, wide)`.
        unsafe { launch.run(threads.div_ceil(BLOCK as usize), BLOCK) }
        along
    }
}

impl Call<'_> {
    /// A kernel with the tiles of a plan, and with queries, keys and values.
    fn launch<'d>(
        &self,
        device: &'d Cuda,
        (kernels, name): (&Kernels, &'static str),
        plan: &Plan,
        tables: &mut TablesInUse<'_>,
        strides: [usize; 2],
        is_wide: bool,
    ) -> Launch<'d> {
        let Self { queries, keys, values: of_keys, heads, .. } = *self;
        let rows = if plan.rows.is_empty() { 0 } else { tables.place(&plan.rows) };
        let [output_stride, gradient_stride] = strides.map(|stride| stride as u32);
        let is_wide = is_wide && self.wide && heads.head_dim.is_multiple_of(4);
        let launch = device.kernels.get(kernels.source, name).with(Shared {
            tiles: tables.place(&plan.tiles),
            rows,
            query_stride: queries.stride as u32,
            key_stride: keys.stride as u32,
            value_stride: of_keys.stride as u32,
            output_stride,
            gradient_stride,
            num_heads: heads.num_heads as u32,
            group: (heads.num_heads / heads.num_kv_heads) as u32,
            head_dim: heads.head_dim as u32,
            wide: wide(&[queries, keys, of_keys]) & is_wide as u32,
            scale: self.scale,
        });
        launch.with(values(queries)).with(values(keys)).with(values(of_keys))
    }

    /// The output and, where there is a place for them, the logarithms of the sums.
    pub(super) fn forward<'d>(
        &self,
        device: &'d Cuda,
        kernels: &Kernels,
        tables: &mut TablesInUse<'_>,
        terms: &Terms<impl Fn(Launch<'d>) -> Launch<'d>>,
        (output, stride): (Values, usize),
        logsumexp: Option<ViewMut<'_>>,
    ) {
        let logsumexp =
            logsumexp.map_or(Values::full(0), |mut logsumexp| device.values_mut(&mut logsumexp));
        assert!(!logsumexp.is_compact(), "sums are kept in f32");
        let plan = Plan::of_queries(self.spans, self.heads, kernels.queries);
        let named = (kernels, kernels.forward);
        let launch = self.launch(device, named, &plan, tables, [stride, 0], true);
        let launch = launch.with(output).with(logsumexp.pointer).with(Mask::of(self.dropout));
        let launch = (terms.with)(launch).shared(kernels.forward_bytes(self.heads) as u32);
        // Safety: `attention_N(attention, queries, keys, values, output, logsumexp, mask)` and its
        // terms; tiles lie within the views.
        unsafe { launch.run(plan.tiles.len() * self.heads.num_heads, kernels.threads) }
    }

    /// The gradients of keys and values, whose rows are `stride` values apart.
    pub(super) fn keys_gradient<'d>(
        &self,
        device: &'d Cuda,
        kernels: &Kernels,
        tables: &mut TablesInUse<'_>,
        terms: &Terms<impl Fn(Launch<'d>) -> Launch<'d>>,
        from: Backward<'_>,
        ([d_keys, d_values], stride): ([Values; 2], usize),
    ) {
        let Backward { d_output, logsumexp, along } = from;
        let plan = Plan::of_keys(self.spans, self.heads, kernels.keys);
        let (strides, is_wide) = ([d_output.stride, stride], wide(&[d_output]) == 1);
        let named = (kernels, kernels.keys_gradient);
        let launch = self.launch(device, named, &plan, tables, strides, is_wide);
        let launch = launch.with(values(d_output)).with(d_keys).with(d_values);
        let launch = launch.with(sums(logsumexp)).with(along).with(Mask::of(self.dropout));
        let bytes = kernels.keys_gradient_bytes(self.heads) + kernels.keys * terms.row_bytes;
        let launch = (terms.with)(launch).shared(bytes as u32);
        // Safety: `attention_keys_N(attention, queries, keys, values, d_output, d_keys, d_values,
        // logsumexp, along, mask)` and its terms.
        unsafe { launch.run(plan.tiles.len() * self.heads.num_kv_heads, kernels.threads) }
    }

    /// The gradient of queries, whose rows are `stride` values apart.
    pub(super) fn queries_gradient<'d>(
        &self,
        device: &'d Cuda,
        kernels: &Kernels,
        tables: &mut TablesInUse<'_>,
        terms: &Terms<impl Fn(Launch<'d>) -> Launch<'d>>,
        from: Backward<'_>,
        (d_queries, stride): (Values, usize),
    ) {
        let Backward { d_output, logsumexp, along } = from;
        let plan = Plan::of_queries(self.spans, self.heads, kernels.queries);
        let (strides, is_wide) = ([d_output.stride, stride], wide(&[d_output]) == 1);
        let named = (kernels, kernels.queries_gradient);
        let launch = self.launch(device, named, &plan, tables, strides, is_wide);
        let launch = launch.with(values(d_output)).with(d_queries).with(sums(logsumexp));
        let launch = launch.with(along).with(Mask::of(self.dropout));
        let bytes = kernels.queries_gradient_bytes(self.heads) + kernels.queries * terms.row_bytes;
        let launch = (terms.with)(launch).shared(bytes as u32);
        // Safety: `attention_queries_N(attention, queries, keys, values, d_output, d_queries,
        // logsumexp, along, mask)` and its terms.
        unsafe { launch.run(plan.tiles.len() * self.heads.num_heads, kernels.threads) }
    }
}

/// Where the logarithms of the sums are.
fn sums(logsumexp: View<'_>) -> u64 {
    let logsumexp = dense(logsumexp);
    assert!(!logsumexp.is_compact(), "sums are kept in f32");
    logsumexp.pointer
}
