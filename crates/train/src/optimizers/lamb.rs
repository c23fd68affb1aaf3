//! LAMB (You et al., arXiv 1904.00962, algorithm 2): Adam whose update of each tensor is scaled to
//! the tensor's norm. Gains and biases are updated by Adam without that, as in the authors' code.

use engine::ops::optimizer::{AdamwStep, AdamwVariant, UpdateStep};
use engine::{Parameters, Tensor};

use super::{GroupUpdate, Optimizer};

/// See the module.
pub(super) struct Lamb;

impl Optimizer for Lamb {
    fn name(&self) -> &'static str {
        "lamb"
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
            variant: AdamwVariant::Torch,
        };
        let device = parameters.device().clone();
        for named in update.segments {
            let offset = named.segment.offset;
            let range = offset..offset + named.segment.length();
            let mut direction = Tensor::uninitialised(&device, 1, range.len());
            device.lamb_direction(
                parameters.values(),
                gradients.values(),
                first_moment,
                second_moment,
                range.clone(),
                step,
                direction.view_mut(),
            );
            // The decay is part of the direction.
            let apply = UpdateStep {
                rate: update.learning_rate,
                decay: 0.0,
                cautious: false,
                by_norms: !named.role.is_vector(),
            };
            device.apply_update(parameters.values_mut(), range, direction.view(), apply);
        }
    }
}
