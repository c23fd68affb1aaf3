//! Updates of whole matrices.

use rayon::prelude::*;

use super::elementwise::{TASK, add_scaled};
use super::optimizer::{squares, sum_of_squares};
use super::product::{Addend, MatrixMut, Workers};
use super::values::Values;
use super::{Cpu, matrix, slice, slice_mut, values, values_mut, vectorised};
use crate::ops::orthogonal::{MomentumStep, OrthogonalKernels, ROOT_EPSILON};
use crate::tensor::{View, ViewMut};

vectorised! {
    fn nesterov(
        gradients: &[f32],
        average: &mut [f32],
        output: &mut [f32],
        [momentum, new_share, gradient_scale]: [f32; 3],
    ) {
        let inputs = gradients.iter().zip(average);
        for (output, (gradient, average)) in output.iter_mut().zip(inputs) {
            let new = new_share * (gradient * gradient_scale);
            *average = momentum * *average + new;
            *output = momentum * *average + new;
        }
    }
}

vectorised! {
    fn scale(values: &mut [f32], factor: f32) {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

/// What a view to write holds, to read.
fn as_values<'a>(view: &'a ViewMut<'_>) -> Values<'a> {
    values(View::block(view.tensor, view.offset, view.rows, view.columns))
}

impl OrthogonalKernels for Cpu {
    fn nesterov(
        &self,
        gradients: View<'_>,
        average: ViewMut<'_>,
        step: MomentumStep,
        output: ViewMut<'_>,
    ) {
        let constants = [step.momentum, 1.0 - step.momentum, step.gradient_scale];
        let constants = constants.map(|constant| constant as f32);
        let output = values_mut(output);
        assert_eq!(output.len(), gradients.rows * gradients.columns, "values of an update");
        output
            .par_chunks_mut(TASK)
            .zip(slice(gradients).par_chunks(TASK))
            .zip(slice_mut(average).par_chunks_mut(TASK))
            .for_each(|((output, gradients), average)| {
                output.write(|output| nesterov(gradients, average, output, constants));
            });
    }

    fn divide_by_norm(&self, matrix: ViewMut<'_>, factor: f32, smallest: f32) {
        let norm = factor as f64 * sum_of_squares(as_values(&matrix)).sqrt();
        let inverse = (1.0 / norm.max(smallest as f64)) as f32;
        values_mut(matrix)
            .par_chunks_mut(TASK)
            .for_each(|values| values.update(|values| scale(values, inverse)));
    }

    fn gram(&self, matrix: View<'_>, output: ViewMut<'_>) {
        let (x, size) = (self::matrix(matrix), output.rows);
        let (a, b) = match matrix.rows <= matrix.columns {
            true => (x, x.transposed()),
            false => (x.transposed(), x),
        };
        let output = MatrixMut::dense(values_mut(output), size, size);
        self.products.product(output, Addend::Nothing, a, b, 1.0, Workers::All);
    }

    fn gram_polynomial(&self, gram: View<'_>, coefficients: [f32; 3], mut output: ViewMut<'_>) {
        let ([a, b, c], size) = (coefficients, gram.rows);
        let square = MatrixMut::dense(values_mut(output.reborrow()), size, size);
        let (left, right) = (matrix(gram), matrix(gram));
        self.products.product(square, Addend::Nothing, left, right, c, Workers::All);
        values_mut(output)
            .par_chunks_mut(size)
            .zip(values(gram).par_chunks(size))
            .enumerate()
            .for_each(|(row, (output, gram))| {
                output.update(|output| {
                    add_scaled(&gram.to_f32(), b, output);
                    output[row] += a;
                });
            });
    }

    fn gram_product(&self, symmetric: View<'_>, matrix: View<'_>, output: ViewMut<'_>) {
        let (rows, columns) = (matrix.rows, matrix.columns);
        let (symmetric, x) = (self::matrix(symmetric), self::matrix(matrix));
        let (a, b) = if rows <= columns { (symmetric, x) } else { (x, symmetric) };
        let output = MatrixMut::dense(values_mut(output), rows, columns);
        self.products.product(output, Addend::Nothing, a, b, 1.0, Workers::All);
    }

    fn normalise_rows(&self, matrix: ViewMut<'_>, second_moment: ViewMut<'_>, beta2: f64) {
        let columns = matrix.columns;
        let sums: Vec<f64> =
            as_values(&matrix).par_chunks(columns).map(|row| squares(&row.to_f32())).collect();
        let moments = slice_mut(second_moment);
        assert_eq!(moments.len(), sums.len(), "a second moment for each row");
        let mut factors = Vec::with_capacity(sums.len());
        for (moment, sum) in moments.iter_mut().zip(&sums) {
            let next = beta2 * *moment as f64 + (1.0 - beta2) * sum / columns as f64;
            factors.push(1.0 / (next.sqrt() + ROOT_EPSILON));
            *moment = next as f32;
        }
        let after: f64 = sums.iter().zip(&factors).map(|(sum, factor)| sum * factor * factor).sum();
        let whole = sums.iter().sum::<f64>().sqrt() / (after.sqrt() + ROOT_EPSILON);
        values_mut(matrix).par_chunks_mut(columns).zip(factors).for_each(|(row, factor)| {
            row.update(|row| scale(row, (whole * factor) as f32));
        });
    }
}
