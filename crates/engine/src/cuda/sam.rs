//! The climb of sharpness-aware minimisation.

use super::Cuda;
use super::kernels::{BLOCK, OPTIMIZER};
use super::memory::dense;
use super::optimizer::SQUARES;
use crate::ops::sam::SamKernels;
use crate::tensor::Tensor;

impl SamKernels for Cuda {
    fn climb(&self, values: &mut Tensor, gradients: &Tensor, scale: f32, adaptive: bool) {
        let length = values.rows() * values.columns();
        assert!(length <= gradients.rows() * gradients.columns(), "vectors of different lengths");
        let values = self.values_mut(&mut values.view_mut()).pointer;
        let launch = self.kernels.get(OPTIMIZER, "climb").with(values);
        let launch = launch.with(dense(gradients.view()).pointer).with(scale);
        let launch = launch.with(u32::from(adaptive)).with(length as u64);
        // Safety: `climb(values, gradients, scale, adaptive, count)`; both vectors are f32 and
        // equally long.
        unsafe { launch.run(length.div_ceil(4 * BLOCK as usize).min(1 << 16), BLOCK) }
    }

    fn sum_of_squared_products(&self, values: &Tensor, gradients: &Tensor) -> f64 {
        let length = values.rows() * values.columns();
        assert!(length <= gradients.rows() * gradients.columns(), "vectors of different lengths");
        let blocks = length.div_ceil(SQUARES);
        // The last of the sums is the total.
        let sums = self.scratch_bytes(8 * (blocks + 1));
        let total = sums.pointer() + 8 * blocks as u64;
        let launch = self.kernels.get(OPTIMIZER, "squared_products");
        let launch = launch.with(dense(values.view()).pointer);
        let launch = launch.with(dense(gradients.view()).pointer).with(length as u64);
        // Safety: `squared_products(values, gradients, count, per_block, sums)` and
        // `sum_doubles(sums, count, total)`.
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
