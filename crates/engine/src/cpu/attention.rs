//! Attention, with a bias of distances or without. A task is one sequence and one key-value head
//! with its query heads; within it, queries are taken in blocks whose weights against all keys they
//! may see fit the cache. Keys and values of a sequence with a prefix, which are in several places,
//! are gathered first.

mod blocks;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::biased_attention::Bias;
use super::elementwise::add;
use super::memory;
use super::product::{Matrix, MatrixMut, Products, RightHand, Start};
use super::values::{Values, ValuesMut};
use super::{Cpu, rows_per_task, slice, values_mut};
use crate::ops::attention::{AttentionKernels, AttentionSpan, Heads, split};
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};
pub(super) use blocks::{
    ForwardPass, QUERY_BLOCK, QueryBlock, add_product, multiply, query_blocks, softmax,
};

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// An output that several tasks write to, each its own columns or rows.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    start: Start,
    length: usize,
    stride: usize,
}

// Safety: tasks use an address only for the columns and rows of their own head and sequence.
unsafe impl Send for Shared {}
// Safety: as for `Send`.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(values: ValuesMut<'_>, stride: usize) -> Self {
        Self { length: values.len(), start: Start::of(values), stride }
    }

    /// The block of `rows` and `columns`.
    ///
    /// # Safety
    /// No other task uses these columns of these rows at the same time, and no earlier block of
    /// them is still used.
    pub(super) unsafe fn block<'a>(
        self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> MatrixMut<'a> {
        assert!(
            rows.is_empty() || (rows.end - 1) * self.stride + columns.end <= self.length,
            "a block past the end"
        );
        let start = self.start.add(rows.start * self.stride + columns.start);
        // Safety: the block is within the values (checked above) and not shared (promised by the
        // caller).
        unsafe { MatrixMut::strided(start, rows.len(), columns.len(), self.stride) }
    }

    /// The values of one row's columns.
    ///
    /// # Safety
    /// As for `block`.
    pub(super) unsafe fn row<'a>(self, row: usize, columns: Range<usize>) -> ValuesMut<'a> {
        assert!(row * self.stride + columns.end <= self.length, "a row past the end");
        let count = columns.len();
        // Safety: as for `block`.
        unsafe {
            match self.start.add(row * self.stride + columns.start) {
                Start::F32(start) => ValuesMut::F32(std::slice::from_raw_parts_mut(start, count)),
                Start::Bf16(start) => ValuesMut::Bf16(std::slice::from_raw_parts_mut(start, count)),
            }
        }
    }
}

/// Some columns of a view's rows, as a matrix.
pub(super) fn part<'a>(view: View<'a>, rows: Range<usize>, columns: Range<usize>) -> Matrix<'a> {
    let view = view.row_range(rows).column_range(columns);
    let values = memory::all_values(view.tensor);
    let values = values.range(view.offset..values.len());
    Matrix::strided(values, view.rows, view.columns, view.stride)
}

pub(super) fn row<'a>(view: View<'a>, row: usize, columns: Range<usize>) -> Values<'a> {
    let start = view.offset + row * view.stride;
    memory::all_values(view.tensor).range(start + columns.start..start + columns.end)
}

pub(super) fn columns(head: usize, heads: &Heads) -> Range<usize> {
    head * heads.head_dim..(head + 1) * heads.head_dim
}

/// The keys or values of a span's prefix and of its own, as a matrix.
fn whole<'a>(
    view: View<'a>,
    span: &AttentionSpan,
    columns: Range<usize>,
    memory: &'a mut [f32],
) -> Matrix<'a> {
    if span.prefix.is_empty() {
        return part(view, span.keys.clone(), columns);
    }
    let rows = span.prefix.iter().chain([&span.keys]).cloned().flatten();
    for (place, index) in memory.chunks_exact_mut(columns.len()).zip(rows) {
        row(view, index, columns.clone()).copy_to(place);
    }
    Matrix::dense(&*memory, span.key_count(), columns.len())
}

/// Values of memory that `whole` needs.
fn whole_length(span: &AttentionSpan, heads: &Heads) -> usize {
    if span.prefix.is_empty() { 0 } else { span.key_count() * heads.head_dim }
}

/// Every sequence with every key-value head.
fn tasks<'a>(spans: &'a [AttentionSpan], heads: &Heads) -> Vec<(&'a AttentionSpan, usize)> {
    spans.iter().flat_map(|span| (0..heads.num_kv_heads).map(move |head| (span, head))).collect()
}

