//! W&B's `bayes`: a Gaussian process with a Matern 3/2 kernel of one length scale, and expected
//! improvement over random candidates, as the package `sweeps` 0.3.0 has it.
//!
//! A category enters as its place, a parameter that takes no part as 0. Failed trials enter with
//! the worst value that any finished trial reported, running ones with the model's own mean.

use super::draws::Draws;
use super::models::gaussian_process::{Process, first_largest};
use super::{Outcome, Past, ProposalSource, Surrogate, hash_point};
use crate::space::{Parameter, Point, Space};

/// Points beyond this many are drawn from, with replacement.
const MOST_POINTS: usize = 100;
/// Running trials beyond this many are left out.
const MOST_PENDING: usize = MOST_POINTS - 5;
const CANDIDATES: usize = 1000;

/// Fits the process to all results; none when there are fewer than two.
pub(super) fn fit<'a>(
    space: &'a Space,
    past: &'a [Past],
    draws: &mut Draws,
) -> Option<Surrogate<'a>> {
    let worst = worst(past);
    let mut x: Vec<Vec<f64>> = Vec::new();
    let mut y: Vec<f64> = Vec::new();
    let mut running: Vec<Vec<f64>> = Vec::new();
    let (mut seen, mut pending) = (Vec::new(), Vec::new());
    for trial in past {
        let value = match trial.outcome {
            Outcome::Running => {
                if running.len() < MOST_PENDING {
                    running.push(encode(space, &trial.point));
                    pending.push(trial.number);
                }
                continue;
            }
            Outcome::Complete(value) | Outcome::Stopped(value) if value.is_finite() => Some(value),
            _ => worst,
        };
        if let Some(value) = value {
            x.push(encode(space, &trial.point));
            y.push(value);
            seen.push(trial.number);
        }
    }
    if y.len() < 2 || space.parameters().is_empty() {
        return None;
    }
    let mut hash = blake3::Hasher::new();
    for (x, y) in x.iter().zip(&y) {
        hash_point(&mut hash, x);
        hash_point(&mut hash, &[*y]);
    }
    running.iter().for_each(|x| hash_point(&mut hash, x));

    let best = y.iter().copied().fold(f64::INFINITY, f64::min);
    if x.len() > MOST_POINTS {
        let chosen: Vec<usize> = (0..MOST_POINTS).map(|_| draws.below(x.len())).collect();
        y = chosen.iter().map(|&index| y[index]).collect();
        x = chosen.iter().map(|&index| x[index].clone()).collect();
    }
    let process = with_pending(x, y, running);
    let draw = move |draws: &mut Draws| {
        let candidates: Vec<Vec<f64>> = (0..CANDIDATES)
            .map(|_| space.parameters().values().map(|_| draws.uniform()).collect())
            .collect();
        let improvements: Vec<f64> =
            candidates.iter().map(|x| process.expected_improvement(x, best)).collect();
        let chosen = if process.is_at_bound() {
            // The fit is bad where the length scale is at a bound.
            draws.below(CANDIDATES)
        } else {
            first_largest(&improvements)
        };
        let expected_improvement = improvements[chosen];
        (decode(space, &candidates[chosen]), ProposalSource::Gp { expected_improvement })
    };
    Some(Surrogate { seen, pending, hash, draw: Box::new(draw) })
}

/// The largest value that any finished trial ever reported.
fn worst(past: &[Past]) -> Option<f64> {
    let finished = past.iter().filter(|trial| trial.outcome != Outcome::Running);
    let values = finished.flat_map(|trial| {
        let result = match trial.outcome {
            Outcome::Complete(value) | Outcome::Stopped(value) => Some(value),
            Outcome::Failed | Outcome::Running => None,
        };
        trial.reports.iter().map(|report| report.1).chain(result)
    });
    values.filter(|value| value.is_finite()).max_by(f64::total_cmp)
}

/// A point as coordinates in `[0, 1]`: the place `(index + 1) / count` of a category.
fn encode(space: &Space, point: &Point) -> Vec<f64> {
    let parameters = space.parameters().values().zip(point);
    let encode = |(parameter, coordinate): (&Parameter, &Option<f64>)| match (
        coordinate,
        parameter.categories(),
    ) {
        (None, _) => 0.0,
        (Some(u), None) => *u,
        (Some(index), Some(count)) => (index + 1.0) / count as f64,
    };
    parameters.map(encode).collect()
}

