//! Stopping rules: which trials go on after a report, which wait, and which end.
//!
//! A rule is a pure function of what all trials have reported. Lower values are better: the caller
//! negates what is maximised. `docs/how-to/stopping-rule.md` has the steps to a new one.

mod asha;
mod hyperband;
mod optuna;
mod rule;
mod wandb;

use serde::{Deserialize, Serialize};

pub use asha::{Asha, Form};
pub use hyperband::Hyperband;
pub use optuna::{OptunaHyperband, SuccessiveHalving};
pub use rule::Rule;
pub use wandb::Wandb;

use rule::Never;

/// When trials are stopped early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum StopRule {
    /// W&B's `early_terminate: {type: hyperband}`.
    Wandb(Wandb),
    /// Asynchronous successive halving (arXiv 1810.05934).
    Asha(Asha),
    /// Hyperband's synchronous brackets (arXiv 1603.06560), as HpBandSter runs them.
    Hyperband(Hyperband),
    /// Optuna's `SuccessiveHalvingPruner`.
    SuccessiveHalving(SuccessiveHalving),
    /// Optuna's `HyperbandPruner`.
    OptunaHyperband(OptunaHyperband),
    /// Every trial runs to its end.
    None,
}

impl Default for StopRule {
    fn default() -> Self {
        Self::Asha(Asha::default())
    }
}

/// What budgets count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// The share of a trial's own epochs, so that trials with different numbers of epochs are
    /// compared at the same place of their learning-rate schedules. The end is 1.
    #[default]
    Fraction,
    /// Epochs.
    Epochs,
}

/// A trial as stopping rules see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The trial's number within its study.
    pub number: u64,
    /// What it reported: the budget in the rule's unit (rising) and the value there.
    pub reports: Vec<(f64, f64)>,
    /// What became of it.
    pub state: CurveState,
    /// The budget at which the trial's own schedule ends: 1, or its epochs.
    pub end: f64,
    /// Where the trial started, as [`StopRule::next_new`] chose it.
    pub start: NewTrial,
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurveState {
    /// It runs or is queued.
    Running,
    /// It waits at a rung.
    Paused {
        /// The rung, counted from the smallest budget.
        rung: usize,
    },
    /// It ran to its end.
    Complete,
    /// A rule or the user ended it.
    Stopped,
    /// It diverged or crashed.
    Failed,
}

/// Where a new trial starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTrial {
    /// The bracket that it belongs to.
    pub bracket: usize,
    /// The first rung at which it is compared.
    pub rung: usize,
}

/// What a trial does after a report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// It goes on.
    Continue,
    /// It waits for a promotion.
    Pause(Why),
    /// It ends.
    Stop(Why),
}

/// What a decision followed from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The rung, counted from the smallest budget.
    pub rung: usize,
    /// The trial's value there.
    pub value: f64,
    /// The largest value that passes; none where no value passes yet.
    pub threshold: Option<f64>,
    /// How many trials have a value there.
    pub n: usize,
}

/// A key of a rule whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stop: `{key}` {cause}")]
pub struct StopError {
    /// The key.
    pub key: &'static str,
    /// What is wrong, and what to write instead.
    pub cause: String,
}

impl StopRule {
    /// The rule itself.
    fn rule(&self) -> &dyn Rule {
        match self {
            Self::Wandb(rule) => rule,
            Self::Asha(rule) => rule,
            Self::Hyperband(rule) => rule,
            Self::SuccessiveHalving(rule) => rule,
            Self::OptunaHyperband(rule) => rule,
            Self::None => &Never,
        }
    }

    /// Checks that the rule's values can be used.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self) -> Result<(), StopError> {
        self.rule().check()
    }

    /// What the rule's budgets count.
    pub fn unit(&self) -> Unit {
        self.rule().unit()
    }

    /// The waiting trial that goes on next, and the rung that it runs to; see
    /// [`Rule::next_promotion`].
    pub fn next_promotion(&self, curves: &[Curve], new_left: bool) -> Option<(u64, usize)> {
        self.rule().next_promotion(curves, new_left)
    }

    /// Where the new trial `number` of a study starts.
    pub fn next_new(&self, curves: &[Curve], study: &str, number: u64) -> NewTrial {
        self.rule().next_new(curves, study, number)
    }

    /// Whether samplers see the trials of the new trial's own bracket only.
    pub fn separates_brackets(&self) -> bool {
        self.rule().separates_brackets()
    }

    /// The budget after some of a trial's epochs.
    pub fn budget(&self, epochs: f64, total_epochs: f64) -> f64 {
        match self.unit() {
            Unit::Fraction => epochs / total_epochs,
            Unit::Epochs => epochs,
        }
    }

    /// The budgets, below its end, at which a trial of `total_epochs` epochs is decided, rung by
    /// rung. Brackets may pass over the first of them.
    pub fn rungs(&self, total_epochs: f64) -> Vec<f64> {
        self.rule().rungs_below(self.budget(total_epochs, total_epochs))
    }

    /// The results of a trial that can be compared with other trials': its value at each rung
    /// below its end, and its result (of a complete trial) at the end.
    pub fn comparable(&self, curve: &Curve, result: Option<f64>) -> Vec<(f64, f64)> {
        let rungs = self.rule().rungs_below(curve.end).into_iter();
        let values = rungs.map_while(|rung| Some((rung, curve.value_at(rung)?)));
        values.chain(result.map(|result| (curve.end, result))).collect()
    }

    /// What trial `number` does after its newest report. At the end of its own schedule a trial is
    /// complete, whatever it reported.
    pub fn decide(&self, curves: &[Curve], number: u64) -> Decision {
        let Some(curve) = curves.iter().find(|curve| curve.number == number) else {
            return Decision::Continue;
        };
        let is_over = |&(budget, _): &(f64, f64)| reaches(budget, curve.end);
        match curve.reports.last().is_none_or(is_over) {
            true => Decision::Continue,
            false => self.rule().decide(curves, curve),
        }
    }
}

