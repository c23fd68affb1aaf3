//! W&B's `early_terminate: {type: hyperband}`, as the package `sweeps` 0.3.0 decides it.
//!
//! W&B's service decides running trials every few minutes; here a trial is decided at each of its
//! reports.

use serde::{Deserialize, Serialize};

use super::{Curve, Decision, Rule, StopError, Why, below, check_eta};

/// Bands of reports, in the words of W&B's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wandb {
    /// The first band; the others are `eta` times their predecessor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_iter: Option<f64>,
    /// The last band times `eta`; needs `s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_iter: Option<f64>,
    /// The number of bands below `max_iter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s: Option<u32>,
    /// One of `eta` trials passes a band.
    #[serde(default = "default_eta")]
    pub eta: f64,
    /// A trial's value is its report at the band; otherwise its best so far.
    #[serde(default = "default_strict")]
    pub strict: bool,
}

fn default_eta() -> f64 {
    3.0
}

fn default_strict() -> bool {
    true
}

/// Bands beyond this many reports are not used.
const LAST_BAND: f64 = 1e9;

impl Rule for Wandb {
    fn check(&self) -> Result<(), StopError> {
        let fail = |key, cause: String| Err(StopError { key, cause });
        check_eta(self.eta)?;
        match (self.min_iter, self.max_iter) {
            (None, None) => {
                return fail("min_iter", "is missing; give it, or `max_iter` and `s`".to_string());
            }
            (Some(_), Some(_)) => {
                let cause = "contradicts `min_iter`; give one of them".to_string();
                return fail("max_iter", cause);
            }
            (None, Some(_)) if self.s.is_none() => {
                let cause = "is missing; `max_iter` needs the number of bands".to_string();
                return fail("s", cause);
            }
            (Some(first), None) if !(1.0..=LAST_BAND).contains(&first) => {
                return fail("min_iter", format!("is {first}; 1 or more is expected"));
            }
            _ => {}
        }
        if self.bands().is_empty() {
            let most = self.max_iter.unwrap_or_default();
            let cause =
                format!("is {most}, which leaves no band of an epoch; raise it or lower `eta`");
            return fail("max_iter", cause);
        }
        Ok(())
    }

    fn rungs_below(&self, end: f64) -> Vec<f64> {
        below(self.bands().into_iter().map(|band| band as f64), end)
    }

    fn decide(&self, curves: &[Curve], curve: &Curve) -> Decision {
        let own = finite(curve);
        let bands = self.bands();
        let Some(rung) = bands.iter().rposition(|&band| band <= own.len()) else {
            return Decision::Continue;
        };
        let (threshold, n) = self.threshold(curves, bands[rung]);
        let value = if self.strict {
            own[bands[rung] - 1]
        } else {
            own.iter().copied().fold(f64::INFINITY, f64::min)
        };
        if value > threshold {
            return Decision::Stop(Why { rung, value, threshold: Some(threshold), n });
        }
        Decision::Continue
    }
}

impl Wandb {
    /// The numbers of reports at which trials are compared, rising.
    pub fn bands(&self) -> Vec<usize> {
        let mut bands = Vec::new();
        if let Some(most) = self.max_iter {
            let mut band = most;
            for _ in 0..self.s.unwrap_or(0) {
                band /= self.eta;
                // NaN ends it too.
                if !(1.0..=LAST_BAND).contains(&band) {
                    break;
                }
                bands.push(band as usize);
            }
            bands.sort_unstable();
        } else if let Some(mut band) = self.min_iter {
            while bands.len() < 100 && band <= LAST_BAND {
                bands.push(band as usize);
                band *= self.eta;
            }
        }
        bands
    }

    /// The largest value that passes a band, and how many trials have one there.
    fn threshold(&self, curves: &[Curve], band: usize) -> (f64, usize) {
        let at_band = |curve: &Curve| finite(curve).get(band - 1).copied();
        let mut values: Vec<f64> = curves.iter().filter_map(at_band).collect();
        values.sort_by(f64::total_cmp);
        let index = threshold_index(values.len(), self.eta);
        (values.get(index).copied().unwrap_or(f64::INFINITY), values.len())
    }
}

/// Which of `count` sorted values is the threshold.
fn threshold_index(count: usize, eta: f64) -> usize {
    (1.0 / eta * count as f64) as usize
}