fn query_heads(kv_head: usize, heads: &Heads) -> Range<usize> {
    let group = heads.num_heads / heads.num_kv_heads;
    kv_head * group..(kv_head + 1) * group
}

/// Runs with `length` values of this thread's scratch memory.
pub(super) fn with_scratch(length: usize, work: impl FnOnce(&mut [f32])) {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < length {
            scratch.resize(length, 0.0);
        }
        work(&mut scratch[..length])
    });
}

/// What every task of an attention reads.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) products: Products,
    pub(super) queries: View<'a>,
    pub(super) keys: View<'a>,
    pub(super) values: View<'a>,
    pub(super) heads: &'a Heads,
    /// What products of queries and keys are multiplied by.
    pub(super) scale: f32,
    /// What is added to them then.
    pub(super) bias: Option<&'a Bias<'a>>,
    pub(super) dropout: Option<DropoutMask>,
}

impl Inputs<'_> {
    /// The forward pass of all sequences and heads.
    pub(super) fn attention(
        &self,
        spans: &[AttentionSpan],
        output: ViewMut<'_>,
        logsumexp: Option<ViewMut<'_>>,
    ) {
        let output = Shared::new(values_mut(output), self.heads.query_columns());
        let logsumexp =
            logsumexp.map(|logsumexp| Shared::new(values_mut(logsumexp), self.heads.num_heads));
        tasks(spans, self.heads)
            .into_par_iter()
            .for_each(|(span, kv_head)| self.forward(span, kv_head, output, logsumexp));
    }

    /// The forward pass of one sequence and one key-value head.
    fn forward(
        &self,
        span: &AttentionSpan,
        kv_head: usize,
        output: Shared,
        logsumexp: Option<Shared>,
    ) {
        let heads = self.heads;
        let (key_count, gathered) = (span.key_count(), whole_length(span, heads));
        with_scratch(QUERY_BLOCK * key_count + 2 * gathered, |scratch| {
            let (scratch, memory) = scratch.split_at_mut(QUERY_BLOCK * key_count);
            let (of_keys, of_values) = memory.split_at_mut(gathered);
            let keys = whole(self.keys, span, columns(kv_head, heads), of_keys);
            let values = whole(self.values, span, columns(kv_head, heads), of_values);
            let keys = self.products.local(keys.transposed());
            let values = self.products.local(values);
            for head in query_heads(kv_head, heads) {
                for block in query_blocks(span, heads, head) {
                    self.block(&block, &keys, &values, scratch, output, logsumexp);
                }
            }
        });
    }

    /// The forward pass of one block of queries.
    fn block(
        &self,
        block: &QueryBlock<'_>,
        keys: &RightHand<'_>,
        values: &RightHand<'_>,
        scratch: &mut [f32],
        output: Shared,
        logsumexp: Option<Shared>,
    ) {
        let (count, seen) = (block.rows.len(), block.seen);
        let weights = &mut scratch[..count * seen];
        let scores = MatrixMut::dense(&mut *weights, count, seen);
        multiply(keys, scores, block.part(self.queries), self.scale);
        let add_bias = |index: usize, scores: &mut [f32]| {
            if let Some(bias) = self.bias {
                bias.add(scores, block.head, block.place(index));
            }
        };
        // Safety: this task alone writes this head's columns of this sequence's rows, of the
        // logarithms and of the output.
        let output = unsafe {
            block.weights(weights, self.dropout, logsumexp, add_bias);
            output.block(block.rows.clone(), block.columns())
        };
        multiply(values, output, Matrix::dense(&*weights, count, seen), 1.0);
    }
}

