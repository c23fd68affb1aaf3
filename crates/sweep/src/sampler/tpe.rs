//! The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) by the rules of Optuna 5:
//! multivariate, running trials among the bad ones.
//!
//! It works on the stored values and their distributions, as Optuna itself would. Parameters with
//! conditions are drawn one by one after the others, from the trials that have them.

use super::draws::Draws;
use super::models::parzen::{Axis, Estimator};
use super::{Outcome, Past, ProposalSource, Surrogate, hash_point, or_nan};
use crate::space::{Parameter, Point, Prior, Space};

const RANDOM_TRIALS: usize = 10;
const MOST_GOOD: usize = 25;
const CANDIDATES: usize = 24;

/// The estimator of all trials; none while fewer than ten have a result.
pub(super) fn fit<'a>(space: &'a Space, past: &'a [Past]) -> Option<Surrogate<'a>> {
    let finished = past.iter().filter(|trial| result(trial).is_some());
    let count = finished.clone().count();
    if count < RANDOM_TRIALS {
        return None;
    }
    let (good, bad) = split(past, good_count(count));
    let mut hash = blake3::Hasher::new();
    for trial in past {
        if trial.outcome == Outcome::Failed {
            continue;
        }
        let point: Vec<f64> = trial.point.iter().map(|&u| or_nan(u)).collect();
        hash_point(&mut hash, &point);
        hash_point(&mut hash, &[or_nan(result(trial))]);
    }
    let draw = move |draws: &mut Draws| (draw(space, &good, &bad, draws), ProposalSource::Tpe);
    let running = past.iter().filter(|trial| trial.outcome == Outcome::Running);
    Some(Surrogate {
        seen: finished.map(|trial| trial.number).collect(),
        pending: running.map(|trial| trial.number).collect(),
        hash,
        draw: Box::new(draw),
    })
}

fn result(trial: &Past) -> Option<f64> {
    match trial.outcome {
        Outcome::Complete(value) | Outcome::Stopped(value) => Some(value),
        Outcome::Failed | Outcome::Running => None,
    }
}

/// How many of `count` trials are good ones.
fn good_count(count: usize) -> usize {
    count.div_ceil(10).min(MOST_GOOD)
}

/// The good and the bad trials, each in order of number. Complete trials come first, by value;
/// then stopped ones, those that ran longest first, by value.
fn split(past: &[Past], good_count: usize) -> (Vec<&Past>, Vec<&Past>) {
    let mut ranked: Vec<&Past> = past.iter().filter(|trial| result(trial).is_some()).collect();
    let key = |trial: &Past| {
        let last = trial.reports.last().map_or(f64::NEG_INFINITY, |report| report.0);
        match trial.outcome {
            Outcome::Stopped(value) => {
                (1, -last, if value.is_nan() { f64::INFINITY } else { value })
            }
            _ => (0, 0.0, or_nan(result(trial))),
        }
    };
    ranked.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
    });
    let mut bad = ranked.split_off(good_count.min(ranked.len()));
    bad.extend(past.iter().filter(|trial| trial.outcome == Outcome::Running));
    ranked.sort_by_key(|trial| trial.number);
    bad.sort_by_key(|trial| trial.number);
    (ranked, bad)
}

/// A point: the parameters without conditions together, the others one by one.
fn draw(space: &Space, good: &[&Past], bad: &[&Past], draws: &mut Draws) -> Point {
    let parameters: Vec<&Parameter> = space.parameters().values().collect();
    let mut point: Point = vec![None; parameters.len()];
    let together: Vec<usize> =
        (0..parameters.len()).filter(|&index| parameters[index].when.is_empty()).collect();
    let alone = space.order().iter().filter(|&&index| !parameters[index].when.is_empty());
    for group in std::iter::once(together).chain(alone.map(|&index| vec![index])) {
        let takes_part = |&index: &usize| parameters[index].when.iter().all(|w| w.is_met(&point));
        if group.is_empty() || !group.iter().all(takes_part) {
            continue;
        }
        let axes: Vec<Axis> =
            group.iter().map(|&index| Axis::of(parameters[index].distribution())).collect();
        let estimator = |trials: &[&Past]| {
            let rows = trials.iter().filter_map(|trial| {
                let value = |&index: &usize| Some(stored(parameters[index], trial.point[index]?));
                group.iter().map(value).collect::<Option<Vec<f64>>>()
            });
            Estimator::new(&axes, &rows.collect::<Vec<Vec<f64>>>())
        };
        let values = best_candidate(&estimator(good), &estimator(bad), draws);
        for (&index, value) in group.iter().zip(values) {
            point[index] = Some(match &parameters[index].prior {
                Prior::Numeric(prior) => prior.coordinate(value),
                Prior::Categories { .. } => value,
            });
        }
    }
    point
}

