//! Asynchronous successive halving (Li et al., arXiv 1810.05934): by promotion, as in the paper,
//! and by stopping, as in Ray Tune's `AsyncHyperBandScheduler`.

use serde::{Deserialize, Serialize};

use super::{
    Curve, CurveState, Decision, Rule, StopError, Unit, Why, below, check_budget, check_eta, ranked,
};

/// Asynchronous successive halving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asha {
    /// The best of each `eta` trials at a rung go on.
    pub eta: f64,
    /// The smallest budget at which trials are compared: a ninth of their epochs or one epoch,
    /// unless given. Of fractions, the rungs are the powers of `1 / eta` from it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// What budgets count.
    pub unit: Unit,
    /// Whether trials wait for a promotion or end.
    pub form: Form,
}

/// What becomes of a trial at a rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// It waits until it is among the best of those that have come to the rung, or, where no trial
    /// would be complete, is the best of all.
    #[default]
    Promotion,
    /// It ends unless it is among the best of those that have come to the rung before.
    Stopping,
}

impl Default for Asha {
    fn default() -> Self {
        Self { eta: 3.0, min: None, unit: Unit::Fraction, form: Form::Promotion }
    }
}

/// No study comes to this many rungs.
const MOST_RUNGS: usize = 64;

impl Rule for Asha {
    fn check(&self) -> Result<(), StopError> {
        check_eta(self.eta)?;
        let min = self.min();
        check_budget("min", min)?;
        if self.unit == Unit::Fraction && min >= 1.0 {
            let cause = format!(
                "is {min}; a fraction of a trial below 1 is expected (or unit = \"epochs\")"
            );
            return Err(StopError { key: "min", cause });
        }
        Ok(())
    }

    fn unit(&self) -> Unit {
        self.unit
    }

    fn rungs_below(&self, end: f64) -> Vec<f64> {
        below(self.rungs(), end)
    }

    fn decide(&self, curves: &[Curve], curve: &Curve) -> Decision {
        let Some(rung) = curve.newly_reached(self.rungs()).next_back() else {
            return Decision::Continue;
        };
        let budget = self.rungs().nth(rung).unwrap_or(f64::INFINITY);
        let value = curve.value_at(budget).unwrap_or(f64::NAN);
        match self.form {
            Form::Promotion => {
                let paused = pause(curves, curve.number, rung);
                if self.promotion(&paused) == Some((curve.number, rung + 1)) {
                    return Decision::Continue;
                }
                let ranked = ranked(curves.iter(), budget);
                let passing = (ranked.len() as f64 / self.eta) as usize;
                let threshold = passing.checked_sub(1).map(|last| ranked[last].0);
                Decision::Pause(Why { rung, value, threshold, n: ranked.len() })
            }
            Form::Stopping => {
                let others = curves.iter().filter(|other| other.number != curve.number);
                let earlier: Vec<f64> =
                    ranked(others, budget).into_iter().map(|(value, _)| value).collect();
                let finite = earlier.partition_point(|value| value.is_finite());
                let threshold = percentile(&earlier[..finite], 1.0 / self.eta);
                let n = earlier.len() + 1;
                if value.is_nan() || threshold.is_some_and(|threshold| value > threshold) {
                    return Decision::Stop(Why { rung, value, threshold, n });
                }
                Decision::Continue
            }
        }
    }

    fn next_promotion(&self, curves: &[Curve], new_left: bool) -> Option<(u64, usize)> {
        match self.form {
            Form::Promotion if new_left => self.promotion(curves),
            Form::Promotion => self.promotion(curves).or_else(|| last_promotion(curves)),
            Form::Stopping => None,
        }
    }
}

impl Asha {
    fn min(&self) -> f64 {
        self.min.unwrap_or(match self.unit {
            Unit::Fraction => 1.0 / 9.0,
            Unit::Epochs => 1.0,
        })
    }

    /// The budgets of the rungs, rising; of epochs they go on beyond any trial.
    fn rungs(&self) -> impl Iterator<Item = f64> + use<> {
        let min = self.min();
        let first = match self.unit {
            Unit::Epochs => min,
            Unit::Fraction => {
                // The smallest power that is not below the minimum, but for rounding.
                let mut first = 1.0;
                for _ in 0..MOST_RUNGS {
                    if first / self.eta < min * (1.0 - 1e-9) {
                        break;
                    }
                    first /= self.eta;
                }
                first
            }
        };
        let (eta, fraction) = (self.eta, self.unit == Unit::Fraction);
        let budgets = std::iter::successors(Some(first), move |budget| Some(budget * eta));
        budgets.take(MOST_RUNGS).take_while(move |&budget| !fraction || budget < 1.0 - 1e-9)
    }