fn decode(space: &Space, x: &[f64]) -> Point {
    let parameters = space.parameters().values().zip(x);
    space.complete(parameters.map(|(parameter, &u)| Some(parameter.at_quantile(u))).collect())
}

/// The process fitted to results, then to results and the running trials at its own mean.
fn with_pending(mut x: Vec<Vec<f64>>, mut y: Vec<f64>, running: Vec<Vec<f64>>) -> Process {
    let process = Process::fit(x.clone(), &y);
    if running.is_empty() {
        return process;
    }
    y.extend(running.iter().map(|x| process.predict(x).0));
    x.extend(running);
    Process::fit(x, &y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    /// Values of `sweeps` 0.3.0 (scikit-learn).
    #[test]
    fn running_trials_enter_with_the_processs_mean_as_in_wandb() {
        let x = [[0.1, 0.2], [0.4, 0.9], [0.7, 0.3], [0.9, 0.8], [0.5, 0.5], [0.25, 0.75]];
        let y = vec![4.3, 4.1, 4.6, 5.2, 4.0, 4.05];
        let at = [[0.3, 0.6], [0.5, 0.6], [0.05, 0.95], [0.8, 0.1], [0.45, 0.7]];
        let x = x.iter().map(|x| x.to_vec()).collect();
        let process = with_pending(x, y, vec![vec![0.45, 0.7]]);
        let improvements = at.map(|at| process.expected_improvement(&at, 4.0));
        assert_eq!(first_largest(&improvements), 0);
        let (mean, sd) = process.predict(&at[0]);
        for (got, want) in [(mean, 3.99980062), (sd, 0.19194256), (improvements[0], 0.19045864)] {
            assert!((got - want).abs() < 3e-6, "{got} instead of {want}");
        }
    }

    #[test]
    fn failures_enter_with_the_worst_value_that_a_finished_trial_reported() {
        let trial = |outcome, reports: &[f64]| Past {
            number: 0,
            point: vec![Some(0.5)],
            outcome,
            reports: reports.iter().map(|&value| (1.0, value)).collect(),
        };
        let past = [
            trial(Outcome::Complete(4.0), &[5.5, f64::NAN, 4.0]),
            trial(Outcome::Failed, &[3.9, 7.0]),
            trial(Outcome::Running, &[9.0]),
            trial(Outcome::Stopped(6.0), &[]),
        ];
        assert_eq!(worst(&past), Some(7.0));
        assert_eq!(worst(&past[2..3]), None);
    }

    #[test]
    fn proposals_approach_the_minimum() {
        use super::super::{SamplerKind, propose};
        let text = "a = { uniform = [0, 1] }\nb = { uniform = [0, 1] }\nc = ['x', 'y']";
        let space = Space::parse(&text.parse().unwrap()).unwrap();
        let loss = |point: &Point| {
            let (a, b) = (point[0].unwrap() - 0.3, point[1].unwrap() - 0.8);
            a * a + b * b + 0.3 * point[2].unwrap()
        };
        let mut past: Vec<Past> = Vec::new();
        for number in 0..30 {
            let proposal = propose(SamplerKind::Gp, &space, 3, number, &past);
            let is_prior = proposal.source == ProposalSource::Prior;
            assert_eq!(is_prior, number < 2, "{number}");
            let value = loss(&proposal.point);
            let outcome = Outcome::Complete(value);
            past.push(Past { number, point: proposal.point, outcome, reports: vec![(1.0, value)] });
        }
        let best = past.iter().map(|trial| loss(&trial.point)).fold(f64::INFINITY, f64::min);
        assert!(best < 0.005, "{best}");
    }

    #[test]
    fn predictions_with_running_trials_are_wandbs() {
        for case in fixtures::list(&fixtures::cases("gaussian_processes")) {
            let (x, running) = (fixtures::rows(&case["x"]), fixtures::rows(&case["running"]));
            let process = with_pending(x, fixtures::numbers(&case["y"]), running);
            let (means, sds) = (fixtures::numbers(&case["mean"]), fixtures::numbers(&case["sd"]));
            for (index, at) in fixtures::rows(&case["at"]).iter().enumerate() {
                let (mean, sd) = process.predict(at);
                // Gradients stop a little short of the best length scale.
                let close = |got: f64, want: f64| (got - want).abs() < 1e-5 * want.abs();
                assert!(close(mean, means[index]), "{mean} instead of {}", means[index]);
                assert!(close(sd, sds[index]), "{sd} instead of {}", sds[index]);
            }
        }
    }
}
