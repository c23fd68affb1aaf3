//! Moving one vector towards another: averages of weights.

use crate::kernels::kernels;
use crate::tensor::Tensor;

kernels! {
    /// Kernels of averages, over flat vectors of equal length.
    pub trait BlendKernels {
        /// `to += share * (from - to)`: 1 copies, 0 changes nothing.
        fn blend(&self, from: &Tensor, share: f32, to: &mut Tensor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, device, random};

    #[test]
    fn a_share_of_the_way_is_gone() {
        let device = device();
        for length in [1, 7, 40_001] {
            let (from, start) = (random(1, length), random(2, length));
            for share in [0.0, 0.1, 1.0] {
                let mut to = Tensor::from_slice(&device, 1, length, &start);
                device.blend(&Tensor::from_slice(&device, 1, length, &from), share, &mut to);
                let of_one = |(&from, &to): (&f32, &f32)| to + share * (from - to);
                let expected: Vec<f32> = from.iter().zip(&start).map(of_one).collect();
                assert_close(&to.to_vec(), &expected, 1e-6);
            }
        }
    }
}
