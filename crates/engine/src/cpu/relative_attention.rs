//! Relative attention. A task is one sequence and one head in the forward pass, and a few sequences
//! and one head in the backward pass, where each task has a sum of its own for the table of
//! buckets: fixed groups, so that no sum depends on the number of threads.
//!
//! Products of queries and of keys with the table are `[queries of a block, buckets]` and
//! `[buckets, keys]`, so that a run of keys with one bucket is a run in memory.

use rayon::prelude::*;

use super::attention::{
    QUERY_BLOCK, Shared, columns, drop_row, part, query_blocks, row, softmax, softmax_gradient,
    weights_again, with_scratch,
};
use super::product::{Addend, Matrix, MatrixMut, Products, RightHand, Workers};
use super::{Cpu, slice, values_mut, vectorised};
use crate::ops::attention::{AttentionSpan, split};
use crate::ops::relative_attention::{RelativeAttentionKernels, RelativeHeads, Run};
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};
use std::ops::Range;

/// Sequences whose gradients of the table one task adds up.
const GROUP: usize = 8;

/// The keys of a run that a query sees, of which there are so many.
#[inline(always)]
pub(super) fn seen(run: &Run, query: usize, visible: usize) -> Range<usize> {
    let place = |offset: isize| (query as isize + offset).clamp(0, visible as isize) as usize;
    place(run.first)..place(run.end)
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
        runs: &[Run],
    ) {
        for run in runs {
            let keys = seen(run, query, scores.len());
            let term = of_query[run.bucket];
            let of_keys = &of_keys[run.bucket * count..][keys.clone()];
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
        runs: &[Run],
    ) {
        d_of_query.fill(0.0);
        for run in runs {
            let keys = seen(run, query, d_scores.len());
            let d_of_keys = &mut d_of_keys[run.bucket * count..][keys.clone()];
            let mut sum = 0.0;
            for (d_score, d_of_key) in d_scores[keys].iter().zip(d_of_keys) {
                *d_of_key += d_score;
                sum += d_score;
            }
            d_of_query[run.bucket] += sum;
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

/// A product by the calling thread.
fn multiply(right: &RightHand<'_>, output: MatrixMut<'_>, left: Matrix<'_>, scale: f32) {
    right.multiply_part(output, Addend::Nothing, left, scale, Workers::One);
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
            d_output,
            fused_qkv,
            positions,
            output,
            logsumexp: slice(logsumexp),
            heads,
            dropout,
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
                        place.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum);
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
        let (count, buckets) = (span.keys.len(), relative.buckets.count());
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
            for (rows, seen) in query_blocks(span, heads) {
                let (query, size) = (of_head(queries, rows.clone()), rows.len());
                let weights = &mut scratch[..size * seen];
                let place = MatrixMut::dense(&mut *weights, size, seen);
                multiply(&keys, place, query, relative.scale());
                let place = MatrixMut::dense(&mut *of_queries, size, buckets);
                multiply(&position_keys, place, query, relative.scale());
                for (index, row_weights) in weights.chunks_exact_mut(seen).enumerate() {
                    let (token, of_query) = (rows.start + index, &of_queries[index * buckets..]);
                    let place = token - span.queries.start;
                    let (visible, hidden) = row_weights.split_at_mut(heads.visible(span, place));
                    add_terms(visible, of_query, of_keys, count, place, relative.buckets.runs());
                    let row_logsumexp = softmax(visible);
                    hidden.fill(0.0);
                    if let Some(logsumexp) = self.logsumexp {
                        // Safety: this task alone writes this head's column of this sequence's
                        // rows.
                        let place = unsafe { logsumexp.row(token, head..head + 1) };
                        place.copy_from(&[row_logsumexp]);
                    }
                    if let Some(mask) = self.dropout {
                        drop_row(visible, mask, token, head, heads.num_heads);
                    }
                }
                // Safety: this task alone writes this head's columns of this sequence's rows.
                let output = unsafe { self.output.block(rows, columns(head, heads)) };
                multiply(&values, output, Matrix::dense(&*weights, size, seen), 1.0);
            }
        });
    }
}

