//! What a stopping rule decides.

use super::{Curve, Decision, NewTrial, StopError, Unit};

/// A stopping rule. [`StopRule`](super::StopRule) lists them.
///
/// Rules see all trials of a study with values of which lower ones are better; the same trials give
/// the same decisions.
pub trait Rule {
    /// Checks that the rule's values can be used.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    fn check(&self) -> Result<(), StopError>;

    /// What the rule's budgets count.
    fn unit(&self) -> Unit {
        Unit::Epochs
    }

    /// The rungs of a trial: the budgets below its end at which it is decided, rising. Brackets may
    /// pass over the first of them.
    fn rungs_below(&self, end: f64) -> Vec<f64>;

    /// What the trial of `curve`, one of `curves`, does after its newest report, which is before
    /// its end.
    fn decide(&self, curves: &[Curve], curve: &Curve) -> Decision;

    /// The waiting trial that goes on next, and the rung that it runs to (or to its own end, if
    /// that is before the rung). `new_left`: further new trials may still start.
    fn next_promotion(&self, _curves: &[Curve], _new_left: bool) -> Option<(u64, usize)> {
        None
    }

    /// Where the new trial `number` of a study starts.
    fn next_new(&self, _curves: &[Curve], _study: &str, _number: u64) -> NewTrial {
        NewTrial::default()
    }

    /// Whether samplers see the trials of the new trial's own bracket only.
    fn separates_brackets(&self) -> bool {
        false
    }
}

/// The rule `none`.
pub(super) struct Never;

impl Rule for Never {
    fn check(&self) -> Result<(), StopError> {
        Ok(())
    }

    fn unit(&self) -> Unit {
        Unit::Fraction
    }

    fn rungs_below(&self, _end: f64) -> Vec<f64> {
        Vec::new()
    }

    fn decide(&self, _curves: &[Curve], _curve: &Curve) -> Decision {
        Decision::Continue
    }
}
