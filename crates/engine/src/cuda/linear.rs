//! Products with weight matrices.

use super::Cuda;
use super::kernels::{BLOCK, LINEAR};
use super::memory::{Values, dense};
use super::product::{Addend, Operand};
use crate::ops::linear::LinearKernels;
use crate::tensor::{View, ViewMut};

/// Rows whose sums are taken together: fixed, so that sums do not depend on the GPU's size.
const ROWS: usize = 128;

impl Cuda {
    pub(super) fn operand_of(&self, view: View<'_>) -> Operand {
        assert!(view.is_contiguous(), "a product reads contiguous rows");
        Operand::new(self.operand(view), view.rows, view.columns)
    }

    /// The bias in the output's type, where cuBLASLt can add it itself.
    fn joined_bias(&self, bias: View<'_>, output: Values) -> Option<Values> {
        let values = if output.is_compact() { self.operand(bias) } else { dense(bias) };
        (values.is_compact() == output.is_compact() && values.pointer % 16 == 0).then_some(values)
    }

    fn add_bias(&self, bias: View<'_>, output: Values, rows: usize, columns: usize) {
        let launch = self.kernels.get(LINEAR, "add_bias").with(dense(bias)).with(output);
        let blocks = (rows * columns).div_ceil(4 * BLOCK as usize);
        // Safety: `add_bias(bias, output, rows, columns)`.
        unsafe { launch.with(rows as u64).with(columns as u64).run(blocks, BLOCK) }
    }

    /// `output (+)= the sum over rows`, in an order that depends on nothing but their number.
    pub(super) fn sum_rows(
        &self,
        input: Values,
        rows: usize,
        columns: usize,
        output: Values,
        accumulate: bool,
    ) {
        let groups = rows.div_ceil(ROWS);
        let sums = self.scratch_bytes(4 * groups * columns);
        let launch = self.kernels.get(LINEAR, "column_sums").with(input).with(sums.pointer());
        let launch = launch.with(rows as u64).with(columns as u64).with(ROWS as u32);
        // Safety: `column_sums(input, sums, rows, columns, per_block)`; `sums` has a row for each
        // group.
        unsafe { launch.run_grid((groups, columns.div_ceil(32), 1), BLOCK) }
        self.add_rows(sums.pointer(), groups, columns, output, accumulate);
    }

    /// `output (+)= the sum of rows of f32`, in order.
    pub(super) fn add_rows(
        &self,
        sums: u64,
        count: usize,
        columns: usize,
        output: Values,
        accumulate: bool,
    ) {
        let launch =
            self.kernels.get(LINEAR, "add_rows").with(sums).with(count as u64).with(columns as u64);
        // A warp for every row, as far as a block has warps.
        let threads = (32 * count.clamp(1, 32)) as u32;
        // Safety: `add_rows(sums, count, columns, output, accumulate)`.
        unsafe { launch.with(output).with(accumulate as u32).run(columns.div_ceil(32), threads) }
    }
}

impl LinearKernels for Cuda {
    fn linear(
        &self,
        input: View<'_>,
        weight: View<'_>,
        bias: Option<View<'_>>,
        residual: Option<View<'_>>,
        mut output: ViewMut<'_>,
    ) {
        let (rows, columns) = (output.rows, output.columns);
        let output = self.values_mut(&mut output);
        let addend = match residual.map(dense) {
            None => Addend::Nothing,
            Some(residual) if residual.is_compact() == output.is_compact() => {
                Addend::Other(residual)
            }
            Some(residual) => {
                self.convert(residual, output, rows * columns);
                Addend::Output
            }
        };
        let joined = bias.and_then(|bias| self.joined_bias(bias, output));
        let weight = self.operand_of(weight).transposed();
        self.products.multiply(self.operand_of(input), weight, 1.0, addend, joined, output);
        if let (Some(bias), None) = (bias, joined) {
            self.add_bias(bias, output, rows, columns);
        }
    }

    fn linear_input_gradient(
        &self,
        d_output: View<'_>,
        weight: View<'_>,
        mut d_input: ViewMut<'_>,
        accumulate: bool,
    ) {
        let d_input = self.values_mut(&mut d_input);
        let addend = if accumulate { Addend::Output } else { Addend::Nothing };
        self.products.multiply(
            self.operand_of(d_output),
            self.operand_of(weight),
            1.0,
            addend,
            None,
            d_input,
        );
    }

    fn linear_weight_gradient(
        &self,
        d_output: View<'_>,
        input: View<'_>,
        mut d_weight: ViewMut<'_>,
    ) {
        let d_weight = self.values_mut(&mut d_weight);
        let d_output = self.operand_of(d_output).transposed();
        self.products.multiply(
            d_output,
            self.operand_of(input),
            1.0,
            Addend::Output,
            None,
            d_weight,
        );
    }

    fn linear_bias_gradient(&self, d_output: View<'_>, mut d_bias: ViewMut<'_>) {
        let d_bias = self.values_mut(&mut d_bias);
        self.sum_rows(dense(d_output), d_output.rows, d_output.columns, d_bias, true);
    }
}