    /// From the highest rung down: the best waiting trial among the best of each `eta`.
    fn promotion(&self, curves: &[Curve]) -> Option<(u64, usize)> {
        let budgets: Vec<f64> = self.rungs().collect();
        let highest = curves.iter().filter_map(|curve| match curve.state {
            CurveState::Paused { rung } => Some(rung),
            _ => None,
        });
        let highest = highest.max()?.min(budgets.len().checked_sub(1)?);
        (0..=highest).rev().find_map(|rung| {
            let ranked = ranked(curves.iter(), budgets[rung]);
            let passing = (ranked.len() as f64 / self.eta) as usize;
            let waits = |(value, curve): &&(f64, &Curve)| {
                value.is_finite() && curve.state == CurveState::Paused { rung }
            };
            let best = ranked[..passing].iter().find(waits)?;
            Some((best.1.number, rung + 1))
        })
    }
}

/// The best trial of the highest rung, where all wait and none is complete: with fewer trials than
/// `eta` to the power of the rungs none might ever be, and a search would end without a result.
/// Synchronous halving keeps one trial at least, too.
fn last_promotion(curves: &[Curve]) -> Option<(u64, usize)> {
    let goes_on = |curve: &Curve| matches!(curve.state, CurveState::Running | CurveState::Complete);
    if curves.iter().any(goes_on) {
        return None;
    }
    let waiting = curves.iter().filter_map(|curve| match (curve.state, curve.reports.last()) {
        (CurveState::Paused { rung }, Some(&(_, value))) if value.is_finite() => {
            Some((rung, value, curve.number))
        }
        _ => None,
    });
    let best =
        waiting.min_by(|a, b| b.0.cmp(&a.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)))?;
    Some((best.2, best.0.saturating_add(1)))
}

/// The trials, as if one waited at a rung.
pub(super) fn pause(curves: &[Curve], number: u64, rung: usize) -> Vec<Curve> {
    let mut curves = curves.to_vec();
    for curve in curves.iter_mut().filter(|curve| curve.number == number) {
        curve.state = CurveState::Paused { rung };
    }
    curves
}

/// The value at a share of sorted values, linear between neighbours.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}

#[cfg(test)]
mod tests {
    use super::super::StopRule;
    use super::super::tests::{CURVES, curve};
    use super::*;

    fn asha(eta: f64, form: Form) -> Asha {
        Asha { eta, min: Some(1.0), unit: Unit::Epochs, form }
    }

    /// The order in which one worker trains eight trials, `trial@rung`; a promotion comes before a
    /// new trial. The value at each rung is that of the trial's next report.
    fn trace(rule: &Asha, rungs: usize) -> String {
        let budgets: Vec<f64> = rule.rungs().take(rungs).collect();
        let rule = StopRule::Asha(rule.clone());
        let mut curves: Vec<Curve> = Vec::new();
        let mut trace = Vec::new();
        loop {
            let (number, mut rung) = match rule.next_promotion(&curves, true) {
                Some(promotion) => promotion,
                None if curves.len() == CURVES.len() => return trace.join(" "),
                None => {
                    let number = curves.len() as u64;
                    curves.push(Curve { end: budgets[rungs - 1], ..curve(number, &[]) });
                    (number, 0)
                }
            };
            let index = number as usize;
            curves[index].state = CurveState::Running;
            loop {
                trace.push(format!("{number}@{rung}"));
                curves[index].reports.push((budgets[rung], CURVES[index][rung]));
                match rule.decide(&curves, number) {
                    Decision::Pause(why) => {
                        assert_eq!(why.rung, rung);
                        curves[index].state = CurveState::Paused { rung };
                        break;
                    }
                    _ if rung + 1 == rungs => {
                        curves[index].state = CurveState::Complete;
                        break;
                    }
                    _ => rung += 1,
                }
            }
        }
    }

    #[test]
    fn promotions_follow_the_paper() {
        assert_eq!(
            trace(&asha(2.0, Form::Promotion), 4),
            "0@0 1@0 0@1 2@0 2@1 0@2 3@0 3@1 3@2 3@3 4@0 5@0 5@1 5@2 5@3 6@0 6@1 6@2 6@3 7@0 7@1"
        );
        assert_eq!(
            trace(&asha(3.0, Form::Promotion), 3),
            "0@0 1@0 2@0 2@1 3@0 4@0 5@0 5@1 6@0 7@0 7@1 5@2"
        );
    }

