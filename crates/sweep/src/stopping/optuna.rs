//! Optuna's pruners of successive halving, as version 5.0.0 decides them. Reports are one for each
//! epoch.

use serde::{Deserialize, Serialize};

use super::{Curve, Decision, NewTrial, Rule, StopError, Why, below, check_budget};

/// Optuna's `SuccessiveHalvingPruner`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuccessiveHalving {
    /// The epochs of the first rung (`min_resource`).
    pub min: f64,
    /// One of `eta` trials passes a rung (`reduction_factor`).
    pub eta: f64,
    /// How many rungs are left out at the beginning (`min_early_stopping_rate`).
    pub rate: u32,
    /// The number of trials at a rung that are needed before one passes (`bootstrap_count`).
    pub bootstrap: usize,
}

impl Default for SuccessiveHalving {
    fn default() -> Self {
        Self { min: 1.0, eta: 4.0, rate: 0, bootstrap: 0 }
    }
}

/// Optuna's `HyperbandPruner`: brackets of successive halving, each with a later first rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptunaHyperband {
    /// The epochs of the first rung (`min_resource`).
    #[serde(default = "default_min")]
    pub min: f64,
    /// The most epochs of a trial (`max_resource`).
    pub max: f64,
    /// One of `eta` trials passes a rung (`reduction_factor`).
    #[serde(default = "default_eta")]
    pub eta: f64,
    /// The number of trials at a rung that are needed before one passes (`bootstrap_count`).
    #[serde(default)]
    pub bootstrap: usize,
}

fn default_min() -> f64 {
    1.0
}

fn default_eta() -> f64 {
    3.0
}

fn check_whole_eta(eta: f64) -> Result<(), StopError> {
    if eta.fract() == 0.0 && (2.0..=1e6).contains(&eta) {
        return Ok(());
    }
    Err(StopError { key: "eta", cause: format!("is {eta}; a whole number from 2 is expected") })
}

impl Rule for SuccessiveHalving {
    fn check(&self) -> Result<(), StopError> {
        check_budget("min", self.min)?;
        check_whole_eta(self.eta)
    }

    fn rungs_below(&self, end: f64) -> Vec<f64> {
        below(self.rungs(0), end)
    }

    /// A trial passes a rung when it is among the best of each `eta` of its bracket there.
    fn decide(&self, curves: &[Curve], curve: &Curve) -> Decision {
        let budgets: Vec<f64> = self.rungs(0).collect();
        for rung in curve.newly_reached(budgets.iter().copied()) {
            let value = curve.value_at(budgets[rung]).unwrap_or(f64::NAN);
            let same = curves.iter().filter(|other| other.start.bracket == curve.start.bracket);
            let others = same.filter(|other| other.number != curve.number);
            let mut values: Vec<f64> =
                others.filter_map(|other| other.value_at(budgets[rung])).collect();
            // A trial that reported NaN at a rung was stopped before it came to be compared.
            values.retain(|value| !value.is_nan());
            values.push(value);
            values.sort_by(f64::total_cmp);
            let n = values.len();
            let last = ((n as f64 / self.eta) as usize).saturating_sub(1);
            let threshold = (n > self.bootstrap).then(|| values[last]);
            if !threshold.is_some_and(|threshold| value <= threshold) {
                return Decision::Stop(Why { rung, value, threshold, n });
            }
        }
        Decision::Continue
    }
}

impl SuccessiveHalving {
    /// The epochs of the rungs of a bracket, rising without end.
    fn rungs(&self, bracket: u32) -> impl Iterator<Item = f64> + use<> {
        let (min, eta, first) = (self.min, self.eta, f64::from(self.rate) + f64::from(bracket));
        (0..64).map(move |rung| min * libm::pow(eta, first + f64::from(rung)))
    }
}

impl Rule for OptunaHyperband {
    fn check(&self) -> Result<(), StopError> {
        check_budget("min", self.min)?;
        check_budget("max", self.max)?;
        check_whole_eta(self.eta)?;
        if self.max > 1e6 {
            let cause = format!("is {}; at most a million epochs are expected", self.max);
            return Err(StopError { key: "max", cause });
        }
        if self.max / self.min > 1e9 {
            let cause = format!("is {}; a larger part of `max` is expected", self.min);
            return Err(StopError { key: "min", cause });
        }
        if self.max <= self.min {
            let (min, max) = (self.min, self.max);
            let cause = format!("is {max}; a number above `min`, {min}, is expected");
            return Err(StopError { key: "max", cause });
        }
        Ok(())
    }

    fn rungs_below(&self, end: f64) -> Vec<f64> {
        self.halving(0).rungs_below(end)
    }

    fn decide(&self, curves: &[Curve], curve: &Curve) -> Decision {
        self.halving(curve.start.bracket).decide(curves, curve)
    }

    fn next_new(&self, _curves: &[Curve], study: &str, number: u64) -> NewTrial {
        NewTrial { bracket: self.bracket(study, number), rung: 0 }
    }

    fn separates_brackets(&self) -> bool {
        true
    }
}

impl OptunaHyperband {
    /// The weight of each bracket's share of the trials.
    pub fn weights(&self) -> Vec<u64> {
        let brackets =
            (libm::log(self.max / self.min) / libm::log(self.eta) + 1e-9).floor() as usize + 1;
        let weight = |bracket: usize| {
            let s = brackets - 1 - bracket;
            (brackets as f64 * libm::pow(self.eta, s as f64) / (s + 1) as f64).ceil() as u64
        };
        (0..brackets).map(weight).collect()
    }

