//! Updates of parameters, and norms.

use std::ops::Range;

use super::Cuda;
use super::elementwise::{blocks, fours, packs_of};
use super::kernels::{BLOCK, OPTIMIZER, Parameter};
use super::memory::{Scratch, Values, dense};
use crate::ops::optimizer::{
    AdamwConstants, AdamwStep, LambConstants, LionConstants, LionStep, OptimizerKernels,
    UpdateConstants, UpdateStep,
};
use crate::tensor::{Tensor, View, ViewMut};

/// Values whose squares one block adds: fixed, so that the sum does not depend on the GPU's size.
pub(super) const SQUARES: usize = 16_384;

// Safety: `repr(C)`, eleven numbers of four bytes.
unsafe impl Parameter for AdamwConstants {}
// Safety: `repr(C)`, ten numbers of four bytes.
unsafe impl Parameter for LambConstants {}
// Safety: `repr(C)`, eight numbers of four bytes.
unsafe impl Parameter for LionConstants {}
// Safety: `repr(C)`, three numbers of four bytes.
unsafe impl Parameter for UpdateConstants {}

/// A range of a flat vector's values, to write.
fn flat_mut<'a>(tensor: &'a mut Tensor, range: &Range<usize>) -> ViewMut<'a> {
    ViewMut::block(tensor, range.start, 1, range.len())
}

impl Cuda {
    /// Where a range of a flat vector's values begins, to write.
    fn pointer_mut(&self, tensor: &mut Tensor, range: &Range<usize>) -> u64 {
        self.values_mut(&mut flat_mut(tensor, range)).pointer
    }

    /// The sum of squares of values, written to the GPU's memory at `total`.
    pub(super) fn write_sum_of_squares(&self, values: Values, length: usize, total: u64) {
        let blocks = length.div_ceil(SQUARES);
        let sums = self.scratch_bytes(8 * blocks);
        let launch = self.kernels.get(OPTIMIZER, "squares").with(values).with(length as u64);
        let launch =
            launch.with(SQUARES as u64).with(sums.pointer()).with(packs_of(8, &[values], length));
        // Safety: `squares(values, count, per_block, sums, wide)` and `sum_doubles(sums, count,
        // total)`.
        unsafe {
            launch.run(blocks, BLOCK);
            let launch = self.kernels.get(OPTIMIZER, "sum_doubles").with(sums.pointer());
            launch.with(blocks as u64).with(total).run(1, 1024);
        }
    }

    /// The sums of squares of values and update, where the rate depends on them.
    fn norms(&self, values: Values, update: Values, length: usize) -> Scratch<'_> {
        let norms = self.scratch_bytes(16);
        self.write_sum_of_squares(values, length, norms.pointer());
        self.write_sum_of_squares(update, length, norms.pointer() + 8);
        norms
    }
}

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
        let count = range.len();
        let mut to_update = flat_mut(values, &range);
        let (values, copy) = self.values_and_copy_mut(&mut to_update);
        let gradients = dense(gradients.view()).skip(range.start);
        let first = Values::full(self.pointer_mut(first_moment, &range));
        let second = Values::full(self.pointer_mut(second_moment, &range));
        let vectors = [values, gradients, first, second];
        // A copy that is not there is at address 0.
        let wide = fours(&vectors, count) & fours(&[Values::compact(copy)], count);
        let launch = self.kernels.get(OPTIMIZER, "adamw");
        let launch = vectors.iter().fold(launch, |launch, vector| launch.with(vector.pointer));
        let launch = launch.with(copy).with(count as u64).with(step.constants()).with(wide);
        // Safety: `adamw(values, gradients, first, second, copy, count, constants, wide)`; all
        // vectors but the copy are f32, and all have as many values from there on.
        unsafe { launch.run(blocks(count), BLOCK) }
    }

    fn lion(
        &self,
        values: &mut Tensor,
        gradients: &Tensor,
        momentum: &mut Tensor,
        range: Range<usize>,
        step: LionStep,
    ) {
        let count = range.len();
        let launch = self.kernels.get(OPTIMIZER, "lion").with(self.pointer_mut(values, &range));
        let launch = launch.with(dense(gradients.view()).skip(range.start).pointer);
        let launch = launch.with(self.pointer_mut(momentum, &range)).with(count as u64);
        // Safety: `lion(values, gradients, momentum, count, constants)`; all vectors are f32 and
        // equally long.
        unsafe { launch.with(step.constants()).run(blocks(count), BLOCK) }
    }

    fn lamb_direction(
        &self,
        values: &Tensor,
        gradients: &Tensor,
        first_moment: &mut Tensor,
        second_moment: &mut Tensor,
        range: Range<usize>,
        step: AdamwStep,
        mut output: ViewMut<'_>,
    ) {
        let count = range.len();
        assert_eq!(output.rows * output.columns, count, "values of an update");
        let from = |tensor: &Tensor| dense(tensor.view()).skip(range.start).pointer;
        let launch = self.kernels.get(OPTIMIZER, "lamb_direction");
        let launch = launch.with(from(values)).with(from(gradients));
        let launch = launch.with(self.pointer_mut(first_moment, &range));
        let launch = launch.with(self.pointer_mut(second_moment, &range));
        let launch = launch.with(self.values_mut(&mut output)).with(count as u64);
        // Safety: `lamb_direction(values, gradients, first, second, output, count, constants)`; all
        // vectors but the output are f32, and all have as many values from there on.
        unsafe { launch.with(step.lamb_constants()).run(blocks(count), BLOCK) }
    }

    fn apply_update(
        &self,
        values: &mut Tensor,
        range: Range<usize>,
        update: View<'_>,
        step: UpdateStep,
    ) {
        let (count, update_length) = (range.len(), update.rows * update.columns);
        assert_eq!(update_length, count, "values to update");
        let (values, update) = (self.pointer_mut(values, &range), dense(update));
        let norms = step.by_norms.then(|| self.norms(Values::full(values), update, count));
        let squares = norms.as_ref().map_or(0, Scratch::pointer);
        let launch = self.kernels.get(OPTIMIZER, "apply_update").with(values).with(update);
        let launch = launch.with(count as u64).with(step.constants()).with(squares);
        // Safety: `apply_update(values, update, count, constants, squares)`; both have `count`
        // values.
        unsafe { launch.run(blocks(count), BLOCK) }
    }

    fn sum_of_squares(&self, values: &Tensor) -> f64 {
        let total = self.scratch_bytes(8);
        let length = values.rows() * values.columns();
        self.write_sum_of_squares(dense(values.view()), length, total.pointer());
        let mut sum = [0.0f64];
        self.fetch(total.pointer(), &mut sum);
        sum[0]
    }
}
