//! Hyperband's synchronous brackets (Li et al., arXiv 1603.06560) as HpBandSter 0.7.4 runs them:
//! a rung waits for all its members, workers that would idle open the next bracket.
//!
//! Unlike there, a promoted trial continues where it stopped. Rungs are counted over all brackets,
//! so that the same rung is the same budget everywhere.

use serde::{Deserialize, Serialize};

use super::{
    Curve, CurveState, Decision, NewTrial, Rule, StopError, Unit, Why, asha::pause, below,
    check_budget, check_eta, ranked,
};

/// Synchronous brackets of successive halving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hyperband {
    /// The best of each `eta` trials at a rung go on.
    pub eta: f64,
    /// The smallest budget at which trials are compared: a ninth of their epochs or one epoch,
    /// unless given. The rungs are the largest budget times powers of `1 / eta`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest budget: the epochs of every trial, where the unit is epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What budgets count.
    pub unit: Unit,
}

impl Default for Hyperband {
    fn default() -> Self {
        Self { eta: 3.0, min: None, max: None, unit: Unit::Fraction }
    }
}

/// One rung of a bracket: its place among all rungs and how many trials it holds.
struct Stage {
    rung: usize,
    size: usize,
}

/// What has happened at a stage.
struct Filled<'a> {
    members: Vec<&'a Curve>,
    /// All places are taken and every member has a result or has ended without one.
    is_over: bool,
}

impl Rule for Hyperband {
    fn check(&self) -> Result<(), StopError> {
        let fail = |key, cause: String| Err(StopError { key, cause });
        check_eta(self.eta)?;
        check_budget("min", self.min())?;
        match (self.unit, self.max) {
            (Unit::Fraction, Some(max)) => {
                let cause =
                    format!("is {max}; a fraction ends at 1, leave it out (or unit = \"epochs\")");
                return fail("max", cause);
            }
            (Unit::Epochs, None) => {
                let cause = "is missing; the unit \"epochs\" needs the largest number of epochs";
                return fail("max", cause.to_string());
            }
            _ => {}
        }
        check_budget("max", self.max())?;
        if self.min() >= self.max() {
            let (min, max) = (self.min(), self.max());
            return fail(
                "min",
                format!("is {min}; a budget below the largest, {max}, is expected"),
            );
        }
        Ok(())
    }

    fn unit(&self) -> Unit {
        self.unit
    }

    fn rungs_below(&self, end: f64) -> Vec<f64> {
        below(self.budgets().into_iter(), end)
    }

    fn decide(&self, curves: &[Curve], curve: &Curve) -> Decision {
        let budgets = self.budgets();
        let below_end = budgets[..budgets.len() - 1].iter().copied();
        let rung = curve.newly_reached(below_end).next_back();
        let Some(rung) = rung.filter(|&rung| rung >= curve.start.rung) else {
            return Decision::Continue;
        };
        let paused = pause(curves, curve.number, rung);
        if self.next_promotion(&paused, true) == Some((curve.number, rung + 1)) {
            return Decision::Continue;
        }
        let same = curves.iter().filter(|other| other.start.bracket == curve.start.bracket);
        let n = ranked(same, budgets[rung]).len();
        let value = curve.value_at(budgets[rung]).unwrap_or(f64::NAN);
        Decision::Pause(Why { rung, value, threshold: None, n })
    }

    /// Of the oldest bracket that has one: the best of a rung whose members are all done. Where no
    /// new trials are left, a rung is done without those that it lacks.
    fn next_promotion(&self, curves: &[Curve], new_left: bool) -> Option<(u64, usize)> {
        let last = curves.iter().map(|curve| curve.start.bracket).max()?;
        (0..=last).find_map(|bracket| {
            self.filled(curves, bracket, new_left).into_iter().find_map(|(stage, filled)| {
                let waits = |curve: &&&Curve| {
                    curve.state == CurveState::Paused { rung: stage.rung.wrapping_sub(1) }
                };
                let promoted = filled.members.iter().find(waits)?;
                Some((promoted.number, stage.rung))
            })
        })
    }

    /// The first free place of the oldest bracket that has one, or of a new bracket.
    fn next_new(&self, curves: &[Curve], _study: &str, _number: u64) -> NewTrial {
        let mut bracket = 0;
        loop {
            for (stage, filled) in self.filled(curves, bracket, true) {
                if filled.members.len() < stage.size {
                    return NewTrial { bracket, rung: stage.rung };
                }
            }
            bracket += 1;
        }
    }
}

impl Hyperband {
    fn min(&self) -> f64 {
        self.min.unwrap_or(match self.unit {
            Unit::Fraction => 1.0 / 9.0,
            Unit::Epochs => 1.0,
        })
    }

