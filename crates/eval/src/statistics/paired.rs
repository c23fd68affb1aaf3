//! Two models on the same items: by how much their mean of task scores differs, and whether by more
//! than chance.

use serde::{Deserialize, Serialize};

use super::bootstrap::{
    Interval, Resampling, draws, percentile_interval, resample, standard_deviation,
};
use super::error::StatisticsError;
use super::items::{Items, Measure, Sums, add, check, macro_score, mean};

/// Two models' answers to the same items.
#[derive(Clone, Copy, Debug)]
pub struct Paired<'a> {
    first: &'a [Items],
    second: &'a [Items],
}

/// The difference of two models and how it would vary with other items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedBootstrap {
    /// The second model's score less the first's.
    pub difference: f64,
    /// Interval of the difference.
    pub interval: Interval,
    /// Standard deviation over the resamples.
    pub standard_error: f64,
    /// Twice the share of resamples in which the difference vanishes or changes its sign (the draw
    /// at hand counted among them, so that it is never 0).
    pub p_value: f64,
}

/// How rarely two exchangeable models would differ by as much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permutation {
    /// The second model's score less the first's.
    pub difference: f64,
    /// The two-sided p-value.
    pub p_value: f64,
    /// Whether all exchanges were tried, not a sample of them.
    pub exact: bool,
}

impl<'a> Paired<'a> {
    /// # Errors
    /// When there is nothing to compare, or the two differ in tasks, items or measures.
    pub fn new(first: &'a [Items], second: &'a [Items]) -> Result<Self, StatisticsError> {
        if first.len() != second.len() {
            return Err(StatisticsError::TaskCount { first: first.len(), second: second.len() });
        }
        check(first)?;
        for (task, (a, b)) in first.iter().zip(second).enumerate() {
            if a.len() != b.len() {
                return Err(StatisticsError::ItemCount { task, first: a.len(), second: b.len() });
            }
            if a.measure != b.measure {
                return Err(StatisticsError::Measure { task });
            }
        }
        Ok(Self { first, second })
    }

    /// The second model's mean of task scores less the first's.
    pub fn difference(&self) -> f64 {
        macro_score(self.second) - macro_score(self.first)
    }

    /// Resamples the items of each task, the same ones for both models (Efron and Tibshirani, 1993;
    /// Koehn, "Statistical significance tests for machine translation evaluation", 2004).
    pub fn bootstrap(&self, resampling: &Resampling) -> Result<PairedBootstrap, StatisticsError> {
        resampling.check()?;
        let differences = resample(resampling, |rng| {
            let difference = |(index, (a, b)): (usize, (&Items, &Items))| {
                let places = || draws(rng.at(index as u64), a.len());
                b.score_of(places()) - a.score_of(places())
            };
            mean(self.first.iter().zip(self.second).enumerate().map(difference), self.first.len())
        });
        let share = |beyond: &dyn Fn(f64) -> bool| {
            let count = differences.iter().filter(|&&difference| beyond(difference)).count();
            (count + 1) as f64 / (differences.len() + 1) as f64
        };
        let tail =
            share(&|difference| difference <= 0.0).min(share(&|difference| difference >= 0.0));
        Ok(PairedBootstrap {
            difference: self.difference(),
            interval: percentile_interval(&differences, resampling.confidence),
            standard_error: standard_deviation(&differences),
            p_value: (2.0 * tail).min(1.0),
        })
    }

    /// Exchanges the two models' answers to each item with probability one half, and counts how
    /// often they differ by at least as much (Noreen, "Computer-Intensive Methods for Testing
    /// Hypotheses", 1989); of means this flips the signs of the items' differences. All exchanges
    /// are tried where there are no more of them than resamples.
    pub fn permutation(&self, resampling: &Resampling) -> Result<Permutation, StatisticsError> {
        resampling.check()?;
        let tasks: Vec<Exchange> =
            self.first.iter().zip(self.second).map(|(a, b)| Exchange::new(a, b)).collect();
        let differing: usize = tasks.iter().map(|task| task.differing.len()).sum();
        let difference = self.difference();
        // Differences that are equal but for rounding count as equal.
        let threshold = difference.abs() - 1e-12 * difference.abs().max(1e-3);
        let average = |parts: &mut dyn Iterator<Item = f64>| mean(parts, tasks.len()).abs();
        let (p_value, exact) = match 1u64
            .checked_shl(differing as u32)
            .filter(|&all| all <= resampling.resamples as u64)
        {
            Some(all) => {
                let as_large = (0..all)
                    .filter(|&pattern| average(&mut exchanged(&tasks, pattern)) >= threshold)
                    .count();
                (as_large as f64 / all as f64, true)
            }
            None => {
                let sampled = resample(resampling, |rng| {
                    let part = |(index, task): (usize, &Exchange)| {
                        let stream = rng.at(index as u64);
                        task.difference(|item| {
                            stream.bits(item as u64 / 64) >> (item % 64) & 1 == 1
                        })
                    };
                    average(&mut tasks.iter().enumerate().map(part))
                });
                let as_large = sampled.iter().filter(|&&sampled| sampled >= threshold).count();
                ((as_large + 1) as f64 / (sampled.len() + 1) as f64, false)
            }
        };
        Ok(Permutation { difference, p_value, exact })
    }
}

/// The differences of the tasks when the items that differ are exchanged by the bits of a pattern.
fn exchanged(tasks: &[Exchange], pattern: u64) -> impl Iterator<Item = f64> {
    let mut before = 0;
    tasks.iter().map(move |task| {
        let first = before;
        before += task.differing.len();
        task.difference(|item| pattern >> (first + item) & 1 == 1)
    })
}

/// A task of which only the items with different answers are exchanged; the others would change
/// nothing.
struct Exchange {
    measure: Measure,
    count: usize,
    /// Sums over the items on which both models agree.
    agreed: Sums,
    differing: Vec<(Sums, Sums)>,
}

impl Exchange {
    fn new(first: &Items, second: &Items) -> Self {
        let (mut agreed, mut differing) = (Sums::default(), Vec::new());
        for (a, b) in first.items.iter().zip(&second.items) {
            if a == b { add(&mut agreed, a) } else { differing.push((*a, *b)) }
        }
        Self { measure: first.measure, count: first.len(), agreed, differing }
    }

    /// The second model's score less the first's, after the chosen of the differing items were
    /// exchanged.
    fn difference(&self, is_exchanged: impl Fn(usize) -> bool) -> f64 {
        let (mut first, mut second) = (self.agreed, self.agreed);
        for (index, (a, b)) in self.differing.iter().enumerate() {
            let (a, b) = if is_exchanged(index) { (b, a) } else { (a, b) };
            add(&mut first, a);
            add(&mut second, b);
        }
        let score = |sums: &Sums| self.measure.score(sums, self.count);
        score(&second) - score(&first)
    }
}