impl AttentionKernels for Cpu {
    fn rotate(&self, fused_qkv: ViewMut<'_>, positions: &[u32], heads: &Heads, inverse: bool) {
        let Some(rotary) = heads.rotary else { return };
        let (half, frequencies) = (rotary.pairs(), rotary.frequencies());
        let longest = positions.iter().max().map_or(0, |&longest| longest as usize + 1);
        let turns: Vec<(f32, f32)> = (0..longest)
            .flat_map(|position| {
                frequencies.iter().map(move |frequency| (position as f32 * frequency).sin_cos())
            })
            .map(|(sin, cos)| (if inverse { -sin } else { sin }, cos))
            .collect();
        let width = fused_qkv.columns;
        let rows = rows_per_task(width);
        let turned = (heads.num_heads + heads.num_kv_heads) * heads.head_dim;
        let rotate_row = |row: &mut [f32], position: u32| {
            let turns = &turns[position as usize * half..][..half];
            row.chunks_exact_mut(heads.head_dim).for_each(|head| turn(head, turns));
        };
        values_mut(fused_qkv)
            .par_chunks_mut(rows * width)
            .zip(positions.par_chunks(rows))
            .for_each(|(mut block, positions)| {
                let rows = 0..block.len() / width;
                for (index, &position) in rows.zip(positions) {
                    let row = block.reborrow().range(index * width..index * width + turned);
                    row.update(|row| rotate_row(row, position));
                }
            });
    }

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
    ) {
        let (products, scale) = (self.products, heads.scale());
        let inputs = Inputs { products, queries, keys, values, heads, scale, bias: None, dropout };
        inputs.attention(spans, output, logsumexp);
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
        d_fused_qkv: ViewMut<'_>,
    ) {
        let (queries, keys, values) = split(fused_qkv, heads);
        let (products, scale) = (self.products, heads.scale());
        let inputs = Inputs { products, queries, keys, values, heads, scale, bias: None, dropout };
        let matrix = Shared::new(values_mut(d_fused_qkv), heads.qkv_columns());
        let of_keys = heads.query_columns();
        let [d_queries, d_keys, d_values] =
            [0, of_keys, of_keys + heads.key_columns()].map(|first| Destination { matrix, first });
        let task = GradientTask {
            inputs,
            pass: ForwardPass { d_output, output, logsumexp: slice(logsumexp), dropout },
            d_queries,
            d_keys,
            d_values,
        };
        task.gradient(spans);
    }

    fn append_to_cache(
        &self,
        fused_qkv: View<'_>,
        heads: &Heads,
        length: usize,
        cache: ViewMut<'_>,
    ) {
        let width = cache.columns;
        let mut cache = values_mut(cache);
        for index in 0..fused_qkv.rows {
            let kept = row(fused_qkv, index, heads.query_columns()..heads.qkv_columns());
            let place = (length + index) * width..(length + index + 1) * width;
            cache.reborrow().range(place).copy_from(&kept.to_f32());
        }
    }
}

/// Turns a head's first channels: each with the partner that is as many pairs behind it.
fn turn(head: &mut [f32], turns: &[(f32, f32)]) {
    let (first, second) = head.split_at_mut(turns.len());
    for ((a, b), (sin, cos)) in first.iter_mut().zip(second).zip(turns) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

/// Where a gradient goes: some columns of a matrix, from `first` on.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    pub(super) matrix: Shared,
    pub(super) first: usize,
}

impl Destination {
    /// The columns of a head.
    fn columns(&self, head: usize, heads: &Heads) -> Range<usize> {
        let columns = columns(head, heads);
        self.first + columns.start..self.first + columns.end
    }
}

/// The backward, task by task.
pub(super) struct GradientTask<'a> {
    pub(super) inputs: Inputs<'a>,
    pub(super) pass: ForwardPass<'a>,
    pub(super) d_queries: Destination,
    pub(super) d_keys: Destination,
    pub(super) d_values: Destination,
}