    fn max(&self) -> f64 {
        self.max.unwrap_or(1.0)
    }

    /// The budgets of the rungs, rising; the last one is the end.
    pub fn budgets(&self) -> Vec<f64> {
        let ratio = libm::log(self.max() / self.min()) / libm::log(self.eta);
        let last = ((ratio + 1e-9).floor() as usize).min(64);
        (0..=last).rev().map(|k| self.max() * libm::pow(self.eta, -(k as f64))).collect()
    }

    /// How many trials each rung of a bracket holds, from its first rung to the end.
    pub fn sizes(&self, bracket: usize) -> Vec<usize> {
        let rungs = self.budgets().len();
        let s = rungs - 1 - bracket % rungs;
        let first = (rungs / (s + 1)) as f64 * libm::pow(self.eta, s as f64);
        let size = |i: usize| (first.floor() * libm::pow(self.eta, -(i as f64))) as usize;
        (0..=s).map(|i| size(i).max(1)).collect()
    }

    fn stages(&self, bracket: usize) -> Vec<Stage> {
        let sizes = self.sizes(bracket);
        let first = self.budgets().len() - sizes.len();
        let stages = sizes.into_iter().enumerate();
        stages.map(|(index, size)| Stage { rung: first + index, size }).collect()
    }

    /// The stages of a bracket that have begun, with their members: those that started there and
    /// those that were promoted, best first.
    fn filled<'a>(
        &self,
        curves: &'a [Curve],
        bracket: usize,
        new_left: bool,
    ) -> Vec<(Stage, Filled<'a>)> {
        let budgets = self.budgets();
        let mut filled: Vec<(Stage, Filled)> = Vec::new();
        for stage in self.stages(bracket) {
            let mut members: Vec<&Curve> = Vec::new();
            if let Some((before, last)) = filled.last() {
                if !last.is_over {
                    break;
                }
                let ranked = ranked(last.members.iter().copied(), budgets[before.rung]);
                let finite = ranked.into_iter().filter(|(value, _)| value.is_finite());
                members.extend(finite.take(stage.size).map(|(_, curve)| curve));
            }
            let start = NewTrial { bracket, rung: stage.rung };
            members.extend(curves.iter().filter(|curve| curve.start == start));
            let done = |curve: &&Curve| {
                curve.value_at(budgets[stage.rung]).is_some()
                    || !matches!(curve.state, CurveState::Running | CurveState::Paused { .. })
            };
            let is_full = members.len() >= stage.size || (!new_left && !members.is_empty());
            let is_over = is_full && members.iter().all(done);
            filled.push((stage, Filled { members, is_over }));
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::super::StopRule;
    use super::super::tests::curve;
    use super::*;
    use crate::fixtures;

    fn hyperband(min: f64, max: f64, eta: f64) -> Hyperband {
        Hyperband { eta, min: Some(min), max: Some(max), unit: Unit::Epochs }
    }

    /// Values of HpBandSter 0.7.4.
    #[test]
    fn brackets_are_hpbandsters() {
        let sizes = |max: f64, eta: f64| -> Vec<Vec<usize>> {
            let rule = hyperband(1.0, max, eta);
            (0..rule.budgets().len()).map(|bracket| rule.sizes(bracket)).collect()
        };
        assert_eq!(sizes(9.0, 3.0), [vec![9, 3, 1], vec![3, 1], vec![3]]);
        assert_eq!(sizes(27.0, 3.0), [vec![27, 9, 3, 1], vec![9, 3, 1], vec![6, 2], vec![4]]);
        assert_eq!(sizes(8.0, 2.0), [vec![8, 4, 2, 1], vec![4, 2, 1], vec![4, 2], vec![4]]);
        assert_eq!(
            sizes(16.0, 2.0),
            [vec![16, 8, 4, 2, 1], vec![8, 4, 2, 1], vec![4, 2, 1], vec![4, 2], vec![5]]
        );
        let budgets = hyperband(1.0, 10.0, 3.0).budgets();
        for (got, want) in budgets.iter().zip([10.0 / 9.0, 10.0 / 3.0, 10.0]) {
            assert!((got - want).abs() < 1e-12, "{got}");
        }
        assert_eq!(budgets.len(), 3);
        assert_eq!(hyperband(1.0, 9.0, 3.0).budgets(), [1.0, 3.0, 9.0]);
        let fractions = Hyperband::default().budgets();
        assert_eq!(fractions.len(), 3);
        assert_eq!(fractions[2], 1.0);
    }

    /// Runs trials on some workers that each take a job when they are free, all jobs of equal
    /// length; trial `n` has the value `n`, and those in `failing` fail at their first rung.
    fn trace(rule: &Hyperband, trials: usize, workers: usize, failing: &[u64]) -> Vec<String> {
        let budgets = rule.budgets();
        let rule = StopRule::Hyperband(rule.clone());
        let mut curves: Vec<Curve> = Vec::new();
        let mut trace = Vec::new();
        loop {
            let mut jobs: Vec<(usize, usize)> = Vec::new();
            for _ in 0..workers {
                let left = curves.len() < trials;
                if let Some((number, rung)) = rule.next_promotion(&curves, left) {
                    curves[number as usize].state = CurveState::Running;
                    jobs.push((number as usize, rung));
                } else if left {
                    let number = curves.len() as u64;
                    let start = rule.next_new(&curves, "study", number);
                    curves.push(Curve { start, end: budgets[2], ..curve(number, &[]) });
                    jobs.push((number as usize, start.rung));
                }
            }
            if jobs.is_empty() {
                return trace;
            }
            for (index, rung) in jobs {
                let bracket = curves[index].start.bracket;
                trace.push(format!("{bracket}:{index}@{rung}"));
                if failing.contains(&(index as u64)) {
                    curves[index].state = CurveState::Failed;
                    continue;
                }
                curves[index].reports.push((budgets[rung], index as f64));
                curves[index].state = match rule.decide(&curves, index as u64) {
                    Decision::Pause(why) => CurveState::Paused { rung: why.rung },
                    // A trial that would go on at once is taken up again like a promoted one.
                    Decision::Continue if rung < 2 => CurveState::Paused { rung },
                    _ => CurveState::Complete,
                };
            }
        }
    }

    #[test]
    fn one_worker_finishes_bracket_after_bracket() {
        let trace = trace(&hyperband(1.0, 9.0, 3.0), 15, 1, &[]);
        let first: Vec<String> = (0..9).map(|n| format!("0:{n}@0")).collect();
        assert_eq!(trace[..9], first);
        assert_eq!(
            trace[9..],
            [
                "0:0@1", "0:1@1", "0:2@1", "0:0@2", "1:9@1", "1:10@1", "1:11@1", "1:9@2", "2:12@2",
                "2:13@2", "2:14@2"
            ]
        );
    }

    #[test]
    fn idle_workers_open_the_next_bracket() {
        let trace = trace(&hyperband(1.0, 9.0, 3.0), 15, 4, &[]);
        // Nine trials of the first bracket leave three workers for the second.
        assert_eq!(trace[8..12], ["0:8@0", "1:9@1", "1:10@1", "1:11@1"]);
        assert_eq!(trace[12..16], ["0:0@1", "0:1@1", "0:2@1", "1:9@2"]);
        assert_eq!(trace.len(), 20);
    }

    #[test]
    fn failed_trials_leave_their_rung_and_a_later_one_draws_new_trials() {
        let trace = trace(&hyperband(1.0, 9.0, 3.0), 11, 1, &[0, 1, 2, 3, 4, 5, 6]);
        // Two of nine are left for three places.
        assert_eq!(trace[9..], ["0:7@1", "0:8@1", "0:9@1", "0:7@2", "1:10@1", "1:10@2"]);
    }

    #[test]
    fn a_trial_that_starts_later_is_not_decided_before() {
        let rule = StopRule::Hyperband(hyperband(1.0, 9.0, 3.0));
        let mut late = curve(0, &[5.0, 4.0]);
        late.start = NewTrial { bracket: 1, rung: 1 };
        late.end = 9.0;
        assert_eq!(rule.decide(&[late.clone()], 0), Decision::Continue);
        late.reports.push((3.0, 3.0));
        let Decision::Pause(why) = rule.decide(&[late], 0) else { panic!("not paused") };
        assert_eq!((why.rung, why.value, why.n), (1, 3.0, 1));
    }

    #[test]
    fn other_brackets_are_hpbandsters() {
        for case in fixtures::list(&fixtures::cases("hyperband_brackets")) {
            let number = |key: &str| case[key].as_f64().unwrap();
            let rule = hyperband(number("min"), number("max"), number("eta"));
            let want = fixtures::numbers(&case["budgets"]);
            let budgets = rule.budgets();
            assert_eq!(budgets.len(), want.len());
            budgets.iter().zip(&want).for_each(|(a, b)| assert!((a - b).abs() < 1e-12 * b));
            for (bracket, want) in fixtures::list(&case["sizes"]).iter().enumerate() {
                let sizes = rule.sizes(bracket).into_iter().map(|size| size as u64);
                assert_eq!(sizes.collect::<Vec<u64>>(), fixtures::wholes(want));
            }
        }
    }
}
