//! The router of a layer of experts: products of f32, whatever the device's others read.

use rayon::prelude::*;

use super::product::{Addend, Matrix, MatrixMut, Products, Workers};
use super::{Cpu, rows_per_task, slice, slice_mut, values, values_mut, vectorised};
use crate::ops::router::RouterKernels;
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};

vectorised! {
    fn jitter_rows(
        input: &[f32],
        output: &mut [f32],
        mask: DropoutMask,
        first_row: usize,
        columns: usize,
        accumulate: bool,
    ) {
        let rows = output.chunks_exact_mut(columns).zip(input.chunks_exact(columns));
        for (index, (row, values)) in rows.enumerate() {
            for column in 0..columns {
                let value =
                    values[column] * mask.jitter_factor(first_row + index, column, columns);
                row[column] = if accumulate { row[column] + value } else { value };
            }
        }
    }
}

impl RouterKernels for Cpu {
    fn router(&self, input: View<'_>, weight: View<'_>, logits: ViewMut<'_>) {
        let (rows, columns) = (logits.rows, logits.columns);
        let input_values = values(input).to_f32();
        Products::F32.product(
            MatrixMut::dense(slice_mut(logits), rows, columns),
            Addend::Nothing,
            Matrix::dense(&*input_values, input.rows, input.columns),
            Matrix::dense(slice(weight), weight.rows, weight.columns).transposed(),
            1.0,
            Workers::All,
        );
    }

    fn router_input_gradient(
        &self,
        d_logits: View<'_>,
        weight: View<'_>,
        d_input: ViewMut<'_>,
        accumulate: bool,
    ) {
        let (rows, columns) = (d_input.rows, d_input.columns);
        let addend = if accumulate { Addend::Output } else { Addend::Nothing };
        let product = |d_input: &mut [f32]| {
            Products::F32.product(
                MatrixMut::dense(d_input, rows, columns),
                addend,
                Matrix::dense(slice(d_logits), d_logits.rows, d_logits.columns),
                Matrix::dense(slice(weight), weight.rows, weight.columns),
                1.0,
                Workers::All,
            );
        };
        match accumulate {
            true => values_mut(d_input).update(product),
            false => values_mut(d_input).write(product),
        }
    }

    fn router_weight_gradient(&self, d_logits: View<'_>, input: View<'_>, d_weight: ViewMut<'_>) {
        let (rows, columns) = (d_weight.rows, d_weight.columns);
        let input_values = values(input).to_f32();
        Products::F32.product(
            MatrixMut::dense(slice_mut(d_weight), rows, columns),
            Addend::Output,
            Matrix::dense(slice(d_logits), d_logits.rows, d_logits.columns).transposed(),
            Matrix::dense(&*input_values, input.rows, input.columns),
            1.0,
            Workers::All,
        );
    }

    fn jitter(&self, input: View<'_>, mask: DropoutMask, output: ViewMut<'_>, accumulate: bool) {
        let columns = output.columns;
        let rows = rows_per_task(columns);
        let input = values(input);
        values_mut(output).par_chunks_mut(rows * columns).enumerate().for_each(|(task, output)| {
            let first = task * rows;
            let input = input.range(first * columns..first * columns + output.len()).to_f32();
            let kernel =
                |output: &mut [f32]| jitter_rows(&input, output, mask, first, columns, accumulate);
            if accumulate { output.update(kernel) } else { output.write(kernel) }
        });
    }
}
