//! Blocks of queries of one sequence and one head: weights from scores, and the gradients of the
//! scores. Every attention adds terms of its own to the scores.

use std::ops::Range;

use super::{Shared, columns, part, row};
use crate::cpu::math::{exp, map_and_sum, maximum};
use crate::cpu::product::{Addend, Matrix, MatrixMut, Products, RightHand, Workers};
use crate::cpu::vectorised;
use crate::ops::attention::{AttentionSpan, Heads};
use crate::tape::DropoutMask;
use crate::tensor::View;

/// Queries whose weights are computed together.
pub(in crate::cpu) const QUERY_BLOCK: usize = 64;

/// At most `QUERY_BLOCK` queries of a sequence, for one head.
pub(in crate::cpu) struct QueryBlock<'a> {
    span: &'a AttentionSpan,
    heads: &'a Heads,
    pub(in crate::cpu) head: usize,
    /// Rows of the queries among those of all sequences.
    pub(in crate::cpu) rows: Range<usize>,
    /// Keys that the last query of the block sees: columns of the block's scores.
    pub(in crate::cpu) seen: usize,
}

/// The blocks of a sequence's queries, in their order, for one head.
pub(in crate::cpu) fn query_blocks<'a>(
    span: &'a AttentionSpan,
    heads: &'a Heads,
    head: usize,
) -> impl Iterator<Item = QueryBlock<'a>> {
    let queries = &span.queries;
    (0..queries.len()).step_by(QUERY_BLOCK).map(move |start| {
        let end = (start + QUERY_BLOCK).min(queries.len());
        let rows = queries.start + start..queries.start + end;
        QueryBlock { span, heads, head, rows, seen: heads.visible(span, end - 1) }
    })
}

/// What the forward pass left and the gradient of its output.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct ForwardPass<'a> {
    /// `[tokens, heads * channels]`.
    pub(in crate::cpu) d_output: View<'a>,
    /// `[tokens, heads * channels]`.
    pub(in crate::cpu) output: View<'a>,
    /// `[tokens, heads]`.
    pub(in crate::cpu) logsumexp: &'a [f32],
    pub(in crate::cpu) dropout: Option<DropoutMask>,
}

