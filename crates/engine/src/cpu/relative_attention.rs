//! Relative attention. A task is one sequence and one head in the forward pass, and a few sequences
//! and one head in the backward pass, where each task has a sum of its own for the table of
//! buckets: fixed groups, so that no sum depends on the number of threads.
//!
//! Products of queries and of keys with the table are `[queries of a block, buckets]` and
//! `[buckets, keys]`, so that neighbouring keys with one bucket are neighbours in memory.

use rayon::prelude::*;

use super::attention::{
    ForwardPass, QUERY_BLOCK, QueryBlock, Shared, add_product, columns, multiply, part,
    query_blocks, with_scratch,
};
use super::elementwise::add;
use super::product::{Addend, Matrix, MatrixMut, Products, RightHand, Workers};
use super::{Cpu, slice, values_mut, vectorised};
use crate::ops::attention::{AttentionSpan, split};
use crate::ops::relative_attention::{KeyRange, RelativeAttentionKernels, RelativeHeads};
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};
use std::ops::Range;

/// Sequences whose gradients of the table one task adds up.
const GROUP: usize = 8;

/// The keys of a range that query number `query` sees, which sees the first `visible` keys.
#[inline(always)]
pub(super) fn seen(range: &KeyRange, query: usize, visible: usize) -> Range<usize> {
    let place = |offset: isize| (query as isize + offset).clamp(0, visible as isize) as usize;
    place(range.first)..place(range.end)
}

vectorised! {
    /// Adds to the scores of the keys that query number `query` of its sequence sees the terms of
    /// their buckets: `of_query` `[buckets]` and `of_keys` `[buckets, count]`.
    fn add_terms(
        scores: &mut [f32],
        of_query: &[f32],
        of_keys: &[f32],
        count: usize,
        query: usize,
        key_ranges: &[KeyRange],
    ) {
        for range in key_ranges {
            let keys = seen(range, query, scores.len());
            let term = of_query[range.bucket];
            let of_keys = &of_keys[range.bucket * count..][keys.clone()];
            for (score, of_key) in scores[keys].iter_mut().zip(of_keys) {
                *score += term + of_key;
            }
        }
    }
}

vectorised! {
    /// The gradients of both terms: `d_of_query` written, `d_of_keys` added to.
    fn terms_gradient(
        d_scores: &[f32],
        d_of_query: &mut [f32],
        d_of_keys: &mut [f32],
        count: usize,
        query: usize,
        key_ranges: &[KeyRange],
    ) {
        d_of_query.fill(0.0);
        for range in key_ranges {
            let keys = seen(range, query, d_scores.len());
            let d_of_keys = &mut d_of_keys[range.bucket * count..][keys.clone()];
            let mut sum = 0.0;
            for (d_score, d_of_key) in d_scores[keys].iter().zip(d_of_keys) {
                *d_of_key += d_score;
                sum += d_score;
            }
            d_of_query[range.bucket] += sum;
        }
    }
}

/// The vectors of all buckets for one head.
#[derive(Clone, Copy)]
struct Positions<'a> {
    query: Matrix<'a>,
    key: Matrix<'a>,
}

impl<'a> Positions<'a> {
    fn new(table: View<'a>, head: usize, heads: &RelativeHeads) -> Self {
        let [query, key] = heads.position_columns(head).map(|first| {
            part(table, 0..heads.buckets.count(), first..first + heads.heads.head_dim)
        });
        Self { query, key }
    }
}

