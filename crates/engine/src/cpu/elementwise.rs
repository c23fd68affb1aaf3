//! Kernels that look at one value at a time, in parallel.

use rayon::prelude::*;

use super::{values, values_mut};
use crate::tensor::{View, ViewMut};

/// Values per task.
pub(super) const TASK: usize = 16_384;

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