    /// The bracket of a trial, a hash of its study's name and its number.
    pub fn bracket(&self, study: &str, number: u64) -> usize {
        let weights = self.weights();
        let total: u64 = weights.iter().sum();
        let mut left = u64::from(crc32(format!("{study}_{number}").as_bytes())) % total;
        for (bracket, weight) in weights.into_iter().enumerate() {
            if left < weight {
                return bracket;
            }
            left -= weight;
        }
        0
    }

    /// The rule of a bracket.
    fn halving(&self, bracket: usize) -> SuccessiveHalving {
        let (min, eta, bootstrap) = (self.min, self.eta, self.bootstrap);
        SuccessiveHalving { min, eta, rate: bracket as u32, bootstrap }
    }
}

/// The checksum CRC-32 (ISO 3309), as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc: u32, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CURVES, curve};
    use super::super::{CurveState, StopRule};
    use super::*;
    use crate::fixtures;

    /// Where each of some trials is stopped when they run one after another.
    fn stops(rule: SuccessiveHalving, values: &[Vec<f64>]) -> Vec<Option<usize>> {
        let rule = StopRule::SuccessiveHalving(rule);
        let mut curves: Vec<Curve> = Vec::new();
        let mut stops = vec![None; values.len()];
        for (index, values) in values.iter().enumerate() {
            curves.push(curve(index as u64, &[]));
            for (epoch, &value) in values.iter().enumerate() {
                curves[index].reports.push((epoch as f64 + 1.0, value));
                if let Decision::Stop(_) = rule.decide(&curves, index as u64) {
                    stops[index] = Some(epoch + 1);
                    curves[index].state = CurveState::Stopped;
                    break;
                }
            }
        }
        stops
    }

    fn halving(min: f64, eta: f64, rate: u32, bootstrap: usize) -> SuccessiveHalving {
        SuccessiveHalving { min, eta, rate, bootstrap }
    }

    /// Decisions of Optuna 5.0.0.
    #[test]
    fn successive_halving_is_optunas() {
        let values = CURVES.map(|values| values.to_vec());
        let check = |rule: SuccessiveHalving, want: [usize; 8]| {
            let want = want.map(|step| (step > 0).then_some(step));
            assert_eq!(stops(rule, &values), want);
        };
        check(halving(1.0, 2.0, 0, 0), [0, 1, 2, 0, 1, 0, 0, 2]);
        check(halving(1.0, 3.0, 0, 0), [0, 1, 3, 1, 1, 0, 1, 3]);
        check(halving(1.0, 2.0, 1, 0), [0, 4, 2, 0, 2, 0, 0, 4]);
        check(halving(1.0, 2.0, 0, 2), [1, 1, 2, 2, 1, 4, 4, 2]);
    }

    /// Values of Optuna 5.0.0 and zlib.
    #[test]
    fn brackets_are_optunas() {
        assert_eq!(crc32(b"babyllama-golden_0"), 165282457);
        let rule = OptunaHyperband { min: 1.0, max: 8.0, eta: 2.0, bootstrap: 0 };
        assert_eq!(rule.weights(), [8, 6, 4, 4]);
        let brackets: Vec<usize> =
            (0..16).map(|number| rule.bracket("babyllama-golden", number)).collect();
        assert_eq!(brackets, [3, 0, 3, 3, 1, 1, 0, 0, 1, 0, 0, 0, 2, 1, 1, 1]);
        let rule = StopRule::OptunaHyperband(rule);
        assert_eq!(rule.next_new(&[], "babyllama-golden", 12).bracket, 2);
        assert_eq!(rule.rungs(8.0), [1.0, 2.0, 4.0]);
    }

    #[test]
    fn brackets_have_their_own_first_rung_and_competitors() {
        let rule = OptunaHyperband { min: 1.0, max: 8.0, eta: 2.0, bootstrap: 0 };
        let rule = StopRule::OptunaHyperband(rule);
        let in_bracket = |number, bracket, values: &[f64]| {
            let mut curve = curve(number, values);
            curve.start.bracket = bracket;
            curve
        };
        let good = in_bracket(0, 0, &[1.0, 1.0]);
        let first = |bracket, values| [good.clone(), in_bracket(1, bracket, values)];
        assert!(matches!(rule.decide(&first(0, &[2.0]), 1), Decision::Stop(_)));
        assert_eq!(rule.decide(&first(1, &[2.0]), 1), Decision::Continue);
        assert_eq!(rule.decide(&first(1, &[2.0, 2.0]), 1), Decision::Continue);
        let mut both = first(1, &[2.0, 2.0]);
        both[0].start.bracket = 1;
        assert!(matches!(rule.decide(&both, 1), Decision::Stop(_)));
        let nan = first(0, &[f64::NAN]);
        assert!(matches!(rule.decide(&nan, 1), Decision::Stop(_)));
    }

    #[test]
    fn random_studies_are_pruned_as_by_optuna() {
        for case in fixtures::list(&fixtures::cases("optuna_pruners")) {
            let rule: SuccessiveHalving = serde_json::from_value(case["rule"].clone()).unwrap();
            let values = fixtures::rows(&case["curves"]);
            let want: Vec<Option<usize>> = serde_json::from_value(case["stops"].clone()).unwrap();
            assert_eq!(stops(rule, &values), want);
        }
    }

    #[test]
    fn brackets_of_other_studies_are_optunas() {
        for case in fixtures::list(&fixtures::cases("optuna_brackets")) {
            let rule: OptunaHyperband = serde_json::from_value(case["rule"].clone()).unwrap();
            assert_eq!(rule.weights(), fixtures::wholes(&case["weights"]));
            let study = case["study"].as_str().unwrap();
            let brackets: Vec<u64> =
                (0..40).map(|number| rule.bracket(study, number) as u64).collect();
            assert_eq!(brackets, fixtures::wholes(&case["brackets"]));
        }
    }
}