/// Whether a budget reaches another, but for rounding.
fn reaches(budget: f64, other: f64) -> bool {
    budget >= other * (1.0 - 1e-9)
}

/// The budgets below an end, but for rounding.
fn below(budgets: impl Iterator<Item = f64>, end: f64) -> Vec<f64> {
    budgets.take_while(|&budget| !reaches(budget, end)).collect()
}

impl Curve {
    /// The first value at a budget or beyond it.
    fn value_at(&self, budget: f64) -> Option<f64> {
        self.reports.iter().find(|report| reaches(report.0, budget)).map(|report| report.1)
    }

    /// The budget of the newest report.
    fn reached(&self) -> f64 {
        self.reports.last().map_or(0.0, |report| report.0)
    }

    /// Which of rising budgets the newest report is the first to reach.
    fn newly_reached(&self, budgets: impl Iterator<Item = f64>) -> std::ops::Range<usize> {
        let before = self.reports.iter().rev().nth(1).map_or(0.0, |report| report.0);
        let (mut first, mut end) = (0, 0);
        for budget in budgets.take_while(|&budget| reaches(self.reached(), budget)) {
            end += 1;
            if reaches(before, budget) {
                first = end;
            }
        }
        first..end
    }
}

/// The values of trials at a budget with their numbers, best first; equal ones by number. What is
/// not finite comes last.
fn ranked<'a>(curves: impl Iterator<Item = &'a Curve>, budget: f64) -> Vec<(f64, &'a Curve)> {
    let finite = |value: f64| if value.is_finite() { value } else { f64::INFINITY };
    let mut ranked: Vec<(f64, &Curve)> =
        curves.filter_map(|curve| Some((finite(curve.value_at(budget)?), curve))).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.number.cmp(&b.1.number)));
    ranked
}

/// Checks that a reduction factor is above 1.
fn check_eta(eta: f64) -> Result<(), StopError> {
    if eta.is_finite() && eta > 1.0 {
        return Ok(());
    }
    Err(StopError { key: "eta", cause: format!("is {eta}; a number above 1 is expected") })
}