/// The stored value of a coordinate.
fn stored(parameter: &Parameter, coordinate: f64) -> f64 {
    match &parameter.prior {
        Prior::Numeric(prior) => prior.value(coordinate),
        Prior::Categories { .. } => coordinate,
    }
}

/// The draw from the good trials' estimator that is likeliest relative to the bad ones'.
fn best_candidate(good: &Estimator, bad: &Estimator, draws: &mut Draws) -> Vec<f64> {
    let mut best = good.sample(draws);
    let mut largest = good.log_density(&best) - bad.log_density(&best);
    for _ in 1..CANDIDATES {
        let candidate = good.sample(draws);
        let value = good.log_density(&candidate) - bad.log_density(&candidate);
        if value > largest {
            (best, largest) = (candidate, value);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    /// Optuna 5.0.0's `default_gamma`.
    #[test]
    fn counts_of_good_trials_are_optunas() {
        assert_eq!([1, 10, 11, 100, 250, 265].map(good_count), [1, 1, 2, 10, 25, 25]);
    }

    #[test]
    fn complete_trials_rank_before_stopped_ones_and_running_ones_are_bad() {
        let trial = |number, outcome, reports: &[(f64, f64)]| Past {
            number,
            point: Vec::new(),
            outcome,
            reports: reports.to_vec(),
        };
        let past = [
            trial(0, Outcome::Stopped(1.0), &[(1.0, 1.0)]),
            trial(1, Outcome::Running, &[(9.0, 0.1)]),
            trial(2, Outcome::Complete(5.0), &[]),
            trial(3, Outcome::Stopped(f64::NAN), &[(2.0, f64::NAN)]),
            trial(4, Outcome::Failed, &[]),
            trial(5, Outcome::Stopped(3.0), &[(2.0, 3.0)]),
            trial(6, Outcome::Complete(4.0), &[]),
        ];
        let good = |count| -> Vec<u64> {
            split(&past, count).0.iter().map(|trial| trial.number).collect()
        };
        assert_eq!(good(1), [6]);
        assert_eq!(good(3), [2, 5, 6]);
        assert_eq!(good(4), [2, 3, 5, 6]);
        let bad: Vec<u64> = split(&past, 3).1.iter().map(|trial| trial.number).collect();
        assert_eq!(bad, [0, 1, 3]);
    }

    #[test]
    fn proposals_approach_the_minimum_and_keep_conditions() {
        use super::super::{SamplerKind, propose};
        let text = "a = { uniform = [0, 1] }\nkind = ['x', 'y']\n\
                    c = { uniform = [1, 64], integer = true, when = { kind = 'x' } }";
        let space = Space::parse(&text.parse().unwrap()).unwrap();
        let loss = |point: &Point| {
            let a = point[0].unwrap() - 0.3;
            a * a + point[2].map_or(0.5, |c| (c - 0.5).abs())
        };
        let mut past: Vec<Past> = Vec::new();
        for number in 0..60 {
            let proposal = propose(SamplerKind::Tpe, &space, 3, number, &past);
            assert_eq!(proposal.source == ProposalSource::Prior, number < 10, "{number}");
            assert_eq!(proposal.point[2].is_some(), proposal.point[1] == Some(0.0));
            let value = loss(&proposal.point);
            let outcome = Outcome::Complete(value);
            past.push(Past { number, point: proposal.point, outcome, reports: vec![(1.0, value)] });
        }
        let late: f64 = past[40..].iter().map(|trial| loss(&trial.point)).sum::<f64>() / 20.0;
        assert!(late < 0.25, "{late}");
    }

    #[test]
    fn random_studies_are_split_as_by_optuna() {
        for case in fixtures::list(&fixtures::cases("tpe_splits")) {
            let trial = |(number, trial): (usize, &serde_json::Value)| {
                let values = fixtures::numbers(&trial["values"]);
                let last = values[values.len() - 1];
                Past {
                    number: number as u64,
                    point: Vec::new(),
                    outcome: match trial["state"].as_str().unwrap() {
                        "complete" => Outcome::Complete(last),
                        "pruned" => Outcome::Stopped(last),
                        _ => Outcome::Running,
                    },
                    reports: (1..).map(f64::from).zip(values).collect(),
                }
            };
            let past: Vec<Past> =
                fixtures::list(&case["trials"]).iter().enumerate().map(trial).collect();
            let finished = past.iter().filter(|trial| result(trial).is_some()).count();
            let (good, bad) = split(&past, good_count(finished));
            let numbers =
                |side: Vec<&Past>| -> Vec<u64> { side.iter().map(|trial| trial.number).collect() };
            assert_eq!(numbers(good), fixtures::wholes(&case["below"]));
            assert_eq!(numbers(bad), fixtures::wholes(&case["above"]));
        }
    }
}
