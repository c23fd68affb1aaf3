//! SwiGLU.

use super::math::sigmoid;
use super::{Cpu, elementwise, vectorised};
use crate::ops::swiglu::SwigluKernels;
use crate::tensor::{View, ViewMut};

vectorised! {
    fn forward([gate, up]: [&[f32]; 2], output: &mut [f32]) {
        for ((output, gate), up) in output.iter_mut().zip(gate).zip(up) {
            *output = gate * sigmoid(*gate) * up;
        }
    }
}

vectorised! {
    fn backward(d_output: &[f32], [gate, up]: [&[f32]; 2], [d_gate, d_up]: [&mut [f32]; 2]) {
        let given = d_output.iter().zip(gate).zip(up);
        for ((d_gate, d_up), ((dy, gate), up)) in d_gate.iter_mut().zip(d_up).zip(given) {
            let s = sigmoid(*gate);
            *d_gate = dy * up * s * (1.0 + gate * (1.0 - s));
            *d_up = dy * gate * s;
        }
    }
}

impl SwigluKernels for Cpu {
    fn swiglu(&self, gate_up: View<'_>, output: ViewMut<'_>) {
        elementwise::gated(gate_up, output, forward);
    }

    fn swiglu_gradient(&self, d_output: View<'_>, gate_up: View<'_>, d_gate_up: ViewMut<'_>) {
        elementwise::gated_gradient(d_output, gate_up, d_gate_up, backward);
    }
}
