//! Layers of experts: what is around the products.

use rayon::prelude::*;

use super::elementwise::add_scaled;
use super::math::dot;
use super::{Cpu, rows_per_task, slice, values, values_mut, vectorised};
use crate::ops::experts::ExpertKernels;
use crate::ops::routing::DROPPED;
use crate::tensor::{View, ViewMut};

vectorised! {
    /// `to = factor * from`, and the sum of the products of both.
    fn scale_and_multiply(from: &[f32], factor: f32, other: &[f32], to: &mut [f32]) -> f32 {
        for (to, from) in to.iter_mut().zip(from) {
            *to = factor * from;
        }
        dot(from, other)
    }
}

impl ExpertKernels for Cpu {
    fn combine_experts(
        &self,
        outputs: View<'_>,
        places: &[u32],
        gates: &[f32],
        residual: Option<View<'_>>,
        output: ViewMut<'_>,
    ) {
        let columns = output.columns;
        let (outputs, residual) = (slice(outputs), residual.map(values));
        let rows = rows_per_task(columns);
        values_mut(output).par_chunks_mut(rows * columns).enumerate().for_each(|(task, output)| {
            output.write(|output| {
                for (index, to) in output.chunks_exact_mut(columns).enumerate() {
                    let token = task * rows + index;
                    match residual {
                        Some(residual) => {
                            residual.range(token * columns..(token + 1) * columns).copy_to(to);
                        }
                        None => to.fill(0.0),
                    }
                    if places[token] != DROPPED {
                        let from = &outputs[places[token] as usize * columns..][..columns];
                        add_scaled(from, gates[token], to);
                    }
                }
            });
        });
    }

    fn combine_experts_gradient(
        &self,
        d_output: View<'_>,
        outputs: View<'_>,
        order: &[u32],
        gates: &[f32],
        d_outputs: ViewMut<'_>,
        d_gates: &mut [f32],
    ) {
        let columns = outputs.columns;
        let (d_output, outputs) = (values(d_output), slice(outputs));
        let rows = rows_per_task(columns);
        values_mut(d_outputs)
            .par_chunks_mut(rows * columns)
            .zip(outputs.par_chunks(rows * columns))
            .zip(order.par_chunks(rows).zip(d_gates.par_chunks_mut(rows)))
            .for_each(|((d_outputs, outputs), (order, d_gates))| {
                d_outputs.write(|d_outputs| {
                    let taken = order.iter().zip(d_gates);
                    let each = d_outputs.chunks_exact_mut(columns).zip(outputs.chunks(columns));
                    for ((&token, d_gate), (to, output)) in taken.zip(each) {
                        let token = token as usize;
                        let from = d_output.range(token * columns..(token + 1) * columns).to_f32();
                        *d_gate = scale_and_multiply(&from, gates[token], output, to);
                    }
                });
            });
    }
}
