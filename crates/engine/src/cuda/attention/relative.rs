//! Relative attention. The terms of all tokens and buckets are products with the table of
//! positions, `[heads][tokens][buckets]`; the kernels are those of attention in f32 arithmetic,
//! which look both terms up for every score.

use super::buckets::{Buckets, sums_row_bytes};
use super::call::{Backward, Call, Terms};
use super::family::{Kernels, RELATIVE};
use crate::cuda::Cuda;
use crate::cuda::kernels::{BLOCK, Launch, Parameter, RELATIVE_ATTENTION};
use crate::cuda::memory::{Scratch, Values, values, wide};
use crate::cuda::product::{Addend, Operand};
use crate::ops::attention::{AttentionSpan, split};
use crate::ops::relative_attention::{PositionColumns, RelativeAttentionKernels, RelativeHeads};
use crate::tape::DropoutMask;
use crate::tensor::{Precision, View, ViewMut};

/// `TermValues` of `relative_attention.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct TermValues {
    of_queries: u64,
    of_keys: u64,
    d_terms: Values,
    positions: Values,
    tokens: u64,
    position_stride: u32,
    position_head: u32,
}

// Safety: `repr(C)`, eight words.
unsafe impl Parameter for TermValues {}

/// Both terms of all scores, in f32.
struct Products<'a> {
    /// `[heads][tokens][buckets]`.
    of_queries: Scratch<'a>,
    /// `[heads][buckets][tokens]`.
    of_keys: Scratch<'a>,
    tokens: usize,
}

impl Products<'_> {
    /// What kernels read: with the gradient of one of the terms and the first column in the table
    /// of positions of what that is multiplied by.
    fn values(
        &self,
        positions: View<'_>,
        heads: &RelativeHeads,
        (d_terms, column): (Values, usize),
    ) -> TermValues {
        let width = heads.heads.head_dim as u32;
        TermValues {
            of_queries: self.of_queries.pointer(),
            of_keys: self.of_keys.pointer(),
            d_terms,
            positions: values(positions).skip(column),
            tokens: self.tokens as u64,
            position_stride: positions.stride as u32,
            position_head: match heads.columns {
                PositionColumns::Halves => width,
                PositionColumns::Interleaved => 2 * width,
            },
        }
    }
}

