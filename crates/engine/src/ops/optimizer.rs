//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) over ranges of the flat vector, and the gradient
//! norm.

use std::ops::Range;

use crate::kernels::kernels;
use crate::tensor::Tensor;

/// The settings of one AdamW step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamwStep {
    /// 1 for the first step.
    pub step: u64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, times the learning rate.
    pub weight_decay: f64,
    /// Multiplies every gradient first: the clipping factor.
    pub gradient_scale: f64,
    /// Whose formula.
    pub variant: AdamwVariant,
}

/// Two programs, two formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdamwVariant {
    /// `torch.optim.AdamW`: decay first; epsilon is added to the bias-corrected root.
    Torch,
    /// `transformers.AdamW`: epsilon is added to the raw root; decay acts on the updated value.
    Transformers,
}

kernels! {
    /// Kernels of the optimizer, over flat vectors of equal length.
    pub trait OptimizerKernels {
        /// Updates `values` and both moments in the given range of the flat vectors.
        fn adamw(
            &self,
            values: &mut Tensor,
            gradients: &Tensor,
            first_moment: &mut Tensor,
            second_moment: &mut Tensor,
            range: Range<usize>,
            step: AdamwStep,
        );

        /// The sum of squares of a flat vector, in an order that does not depend on the thread
        /// count.
        fn sum_of_squares(&self, values: &Tensor) -> f64;
    }
}

impl AdamwStep {
    /// Constants of the update `value = value * decay_before - rate * m / (sqrt(v) * root_scale +
    /// epsilon)`, then `value *= decay_after`.
    pub fn constants(&self) -> AdamwConstants {
        let correction1 = 1.0 - self.beta1.powf(self.step as f64);
        let correction2 = 1.0 - self.beta2.powf(self.step as f64);
        let decay = 1.0 - self.learning_rate * self.weight_decay;
        let torch = self.variant == AdamwVariant::Torch;
        let root = correction2.sqrt();
        AdamwConstants {
            rate: (self.learning_rate / correction1 * if torch { 1.0 } else { root }) as f32,
            root_scale: if torch { (1.0 / root) as f32 } else { 1.0 },
            epsilon: self.epsilon as f32,
            decay_before: if torch { decay as f32 } else { 1.0 },
            decay_after: if torch { 1.0 } else { decay as f32 },
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            new_share1: (1.0 - self.beta1) as f32,
            new_share2: (1.0 - self.beta2) as f32,
            gradient_scale: self.gradient_scale as f32,
        }
    }
}

/// See [`AdamwStep::constants`]. In the layout of C, since kernels on other devices take it whole.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AdamwConstants {
    /// The learning rate with all bias corrections that the variant applies to it.
    pub rate: f32,
    /// Multiplies the root of the second moment.
    pub root_scale: f32,
    /// Added to that root.
    pub epsilon: f32,
    /// Multiplies the value before the update.
    pub decay_before: f32,
    /// Multiplies the value after the update.
    pub decay_after: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// `1 - beta1` and `1 - beta2`, taken in double precision.
    pub new_share1: f32,
    /// As `new_share1`.
    pub new_share2: f32,
    /// Multiplies every gradient first.
    pub gradient_scale: f32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, device, random};

    /// Both formulas as their programs state them (`torch.optim.AdamW`; `transformers.AdamW` of
    /// release 4.31).
    fn reference(
        values: &mut [f64],
        gradients: &[f32],
        m: &mut [f64],
        v: &mut [f64],
        step: AdamwStep,
    ) {
        let (b1, b2) = (step.beta1, step.beta2);
        let (c1, c2) = (1.0 - b1.powf(step.step as f64), 1.0 - b2.powf(step.step as f64));
        for i in 0..values.len() {
            let gradient = gradients[i] as f64 * step.gradient_scale;
            m[i] = b1 * m[i] + (1.0 - b1) * gradient;
            v[i] = b2 * v[i] + (1.0 - b2) * gradient * gradient;
            match step.variant {
                AdamwVariant::Torch => {
                    values[i] -= step.learning_rate * step.weight_decay * values[i];
                    values[i] -=
                        step.learning_rate / c1 * m[i] / (v[i].sqrt() / c2.sqrt() + step.epsilon);
                }
                AdamwVariant::Transformers => {
                    values[i] -=
                        step.learning_rate * c2.sqrt() / c1 * m[i] / (v[i].sqrt() + step.epsilon);
                    values[i] -= step.learning_rate * step.weight_decay * values[i];
                }
            }
        }
    }

    #[test]
    fn five_steps_follow_both_formulas() {
        for variant in [AdamwVariant::Torch, AdamwVariant::Transformers] {
            let device = device();
            let length = 5000;
            let vector = |values: &[f32]| Tensor::from_slice(&device, 1, length, values);
            let start = random(1, length);
            let (mut values, mut m, mut v) =
                (vector(&start), vector(&vec![0.0; length]), vector(&vec![0.0; length]));
            let mut expected: Vec<f64> = start.iter().map(|&x| x as f64).collect();
            let (mut em, mut ev) = (vec![0.0; length], vec![0.0; length]);
            for index in 1..=5 {
                let gradients = random(index + 10, length);
                let step = AdamwStep {
                    step: index,
                    learning_rate: 0.01,
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-3,
                    weight_decay: 0.1,
                    gradient_scale: 0.5,
                    variant,
                };
                device.adamw(&mut values, &vector(&gradients), &mut m, &mut v, 0..length, step);
                reference(&mut expected, &gradients, &mut em, &mut ev, step);
            }
            let expected: Vec<f32> = expected.iter().map(|&x| x as f32).collect();
            assert_close(&values.to_vec(), &expected, 1e-6);
        }
    }

    #[test]
    fn a_range_leaves_the_rest_alone() {
        let device = device();
        let ones = || Tensor::from_slice(&device, 1, 10, &[1.0; 10]);
        let (mut values, gradients) = (ones(), ones());
        let (mut m, mut v) = (Tensor::zeros(&device, 1, 10), Tensor::zeros(&device, 1, 10));
        let step = AdamwStep {
            step: 1,
            learning_rate: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            gradient_scale: 1.0,
            variant: AdamwVariant::Torch,
        };
        device.adamw(&mut values, &gradients, &mut m, &mut v, 3..7, step);
        let found = values.to_vec();
        assert_eq!((&found[..3], &found[7..]), (&[1.0; 3][..], &[1.0; 3][..]));
        assert_close(&found[3..7], &[0.9; 4], 1e-6);
    }

    #[test]
    fn sum_of_squares_adds_everything_up() {
        let device = device();
        for length in [1, 17, 100_003] {
            let values = random(length as u64, length);
            let expected: f64 = values.iter().map(|&x| x as f64 * x as f64).sum();
            let found = device.sum_of_squares(&Tensor::from_slice(&device, 1, length, &values));
            assert!((found - expected).abs() < 1e-9 * expected, "{found} instead of {expected}");
        }
    }
}
