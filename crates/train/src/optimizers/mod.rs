//! Optimizers: what turns gradients into updates of the parameters.
//!
//! An optimizer is a file of this folder and a line in [`OPTIMIZERS`]. Settings, checkpoints,
//! memory estimates and fine-tuning know it by its [`Optimizer`] implementation alone.

mod adamw;
mod grouped;
mod groups;
mod kind;
mod lamb;
mod lion;
mod muon;
mod normuon;
mod settings;

use std::collections::BTreeMap;
use std::ops::Range;

use engine::params::NamedSegment;
use engine::{Parameters, Role, Tensor};

pub use self::grouped::GroupedOptimizer;
pub use self::groups::ParameterGroup;
pub use self::kind::OptimizerKind;
pub use self::settings::OptimizerSettings;

/// Every optimizer. The first is the default, and updates the segments that another optimizer does
/// not take.
pub static OPTIMIZERS: &[&dyn Optimizer] = &[
    &adamw::TORCH,
    &adamw::TRANSFORMERS,
    &muon::Muon,
    &normuon::Normuon,
    &lion::Lion,
    &lamb::Lamb,
];

/// A rule that updates parameters by their gradients.
pub trait Optimizer: Send + Sync {
    /// The name in settings, such as `adamw`.
    fn name(&self) -> &'static str;

    /// Names of the state tensors, under which checkpoints store them. Each has one f32 for every
    /// parameter of the model, at the parameter's offset, and starts at zero. Optimizers that name
    /// the same tensor share it, each in its own segments. `parameters` is taken.
    fn state(&self) -> &'static [&'static str];

    /// Bytes of state for each parameter.
    fn bytes_per_weight(&self) -> usize {
        self.state().len() * size_of::<f32>()
    }

    /// Floating-point operations of the products in an update of a segment.
    fn flops(&self, _segment: &NamedSegment) -> f64 {
        0.0
    }

    /// Numbers that can be set besides those of [`Hyperparameters`], in `optimizer_options`.
    fn options(&self) -> &'static [OptimizerOption] {
        &[]
    }

    /// Whether it can update a segment. The first of [`OPTIMIZERS`] updates the others.
    fn takes(&self, _segment: &NamedSegment) -> bool {
        true
    }

    /// Updates the segments of a group. `state` holds the tensors of [`state`](Self::state), in
    /// that order.
    ///
    /// All tensors are flat vectors over all parameters; values outside the group's segments are
    /// another group's.
    fn update(
        &self,
        update: &GroupUpdate<'_>,
        parameters: &mut Parameters,
        gradients: &Parameters,
        state: &mut [&mut Tensor],
    );
}

/// One update of one parameter group.
pub struct GroupUpdate<'a> {
    /// The segments, in the order of the flat vector.
    pub segments: &'a [NamedSegment],
    /// The segments as ranges of the flat vector, neighbours joined: for optimizers that work
    /// value by value.
    pub ranges: &'a [Range<usize>],
    /// Number of the update, 1 for the first.
    pub step: u64,
    /// Learning rate of the schedule, times the group's factor.
    pub learning_rate: f64,
    /// Weight decay of the group's segments; 0 where they are not decayed.
    pub weight_decay: f64,
    /// Whether only those values decay that the update moves towards zero.
    pub cautious_decay: bool,
    /// The clipping factor, by which every gradient is multiplied first.
    pub gradient_scale: f64,
    /// The group's hyperparameters.
    pub hyperparameters: &'a Hyperparameters,
}

/// The numbers of an optimizer other than learning rate and weight decay.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameters {
    /// `adam_beta1`: decay of the average of gradients.
    pub beta1: f64,
    /// `adam_beta2`: decay of the average of squared gradients.
    pub beta2: f64,
    /// `adam_epsilon`: keeps the denominator above zero.
    pub epsilon: f64,
    /// `optimizer_options`, with the defaults of those that were not set.
    pub options: BTreeMap<String, f64>,
}

impl Hyperparameters {
    /// One of the options that the optimizer states.
    pub fn option(&self, name: &str) -> f64 {
        self.options.get(name).copied().unwrap_or_default()
    }
}

/// A number that an optimizer can be given in `optimizer_options`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerOption {
    /// The key.
    pub name: &'static str,
    /// The value where the key is not set.
    pub default: f64,
    /// The smallest value that is allowed.
    pub lowest: f64,
    /// The largest value that is allowed.
    pub highest: f64,
    /// Whether only whole numbers are: a count, or 0 and 1 for no and yes.
    pub is_whole: bool,
}

impl OptimizerOption {
    /// Any number of a range.
    pub const fn number(name: &'static str, default: f64, lowest: f64, highest: f64) -> Self {
        Self { name, default, lowest, highest, is_whole: false }
    }

    /// A whole number from 0 up.
    pub const fn count(name: &'static str, default: f64, highest: f64) -> Self {
        Self { name, default, lowest: 0.0, highest, is_whole: true }
    }

    /// Whether it may have a value.
    pub fn allows(&self, value: f64) -> bool {
        (self.lowest..=self.highest).contains(&value) && (!self.is_whole || value.fract() == 0.0)
    }
}

/// Whether a segment is a matrix within the model: not an embedding, the output layer, a gain or a
/// bias. For optimizers of matrices.
pub fn is_body_matrix(named: &NamedSegment) -> bool {
    named.role == Role::Matrix
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::settings::Named;

    #[test]
    fn names_are_unique_and_leave_the_parameters_theirs() {
        let names: BTreeSet<_> = OPTIMIZERS.iter().map(|optimizer| optimizer.name()).collect();
        assert_eq!(names.len(), OPTIMIZERS.len());
        for optimizer in OPTIMIZERS {
            let state: BTreeSet<_> = optimizer.state().iter().collect();
            assert_eq!(state.len(), optimizer.state().len());
            assert!(!state.contains(&"parameters"), "{}", optimizer.name());
            for option in optimizer.options() {
                assert!(option.allows(option.default), "{option:?}");
            }
        }
    }

    #[test]
    fn the_first_takes_every_segment() {
        let first = OPTIMIZERS[0];
        assert_eq!((first.name(), first.bytes_per_weight()), ("adamw", 8));
        for &(_, role) in Role::NAMED {
            let segment = engine::Segment { offset: 0, rows: 1, columns: 1 };
            assert!(first.takes(&NamedSegment { name: "any".into(), segment, role, parts: 1 }));
        }
    }
}
