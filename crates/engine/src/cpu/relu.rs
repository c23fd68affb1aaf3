//! The rectifier.

use super::{Cpu, elementwise, vectorised};
use crate::ops::relu::ReluKernels;
use crate::tensor::{View, ViewMut};

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
        elementwise::map(input, output, forward);
    }

    fn relu_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>) {
        elementwise::map_both(d_output, output, d_input, backward);
    }
}