impl QueryBlock<'_> {
    /// The place of the block's query number `index` in its sequence.
    pub(in crate::cpu) fn place(&self, index: usize) -> usize {
        self.rows.start + index - self.span.queries.start
    }

    /// The columns of this head.
    pub(in crate::cpu) fn columns(&self) -> Range<usize> {
        columns(self.head, self.heads)
    }

    /// The block's rows and this head's columns of a view, `[queries, channels]`.
    pub(in crate::cpu) fn part<'a>(&self, view: View<'a>) -> Matrix<'a> {
        part(view, self.rows.clone(), self.columns())
    }

    /// Has the block's part of a view brought into the cache: its rows are far apart.
    pub(in crate::cpu) fn prefetch(&self, view: View<'_>) {
        self.rows.clone().for_each(|token| row(view, token, self.columns()).prefetch());
    }

    /// A row of scores, cut behind the keys that query number `index` sees.
    fn split<'a>(&self, scores: &'a mut [f32], index: usize) -> (&'a mut [f32], &'a mut [f32]) {
        let row = &mut scores[index * self.seen..][..self.seen];
        row.split_at_mut(self.heads.visible(self.span, self.place(index)))
    }

    /// Dropout of a row of weights. Masks are addressed by token, head and key.
    fn drop_row(&self, weights: &mut [f32], mask: Option<DropoutMask>, index: usize) {
        const LONGEST: usize = 1 << 20;
        if let Some(mask) = mask {
            let row_length = self.heads.num_heads * LONGEST;
            drop_weights(weights, mask, self.rows.start + index, self.head * LONGEST, row_length);
        }
    }

    /// Turns scores, `[queries, seen]`, into weights in place. `add_terms(index, scores)` first
    /// adds to the scores of the keys that query number `index` sees. `logsumexp` `[tokens, heads]`
    /// receives the logarithm of each softmax's denominator.
    ///
    /// # Safety
    /// No other task writes this head's column of these rows of `logsumexp`.
    pub(in crate::cpu) unsafe fn weights(
        &self,
        scores: &mut [f32],
        dropout: Option<DropoutMask>,
        logsumexp: Option<Shared>,
        add_terms: impl Fn(usize, &mut [f32]),
    ) {
        for index in 0..self.rows.len() {
            let (weights, hidden) = self.split(scores, index);
            add_terms(index, weights);
            let row_logsumexp = softmax(weights);
            hidden.fill(0.0);
            if let Some(logsumexp) = logsumexp {
                // Safety: promised by the caller.
                let place =
                    unsafe { logsumexp.row(self.rows.start + index, self.head..self.head + 1) };
                place.copy_from(&[row_logsumexp]);
            }
            self.drop_row(weights, dropout, index);
        }
    }

    /// Turns scores into weights and the gradients of weights into those of scores, both `[queries,
    /// seen]`, in place. `add_terms` is that of `weights`; `add_gradient(index, d_scores)` takes
    /// the gradients of the scores of the keys that query number `index` sees.
    pub(in crate::cpu) fn gradient(
        &self,
        pass: &ForwardPass<'_>,
        scores: &mut [f32],
        d_weights: &mut [f32],
        add_terms: impl Fn(usize, &mut [f32]),
        mut add_gradient: impl FnMut(usize, &[f32]),
    ) {
        for index in 0..self.rows.len() {
            let token = self.rows.start + index;
            let (weights, hidden) = self.split(scores, index);
            let (d_weights, d_hidden) = self.split(d_weights, index);
            add_terms(index, weights);
            weights_again(weights, pass.logsumexp[token * self.heads.num_heads + self.head]);
            hidden.fill(0.0);
            d_hidden.fill(0.0);
            self.drop_row(d_weights, pass.dropout, index);
            let [d_row, row] =
                [pass.d_output, pass.output].map(|view| row(view, token, self.columns()));
            softmax_gradient(weights, d_weights, d_row.dot(row));
            add_gradient(index, d_weights);
            self.drop_row(weights, pass.dropout, index);
        }
    }
}

/// `output = scale * left * right`, by the calling thread.
pub(in crate::cpu) fn multiply(
    right: &RightHand<'_>,
    output: MatrixMut<'_>,
    left: Matrix<'_>,
    scale: f32,
) {
    right.multiply_part(output, Addend::Nothing, left, scale, Workers::One);
}

/// `output += scale * left * right`, by the calling thread, of as many of the output's first rows
/// as the product has.
pub(in crate::cpu) fn add_product(
    products: Products,
    output: &mut [f32],
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
) {
    let (rows, columns) = (left.rows, right.columns);
    let output = MatrixMut::dense(&mut output[..rows * columns], rows, columns);
    products.product(output, Addend::Output, left, right, scale, Workers::One);
}

vectorised! {
    /// Turns scores into weights in place and returns the logarithm of the denominator.
    pub(in crate::cpu) fn softmax(scores: &mut [f32]) -> f32 {
        let top = maximum(scores);
        let total = map_and_sum(scores, |score| exp(score - top));
        let scale = 1.0 / total;
        for weight in scores.iter_mut() {
            *weight *= scale;
        }
        top + total.ln()
    }
}

vectorised! {
    /// Turns scores into the weights that `softmax` gave.
    fn weights_again(scores: &mut [f32], logsumexp: f32) {
        for score in scores.iter_mut() {
            *score = exp(*score - logsumexp);
        }
    }
}

vectorised! {
    fn drop_weights(
        weights: &mut [f32],
        mask: DropoutMask,
        row: usize,
        first: usize,
        row_length: usize,
    ) {
        for (key, weight) in weights.iter_mut().enumerate() {
            *weight *= mask.factor(row, first + key, row_length);
        }
    }
}

vectorised! {
    /// `d_scores = weights * (d_weights - along)`, written over `d_weights`.
    fn softmax_gradient(weights: &[f32], d_weights: &mut [f32], along: f32) {
        for (d_weight, weight) in d_weights.iter_mut().zip(weights) {
            *d_weight = weight * (*d_weight - along);
        }
    }
}
