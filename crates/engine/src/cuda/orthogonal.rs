//! Updates of whole matrices.

use super::Cuda;
use super::elementwise::{blocks, threads};
use super::kernels::{BLOCK, ORTHOGONAL, Parameter};
use super::memory::dense;
use super::product::{Addend, Operand};
use crate::ops::orthogonal::{MomentumStep, OrthogonalKernels, ROOT_EPSILON};
use crate::tensor::{View, ViewMut};

/// A step of momentum as its kernel takes it.
#[repr(C)]
#[derive(Clone, Copy)]
struct MomentumConstants {
    momentum: f32,
    new_share: f32,
    gradient_scale: f32,
}

// Safety: `repr(C)`, three f32.
unsafe impl Parameter for MomentumConstants {}

impl Cuda {
    /// `output = scale * left * right`.
    fn plain_product(&self, left: Operand, right: Operand, scale: f32, mut output: ViewMut<'_>) {
        let output = self.values_mut(&mut output);
        self.products.multiply(left, right, scale, Addend::Nothing, None, output);
    }
}

impl OrthogonalKernels for Cuda {
    fn nesterov(
        &self,
        gradients: View<'_>,
        mut average: ViewMut<'_>,
        step: MomentumStep,
        mut output: ViewMut<'_>,
    ) {
        let count = gradients.rows * gradients.columns;
        assert_eq!(average.rows * average.columns, count, "values of an average");
        assert_eq!(output.rows * output.columns, count, "values of an update");
        let constants = MomentumConstants {
            momentum: step.momentum as f32,
            new_share: (1.0 - step.momentum) as f32,
            gradient_scale: step.gradient_scale as f32,
        };
        let launch = self.kernels.get(ORTHOGONAL, "nesterov").with(dense(gradients));
        let launch = launch.with(self.values_mut(&mut average));
        let launch = launch.with(self.values_mut(&mut output)).with(count as u64);
        // Safety: `nesterov(gradients, average, output, count, constants)`; all hold `count`
        // values.
        unsafe { launch.with(constants).run(blocks(count), BLOCK) }
    }

    fn divide_by_norm(&self, mut matrix: ViewMut<'_>, factor: f32, smallest: f32) {
        let count = matrix.rows * matrix.columns;
        let (values, squares) = (self.values_mut(&mut matrix), self.scratch_bytes(8));
        self.write_sum_of_squares(values, count, squares.pointer());
        let launch = self.kernels.get(ORTHOGONAL, "divide_by_norm").with(values);
        let launch = launch.with(count as u64).with(squares.pointer()).with(factor).with(smallest);
        // Safety: `divide_by_norm(matrix, count, squares, factor, smallest)`.
        unsafe { launch.run(blocks(count), BLOCK) }
    }

    fn gram(&self, matrix: View<'_>, output: ViewMut<'_>) {
        let x = self.operand_of(matrix);
        match matrix.rows <= matrix.columns {
            true => self.plain_product(x, x.transposed(), 1.0, output),
            false => self.plain_product(x.transposed(), x, 1.0, output),
        }
    }

    fn gram_polynomial(&self, gram: View<'_>, coefficients: [f32; 3], mut output: ViewMut<'_>) {
        let ([a, b, c], size) = (coefficients, gram.rows);
        let operand = self.operand_of(gram);
        self.plain_product(operand, operand, c, output.reborrow());
        let launch = self.kernels.get(ORTHOGONAL, "add_polynomial").with(dense(gram));
        let launch = launch.with(self.values_mut(&mut output)).with(size as u64).with(a).with(b);
        // Safety: `add_polynomial(gram, output, size, a, b)`; both are square.
        unsafe { launch.run(blocks(size * size), BLOCK) }
    }

    fn gram_product(&self, symmetric: View<'_>, matrix: View<'_>, output: ViewMut<'_>) {
        let (symmetric, x) = (self.operand_of(symmetric), self.operand_of(matrix));
        match matrix.rows <= matrix.columns {
            true => self.plain_product(symmetric, x, 1.0, output),
            false => self.plain_product(x, symmetric, 1.0, output),
        }
    }

    fn normalise_rows(&self, mut matrix: ViewMut<'_>, mut second_moment: ViewMut<'_>, beta2: f64) {
        let (rows, columns) = (matrix.rows, matrix.columns);
        assert_eq!(second_moment.rows * second_moment.columns, rows, "a moment for each row");
        let (values, moments) = (self.values_mut(&mut matrix), self.values_mut(&mut second_moment));
        let (sums, factors) = (self.scratch_bytes(8 * rows), self.scratch_bytes(4 * rows));
        let launch = self.kernels.get(ORTHOGONAL, "row_squares").with(values);
        // Safety: `row_squares(matrix, columns, sums)`, a block for each row.
        unsafe {
            launch.with(columns as u64).with(sums.pointer()).run(rows, threads(columns));
        }
        let launch = self.kernels.get(ORTHOGONAL, "row_factors").with(sums.pointer());
        let launch = launch.with(moments).with(rows as u64).with(columns as u64).with(beta2);
        // Safety: `row_factors(sums, moments, rows, columns, beta2, epsilon, factors)`, one block.
        unsafe { launch.with(ROOT_EPSILON).with(factors.pointer()).run(1, 1024) }
        let launch = self.kernels.get(ORTHOGONAL, "scale_rows").with(values);
        // Safety: `scale_rows(matrix, columns, factors)`, a block for each row.
        unsafe {
            launch.with(columns as u64).with(factors.pointer()).run(rows, threads(columns));
        }
    }
}
