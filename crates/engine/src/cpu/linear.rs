//! Products with a weight matrix.

use rayon::prelude::*;

use super::product::{Matrix, MatrixMut, Workers, product};
use super::{Cpu, rows_per_task, slice, slice_mut, vectorised};
use crate::ops::linear::LinearKernels;
use crate::tensor::{View, ViewMut};

vectorised! {
    /// Starts every row from the bias, the residual, or both.
    fn start_rows(output: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
        let columns = bias.len();
        for (index, row) in output.chunks_exact_mut(columns).enumerate() {
            match residual {
                None => row.copy_from_slice(bias),
                Some(residual) => {
                    let residual = &residual[index * columns..][..columns];
                    for ((value, bias), residual) in row.iter_mut().zip(bias).zip(residual) {
                        *value = bias + residual;
                    }
                }
            }
        }
    }
}

vectorised! {
    fn add_columns(rows: &[f32], columns: usize, first: usize, sums: &mut [f32]) {
        for row in rows.chunks_exact(columns) {
            let row = &row[first..first + sums.len()];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

fn matrix<'a>(view: View<'a>) -> Matrix<'a> {
    Matrix::dense(slice(view), view.rows, view.columns)
}

impl LinearKernels for Cpu {
    fn linear(
        &self,
        input: View<'_>,
        weight: View<'_>,
        bias: Option<View<'_>>,
        residual: Option<View<'_>>,
        output: ViewMut<'_>,
    ) {
        let (rows, columns) = (output.rows, output.columns);
        let output = slice_mut(output);
        let residual = residual.map(slice);
        let accumulate = bias.is_some() || residual.is_some();
        match (bias, residual) {
            (None, None) => {}
            (None, Some(residual)) => {
                output.par_chunks_mut(32_768).zip(residual.par_chunks(32_768)).for_each(|(o, r)| o.copy_from_slice(r));
            }
            (Some(bias), residual) => {
                let (bias, size) = (slice(bias), rows_per_task(columns) * columns);
                output.par_chunks_mut(size).enumerate().for_each(|(task, output)| {
                    let residual = residual.map(|residual| &residual[task * size..][..output.len()]);
                    start_rows(output, bias, residual);
                });
            }
        }
        let output = MatrixMut::dense(output, rows, columns);
        product(output, accumulate, matrix(input), matrix(weight).transposed(), 1.0, Workers::All);
    }

    fn linear_input_gradient(&self, d_output: View<'_>, weight: View<'_>, d_input: ViewMut<'_>, accumulate: bool) {
        let (rows, columns) = (d_input.rows, d_input.columns);
        let d_input = MatrixMut::dense(slice_mut(d_input), rows, columns);
        product(d_input, accumulate, matrix(d_output), matrix(weight), 1.0, Workers::All);
    }

    fn linear_weight_gradient(&self, d_output: View<'_>, input: View<'_>, d_weight: ViewMut<'_>) {
        let (rows, columns) = (d_weight.rows, d_weight.columns);
        let d_weight = MatrixMut::dense(slice_mut(d_weight), rows, columns);
        product(d_weight, true, matrix(d_output).transposed(), matrix(input), 1.0, Workers::All);
    }

    fn linear_bias_gradient(&self, d_output: View<'_>, d_bias: ViewMut<'_>) {
        let columns = d_output.columns;
        let rows = slice(d_output);
        slice_mut(d_bias)
            .par_chunks_mut(64)
            .enumerate()
            .for_each(|(task, sums)| add_columns(rows, columns, task * 64, sums));
    }
}
