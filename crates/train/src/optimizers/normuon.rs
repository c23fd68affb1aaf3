//! NorMuon (Li et al., arXiv 2510.05491): Muon whose rows, the neurons, are updated alike. Each row
//! is divided by the root of its mean square over the steps, and the matrix keeps its norm, as in
//! the authors' code.

use engine::params::NamedSegment;
use engine::{Parameters, Segment, Tensor, ViewMut};

use super::muon::{self, update_matrices};
use super::{GroupUpdate, Optimizer, OptimizerOption, is_body_matrix};

/// See the module.
pub(super) struct Normuon;

/// Muon's, and the decay of the average of the rows' mean squares.
static OPTIONS: [OptimizerOption; 5] = {
    let [momentum, start, warmup, polar_express] = muon::OPTIONS;
    let beta2 = OptimizerOption::number("beta2", 0.95, 0.0, 0.999_999);
    [momentum, start, warmup, polar_express, beta2]
};

impl Optimizer for Normuon {
    fn name(&self) -> &'static str {
        "normuon"
    }

    /// Of a matrix's second moment only as many values are used as it has rows.
    fn state(&self) -> &'static [&'static str] {
        &["first_moment", "second_moment"]
    }

    fn options(&self) -> &'static [OptimizerOption] {
        &OPTIONS
    }

    fn takes(&self, segment: &NamedSegment) -> bool {
        is_body_matrix(segment)
    }

    fn flops(&self, segment: &NamedSegment) -> f64 {
        muon::Muon.flops(segment)
    }

    fn update(
        &self,
        update: &GroupUpdate<'_>,
        parameters: &mut Parameters,
        gradients: &Parameters,
        state: &mut [&mut Tensor],
    ) {
        let [average, second_moment] = state else {
            unreachable!("there is a tensor for each name");
        };
        let device = parameters.device().clone();
        let beta2 = update.hyperparameters.option("beta2");
        let normalise = |direction: &mut Tensor, segment: Segment| {
            let moments = ViewMut::block(second_moment, segment.offset, 1, segment.rows);
            device.normalise_rows(direction.view_mut(), moments, beta2);
        };
        update_matrices(update, parameters, gradients, average, normalise);
    }
}
