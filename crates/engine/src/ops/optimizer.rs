//! Updates of parameters, over ranges of the flat vector: AdamW (Loshchilov and Hutter, arXiv
//! 1711.05101), Lion (Chen et al., arXiv 2302.06675), LAMB (You et al., arXiv 1904.00962), those
//! that other operations computed; and the gradient norm.

use std::ops::Range;

use crate::kernels::kernels;
use crate::tensor::{Tensor, View, ViewMut};

/// The kernels of optimizers, here and in [`orthogonal`](crate::ops::orthogonal), by name: what
/// they take of a step is the optimizer's share of it.
pub const KERNELS: [&str; 11] = [
    "adamw",
    "lion",
    "lamb_direction",
    "apply_update",
    "sum_of_squares",
    "nesterov",
    "divide_by_norm",
    "gram",
    "gram_polynomial",
    "gram_product",
    "normalise_rows",
];

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
    /// Whether only those values decay that the update moves towards zero.
    pub cautious: bool,
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

/// The settings of one Lion step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LionStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Share of the average of gradients in the update, whose rest is the gradient.
    pub beta1: f64,
    /// Decay of the average of gradients.
    pub beta2: f64,
    /// Decoupled weight decay, times the learning rate.
    pub weight_decay: f64,
    /// Multiplies every gradient first: the clipping factor.
    pub gradient_scale: f64,
    /// As for [`AdamwStep`].
    pub cautious: bool,
}

/// How an update that was computed is applied: `value = value * (1 - decay) - rate * update`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdateStep {
    /// Multiplies the update.
    pub rate: f64,
    /// Share of each value that is taken away: learning rate times weight decay.
    pub decay: f64,
    /// As for [`AdamwStep`].
    pub cautious: bool,
    /// Multiplies the rate by the norm of the values over that of the update (LAMB's trust ratio),
    /// where neither is 0.
    pub by_norms: bool,
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

        /// Updates `values` and the average of gradients in the given range of the flat vectors:
        /// `update = sign(beta1 * momentum + (1 - beta1) * gradient)`.
        fn lion(
            &self,
            values: &mut Tensor,
            gradients: &Tensor,
            momentum: &mut Tensor,
            range: Range<usize>,
            step: LionStep,
        );

        /// Updates both moments in the given range, and writes AdamW's update without the learning
        /// rate, plus `weight_decay * value`, to `output` `[1, length of the range]`.
        fn lamb_direction(
            &self,
            values: &Tensor,
            gradients: &Tensor,
            first_moment: &mut Tensor,
            second_moment: &mut Tensor,
            range: Range<usize>,
            step: AdamwStep,
            output: ViewMut<'_>,
        );

        /// Applies an update, contiguous and as long as the range, to `values` in that range.
        fn apply_update(
            &self,
            values: &mut Tensor,
            range: Range<usize>,
            update: View<'_>,
            step: UpdateStep,
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
            cautious: self.cautious as u32,
        }
    }

    /// Constants of LAMB's direction.
    pub fn lamb_constants(&self) -> LambConstants {
        let correction1 = 1.0 - self.beta1.powf(self.step as f64);
        let correction2 = 1.0 - self.beta2.powf(self.step as f64);
        LambConstants {
            scale: (1.0 / correction1) as f32,
            root_scale: (1.0 / correction2.sqrt()) as f32,
            epsilon: self.epsilon as f32,
            decay: self.weight_decay as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            new_share1: (1.0 - self.beta1) as f32,
            new_share2: (1.0 - self.beta2) as f32,
            gradient_scale: self.gradient_scale as f32,
            cautious: self.cautious as u32,
        }
    }
}

impl LionStep {
    /// Constants of the update `value = value * decay - rate * sign(...)`.
    pub fn constants(&self) -> LionConstants {
        LionConstants {
            rate: self.learning_rate as f32,
            decay: (1.0 - self.learning_rate * self.weight_decay) as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            new_share1: (1.0 - self.beta1) as f32,
            new_share2: (1.0 - self.beta2) as f32,
            gradient_scale: self.gradient_scale as f32,
            cautious: self.cautious as u32,
        }
    }
}

impl UpdateStep {
    /// Constants of the update `value = value * decay - rate * update`.
    pub fn constants(&self) -> UpdateConstants {
        UpdateConstants {
            rate: self.rate as f32,
            decay: (1.0 - self.decay) as f32,
            cautious: self.cautious as u32,
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
    /// 1 where only those values decay that the update moves towards zero.
    pub cautious: u32,
}

/// See [`AdamwStep::lamb_constants`]. In the layout of C.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LambConstants {
    /// Corrects the bias of the first moment.
    pub scale: f32,
    /// Corrects the bias of the second moment's root.
    pub root_scale: f32,
    /// Added to that root.
    pub epsilon: f32,
    /// Multiplies the value that is added.
    pub decay: f32,
    /// As for AdamW.
    pub beta1: f32,
    /// As for AdamW.
    pub beta2: f32,
    /// As for AdamW.
    pub new_share1: f32,
    /// As for AdamW.
    pub new_share2: f32,
    /// As for AdamW.
    pub gradient_scale: f32,
    /// As for AdamW.
    pub cautious: u32,
}

/// See [`LionStep::constants`]. In the layout of C.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LionConstants {
    /// The learning rate.
    pub rate: f32,
    /// Multiplies the value before the update.
    pub decay: f32,
    /// Share of the average in the update.
    pub beta1: f32,
    /// Decay of the average.
    pub beta2: f32,
    /// `1 - beta1` and `1 - beta2`, taken in double precision.
    pub new_share1: f32,
    /// As `new_share1`.
    pub new_share2: f32,
    /// Multiplies every gradient first.
    pub gradient_scale: f32,
    /// As for AdamW.
    pub cautious: u32,
}

/// See [`UpdateStep::constants`]. In the layout of C.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct UpdateConstants {
    /// Multiplies the update.
    pub rate: f32,
    /// Multiplies the value before the update.
    pub decay: f32,
    /// As for AdamW.
    pub cautious: u32,
}

#[cfg(test)]
mod tests;