impl RelativeAttentionKernels for Cpu {
    fn relative_attention(
        &self,
        fused_qkv: View<'_>,
        positions: View<'_>,
        spans: &[AttentionSpan],
        heads: &RelativeHeads,
        dropout: Option<DropoutMask>,
        output: ViewMut<'_>,
        logsumexp: Option<ViewMut<'_>>,
    ) {
        let num_heads = heads.heads.num_heads;
        let task = ForwardTask {
            products: self.products,
            fused_qkv,
            positions,
            heads,
            dropout,
            output: Shared::new(values_mut(output), heads.heads.query_columns()),
            logsumexp: logsumexp.map(|place| Shared::new(values_mut(place), num_heads)),
        };
        let tasks: Vec<_> =
            spans.iter().flat_map(|span| (0..num_heads).map(move |head| (span, head))).collect();
        tasks.into_par_iter().for_each(|(span, head)| task.run(span, head));
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
        d_fused_qkv: ViewMut<'_>,
        d_positions: ViewMut<'_>,
    ) {
        let (num_heads, width) = (heads.heads.num_heads, heads.heads.head_dim);
        let task = GradientTask {
            products: self.products,
            fused_qkv,
            positions,
            heads,
            pass: ForwardPass { d_output, output, logsumexp: slice(logsumexp), dropout },
            d_fused_qkv: Shared::new(values_mut(d_fused_qkv), heads.heads.qkv_columns()),
        };
        // The gradients of a head's queries and keys of the table, by task.
        let size = 2 * heads.buckets.count() * width;
        let mut sums = vec![0.0; spans.len().div_ceil(GROUP) * num_heads * size];
        let tasks: Vec<_> = spans
            .chunks(GROUP)
            .flat_map(|group| (0..num_heads).map(move |head| (group, head)))
            .collect();
        tasks.into_par_iter().zip(sums.par_chunks_mut(size)).for_each(|((group, head), sums)| {
            let (d_query, d_key) = sums.split_at_mut(size / 2);
            group.iter().for_each(|span| task.run(span, head, d_query, d_key));
        });
        let stride = 2 * heads.heads.query_columns();
        values_mut(d_positions).write(|d_positions| {
            d_positions.fill(0.0);
            for (index, sums) in sums.chunks_exact(size).enumerate() {
                let parts = sums.chunks_exact(size / 2);
                let firsts = heads.position_columns(index % num_heads);
                for (first, part) in firsts.into_iter().zip(parts) {
                    for (bucket, sum) in part.chunks_exact(width).enumerate() {
                        let place = &mut d_positions[bucket * stride + first..][..width];
                        add(sum, place);
                    }
                }
            }
        });
    }
}

/// The forward pass of one sequence and one head.
struct ForwardTask<'a> {
    products: Products,
    fused_qkv: View<'a>,
    positions: View<'a>,
    heads: &'a RelativeHeads,
    dropout: Option<DropoutMask>,
    output: Shared,
    logsumexp: Option<Shared>,
}

impl ForwardTask<'_> {
    fn run(&self, span: &AttentionSpan, head: usize) {
        let (relative, heads) = (self.heads, &self.heads.heads);
        let (buckets, key_ranges) = (relative.buckets.count(), relative.buckets.key_ranges());
        let count = span.keys.len();
        let (queries, keys, values) = split(self.fused_qkv, heads);
        let of_head = |view, rows: Range<usize>| part(view, rows, columns(head, heads));
        let positions = Positions::new(self.positions, head, relative);
        let keys = self.products.local(of_head(keys, span.keys.clone()).transposed());
        let values = self.products.local(of_head(values, span.keys.clone()));
        let position_keys = self.products.local(positions.key.transposed());
        with_scratch(QUERY_BLOCK * (count + buckets) + buckets * count, |scratch| {
            let (of_keys, scratch) = scratch.split_at_mut(buckets * count);
            let (of_queries, scratch) = scratch.split_at_mut(QUERY_BLOCK * buckets);
            let place = MatrixMut::dense(&mut *of_keys, buckets, count);
            multiply(&keys, place, positions.query, relative.scale());
            for block in query_blocks(span, heads, head) {
                let (query, size, seen) = (block.part(queries), block.rows.len(), block.seen);
                let weights = &mut scratch[..size * seen];
                let scores = MatrixMut::dense(&mut *weights, size, seen);
                multiply(&keys, scores, query, relative.scale());
                let place = MatrixMut::dense(&mut *of_queries, size, buckets);
                multiply(&position_keys, place, query, relative.scale());
                let add_terms = |index: usize, scores: &mut [f32]| {
                    let (of_query, place) = (&of_queries[index * buckets..], block.place(index));
                    add_terms(scores, of_query, of_keys, count, place, key_ranges);
                };
                // Safety: this task alone writes this head's columns of this sequence's rows, of
                // the logarithms and of the output.
                let output = unsafe {
                    block.weights(weights, self.dropout, self.logsumexp, add_terms);
                    self.output.block(block.rows.clone(), block.columns())
                };
                multiply(&values, output, Matrix::dense(&*weights, size, seen), 1.0);
            }
        });
    }
}

