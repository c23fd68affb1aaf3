//! GeGLU.

use super::gelu::{gelu, gelu_slope};
use super::{Cpu, elementwise, vectorised};
use crate::ops::geglu::GegluKernels;
use crate::tensor::{View, ViewMut};

vectorised! {
    fn forward([up, gate]: [&[f32]; 2], output: &mut [f32]) {
        for ((output, gate), up) in output.iter_mut().zip(gate).zip(up) {
            *output = up * gelu(*gate);
        }
    }
}

vectorised! {
    fn backward(d_output: &[f32], [up, gate]: [&[f32]; 2], [d_up, d_gate]: [&mut [f32]; 2]) {
        let given = d_output.iter().zip(gate).zip(up);
        for ((d_gate, d_up), ((dy, gate), up)) in d_gate.iter_mut().zip(d_up).zip(given) {
            *d_gate = dy * up * gelu_slope(*gate);
            *d_up = dy * gelu(*gate);
        }
    }
}

impl GegluKernels for Cpu {
    fn geglu(&self, up_gate: View<'_>, output: ViewMut<'_>) {
        elementwise::gated(up_gate, output, forward);
    }

    fn geglu_gradient(&self, d_output: View<'_>, up_gate: View<'_>, d_up_gate: ViewMut<'_>) {
        elementwise::gated_gradient(d_output, up_gate, d_up_gate, backward);
    }
}
