//! Percentile bootstrap of a mean of task scores (Efron and Tibshirani, "An Introduction to the
//! Bootstrap", 1993, chapter 13).

use base::rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::StatisticsError;
use super::items::{Items, check, macro_score, mean};

/// How to resample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Samples to draw.
    pub resamples: u32,
    /// Share of the samples inside an interval, such as 0.95.
    pub confidence: f64,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { resamples: 10_000, confidence: 0.95, seed: 42 }
    }
}

impl Resampling {
    pub(super) fn check(&self) -> Result<(), StatisticsError> {
        let refuse = |what, value, allowed| Err(StatisticsError::Setting { what, value, allowed });
        if self.resamples == 0 {
            return refuse("the number of resamples", "0".to_owned(), "at least 1");
        }
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return refuse("the confidence", self.confidence.to_string(), "between 0 and 1");
        }
        Ok(())
    }
}

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A score and how it would vary with other items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The unweighted mean of the tasks' scores.
    pub score: f64,
    /// Percentiles of the resamples.
    pub interval: Interval,
    /// Standard deviation over the resamples.
    pub standard_error: f64,
}

/// Resamples the items of each task, as many as it has, and takes the mean of the tasks' scores: an
/// interval for items drawn anew for the same tasks. Pass one task for the interval of its own
/// score, and a pooled group as one task.
///
/// # Errors
/// When there is no task, or one without items.
pub fn bootstrap(tasks: &[Items], resampling: &Resampling) -> Result<Bootstrap, StatisticsError> {
    check(tasks)?;
    resampling.check()?;
    let scores = resample(resampling, |rng| {
        let scores = tasks
            .iter()
            .enumerate()
            .map(|(index, task)| task.score_of(draws(rng.at(index as u64), task.len())));
        mean(scores, tasks.len())
    });
    Ok(Bootstrap {
        score: macro_score(tasks),
        interval: percentile_interval(&scores, resampling.confidence),
        standard_error: standard_deviation(&scores),
    })
}

/// The value of `statistic` for each resample; it receives the resample's own random numbers.
pub(super) fn resample(resampling: &Resampling, statistic: impl Fn(Rng) -> f64 + Sync) -> Vec<f64> {
    let rng = Rng::new(resampling.seed, "resample");
    (0..resampling.resamples as u64).into_par_iter().map(|index| statistic(rng.at(index))).collect()
}

/// `count` places among `count` items, with replacement.
pub(super) fn draws(rng: Rng, count: usize) -> impl Iterator<Item = usize> {
    (0..count as u64).map(move |draw| rng.below(draw, count as u64) as usize)
}

pub(super) fn percentile_interval(values: &[f64], confidence: f64) -> Interval {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Interval { low: quantile(&sorted, tail), high: quantile(&sorted, 1.0 - tail) }
}

/// Between two sorted values linearly, as numpy does by default.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

pub(super) fn standard_deviation(values: &[f64]) -> f64 {
    let mean = mean(values.iter().copied(), values.len());
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / values.len().saturating_sub(1).max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Measure;

    #[test]
    fn quantiles_are_numpys() {
        // numpy.quantile([1, 2, 4, 8], q)
        for (share, expected) in [(0.0, 1.0), (0.1, 1.3), (0.5, 3.0), (0.975, 7.7), (1.0, 8.0)] {
            assert!((quantile(&[1.0, 2.0, 4.0, 8.0], share) - expected).abs() < 1e-12);
        }
        assert_eq!(quantile(&[3.0], 0.3), 3.0);
    }

    /// The scores of the resamples of [`bootstrap`], with items copied out and measured from
    /// scratch.
    fn slow_scores(
        tasks: &[Vec<(u32, u32)>],
        measures: &[Measure],
        resampling: &Resampling,
    ) -> Vec<f64> {
        let rng = Rng::new(resampling.seed, "resample");
        let mut scores = Vec::new();
        for resample in 0..resampling.resamples as u64 {
            let mut total = 0.0;
            for (index, (task, &measure)) in tasks.iter().zip(measures).enumerate() {
                let stream = rng.at(resample).at(index as u64);
                let drawn: Vec<(u32, u32)> = (0..task.len() as u64)
                    .map(|draw| task[stream.below(draw, task.len() as u64) as usize])
                    .collect();
                total += Items::labels(measure, drawn).score();
            }
            scores.push(total / tasks.len() as f64);
        }
        scores
    }

    #[test]
    fn intervals_are_those_of_resamples_measured_one_by_one_on_any_threads() {
        let rng = Rng::new(5, "test");
        let labels = |task: u64, count: u64| -> Vec<(u32, u32)> {
            (0..count)
                .map(|i| {
                    (rng.at(task).below(2 * i, 2) as u32, rng.at(task).below(2 * i + 1, 2) as u32)
                })
                .collect()
        };
        let tasks = [labels(0, 1), labels(1, 37), labels(2, 50)];
        let measures = [Measure::Mean, Measure::F1, Measure::Mcc];
        let resampling = Resampling { resamples: 501, confidence: 0.9, seed: 3 };
        let slow = slow_scores(&tasks, &measures, &resampling);
        let items: Vec<Items> = tasks
            .iter()
            .zip(measures)
            .map(|(task, measure)| Items::labels(measure, task.clone()))
            .collect();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| bootstrap(&items, &resampling)).unwrap();
            assert_eq!(found.interval, percentile_interval(&slow, 0.9));
            assert_eq!(found.standard_error, standard_deviation(&slow));
        }
    }

    #[test]
    fn what_cannot_be_resampled_is_refused() {
        let refused =
            |tasks: &[Items], resampling| bootstrap(tasks, &resampling).unwrap_err().to_string();
        let one = [Items::outcomes([true, false])];
        assert!(refused(&[], Resampling::default()).contains("no task"));
        assert!(refused(&[Items::outcomes([])], Resampling::default()).contains("task 0"));
        assert!(
            refused(&one, Resampling { resamples: 0, ..Default::default() })
                .contains("resamples is 0")
        );
        assert!(
            refused(&one, Resampling { confidence: 1.0, ..Default::default() })
                .contains("confidence is 1")
        );
    }
}
