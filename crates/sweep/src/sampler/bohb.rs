//! BOHB's model (Falkner, Klein and Hutter, arXiv 1807.01774, section 4) with the rules and
//! constants of HpBandSter 0.7.4: kernel densities of good and bad points at one budget.
//!
//! HpBandSter counts the categories that it has seen; here a category's kernel spreads over all
//! that the space declares, and is never wider than the uniform distribution.

use super::draws::Draws;
use super::{Past, ProposalSource, Surrogate, hash_point, or_nan, random};
use crate::sampler::Outcome;
use crate::space::{Point, Space};

const GOOD_PERCENT: usize = 15;
const CANDIDATES: usize = 64;
const RANDOM_SHARE: f64 = 1.0 / 3.0;
const BANDWIDTH_FACTOR: f64 = 3.0;
const SMALLEST_BANDWIDTH: f64 = 1e-3;
const SMALLEST_DENSITY: f64 = 1e-32;

/// Fits both densities at the largest budget with enough results.
pub(super) fn fit<'a>(
    space: &'a Space,
    past: &'a [Past],
    draws: &mut Draws,
) -> Option<Surrogate<'a>> {
    let levels: Vec<Option<usize>> =
        space.parameters().values().map(|parameter| parameter.categories()).collect();
    for budget in budgets(past).into_iter().rev() {
        let results = results_at(past, budget);
        let Some((good, bad)) = densities(&results, &levels, draws) else { continue };
        let mut hash = blake3::Hasher::new();
        for (past, value) in &results {
            let point: Vec<f64> = past.point.iter().map(|&u| or_nan(u)).collect();
            hash_point(&mut hash, &point);
            hash_point(&mut hash, &[*value]);
        }
        let draw = move |draws: &mut Draws| {
            if draws.uniform() < RANDOM_SHARE {
                return (random::point(space, draws), ProposalSource::Prior);
            }
            let point = best_candidate(&good, &bad, draws);
            let point = space.complete(point.into_iter().map(Some).collect());
            (point, ProposalSource::Kde { budget })
        };
        let seen = results.iter().map(|(past, _)| past.number).collect();
        return Some(Surrogate { seen, pending: Vec::new(), hash, draw: Box::new(draw) });
    }
    None
}

/// The densities of the good and the bad of some results; none when they are too few.
fn densities(
    results: &[(&Past, f64)],
    levels: &[Option<usize>],
    draws: &mut Draws,
) -> Option<(Kde, Kde)> {
    let (good, bad) = split(results.len(), levels.len())?;
    let mut ranked: Vec<&(&Past, f64)> = results.iter().collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut density = |results: &[&(&Past, f64)]| {
        let points: Vec<Point> = results.iter().map(|(past, _)| past.point.clone()).collect();
        Kde::new(impute(&points, levels, draws), levels.to_vec())
    };
    Some((density(&ranked[..good]), density(&ranked[good..good + bad])))
}

/// The budgets that trials have results of, rising.
fn budgets(past: &[Past]) -> Vec<f64> {
    let reports = past.iter().flat_map(|past| &past.reports);
    let mut budgets: Vec<f64> = reports.map(|report| report.0).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    budgets
}

/// The results at a budget. Infinity where the value is not finite, and for a trial that failed on
/// its way there from the budget below.
fn results_at(past: &[Past], budget: f64) -> Vec<(&Past, f64)> {
    let below = budgets(past).into_iter().rfind(|&other| other < budget);
    let result = |past: &Past| {
        if let Some((_, value)) = past.reports.iter().find(|report| report.0 == budget) {
            return Some(if value.is_finite() { *value } else { f64::INFINITY });
        }
        let reached = past.reports.last().map(|report| report.0);
        (past.outcome == Outcome::Failed && reached == below).then_some(f64::INFINITY)
    };
    past.iter().filter_map(|past| Some((past, result(past)?))).collect()
}

