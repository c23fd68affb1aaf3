//! The exact GELU.

use super::math::{erf, exp};
use super::{Cpu, elementwise, vectorised};
use crate::ops::exact_gelu::ExactGeluKernels;
use crate::tensor::{View, ViewMut};

/// `1 / sqrt(2 * pi)`.
const DENSITY: f32 = 0.398_942_3;

/// The probability that a standard normal variable is below `x`.
#[inline(always)]
fn below(x: f32) -> f32 {
    0.5 + 0.5 * erf(x * std::f32::consts::FRAC_1_SQRT_2)
}

vectorised! {
    fn forward(input: &[f32], output: &mut [f32]) {
        for (output, &x) in output.iter_mut().zip(input) {
            *output = x * below(x);
        }
    }
}

vectorised! {
    fn backward(d_output: &[f32], input: &[f32], d_input: &mut [f32]) {
        for ((d_input, &x), &dy) in d_input.iter_mut().zip(input).zip(d_output) {
            *d_input = dy * (below(x) + x * DENSITY * exp(-0.5 * x * x));
        }
    }
}

impl ExactGeluKernels for Cpu {
    fn exact_gelu(&self, input: View<'_>, output: ViewMut<'_>) {
        elementwise::map(input, output, forward);
    }

    fn exact_gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>) {
        elementwise::map_both(d_output, input, d_input, backward);
    }
}
