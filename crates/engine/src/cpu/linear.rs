//! Products with a weight matrix.

use rayon::prelude::*;

use super::product::bf16::rounding::widen;
use super::product::{Addend, MatrixMut, Workers};
use super::values::Values;
use super::{Cpu, matrix, slice, slice_mut, values, values_mut, vectorised};
use crate::ops::linear::LinearKernels;
use crate::tensor::{View, ViewMut};

vectorised! {
    /// Adds the values of some columns of every row, those from `first` on, to `sums`.
    fn add_columns(rows: &[f32], columns: usize, first: usize, sums: &mut [f32]) {
        for row in rows.chunks_exact(columns) {
            let row = &row[first..first + sums.len()];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

vectorised! {
    /// Adds the bf16 values of some columns of every row, those from `first` on, to `sums`.
    fn add_bf16_columns(rows: &[u16], columns: usize, first: usize, sums: &mut [f32]) {
        for row in rows.chunks_exact(columns) {
            let row = &row[first..first + sums.len()];
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += widen(value);
            }
        }
    }
}

/// `sums += the sum of rows` of as many values, in an order that depends on nothing but their
/// number.
pub(super) fn add_rows(rows: Values<'_>, sums: &mut [f32]) {
    const COLUMNS: usize = 64;
    let columns = sums.len();
    let tasks = sums.par_chunks_mut(COLUMNS).enumerate();
    match rows {
        Values::F32(rows) => {
            tasks.for_each(|(task, sums)| add_columns(rows, columns, task * COLUMNS, sums));
        }
        Values::Bf16(rows) => {
            tasks.for_each(|(task, sums)| add_bf16_columns(rows, columns, task * COLUMNS, sums));
        }
    }
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
        let output = MatrixMut::dense(values_mut(output), rows, columns);
        // The residual is bf16 where it is the output of a norm.
        let residual = residual.map(|residual| values(residual).to_f32());
        let addend = match (bias.map(slice), residual.as_deref()) {
            (None, None) => Addend::Nothing,
            (bias, residual) => Addend::Rows { bias, residual },
        };
        self.products.product(
            output,
            addend,
            matrix(input),
            matrix(weight).transposed(),
            1.0,
            Workers::All,
        );
    }

    fn linear_input_gradient(
        &self,
        d_output: View<'_>,
        weight: View<'_>,
        d_input: ViewMut<'_>,
        accumulate: bool,
    ) {
        let (rows, columns) = (d_input.rows, d_input.columns);
        let addend = if accumulate { Addend::Output } else { Addend::Nothing };
        let d_input = MatrixMut::dense(values_mut(d_input), rows, columns);
        self.products.product(d_input, addend, matrix(d_output), matrix(weight), 1.0, Workers::All);
    }

    fn linear_weight_gradient(&self, d_output: View<'_>, input: View<'_>, d_weight: ViewMut<'_>) {
        let (rows, columns) = (d_weight.rows, d_weight.columns);
        let d_weight = MatrixMut::dense(values_mut(d_weight), rows, columns);
        self.products.product(
            d_weight,
            Addend::Output,
            matrix(d_output).transposed(),
            matrix(input),
            1.0,
            Workers::All,
        );
    }

    fn linear_bias_gradient(&self, d_output: View<'_>, d_bias: ViewMut<'_>) {
        add_rows(values(d_output), slice_mut(d_bias));
    }
}