impl GradientTask<'_> {
    /// The gradients of queries, keys and values, written. Returns that of the bias, `[heads,
    /// buckets]`, if there is one: sums of each task, added up in their order.
    pub(super) fn gradient(&self, spans: &[AttentionSpan]) -> Vec<f32> {
        assert!(
            spans.iter().all(|span| span.prefix.is_empty()),
            "attention over a prefix has no backward"
        );
        let heads = self.inputs.heads;
        let buckets = self.inputs.bias.map_or(0, Bias::count);
        let size = buckets * heads.num_heads / heads.num_kv_heads;
        let tasks = tasks(spans, heads);
        let mut sums = vec![0.0; tasks.len() * size];
        // Without a bias each task has an empty part.
        let (mut parts, mut rest) = (Vec::with_capacity(tasks.len()), &mut sums[..]);
        for _ in &tasks {
            let (part, others) = rest.split_at_mut(size);
            parts.push(part);
            rest = others;
        }
        tasks
            .into_par_iter()
            .zip(parts)
            .for_each(|((span, kv_head), d_bias)| self.run(span, kv_head, d_bias));
        let mut total = vec![0.0; heads.num_heads * buckets];
        for of_span in sums.chunks_exact(total.len().max(1)) {
            add(of_span, &mut total);
        }
        total
    }

    /// One sequence and one key-value head, with the bias's gradient by its query heads.
    fn run(&self, span: &AttentionSpan, kv_head: usize, d_bias: &mut [f32]) {
        let Inputs { products, heads, .. } = self.inputs;
        let [key, value] = [self.inputs.keys, self.inputs.values]
            .map(|view| part(view, span.keys.clone(), columns(kv_head, heads)));
        let operands = Operands {
            key: products.local(key),
            key_transposed: products.local(key.transposed()),
            value_transposed: products.local(value.transposed()),
        };
        let (count, width) = (span.keys.len(), heads.head_dim);
        with_scratch(2 * count * (width + QUERY_BLOCK), |scratch| {
            let (d_keys_values, scratch) = scratch.split_at_mut(2 * count * width);
            d_keys_values.fill(0.0);
            let (d_key, d_value) = d_keys_values.split_at_mut(count * width);
            let mut sums = Sums { d_key, d_value, d_bias };
            for head in query_heads(kv_head, heads) {
                for block in query_blocks(span, heads, head) {
                    self.block(&block, &operands, &mut sums, scratch);
                }
            }
            for (destination, gradient) in [(self.d_keys, d_key), (self.d_values, d_value)] {
                for (token, row) in span.keys.clone().zip(gradient.chunks_exact(width)) {
                    let columns = destination.columns(kv_head, heads);
                    // Safety: this task alone writes this head's keys and values of this
                    // sequence's rows.
                    unsafe { destination.matrix.row(token, columns) }.copy_from(row);
                }
            }
        });
    }

    /// Adds what one block of queries contributes.
    fn block(
        &self,
        block: &QueryBlock<'_>,
        operands: &Operands<'_>,
        sums: &mut Sums<'_>,
        scratch: &mut [f32],
    ) {
        let Inputs { products, queries, heads, scale, bias, .. } = self.inputs;
        for view in [queries, self.pass.d_output, self.pass.output] {
            block.prefetch(view);
        }
        let (count, seen) = (block.rows.len(), block.seen);
        let (query, d_out) = (block.part(queries), block.part(self.pass.d_output));
        let (weights, rest) = scratch.split_at_mut(count * seen);
        let d_weights = &mut rest[..count * seen];
        let scores = MatrixMut::dense(&mut *weights, count, seen);
        multiply(&operands.key_transposed, scores, query, scale);
        let place = MatrixMut::dense(&mut *d_weights, count, seen);
        multiply(&operands.value_transposed, place, d_out, 1.0);
        let add_bias = |index: usize, scores: &mut [f32]| {
            if let Some(bias) = bias {
                bias.add(scores, block.head, block.place(index));
            }
        };
        let add_gradient = |index: usize, d_scores: &[f32]| {
            if let Some(bias) = bias {
                let group = heads.num_heads / heads.num_kv_heads;
                let d_bias = &mut sums.d_bias[block.head % group * bias.count()..];
                bias.add_gradient(d_scores, d_bias, block.place(index));
            }
        };
        block.gradient(&self.pass, weights, d_weights, add_bias, add_gradient);
        let weights = Matrix::dense(&*weights, count, seen);
        let d_scores = Matrix::dense(&*d_weights, count, seen);
        let columns = self.d_queries.columns(block.head, heads);
        // Safety: this task alone writes this head's columns of this sequence's rows, one block
        // after the other.
        let d_query = unsafe { self.d_queries.matrix.block(block.rows.clone(), columns) };
        multiply(&operands.key, d_query, d_scores, scale);
        add_product(products, sums.d_key, d_scores.transposed(), query, scale);
        add_product(products, sums.d_value, weights.transposed(), d_out, 1.0);
    }
}

/// What the blocks of queries of one sequence and one head add to.
struct Sums<'a> {
    /// `[keys, channels]`.
    d_key: &'a mut [f32],
    /// `[keys, channels]`.
    d_value: &'a mut [f32],
    /// Of all query heads that share the keys, `[heads, buckets]`; without a bias empty.
    d_bias: &'a mut [f32],
}

/// Keys and values of one head, as right-hand sides.
struct Operands<'a> {
    key: RightHand<'a>,
    key_transposed: RightHand<'a>,
    value_transposed: RightHand<'a>,
}
