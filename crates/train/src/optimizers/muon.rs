//! Muon (Jordan et al., 2024): momentum whose matrices are made orthonormal, so that an update
//! moves all directions alike.
//!
//! The update has the size of AdamW's, `0.2 * sqrt(max(rows, columns))` times an orthonormal matrix
//! (Liu et al., arXiv 2502.16982), so that learning rate and weight decay carry over.

use engine::ops::optimizer::UpdateStep;
use engine::ops::orthogonal::{MomentumStep, NewtonSchulz};
use engine::params::NamedSegment;
use engine::{Parameters, Precision, Segment, Shape, Tensor, ViewMut};

use super::{GroupUpdate, Optimizer, OptimizerOption, is_body_matrix};

/// See the module.
pub(super) struct Muon;

/// The momentum at the end of its warm-up, at the beginning, and the steps between; whether the
/// iterations are those of Polar Express.
pub(super) const OPTIONS: [OptimizerOption; 4] = [
    OptimizerOption::number("momentum", 0.95, 0.0, 0.999_999),
    OptimizerOption::number("momentum_start", 0.85, 0.0, 0.999_999),
    OptimizerOption::count("momentum_warmup_steps", 300.0, 1e9),
    OptimizerOption::count("polar_express", 0.0, 1.0),
];

/// What makes updates as large as AdamW's, whose root mean square is about this.
const ROOT_MEAN_SQUARE: f64 = 0.2;

impl Optimizer for Muon {
    fn name(&self) -> &'static str {
        "muon"
    }

    /// The momentum is where AdamW keeps its own in the other segments: both together take no more
    /// memory than AdamW alone.
    fn state(&self) -> &'static [&'static str] {
        &["first_moment"]
    }

    fn options(&self) -> &'static [OptimizerOption] {
        &OPTIONS
    }

    fn takes(&self, segment: &NamedSegment) -> bool {
        is_body_matrix(segment)
    }

    fn flops(&self, segment: &NamedSegment) -> f64 {
        let flops = |of: Segment| NewtonSchulz::CLASSIC.flops(of.rows, of.columns);
        segment.matrices().map(flops).sum()
    }

    fn update(
        &self,
        update: &GroupUpdate<'_>,
        parameters: &mut Parameters,
        gradients: &Parameters,
        state: &mut [&mut Tensor],
    ) {
        let [average] = state else { unreachable!("there is a tensor for each name") };
        update_matrices(update, parameters, gradients, average, |_, _| {});
    }
}

/// Updates every matrix of a group by its orthonormal momentum. `change` may alter that before it
/// is applied; it is given the matrix's place.
pub(super) fn update_matrices(
    update: &GroupUpdate<'_>,
    parameters: &mut Parameters,
    gradients: &Parameters,
    average: &mut Tensor,
    mut change: impl FnMut(&mut Tensor, Segment),
) {
    let device = parameters.device().clone();
    let options = update.hyperparameters;
    let scheme = match options.option("polar_express") == 0.0 {
        true => NewtonSchulz::CLASSIC,
        false => NewtonSchulz::POLAR_EXPRESS,
    };
    let step = MomentumStep { momentum: momentum(update), gradient_scale: update.gradient_scale };
    for segment in update.segments.iter().flat_map(NamedSegment::matrices) {
        let Segment { offset, rows, columns } = segment;
        let shape = Shape { rows, columns, precision: Precision::Compact };
        let mut direction = Tensor::of_shape(&device, shape);
        let average = ViewMut::block(average, offset, rows, columns);
        device.nesterov(gradients.view(segment), average, step, direction.view_mut());
        let mut direction = scheme.orthogonalise(direction);
        change(&mut direction, segment);
        let scale = ROOT_MEAN_SQUARE * (rows.max(columns) as f64).sqrt();
        let step = UpdateStep {
            rate: update.learning_rate * scale,
            decay: update.learning_rate * update.weight_decay,
            cautious: update.cautious_decay,
            by_norms: false,
        };
        let range = offset..offset + segment.length();
        device.apply_update(parameters.values_mut(), range, direction.view(), step);
    }
}

/// The momentum rises in a straight line over the first steps.
fn momentum(update: &GroupUpdate<'_>) -> f64 {
    let option = |name| update.hyperparameters.option(name);
    let (start, end) = (option("momentum_start"), option("momentum"));
    let (done, warmup) = ((update.step - 1) as f64, option("momentum_warmup_steps"));
    if done < warmup { start + (end - start) * done / warmup } else { end }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::optimizers::Hyperparameters;

    #[test]
    fn momentum_rises_to_its_value_and_stays() {
        let momentum = |step, warmup| {
            let options = OPTIONS.map(|option| (option.name.to_owned(), option.default));
            let mut options = BTreeMap::from(options);
            options.insert("momentum_warmup_steps".to_owned(), warmup);
            let hyperparameters = Hyperparameters { beta1: 0.9, beta2: 0.9, epsilon: 1.0, options };
            momentum(&GroupUpdate {
                segments: &[],
                ranges: &[],
                step,
                learning_rate: 0.1,
                weight_decay: 0.0,
                cautious_decay: false,
                gradient_scale: 1.0,
                hyperparameters: &hyperparameters,
            })
        };
        assert_eq!(momentum(1, 300.0), 0.85);
        assert!((momentum(151, 300.0) - 0.9).abs() < 1e-15);
        assert_eq!([301, 1000].map(|step| momentum(step, 300.0)), [0.95; 2]);
        assert_eq!(momentum(1, 0.0), 0.95);
    }
}
