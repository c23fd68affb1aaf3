//! AdamW and the gradient norm.

use std::ops::Range;

use super::Cuda;
use super::kernels::{BLOCK, OPTIMIZER, Parameter};
use super::memory::dense;
use crate::ops::optimizer::{AdamwConstants, AdamwStep, OptimizerKernels};
use crate::tensor::Tensor;

/// Values whose squares one block adds: fixed, so that the sum does not depend on the GPU's size.
const SQUARES: usize = 16_384;

// Safety: `repr(C)`, ten f32.
unsafe impl Parameter for AdamwConstants {}

impl OptimizerKernels for Cuda {
    fn adamw(
        &self,
        values: &mut Tensor,
        gradients: &Tensor,
        first_moment: &mut Tensor,
        second_moment: &mut Tensor,
        range: Range<usize>,
        step: AdamwStep,
    ) {
        assert!(
            range.end <= values.columns() * values.rows(),
            "a range past the end of the vector"
        );
        let from =
            |tensor: &mut Tensor| self.values_mut(&mut tensor.view_mut()).skip(range.start).pointer;
        let launch = self.kernels.get(OPTIMIZER, "adamw").with(from(values));
        let launch = launch.with(dense(gradients.view()).skip(range.start).pointer);
        let launch =
            launch.with(from(first_moment)).with(from(second_moment)).with(range.len() as u64);
        // Safety: `adamw(values, gradients, first, second, count, constants)`; all vectors are f32
        // and equally long.
        unsafe {
            launch
                .with(step.constants())
                .run(range.len().div_ceil(4 * BLOCK as usize).min(1 << 16), BLOCK)
        }
    }

    fn sum_of_squares(&self, values: &Tensor) -> f64 {
        let length = values.rows() * values.columns();
        let blocks = length.div_ceil(SQUARES);
        // The last of the sums is the total.
        let sums = self.scratch_bytes(8 * (blocks + 1));
        let total = sums.pointer() + 8 * blocks as u64;
        let launch = self
            .kernels
            .get(OPTIMIZER, "squares")
            .with(dense(values.view()).pointer)
            .with(length as u64);
        // Safety: `squares(values, count, per_block, sums)` and `sum_doubles(sums, count, total)`.
        unsafe {
            launch.with(SQUARES as u64).with(sums.pointer()).run(blocks, BLOCK);
            let launch = self.kernels.get(OPTIMIZER, "sum_doubles").with(sums.pointer());
            launch.with(blocks as u64).with(total).run(1, 1024);
        }
        let mut sum = [0.0f64];
        self.fetch(total, &mut sum);
        sum[0]
    }
}
