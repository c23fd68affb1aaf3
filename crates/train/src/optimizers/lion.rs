//! Lion (Chen et al., arXiv 2302.06675): every value moves by the learning rate, in the direction
//! of an average of gradients. It needs a learning rate of a tenth to a third of AdamW's, and a
//! weight decay larger by the same factor.

use engine::ops::optimizer::LionStep;
use engine::{Parameters, Tensor};

use super::{GroupUpdate, Optimizer, OptimizerOption};

/// See the module.
pub(super) struct Lion;

/// The average's share in the update, and its decay.
static OPTIONS: [OptimizerOption; 2] = [
    OptimizerOption::number("beta1", 0.9, 0.0, 0.999_999),
    OptimizerOption::number("beta2", 0.99, 0.0, 0.999_999),
];

impl Optimizer for Lion {
    fn name(&self) -> &'static str {
        "lion"
    }

    fn state(&self) -> &'static [&'static str] {
        &["first_moment"]
    }

    fn options(&self) -> &'static [OptimizerOption] {
        &OPTIONS
    }

    fn update(
        &self,
        update: &GroupUpdate<'_>,
        parameters: &mut Parameters,
        gradients: &Parameters,
        state: &mut [&mut Tensor],
    ) {
        let [momentum] = state else { unreachable!("there is a tensor for each name") };
        let step = LionStep {
            learning_rate: update.learning_rate,
            beta1: update.hyperparameters.option("beta1"),
            beta2: update.hyperparameters.option("beta2"),
            weight_decay: update.weight_decay,
            gradient_scale: update.gradient_scale,
            cautious: update.cautious_decay,
        };
        let device = parameters.device().clone();
        for range in update.ranges {
            let values = parameters.values_mut();
            device.lion(values, gradients.values(), momentum, range.clone(), step);
        }
    }
}