    #[test]
    fn the_best_goes_on_to_the_end_where_too_few_trials_would_leave_none_complete() {
        let rule = StopRule::Asha(asha(3.0, Form::Promotion));
        let paused = |number, values: &[f64], rung| Curve {
            state: CurveState::Paused { rung },
            ..curve(number, values)
        };
        let mut curves = vec![paused(0, &[5.0], 0), paused(1, &[4.0], 0)];
        // A further trial may change what is best.
        assert_eq!(rule.next_promotion(&curves, true), None);
        assert_eq!(rule.next_promotion(&curves, false), Some((1, 1)));
        // The highest rung first, whatever waits below.
        curves[0] = paused(0, &[5.0, 4.8, 4.6], 1);
        assert_eq!(rule.next_promotion(&curves, false), Some((0, 2)));
        for state in [CurveState::Running, CurveState::Complete] {
            curves[0].state = state;
            assert_eq!(rule.next_promotion(&curves, false), None);
        }
        // After its failure the next one has its turn; what diverged has none.
        curves[0].state = CurveState::Failed;
        assert_eq!(rule.next_promotion(&curves, false), Some((1, 1)));
        curves[1].reports[0].1 = f64::NAN;
        assert_eq!(rule.next_promotion(&curves, false), None);
        let stopping = StopRule::Asha(asha(3.0, Form::Stopping));
        assert_eq!(stopping.next_promotion(&curves, false), None);
    }

    /// Decisions of Ray Tune.
    #[test]
    fn stopping_is_rays() {
        let goes_on = |eta| -> Vec<bool> {
            let rule = StopRule::Asha(asha(eta, Form::Stopping));
            let mut curves: Vec<Curve> = Vec::new();
            let decide = |(number, values): (usize, &[f64; 4])| {
                curves.push(curve(number as u64, &values[..1]));
                rule.decide(&curves, number as u64) == Decision::Continue
            };
            CURVES.iter().enumerate().map(decide).collect()
        };
        assert_eq!(goes_on(2.0), [true, false, true, true, false, true, true, true]);
        assert_eq!(goes_on(3.0), [true, false, true, false, false, true, true, true]);
    }

    #[test]
    fn rungs_are_powers_of_one_over_eta_or_epochs() {
        let near = |rule: StopRule, epochs: f64, want: &[f64]| {
            let got = rule.rungs(epochs);
            assert_eq!(got.len(), want.len(), "{got:?}");
            got.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
        };
        near(StopRule::default(), 7.0, &[1.0 / 9.0, 1.0 / 3.0]);
        let fraction = |min| StopRule::Asha(Asha { min: Some(min), ..Asha::default() });
        near(fraction(0.1), 7.0, &[1.0 / 9.0, 1.0 / 3.0]);
        near(fraction(0.12), 7.0, &[1.0 / 3.0]);
        near(fraction(0.5), 7.0, &[]);
        let epochs = StopRule::Asha(asha(3.0, Form::Promotion));
        near(epochs.clone(), 9.0, &[1.0, 3.0]);
        near(epochs, 10.0, &[1.0, 3.0, 9.0]);
    }

    #[test]
    fn what_is_not_finite_is_never_promoted() {
        let rule = StopRule::Asha(asha(2.0, Form::Promotion));
        let mut curves = vec![curve(0, &[f64::NAN]), curve(1, &[f64::INFINITY])];
        for curve in &mut curves {
            curve.state = CurveState::Paused { rung: 0 };
        }
        assert_eq!(rule.next_promotion(&curves, true), None);
        curves[1].reports[0].1 = 9.0;
        assert_eq!(rule.next_promotion(&curves, true), Some((1, 1)));
        let stopping = StopRule::Asha(asha(2.0, Form::Stopping));
        assert!(matches!(stopping.decide(&[curve(0, &[f64::NAN])], 0), Decision::Stop(_)));
    }

    #[test]
    fn one_report_may_reach_several_rungs() {
        let rule = StopRule::default();
        let half = Curve { reports: vec![(0.5, 4.0)], end: 1.0, ..curve(0, &[]) };
        let Decision::Pause(why) = rule.decide(&[half], 0) else { panic!("not paused") };
        assert_eq!((why.rung, why.value, why.threshold, why.n), (1, 4.0, None, 1));
    }
}