/// Checks that a budget is above zero.
fn check_budget(key: &'static str, budget: f64) -> Result<(), StopError> {
    if budget.is_finite() && budget > 0.0 {
        return Ok(());
    }
    Err(StopError { key, cause: format!("is {budget}; a number above 0 is expected") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A running trial with a report for each epoch.
    pub(super) fn curve(number: u64, values: &[f64]) -> Curve {
        let reports = values.iter().enumerate();
        Curve {
            number,
            reports: reports.map(|(index, &value)| (index as f64 + 1.0, value)).collect(),
            state: CurveState::Running,
            end: 1e9,
            start: NewTrial::default(),
        }
    }

    /// Eight trials of four epochs.
    pub(super) const CURVES: [[f64; 4]; 8] = [
        [6.0, 5.0, 4.6, 4.3],
        [6.2, 4.9, 4.7, 4.4],
        [5.5, 5.2, 4.9, 4.5],
        [5.9, 4.8, 4.5, 4.2],
        [7.0, 6.0, 5.0, 4.0],
        [5.4, 4.7, 4.4, 4.1],
        [5.6, 4.6, 4.4, 4.0],
        [5.0, 4.9, 4.8, 4.7],
    ];

    fn rule(text: &str) -> Result<StopRule, String> {
        let rule: StopRule = toml::from_str(text).map_err(|error| error.message().to_string())?;
        rule.check().map(|()| rule).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_are_read_with_their_defaults() {
        assert_eq!(rule("rule = 'asha'"), Ok(StopRule::default()));
        assert_eq!(rule("rule = 'none'"), Ok(StopRule::None));
        let StopRule::Wandb(wandb) = rule("rule = 'wandb'\nmin_iter = 1\neta = 2").unwrap() else {
            panic!("another rule");
        };
        assert_eq!((wandb.min_iter, wandb.eta, wandb.strict), (Some(1.0), 2.0, true));
        let hyperband = rule("rule = 'hyperband'\nunit = 'epochs'\nmin = 1\nmax = 9").unwrap();
        assert_eq!(hyperband.rungs(9.0), [1.0, 3.0]);
        for rule in [StopRule::default(), hyperband] {
            let text = toml::to_string(&rule).unwrap();
            assert_eq!(toml::from_str::<StopRule>(&text).unwrap(), rule);
        }
    }

    #[test]
    fn bad_values_are_named() {
        for (text, message) in [
            ("rule = 'asha'\neta = 1", "stop: `eta` is 1; a number above 1 is expected"),
            ("rule = 'asha'\neta = nan", "stop: `eta` is NaN; a number above 1 is expected"),
            ("rule = 'asha'\nmin = 0", "stop: `min` is 0; a number above 0 is expected"),
            (
                "rule = 'asha'\nmin = 1",
                "stop: `min` is 1; a fraction of a trial below 1 is expected \
                 (or unit = \"epochs\")",
            ),
            ("rule = 'wandb'", "stop: `min_iter` is missing; give it, or `max_iter` and `s`"),
            (
                "rule = 'wandb'\nmin_iter = 1\nmax_iter = 27",
                "stop: `max_iter` contradicts `min_iter`; give one of them",
            ),
            (
                "rule = 'wandb'\nmax_iter = 27",
                "stop: `s` is missing; `max_iter` needs the number of bands",
            ),
            (
                "rule = 'wandb'\nmax_iter = 2\ns = 1\neta = 3",
                "stop: `max_iter` is 2, which leaves no band of an epoch; raise it or lower `eta`",
            ),
            (
                "rule = 'hyperband'\nunit = 'epochs'\nmin = 1",
                "stop: `max` is missing; the unit \"epochs\" needs the largest number of epochs",
            ),
            (
                "rule = 'hyperband'\nmax = 9",
                "stop: `max` is 9; a fraction ends at 1, leave it out (or unit = \"epochs\")",
            ),
            (
                "rule = 'optuna_hyperband'\nmax = 1\nmin = 2",
                "stop: `max` is 1; a number above `min`, 2, is expected",
            ),
            (
                "rule = 'successive_halving'\nmin = 1\neta = 1.5",
                "stop: `eta` is 1.5; a whole number from 2 is expected",
            ),
        ] {
            assert_eq!(rule(text).unwrap_err(), message);
        }
        assert!(rule("rule = 'asha'\nmin_iter = 1").unwrap_err().contains("min_iter"));
        assert!(rule("rule = 'median'").unwrap_err().contains("median"));
    }

    #[test]
    fn a_trial_at_its_own_end_is_complete() {
        let mut last = curve(1, &[9.0, 9.0]);
        last.end = 2.0;
        let curves = [curve(0, &[1.0, 1.0, 1.0]), last];
        let wandb = rule("rule = 'wandb'\nmin_iter = 1\neta = 2").unwrap();
        assert_eq!(wandb.decide(&curves, 1), Decision::Continue);
        assert_eq!(wandb.decide(&curves, 7), Decision::Continue);
    }

    #[test]
    fn trials_are_compared_at_rungs_and_ends() {
        let asha = rule("rule = 'asha'").unwrap();
        let reports =
            (1..=7).map(|epoch| (asha.budget(f64::from(epoch), 7.0), 9.0 - f64::from(epoch)));
        let whole = Curve { reports: reports.collect(), end: 1.0, ..curve(0, &[]) };
        // A ninth and a third of seven epochs are reached after one and three.
        assert_eq!(
            asha.comparable(&whole, Some(1.5)),
            [(1.0 / 9.0, 8.0), (1.0 / 3.0, 6.0), (1.0, 1.5)]
        );
        let begun = Curve { reports: whole.reports[..2].to_vec(), ..whole.clone() };
        assert_eq!(asha.comparable(&begun, None), [(1.0 / 9.0, 8.0)]);
        assert_eq!(StopRule::None.comparable(&whole, Some(1.5)), [(1.0, 1.5)]);
    }

    #[test]
    fn newly_reached_rungs_are_those_of_the_newest_report() {
        let budgets = || [1.0, 2.0, 4.0].into_iter();
        let reports = |list: &[f64]| Curve {
            reports: list.iter().map(|&budget| (budget, 0.0)).collect(),
            ..curve(0, &[])
        };
        assert_eq!(reports(&[]).newly_reached(budgets()), 0..0);
        assert_eq!(reports(&[0.5]).newly_reached(budgets()), 0..0);
        assert_eq!(reports(&[0.5, 2.0]).newly_reached(budgets()), 0..2);
        assert_eq!(reports(&[2.0, 3.0]).newly_reached(budgets()), 2..2);
        assert_eq!(reports(&[3.0, 5.0]).newly_reached(budgets()), 2..3);
    }
}
