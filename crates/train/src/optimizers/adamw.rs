//! AdamW (Loshchilov and Hutter, arXiv 1711.05101), as PyTorch and as transformers compute it.

use engine::ops::optimizer::{AdamwStep, AdamwVariant};
use engine::{Parameters, Tensor};

use super::{GroupUpdate, Optimizer};

/// `torch.optim.AdamW`: decay first, epsilon added to the bias-corrected root.
pub(super) static TORCH: Adamw = Adamw { name: "adamw", variant: AdamwVariant::Torch };

/// `transformers.AdamW` (the Trainer's default up to 4.31): epsilon added before bias correction,
/// decay after the step.
pub(super) static TRANSFORMERS: Adamw =
    Adamw { name: "adamw_hf", variant: AdamwVariant::Transformers };

/// One of the two variants.
pub(super) struct Adamw {
    name: &'static str,
    variant: AdamwVariant,
}

impl Optimizer for Adamw {
    fn name(&self) -> &'static str {
        self.name
    }

    fn state(&self) -> &'static [&'static str] {
        &["first_moment", "second_moment"]
    }

    fn update(
        &self,
        update: &GroupUpdate<'_>,
        parameters: &mut Parameters,
        gradients: &Parameters,
        state: &mut [&mut Tensor],
    ) {
        let [first_moment, second_moment] = state else {
            unreachable!("there is a tensor for each name");
        };
        let step = AdamwStep {
            step: update.step,
            learning_rate: update.learning_rate,
            beta1: update.hyperparameters.beta1,
            beta2: update.hyperparameters.beta2,
            epsilon: update.hyperparameters.epsilon,
            weight_decay: update.weight_decay,
            gradient_scale: update.gradient_scale,
            cautious: update.cautious_decay,
            variant: self.variant,
        };
        let device = parameters.device().clone();
        for range in update.ranges {
            device.adamw(
                parameters.values_mut(),
                gradients.values(),
                first_moment,
                second_moment,
                range.clone(),
                step,
            );
        }
    }
}
