//! The rectifier.

use rayon::prelude::*;

use super::{Cpu, slice, slice_mut, vectorised};
use crate::ops::relu::ReluKernels;
use crate::tensor::{View, ViewMut};

/// Values per task.
const TASK: usize = 16_384;

vectorised! {
    fn forward(input: &[f32], output: &mut [f32]) {
        for (output, &x) in output.iter_mut().zip(input) {
            *output = if x > 0.0 { x } else { 0.0 };
        }
    }
}

vectorised! {
    fn backward(d_output: &[f32], output: &[f32], d_input: &mut [f32]) {
        for ((d_input, &y), &dy) in d_input.iter_mut().zip(output).zip(d_output) {
            *d_input = if y > 0.0 { dy } else { 0.0 };
        }
    }
}

impl ReluKernels for Cpu {
    fn relu(&self, input: View<'_>, output: ViewMut<'_>) {
        slice_mut(output)
            .par_chunks_mut(TASK)
            .zip(slice(input).par_chunks(TASK))
            .for_each(|(output, input)| forward(input, output));
    }

    fn relu_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>) {
        slice_mut(d_input)
            .par_chunks_mut(TASK)
            .zip(slice(output).par_chunks(TASK))
            .zip(slice(d_output).par_chunks(TASK))
            .for_each(|((d_input, output), d_output)| backward(d_output, output, d_input));
    }
}