/// The backward of one sequence and one head.
struct GradientTask<'a> {
    products: Products,
    d_output: View<'a>,
    fused_qkv: View<'a>,
    positions: View<'a>,
    output: View<'a>,
    logsumexp: &'a [f32],
    heads: &'a RelativeHeads,
    dropout: Option<DropoutMask>,
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
            for (rows, seen) in query_blocks(span, heads) {
                self.block(span, head, rows, seen, &operands, &mut sums, scratch);
            }
            let Sums { d_key, d_value, d_of_keys, .. } = sums;
            let d_of_keys = Matrix::dense(&*d_of_keys, buckets, count);
            self.add(d_key, d_of_keys.transposed(), positions.query, relative.scale());
            self.add(d_position_query, d_of_keys, key, relative.scale());
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

    /// `output += scale * left * right`.
    fn add(&self, output: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, scale: f32) {
        let output = MatrixMut::dense(output, left.rows, right.columns);
        self.products.product(output, Addend::Output, left, right, scale, Workers::One);
    }

    /// Adds what one block of queries contributes, and writes the gradient of its queries.
    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        span: &AttentionSpan,
        head: usize,
        rows: Range<usize>,
        seen: usize,
        operands: &Operands<'_>,
        sums: &mut Sums<'_>,
        scratch: &mut [f32],
    ) {
        let (heads, scale, size) = (&self.heads.heads, self.heads.scale(), rows.len());
        let (count, buckets) = (span.keys.len(), self.heads.buckets.count());
        let query = part(self.fused_qkv, rows.clone(), columns(head, heads));
        let d_out = part(self.d_output, rows.clone(), columns(head, heads));
        let (weights, rest) = scratch.split_at_mut(size * seen);
        let (d_weights, rest) = rest.split_at_mut(size * seen);
        let (of_queries, rest) = rest.split_at_mut(size * buckets);
        let (d_of_queries, rest) = rest.split_at_mut(size * buckets);
        let d_query = &mut rest[..size * heads.head_dim];

        let scores = MatrixMut::dense(&mut *weights, size, seen);
        multiply(&operands.key_transposed, scores, query, scale);
        let place = MatrixMut::dense(&mut *of_queries, size, buckets);
        multiply(&operands.position_key_transposed, place, query, scale);
        let d_scores = MatrixMut::dense(&mut *d_weights, size, seen);
        multiply(&operands.value_transposed, d_scores, d_out, 1.0);
        let runs = self.heads.buckets.runs();
        for index in 0..size {
            let (token, of_query) = (rows.start + index, &of_queries[index * buckets..]);
            let d_of_query = &mut d_of_queries[index * buckets..][..buckets];
            let place = token - span.queries.start;
            let visible = heads.visible(span, place);
            let (weights, hidden) = weights[index * seen..][..seen].split_at_mut(visible);
            let (d_weights, d_hidden) = d_weights[index * seen..][..seen].split_at_mut(visible);
            add_terms(weights, of_query, sums.of_keys, count, place, runs);
            weights_again(weights, self.logsumexp[token * heads.num_heads + head]);
            hidden.fill(0.0);
            d_hidden.fill(0.0);
            if let Some(mask) = self.dropout {
                drop_row(d_weights, mask, token, head, heads.num_heads);
            }
            let [d_row, row] =
                [self.d_output, self.output].map(|view| row(view, token, columns(head, heads)));
            softmax_gradient(weights, d_weights, d_row.dot(row));
            terms_gradient(d_weights, d_of_query, sums.d_of_keys, count, place, runs);
            if let Some(mask) = self.dropout {
                drop_row(weights, mask, token, head, heads.num_heads);
            }
        }
        let weights = Matrix::dense(&*weights, size, seen);
        let d_scores = Matrix::dense(&*d_weights, size, seen);
        let d_of_queries = Matrix::dense(&*d_of_queries, size, buckets);
        let place = MatrixMut::dense(&mut *d_query, size, heads.head_dim);
        multiply(&operands.key, place, d_scores, scale);
        let place = MatrixMut::dense(&mut *d_query, size, heads.head_dim);
        let (right, add) = (&operands.position_key, Addend::Output);
        right.multiply_part(place, add, d_of_queries, scale, Workers::One);
        for (token, row) in rows.zip(d_query.chunks_exact(heads.head_dim)) {
            // Safety: this task alone writes this head's queries of this sequence's rows.
            unsafe { self.d_fused_qkv.row(token, columns(head, heads)) }.copy_from(row);
        }
        let of_seen = seen * heads.head_dim;
        self.add(&mut sums.d_key[..of_seen], d_scores.transposed(), query, scale);
        self.add(&mut sums.d_value[..of_seen], weights.transposed(), d_out, 1.0);
        self.add(sums.d_position_key, d_of_queries.transposed(), query, scale);
    }
}
