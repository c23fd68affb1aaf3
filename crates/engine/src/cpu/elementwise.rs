//! Kernels that look at one value at a time, in parallel, and the additions that many files share.

use rayon::prelude::*;

use super::{rows_per_task, values, values_mut, vectorised};
use crate::tensor::{View, ViewMut};

/// Values per task, and per partial sum of a large tensor.
pub(super) const TASK: usize = 16_384;

vectorised! {
    /// `to += from`.
    pub(super) fn add(from: &[f32], to: &mut [f32]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}

vectorised! {
    /// `to += factor * from`.
    pub(super) fn add_scaled(from: &[f32], factor: f32, to: &mut [f32]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
    }
}

vectorised! {
    /// `to = factor * from`.
    pub(super) fn scaled(from: &[f32], factor: f32, to: &mut [f32]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = factor * from);
    }
}

/// `kernel(input, output)` on pieces of both.
pub(super) fn map(
    input: View<'_>,
    output: ViewMut<'_>,
    kernel: impl Fn(&[f32], &mut [f32]) + Sync,
) {
    values_mut(output)
        .par_chunks_mut(TASK)
        .zip(values(input).par_chunks(TASK))
        .for_each(|(output, input)| output.write(|output| kernel(&input.to_f32(), output)));
}

/// `kernel(first, second, output)` on pieces of all three.
pub(super) fn map_both(
    first: View<'_>,
    second: View<'_>,
    output: ViewMut<'_>,
    kernel: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) {
    values_mut(output)
        .par_chunks_mut(TASK)
        .zip(values(first).par_chunks(TASK))
        .zip(values(second).par_chunks(TASK))
        .for_each(|((output, first), second)| {
            output.write(|output| kernel(&first.to_f32(), &second.to_f32(), output))
        });
}

/// `kernel(halves, output)` of every row: the input's rows are two halves of the width of the
/// output's.
pub(super) fn gated(
    input: View<'_>,
    output: ViewMut<'_>,
    kernel: impl Fn([&[f32]; 2], &mut [f32]) + Sync,
) {
    let width = output.columns;
    let size = rows_per_task(width) * width;
    let rows = |input: &[f32], output: &mut [f32]| {
        for (output, input) in output.chunks_exact_mut(width).zip(input.chunks_exact(2 * width)) {
            kernel(input.split_at(width).into(), output);
        }
    };
    values_mut(output)
        .par_chunks_mut(size)
        .zip(values(input).par_chunks(2 * size))
        .for_each(|(output, input)| output.write(|output| rows(&input.to_f32(), output)));
}

/// `kernel(d_output, halves, d_halves)` of every row: the gradient of `gated`.
pub(super) fn gated_gradient(
    d_output: View<'_>,
    input: View<'_>,
    d_input: ViewMut<'_>,
    kernel: impl Fn(&[f32], [&[f32]; 2], [&mut [f32]; 2]) + Sync,
) {
    let width = d_output.columns;
    let size = rows_per_task(width) * width;
    let rows = |d_output: &[f32], input: &[f32], d_input: &mut [f32]| {
        let given = d_output.chunks_exact(width).zip(input.chunks_exact(2 * width));
        for (d_input, (d_output, input)) in d_input.chunks_exact_mut(2 * width).zip(given) {
            let (halves, d_halves) = (input.split_at(width), d_input.split_at_mut(width));
            kernel(d_output, halves.into(), d_halves.into());
        }
    };
    values_mut(d_input)
        .par_chunks_mut(2 * size)
        .zip(values(input).par_chunks(2 * size))
        .zip(values(d_output).par_chunks(size))
        .for_each(|((d_input, input), d_output)| {
            d_input.write(|d_input| rows(&d_output.to_f32(), &input.to_f32(), d_input));
        });
}
