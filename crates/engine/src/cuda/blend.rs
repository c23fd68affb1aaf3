//! Moving one vector towards another.

use super::Cuda;
use super::kernels::{BLOCK, OPTIMIZER};
use super::memory::dense;
use crate::ops::blend::BlendKernels;
use crate::tensor::Tensor;

impl BlendKernels for Cuda {
    fn blend(&self, from: &Tensor, share: f32, to: &mut Tensor) {
        let length = to.rows() * to.columns();
        assert!(length <= from.rows() * from.columns(), "vectors of different lengths");
        let to = self.values_mut(&mut to.view_mut()).pointer;
        let launch = self.kernels.get(OPTIMIZER, "blend").with(dense(from.view()).pointer);
        let launch = launch.with(share).with(to).with(length as u64);
        // Safety: `blend(from, share, to, count)`; both vectors are f32 and equally long.
        unsafe { launch.run(length.div_ceil(4 * BLOCK as usize).min(1 << 16), BLOCK) }
    }
}
