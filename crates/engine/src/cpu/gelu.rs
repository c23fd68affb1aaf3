//! GELU.

use super::math::tanh;
use super::{Cpu, elementwise, vectorised};
use crate::ops::gelu::GeluKernels;
use crate::tensor::{View, ViewMut};

/// `sqrt(2 / pi)`.
const ROOT: f32 = 0.797_884_6;
const CUBE: f32 = 0.044_715;

/// `0.5 * x * (1 + tanh(...))`.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(ROOT * (x + CUBE * x * x * x)))
}

/// The derivative of `gelu`.
#[inline(always)]
pub(super) fn gelu_slope(x: f32) -> f32 {
    let t = tanh(ROOT * (x + CUBE * x * x * x));
    let slope = ROOT * (1.0 + 3.0 * CUBE * x * x);
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope
}

vectorised! {
    fn forward(input: &[f32], output: &mut [f32]) {
        for (output, &x) in output.iter_mut().zip(input) {
            *output = gelu(x);
        }
    }
}

vectorised! {
    fn backward(d_output: &[f32], input: &[f32], d_input: &mut [f32]) {
        for ((d_input, &x), &dy) in d_input.iter_mut().zip(input).zip(d_output) {
            *d_input = dy * gelu_slope(x);
        }
    }
}

impl GeluKernels for Cpu {
    fn gelu(&self, input: View<'_>, output: ViewMut<'_>) {
        elementwise::map(input, output, forward);
    }

    fn gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>) {
        elementwise::map_both(d_output, input, d_input, backward);
    }
}
