//! The climb of sharpness-aware minimisation (Foret et al., arXiv 2010.01412; adaptive: Kwon et
//! al., arXiv 2102.11600) over flat vectors.

use crate::kernels::kernels;
use crate::tensor::Tensor;

kernels! {
    /// Kernels of the climb, over flat vectors of equal length.
    pub trait SamKernels {
        /// `values += scale * gradients`, and where `adaptive` each summand times the square of its
        /// value.
        fn climb(&self, values: &mut Tensor, gradients: &Tensor, scale: f32, adaptive: bool);

        /// The sum of squares of the products `values * gradients`, in an order that does not
        /// depend on the thread count.
        fn sum_of_squared_products(&self, values: &Tensor, gradients: &Tensor) -> f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, device, random};

    #[test]
    fn both_climbs_follow_their_formulas() {
        let device = device();
        for length in [1, 7, 16_384, 40_001] {
            let (values, gradients) = (random(1, length), random(2, length));
            let vector = |values: &[f32]| Tensor::from_slice(&device, 1, length, values);
            for adaptive in [false, true] {
                let mut found = vector(&values);
                device.climb(&mut found, &vector(&gradients), 0.3, adaptive);
                let of_one = |(&value, &gradient): (&f32, &f32)| {
                    value + 0.3 * gradient * if adaptive { value * value } else { 1.0 }
                };
                let expected: Vec<f32> = values.iter().zip(&gradients).map(of_one).collect();
                assert_close(&found.to_vec(), &expected, 1e-6);
            }
            let found = device.sum_of_squared_products(&vector(&values), &vector(&gradients));
            let of_one = |(&v, &g): (&f32, &f32)| (v as f64 * g as f64).powi(2);
            let expected: f64 = values.iter().zip(&gradients).map(of_one).sum();
            assert!((found - expected).abs() <= 1e-9 * expected, "{found}, not {expected}");
        }
    }

    #[test]
    fn the_sum_does_not_depend_on_the_threads() {
        let device = device();
        let vector = |seed| Tensor::from_slice(&device, 1, 70_001, &random(seed, 70_001));
        let (values, gradients) = (vector(1), vector(2));
        let sum = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| device.sum_of_squared_products(&values, &gradients)).to_bits()
        };
        assert!(sum(1) == sum(2) && sum(1) == sum(3));
    }
}
