//! SwiGLU.

use rayon::prelude::*;

use super::math::sigmoid;
use super::{Cpu, rows_per_task, values, values_mut, vectorised};
use crate::ops::swiglu::SwigluKernels;
use crate::tensor::{View, ViewMut};

vectorised! {
    fn forward(gate_up: &[f32], output: &mut [f32], width: usize) {
        for (output, row) in output.chunks_exact_mut(width).zip(gate_up.chunks_exact(2 * width)) {
            let (gate, up) = row.split_at(width);
            for ((output, gate), up) in output.iter_mut().zip(gate).zip(up) {
                *output = gate * sigmoid(*gate) * up;
            }
        }
    }
}

vectorised! {
    fn backward(d_output: &[f32], gate_up: &[f32], d_gate_up: &mut [f32], width: usize) {
        let rows = d_output.chunks_exact(width).zip(gate_up.chunks_exact(2 * width));
        for (d_row, (dy, row)) in d_gate_up.chunks_exact_mut(2 * width).zip(rows) {
            let (gate, up) = row.split_at(width);
            let (d_gate, d_up) = d_row.split_at_mut(width);
            for i in 0..width {
                let (g, s) = (gate[i], sigmoid(gate[i]));
                d_gate[i] = dy[i] * up[i] * s * (1.0 + g * (1.0 - s));
                d_up[i] = dy[i] * g * s;
            }
        }
    }
}

impl SwigluKernels for Cpu {
    fn swiglu(&self, gate_up: View<'_>, output: ViewMut<'_>) {
        let width = output.columns;
        let size = rows_per_task(width) * width;
        values_mut(output).par_chunks_mut(size).zip(values(gate_up).par_chunks(2 * size)).for_each(
            |(output, gate_up)| output.write(|output| forward(&gate_up.to_f32(), output, width)),
        );
    }

    fn swiglu_gradient(&self, d_output: View<'_>, gate_up: View<'_>, d_gate_up: ViewMut<'_>) {
        let width = d_output.columns;
        let size = rows_per_task(width) * width;
        values_mut(d_gate_up)
            .par_chunks_mut(2 * size)
            .zip(values(gate_up).par_chunks(2 * size))
            .zip(values(d_output).par_chunks(size))
            .for_each(|((d_gate_up, gate_up), d_output)| {
                d_gate_up.write(|d_gate_up| {
                    backward(&d_output.to_f32(), &gate_up.to_f32(), d_gate_up, width)
                })
            });
    }
}