/// The reports that count.
fn finite(curve: &Curve) -> Vec<f64> {
    curve.reports.iter().map(|report| report.1).filter(|value| value.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::curve;
    use super::super::{CurveState, StopRule};
    use super::*;
    use crate::fixtures;

    fn by_max(max_iter: f64, s: u32, eta: f64) -> Wandb {
        Wandb { min_iter: None, max_iter: Some(max_iter), s: Some(s), eta, strict: true }
    }

    fn by_min(min_iter: f64, eta: f64, strict: bool) -> Wandb {
        Wandb { min_iter: Some(min_iter), max_iter: None, s: None, eta, strict }
    }

    /// Values of `sweeps` 0.3.0.
    #[test]
    fn bands_are_wandbs() {
        assert_eq!(by_max(27.0, 2, 3.0).bands(), [3, 9]);
        assert_eq!(by_max(10.0, 3, 2.0).bands(), [1, 2, 5]);
        assert_eq!(by_max(19.0, 2, 3.0).bands(), [2, 6]);
        assert_eq!(by_min(3.0, 1.5, true).bands()[..8], [3, 4, 6, 10, 15, 22, 34, 51]);
        let indices = [1, 2, 3, 6, 9].map(|count| threshold_index(count, 3.0));
        assert_eq!(indices, [0, 0, 1, 2, 3]);
    }

    /// Decisions of `sweeps` 0.3.0.
    #[test]
    fn decisions_are_wandbs() {
        let lists: [&[f64]; 9] = [
            &[6.0, 5.0, 4.6, 4.3],
            &[6.2, 4.9, 4.7],
            &[5.5, 5.2],
            &[5.9, 4.8, 4.5, 4.2, 4.1, 4.0, 4.05, 4.0],
            &[7.0],
            &[8.0],
            &[],
            &[6.1, 5.6, 4.0],
            &[6.0, f64::NAN, 4.9],
        ];
        let mut curves: Vec<Curve> =
            lists.iter().enumerate().map(|(n, list)| curve(n as u64, list)).collect();
        curves[3].state = CurveState::Complete;
        curves[5].state = CurveState::Stopped;
        let stopped = |rule: Wandb| -> Vec<(u64, f64)> {
            let rule = StopRule::Wandb(rule);
            let running = curves.iter().filter(|curve| curve.state == CurveState::Running);
            running
                .filter_map(|curve| match rule.decide(&curves, curve.number) {
                    Decision::Stop(why) => Some((curve.number, why.threshold?)),
                    _ => None,
                })
                .collect()
        };
        assert_eq!(stopped(by_min(1.0, 2.0, true)), [(2, 5.0), (4, 6.1), (7, 5.0)]);
        assert_eq!(stopped(by_min(1.0, 2.0, false)), [(2, 5.0), (4, 6.1)]);
        let rule = by_min(1.0, 2.0, true);
        let thresholds = [1, 2, 4, 8].map(|band| rule.threshold(&curves, band));
        assert_eq!(thresholds, [(6.1, 8), (5.0, 6), (4.3, 2), (4.0, 1)]);
        assert_eq!(rule.threshold(&curves, 16), (f64::INFINITY, 0));
    }

    #[test]
    fn the_first_trial_at_a_band_goes_on() {
        let rule = by_min(1.0, 2.0, true);
        assert_eq!(rule.decide(&[curve(0, &[9.0])], &curve(0, &[9.0])), Decision::Continue);
    }

    #[test]
    fn random_sweeps_are_decided_as_by_wandb() {
        for case in fixtures::list(&fixtures::cases("wandb_stops")) {
            let rule: Wandb = serde_json::from_value(case["rule"].clone()).unwrap();
            rule.check().unwrap();
            let curves: Vec<Curve> = fixtures::rows(&case["curves"])
                .iter()
                .enumerate()
                .map(|(number, values)| curve(number as u64, values))
                .collect();
            let stops = |curve: &&Curve| {
                // One in four was finished when the package looked.
                let is_running = curve.number % 4 != 3;
                is_running && rule.decide(&curves, curve) != Decision::Continue
            };
            let stopped: Vec<u64> = curves.iter().filter(stops).map(|curve| curve.number).collect();
            assert_eq!(stopped, fixtures::wholes(&case["stopped"]), "{rule:?}");
        }
    }
}