/// The backward of one sequence and one head.
struct GradientTask<'a> {
    products: Products,
    fused_qkv: View<'a>,
    positions: View<'a>,
    heads: &'a RelativeHeads,
    pass: ForwardPass<'a>,
    d_fused_qkv: Shared,
}

/// What one sequence and one head read as right-hand sides.
struct Operands<'a> {
    key: RightHand<'a>,
    key_transposed: RightHand<'a>,
    value_transposed: RightHand<'a>,
    position_key: RightHand<'a>,
    position_key_transposed: RightHand<'a>,
}

/// What the blocks of queries of one sequence and one head read and add to.
struct Sums<'a> {
    /// `[keys, channels]`.
    d_key: &'a mut [f32],
    /// `[keys, channels]`.
    d_value: &'a mut [f32],
    /// `[buckets, channels]`, of the table's keys.
    d_position_key: &'a mut [f32],
    /// `[buckets, keys]`.
    of_keys: &'a [f32],
    /// `[buckets, keys]`.
    d_of_keys: &'a mut [f32],
}

impl GradientTask<'_> {
    /// Adds to the gradients of the table's queries and keys, and writes those of the tokens.
    fn run(
        &self,
        span: &AttentionSpan,
        head: usize,
        d_position_query: &mut [f32],
        d_position_key: &mut [f32],
    ) {
        let (relative, heads) = (self.heads, &self.heads.heads);
        let (count, width, buckets) = (span.keys.len(), heads.head_dim, relative.buckets.count());
        let (_, keys, values) = split(self.fused_qkv, heads);
        let [key, value] =
            [keys, values].map(|view| part(view, span.keys.clone(), columns(head, heads)));
        let positions = Positions::new(self.positions, head, relative);
        let operands = Operands {
            key: self.products.local(key),
            key_transposed: self.products.local(key.transposed()),
            value_transposed: self.products.local(value.transposed()),
            position_key: self.products.local(positions.key),
            position_key_transposed: self.products.local(positions.key.transposed()),
        };
        let kept = 2 * count * (width + buckets);
        let of_block = QUERY_BLOCK * (2 * count + 2 * buckets + width);
        with_scratch(kept + of_block, |scratch| {
            let (kept, scratch) = scratch.split_at_mut(kept);
            kept.fill(0.0);
            let (d_tokens, terms) = kept.split_at_mut(2 * count * width);
            let (d_key, d_value) = d_tokens.split_at_mut(count * width);
            let (of_keys, d_of_keys) = terms.split_at_mut(buckets * count);
            let place = MatrixMut::dense(&mut *of_keys, buckets, count);
            multiply(&operands.key_transposed, place, positions.query, relative.scale());
            let mut sums = Sums { d_key, d_value, d_position_key, of_keys, d_of_keys };
            for block in query_blocks(span, heads, head) {
                self.block(&block, &operands, &mut sums, scratch);
            }
            let Sums { d_key, d_value, d_of_keys, .. } = sums;
            let d_of_keys = Matrix::dense(&*d_of_keys, buckets, count);
            let (transposed, scale) = (d_of_keys.transposed(), relative.scale());
            add_product(self.products, d_key, transposed, positions.query, scale);
            add_product(self.products, d_position_query, d_of_keys, key, scale);
            let of_keys = heads.query_columns() + head * width;
            for (first, gradient) in [(of_keys, d_key), (of_keys + heads.key_columns(), d_value)] {
                for (token, row) in span.keys.clone().zip(gradient.chunks_exact(width)) {
                    // Safety: this task alone writes this head's keys and values of this
                    // sequence's rows.
                    unsafe { self.d_fused_qkv.row(token, first..first + width) }.copy_from(row);
                }
            }
        });
    }

    /// Adds what one block of queries contributes, and writes the gradient of its queries.
    fn block(
        &self,
        block: &QueryBlock<'_>,
        operands: &Operands<'_>,
        sums: &mut Sums<'_>,
        scratch: &mut [f32],
    ) {
        let (width, scale) = (self.heads.heads.head_dim, self.heads.scale());
        let (size, seen, buckets) = (block.rows.len(), block.seen, self.heads.buckets.count());
        let (query, d_out) = (block.part(self.fused_qkv), block.part(self.pass.d_output));
        let (weights, rest) = scratch.split_at_mut(size * seen);
        let (d_weights, rest) = rest.split_at_mut(size * seen);
        let (of_queries, rest) = rest.split_at_mut(size * buckets);
        let (d_of_queries, rest) = rest.split_at_mut(size * buckets);
        let d_query = &mut rest[..size * width];

        let scores = MatrixMut::dense(&mut *weights, size, seen);
        multiply(&operands.key_transposed, scores, query, scale);
        let place = MatrixMut::dense(&mut *of_queries, size, buckets);
        multiply(&operands.position_key_transposed, place, query, scale);
        let place = MatrixMut::dense(&mut *d_weights, size, seen);
        multiply(&operands.value_transposed, place, d_out, 1.0);
        self.scores_gradient(block, sums, [weights, d_weights], of_queries, d_of_queries);
        let weights = Matrix::dense(&*weights, size, seen);
        let d_scores = Matrix::dense(&*d_weights, size, seen);
        let d_of_queries = Matrix::dense(&*d_of_queries, size, buckets);
        let place = MatrixMut::dense(&mut *d_query, size, width);
        multiply(&operands.key, place, d_scores, scale);
        let place = MatrixMut::dense(&mut *d_query, size, width);
        let (right, add) = (&operands.position_key, Addend::Output);
        right.multiply_part(place, add, d_of_queries, scale, Workers::One);
        for (token, row) in block.rows.clone().zip(d_query.chunks_exact(width)) {
            // Safety: this task alone writes this head's queries of this sequence's rows.
            unsafe { self.d_fused_qkv.row(token, block.columns()) }.copy_from(row);
        }
        add_product(self.products, sums.d_key, d_scores.transposed(), query, scale);
        add_product(self.products, sums.d_value, weights.transposed(), d_out, 1.0);
        add_product(self.products, sums.d_position_key, d_of_queries.transposed(), query, scale);
    }

    /// [`QueryBlock::gradient`] with the terms of the buckets: `of_queries` and `d_of_queries` are
    /// `[queries, buckets]`, the latter written.
    fn scores_gradient(
        &self,
        block: &QueryBlock<'_>,
        sums: &mut Sums<'_>,
        [scores, d_weights]: [&mut [f32]; 2],
        of_queries: &[f32],
        d_of_queries: &mut [f32],
    ) {
        let (buckets, key_ranges) = (self.heads.buckets.count(), self.heads.buckets.key_ranges());
        let count = sums.of_keys.len() / buckets;
        let add_terms = |index: usize, scores: &mut [f32]| {
            let of_query = &of_queries[index * buckets..];
            add_terms(scores, of_query, sums.of_keys, count, block.place(index), key_ranges);
        };
        let add_gradient = |index: usize, d_scores: &[f32]| {
            let d_of_query = &mut d_of_queries[index * buckets..][..buckets];
            let place = block.place(index);
            terms_gradient(d_scores, d_of_query, sums.d_of_keys, count, place, key_ranges);
        };
        block.gradient(&self.pass, scores, d_weights, add_terms, add_gradient);
    }
}