fn with_terms<'a>(
    values: TermValues,
    buckets: Buckets,
    row_bytes: usize,
) -> Terms<impl Fn(Launch<'a>) -> Launch<'a>> {
    Terms { with: move |launch: Launch<'a>| launch.with(values).with(buckets), row_bytes }
}

/// A matrix of one head, for products.
fn of_head(device: &Cuda, view: View<'_>, first: usize, heads: &RelativeHeads) -> Operand {
    let values = device.operand(view).skip(first);
    let width = heads.heads.head_dim;
    Operand { values, rows: view.rows, columns: width, stride: view.stride, transposed: false }
}

impl Cuda {
    fn terms(
        &self,
        queries: View<'_>,
        keys: View<'_>,
        positions: View<'_>,
        heads: &RelativeHeads,
    ) -> Products<'_> {
        let (tokens, buckets) = (queries.rows, heads.buckets.count());
        let size = tokens * buckets;
        let [of_queries, of_keys] =
            [(); 2].map(|()| self.scratch(heads.heads.num_heads * size, Precision::Full));
        for head in 0..heads.heads.num_heads {
            let [query_column, key_column] = heads.position_columns(head);
            let first = head * heads.heads.head_dim;
            let position_keys = of_head(self, positions, key_column, heads).transposed();
            let product = |left, right, output| {
                self.products.multiply(left, right, heads.scale(), Addend::Nothing, None, output);
            };
            let query = of_head(self, queries, first, heads);
            product(query, position_keys, of_queries.values().skip(head * size));
            let key = of_head(self, keys, first, heads).transposed();
            let position_queries = of_head(self, positions, query_column, heads);
            product(position_queries, key, of_keys.values().skip(head * size));
        }
        Products { of_queries, of_keys, tokens }
    }

    fn call<'a>(
        &self,
        [queries, keys, values]: [View<'a>; 3],
        positions: View<'_>,
        spans: &'a [AttentionSpan],
        heads: &'a RelativeHeads,
        dropout: Option<DropoutMask>,
    ) -> Call<'a> {
        let (scale, wide) = (heads.scale(), wide(&[positions]) == 1);
        Call { queries, keys, values, spans, heads: &heads.heads, scale, dropout, wide }
    }

    /// The gradient of the table: of its queries from the gradients of the terms of keys, and the
    /// other way round.
    fn positions_gradient(
        &self,
        [queries, keys]: [View<'_>; 2],
        [d_of_queries, d_of_keys]: [Values; 2],
        heads: &RelativeHeads,
        mut d_positions: ViewMut<'_>,
    ) {
        let (tokens, buckets, width) = (queries.rows, heads.buckets.count(), heads.heads.head_dim);
        let num_heads = heads.heads.num_heads;
        let sums = self.scratch(2 * num_heads * buckets * width, Precision::Full);
        for head in 0..num_heads {
            let pairs = [(d_of_keys, keys), (d_of_queries, queries)];
            for (kind, (d_terms, read)) in pairs.into_iter().enumerate() {
                let d_terms = d_terms.skip(head * tokens * buckets);
                let left = Operand::new(d_terms, tokens, buckets).transposed();
                let right = of_head(self, read, head * width, heads);
                let output = sums.values().skip((2 * head + kind) * buckets * width);
                let (scale, add) = (heads.scale(), Addend::Nothing);
                self.products.multiply(left, right, scale, add, None, output);
            }
        }
        let launch = self.kernels.get(RELATIVE_ATTENTION, "place_positions").with(sums.pointer());
        let launch = launch.with(self.values_mut(&mut d_positions)).with(buckets as u32);
        let launch = launch.with(width as u32).with(num_heads as u32);
        let is_interleaved = heads.columns == PositionColumns::Interleaved;
        // Safety: `place_positions(sums, table, count, head_dim, num_heads, interleaved)`, a block
        // for each bucket.
        unsafe { launch.with(is_interleaved as u32).run(buckets, BLOCK) }
    }
}

impl RelativeAttentionKernels for Cuda {
    fn relative_attention(
        &self,
        fused_qkv: View<'_>,
        positions: View<'_>,
        spans: &[AttentionSpan],
        heads: &RelativeHeads,
        dropout: Option<DropoutMask>,
        mut output: ViewMut<'_>,
        logsumexp: Option<ViewMut<'_>>,
    ) {
        self.require_buckets(&heads.buckets);
        let (queries, keys, of_keys) = split(fused_qkv, &heads.heads);
        let products = self.terms(queries, keys, positions, heads);
        let to = (self.values_mut(&mut output), output.columns);
        let kernels = Kernels::of_width(self, &RELATIVE, &heads.heads);
        let call = self.call([queries, keys, of_keys], positions, spans, heads, dropout);
        let mut tables = self.tables();
        let values = products.values(positions, heads, (Values::full(0), 0));
        let terms = with_terms(values, Buckets::new(&heads.buckets, &mut tables), 0);
        call.forward(self, kernels, &mut tables, &terms, to, logsumexp);
    }

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
        mut d_fused_qkv: ViewMut<'_>,
        d_positions: ViewMut<'_>,
    ) {
        let (of_heads, count) = (&heads.heads, heads.buckets.count());
        let (queries, keys, of_keys) = split(fused_qkv, of_heads);
        let products = self.terms(queries, keys, positions, heads);
        let length = of_heads.num_heads * fused_qkv.rows * count;
        let [d_of_queries, d_of_keys] = [(); 2].map(|()| self.scratch(length, Precision::Compact));
        let stride = d_fused_qkv.columns;
        let d_queries = self.values_mut(&mut d_fused_qkv);
        let d_keys = d_queries.skip(of_heads.query_columns());
        let d_values = d_keys.skip(of_heads.key_columns());
        let along = self.along(d_output, output, of_heads);
        let from = Backward { d_output, logsumexp, along: along.pointer() };
        let kernels = Kernels::of_width(self, &RELATIVE, of_heads);
        let call = self.call([queries, keys, of_keys], positions, spans, heads, dropout);
        let mut tables = self.tables();
        let buckets = Buckets::new(&heads.buckets, &mut tables);
        let [query_column, key_column] = heads.position_columns(0);
        let terms = |d_terms: &Scratch<'_>, column| {
            let values = products.values(positions, heads, (d_terms.values(), column));
            with_terms(values, buckets, sums_row_bytes(count))
        };
        let (of_keys, to) = (terms(&d_of_keys, query_column), ([d_keys, d_values], stride));
        call.keys_gradient(self, kernels, &mut tables, &of_keys, from, to);
        let (of_queries, to) = (terms(&d_of_queries, key_column), (d_queries, stride));
        call.queries_gradient(self, kernels, &mut tables, &of_queries, from, to);
        let d_terms = [d_of_queries.values(), d_of_keys.values()];
        self.positions_gradient([queries, keys], d_terms, heads, d_positions);
    }
}