/// How many of `count` results are good and bad; none when they are too few for a model of
/// `dimensions`.
fn split(count: usize, dimensions: usize) -> Option<(usize, usize)> {
    let least = dimensions + 1;
    let good = least.max(GOOD_PERCENT * count / 100);
    let bad = least.max((100 - GOOD_PERCENT) * count / 100).min(count.saturating_sub(good));
    (bad >= least).then_some((good, bad))
}

/// Coordinates that conditions left out are those of another point of the same kind that has
/// them, or random where none has.
fn impute(points: &[Point], levels: &[Option<usize>], draws: &mut Draws) -> Vec<Vec<f64>> {
    let mut rows = Vec::with_capacity(points.len());
    for point in points {
        let mut row = point.clone();
        while let Some(missing) = row.iter().position(Option::is_none) {
            let having: Vec<&Point> =
                points.iter().filter(|point| point[missing].is_some()).collect();
            if having.is_empty() {
                row[missing] = Some(match levels[missing] {
                    None => draws.uniform(),
                    Some(levels) => draws.below(levels) as f64,
                });
                continue;
            }
            let other = having[draws.below(having.len())];
            for (coordinate, other) in row.iter_mut().zip(other) {
                *coordinate = coordinate.or(*other);
            }
        }
        rows.push(row.into_iter().flatten().collect());
    }
    rows
}

/// A product kernel density: Gaussian in numbers, Aitchison and Aitken's in categories.
struct Kde {
    data: Vec<Vec<f64>>,
    levels: Vec<Option<usize>>,
    bandwidth: Vec<f64>,
}

impl Kde {
    fn new(data: Vec<Vec<f64>>, levels: Vec<Option<usize>>) -> Self {
        let capped = |(h, levels): (f64, &Option<usize>)| match levels {
            None => h,
            Some(levels) => h.min(1.0 - 1.0 / *levels as f64),
        };
        let bandwidth = bandwidths(&data).into_iter().zip(&levels).map(capped).collect();
        Self { data, levels, bandwidth }
    }

    fn density(&self, x: &[f64]) -> f64 {
        let mut sum = 0.0;
        for row in &self.data {
            let mut squares = 0.0;
            let mut product = 1.0;
            for (index, levels) in self.levels.iter().enumerate() {
                let h = self.bandwidth[index];
                match levels {
                    None => {
                        let z = (row[index] - x[index]) / h;
                        squares += z * z;
                        product /= h * (2.0 * std::f64::consts::PI).sqrt();
                    }
                    Some(_) if row[index] == x[index] => product *= 1.0 - h,
                    Some(levels) => product *= h / (*levels as f64 - 1.0),
                }
            }
            sum += product * libm::exp(-0.5 * squares);
        }
        sum / self.data.len() as f64
    }

    /// A point near a random one of the data.
    fn candidate(&self, draws: &mut Draws) -> Vec<f64> {
        let row = &self.data[draws.below(self.data.len())];
        let mut point = Vec::with_capacity(row.len());
        for ((&x, &h), levels) in row.iter().zip(&self.bandwidth).zip(&self.levels) {
            point.push(match levels {
                None => draws.truncated_normal(x, BANDWIDTH_FACTOR * h, 0.0, 1.0),
                Some(_) if draws.uniform() < 1.0 - h => x,
                Some(levels) => draws.below(*levels) as f64,
            });
        }
        point
    }
}

/// The bandwidth of each column by the rule of thumb for normal data, on the codes of categories
/// too.
fn bandwidths(data: &[Vec<f64>]) -> Vec<f64> {
    let dimensions = data.first().map_or(0, Vec::len);
    let count = data.len() as f64;
    let scale = 1.06 * libm::pow(count, -1.0 / (4.0 + dimensions as f64));
    let bandwidth = |index: usize| {
        let column = || data.iter().map(|row| row[index]);
        let mean = column().sum::<f64>() / count;
        let variance = column().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        (scale * variance.sqrt()).max(SMALLEST_BANDWIDTH)
    };
    (0..dimensions).map(bandwidth).collect()
}

