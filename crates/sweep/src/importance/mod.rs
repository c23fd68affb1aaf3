//! How much each parameter of a search matters: functional analysis of variance (fANOVA; Hutter,
//! Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML
//! 2014), as in Optuna's `FanovaImportanceEvaluator`.
//!
//! A forest of regression trees is fitted to the results by the trials' coordinates. Of each tree,
//! a parameter's share is the variance of the tree's mean over all other parameters, divided by
//! the variance of the whole tree. Means are those under the priors: a coordinate is a cumulative
//! probability. That a parameter takes no part in a trial is a value of its own, with the
//! probability that it has among the trials. What is left to 1 is the parameters' interaction.

mod tree;

use base::rng::Rng;
use eval::statistics::Spread;

use crate::space::{Point, Prior, Space};
use tree::{Domain, Tree};

/// Trees of a forest.
const TREES: u64 = 64;

/// Fewer trials show nothing.
pub const FEWEST_TRIALS: usize = 8;

/// The importance of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The parameter's key in the space.
    pub parameter: String,
    /// The share of the variance that it explains alone: the mean over the trees.
    pub share: f64,
    /// Standard deviation between trees.
    pub deviation: f64,
}

/// The importance of a space's parameters, the largest first, by the points and results of complete
/// trials; `None` of fewer than [`FEWEST_TRIALS`] with a finite result, or of equal results. The
/// same trials and seed give the same bits.
pub fn importance(space: &Space, trials: &[(Point, f64)], seed: u64) -> Option<Vec<Importance>> {
    let priors: Vec<&Prior> = space.parameters().values().map(|of| &of.prior).collect();
    let shares = shares(&priors, trials, seed)?;
    let names = space.parameters().keys().cloned();
    let mut found: Vec<Importance> = names
        .zip(shares)
        .map(|(parameter, (share, deviation))| Importance { parameter, share, deviation })
        .collect();
    found.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.parameter.cmp(&b.parameter)));
    Some(found)
}

/// Mean and standard deviation of each parameter's share over the trees.
fn shares(priors: &[&Prior], trials: &[(Point, f64)], seed: u64) -> Option<Vec<(f64, f64)>> {
    let trials: Vec<&(Point, f64)> =
        trials.iter().filter(|(_, result)| result.is_finite()).collect();
    if trials.len() < FEWEST_TRIALS {
        return None;
    }
    let coordinate = |point: &Point, index: usize| point.get(index).copied().flatten();
    let domains: Vec<Domain> = priors
        .iter()
        .enumerate()
        .map(|(index, prior)| {
            let absent = trials.iter().filter(|(point, _)| coordinate(point, index).is_none());
            Domain::of(prior, absent.count() as f64 / trials.len() as f64)
        })
        .collect();
    let places: Vec<Vec<f64>> = trials
        .iter()
        .map(|(point, _)| {
            let place = |(index, domain): (usize, &Domain)| domain.place(coordinate(point, index));
            domains.iter().enumerate().map(place).collect()
        })
        .collect();
    // Sums of squares of large results would have no digits for their differences.
    let scale = trials.iter().map(|(_, result)| result.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let results: Vec<f64> = trials.iter().map(|(_, result)| result / scale).collect();
    let mean = results.iter().sum::<f64>() / results.len() as f64;
    let results: Vec<f64> = results.iter().map(|result| result - mean).collect();
    let draws = Rng::new(seed, "bootstrap of importance");
    let of_tree = |tree: u64| {
        let drawn = (0..trials.len() as u64)
            .map(|index| draws.at(tree).below(index, trials.len() as u64) as usize);
        Tree::fit(&domains, &places, &results, drawn.collect()).shares(&domains)
    };
    let trees: Vec<Vec<f64>> = (0..TREES).filter_map(of_tree).collect();
    let statistics = |index: usize| {
        let values: Vec<f64> = trees.iter().map(|shares| shares[index]).collect();
        let spread = Spread::of(&values, 0.95)?;
        Some((spread.mean, spread.standard_deviation.unwrap_or(0.0)))
    };
    (0..domains.len()).map(statistics).collect()
}

#[cfg(test)]
mod tests;
