//! GeGLU.

use rayon::prelude::*;

use super::gelu::{gelu, gelu_slope};
use super::{Cpu, rows_per_task, values, values_mut, vectorised};
use crate::ops::geglu::GegluKernels;
use crate::tensor::{View, ViewMut};

vectorised! {
    fn forward(up_gate: &[f32], output: &mut [f32], width: usize) {
        for (output, row) in output.chunks_exact_mut(width).zip(up_gate.chunks_exact(2 * width)) {
            let (up, gate) = row.split_at(width);
            for ((output, up), gate) in output.iter_mut().zip(up).zip(gate) {
                *output = up * gelu(*gate);
            }
        }
    }
}

vectorised! {
    fn backward(d_output: &[f32], up_gate: &[f32], d_up_gate: &mut [f32], width: usize) {
        let rows = d_output.chunks_exact(width).zip(up_gate.chunks_exact(2 * width));
        for (d_row, (dy, row)) in d_up_gate.chunks_exact_mut(2 * width).zip(rows) {
            let (up, gate) = row.split_at(width);
            let (d_up, d_gate) = d_row.split_at_mut(width);
            for i in 0..width {
                d_up[i] = dy[i] * gelu(gate[i]);
                d_gate[i] = dy[i] * up[i] * gelu_slope(gate[i]);
            }
        }
    }
}

impl GegluKernels for Cpu {
    fn geglu(&self, up_gate: View<'_>, output: ViewMut<'_>) {
        let width = output.columns;
        let size = rows_per_task(width) * width;
        values_mut(output).par_chunks_mut(size).zip(values(up_gate).par_chunks(2 * size)).for_each(
            |(output, up_gate)| output.write(|output| forward(&up_gate.to_f32(), output, width)),
        );
    }

    fn geglu_gradient(&self, d_output: View<'_>, up_gate: View<'_>, d_up_gate: ViewMut<'_>) {
        let width = d_output.columns;
        let size = rows_per_task(width) * width;
        values_mut(d_up_gate)
            .par_chunks_mut(2 * size)
            .zip(values(up_gate).par_chunks(2 * size))
            .zip(values(d_output).par_chunks(size))
            .for_each(|((d_up_gate, up_gate), d_output)| {
                d_up_gate.write(|d_up_gate| {
                    backward(&d_output.to_f32(), &up_gate.to_f32(), d_up_gate, width)
                })
            });
    }
}