/// The candidate that is likeliest among good points relative to bad ones.
fn best_candidate(good: &Kde, bad: &Kde, draws: &mut Draws) -> Vec<f64> {
    let mut best = good.candidate(draws);
    let mut least = ratio(good, bad, &best);
    for _ in 1..CANDIDATES {
        let candidate = good.candidate(draws);
        let value = ratio(good, bad, &candidate);
        if value < least {
            (best, least) = (candidate, value);
        }
    }
    best
}

fn ratio(good: &Kde, bad: &Kde, x: &[f64]) -> f64 {
    bad.density(x).max(SMALLEST_DENSITY) / good.density(x).max(SMALLEST_DENSITY)
}

#[cfg(test)]
mod tests {
    use super::super::{SamplerKind, propose};
    use super::*;
    use crate::fixtures;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-9 * want.abs(), "{got} instead of {want}");
    }

    fn draws() -> Draws {
        Draws::new(base::rng::Rng::new(1, "densities"))
    }

    fn space() -> Space {
        let text = "lr = { log_uniform = [1e-5, 1e-2] }\ndrop = { uniform = [0, 1] }\n\
                    schedule = ['linear', 'cosine']";
        Space::parse(&text.parse().unwrap()).unwrap()
    }

    fn past() -> Vec<Past> {
        let space = space();
        let trials = [
            (7e-4, 0.1, "cosine", Some(4.10)),
            (1e-3, 0.5, "linear", Some(4.50)),
            (3e-4, 0.0, "cosine", Some(4.05)),
            (2e-3, 0.9, "linear", Some(5.20)),
            (5e-4, 0.3, "cosine", Some(4.20)),
            (1e-4, 0.2, "linear", Some(4.40)),
            (4e-3, 0.4, "cosine", Some(4.80)),
            (6e-4, 0.05, "linear", Some(4.15)),
            (2e-5, 0.6, "cosine", Some(5.60)),
            (8e-4, 0.25, "cosine", Some(4.12)),
            (9e-3, 0.8, "linear", None),
            (2e-4, 0.15, "linear", Some(4.30)),
        ];
        let trials = trials.into_iter().enumerate();
        trials
            .map(|(number, (lr, drop, schedule, loss))| {
                let text = format!("lr = {lr}\ndrop = {drop:?}\nschedule = '{schedule}'");
                let stored = space.stored_of_values(&text.parse().unwrap()).unwrap();
                Past {
                    number: number as u64,
                    point: space.point_of_stored(&stored).unwrap(),
                    outcome: loss.map_or(Outcome::Failed, Outcome::Complete),
                    reports: loss.map(|loss| (9.0, loss)).into_iter().collect(),
                }
            })
            .collect()
    }

    /// HpBandSter 0.7.4's split.
    #[test]
    fn results_are_split_as_in_hpbandster() {
        assert_eq!(split(8, 3), Some((4, 4)));
        assert_eq!(split(40, 3), Some((6, 34)));
        assert_eq!(split(265, 3), Some((39, 225)));
        assert_eq!(split(30, 11), Some((12, 18)));
        assert_eq!(split(100, 11), Some((15, 85)));
        assert_eq!(split(7, 3), None);
        assert_eq!(split(23, 11), None);
        assert_eq!(split(0, 3), None);
    }

    /// HpBandSter 0.7.4's model of twelve trials, one of which crashed.
    #[test]
    fn densities_are_hpbandsters() {
        let past = past();
        let results = results_at(&past, 9.0);
        assert_eq!(results.len(), 12);
        assert_eq!(results[10].1, f64::INFINITY);
        let (good, bad) = densities(&results, &[None, None, Some(2)], &mut draws()).unwrap();
        assert_eq!((good.data.len(), bad.data.len()), (4, 8));
        for (kde, want) in [
            (&good, [0.0475684931, 0.0813394669, 0.3765285667]),
            (&bad, [0.2157946070, 0.2007331741, 0.3812840627]),
        ] {
            kde.bandwidth.iter().zip(want).for_each(|(&got, want)| near(got, want));
        }
        for (x, l, g, quotient) in [
            ([0.6, 0.1, 1.0], 10.4020174, 0.4362138404, 0.0419355036),
            ([0.6, 0.1, 0.0], 9.6145655, 0.4915239176, 0.0511228424),
            ([0.5, 0.2, 0.0], 0.5182311677, 0.7201398312, 1.389611193),
        ] {
            assert!((good.density(&x) - l).abs() < 1e-7, "{}", good.density(&x));
            near(bad.density(&x), g);
            near(ratio(&good, &bad, &x), quotient);
        }
    }

    #[test]
    fn two_thirds_of_the_proposals_are_the_models_and_near_its_good_points() {
        let (space, past) = (space(), past());
        let proposals = (12..612).map(|n| propose(SamplerKind::Bohb, &space, 1, n, &past));
        let modelled: Vec<_> = proposals
            .filter(|proposal| proposal.source == ProposalSource::Kde { budget: 9.0 })
            .collect();
        assert!((350..450).contains(&modelled.len()), "{}", modelled.len());
        let small = modelled.iter().filter(|p| p.point[1].unwrap() < 0.4).count();
        assert!(small * 10 > modelled.len() * 9, "{small} of {}", modelled.len());
        assert_eq!(modelled[0].seen, (0..12).collect::<Vec<u64>>());
        assert_eq!(modelled[0].model_hash, modelled[1].model_hash);
    }

    #[test]
    fn the_largest_budget_with_enough_results_is_modelled() {
        let (space, mut past) = (space(), past());
        for trial in past.iter_mut().take(7) {
            trial.reports.push((27.0, 4.0));
        }
        past[10].reports.push((9.0, 7.0));
        // Seven results and one failure on the way from 9 to 27 are eight.
        let source = |past: &[Past]| {
            let mut sources = (12..).map(|n| propose(SamplerKind::Bohb, &space, 1, n, past).source);
            sources.find(|source| *source != ProposalSource::Prior)
        };
        assert_eq!(source(&past), Some(ProposalSource::Kde { budget: 27.0 }));
        past[0].reports.pop();
        assert_eq!(source(&past), Some(ProposalSource::Kde { budget: 9.0 }));
    }

    #[test]
    fn inactive_coordinates_are_those_of_other_points() {
        let mut draws = draws();
        let points = [vec![Some(0.1), None], vec![Some(0.2), Some(0.7)], vec![Some(0.3), None]];
        let rows = impute(&points, &[None, None], &mut draws);
        assert_eq!(rows, [[0.1, 0.7], [0.2, 0.7], [0.3, 0.7]]);
        let rows = impute(&[vec![Some(0.1), None]], &[None, Some(3)], &mut draws);
        assert!([0.0, 1.0, 2.0].contains(&rows[0][1]));
    }

    #[test]
    fn random_models_are_hpbandsters() {
        for case in fixtures::list(&fixtures::cases("kernel_densities")) {
            let levels = fixtures::wholes(&case["levels"]);
            let levels: Vec<Option<usize>> =
                levels.iter().map(|&level| (level > 0).then_some(level as usize)).collect();
            let rows = fixtures::rows(&case["rows"]);
            let losses = fixtures::numbers(&case["losses"]);
            let past = rows.iter().zip(losses).enumerate().map(|(number, (row, loss))| Past {
                number: number as u64,
                point: row.iter().map(|&u| Some(u)).collect(),
                outcome: Outcome::Complete(loss),
                reports: vec![(1.0, loss)],
            });
            let past: Vec<Past> = past.collect();
            let results = results_at(&past, 1.0);
            let (mut good, mut bad) = densities(&results, &levels, &mut draws()).unwrap();
            // HpBandSter lets a category's kernel prefer all categories but its own.
            good.bandwidth = bandwidths(&good.data);
            bad.bandwidth = bandwidths(&bad.data);
            assert_eq!(good.data.len() as u64, case["good"].as_u64().unwrap());
            assert_eq!(bad.data.len() as u64, case["bad"].as_u64().unwrap());
            let want = [&case["good_density"], &case["bad_density"]].map(fixtures::numbers);
            for (index, at) in fixtures::rows(&case["at"]).iter().enumerate() {
                near(good.density(at), want[0][index]);
                near(bad.density(at), want[1][index]);
            }
        }
    }
}
