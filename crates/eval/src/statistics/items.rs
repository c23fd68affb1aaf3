//! The items of a task, in the form that resampling needs: a score is a function of sums over
//! items.

use super::error::StatisticsError;
use crate::results::{Metric, Prediction};

/// How the items of a task become its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The mean of the items' values; accuracy is that of zeros and ones.
    Mean,
    /// F1 of class 1; 0 where there is no such label and no such answer.
    F1,
    /// Matthews' correlation coefficient of class 1 against the others; 0 where it is undefined.
    Mcc,
}

impl From<Metric> for Measure {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Accuracy => Measure::Mean,
            Metric::F1 => Measure::F1,
            Metric::Mcc => Measure::Mcc,
        }
    }
}

/// What is added up over items: the value first (`Mean`), or true positives, false positives, false
/// negatives and true negatives.
pub(super) type Sums = [f64; 4];

pub(super) fn add(sums: &mut Sums, item: &Sums) {
    sums.iter_mut().zip(item).for_each(|(sum, part)| *sum += part);
}

impl Measure {
    /// The score of sums over `count` items.
    pub(super) fn score(self, sums: &Sums, count: usize) -> f64 {
        let [true_positive, false_positive, false_negative, true_negative] = *sums;
        let or_zero = |numerator: f64, denominator: f64| {
            if denominator > 0.0 { numerator / denominator } else { 0.0 }
        };
        match self {
            Measure::Mean => or_zero(sums[0], count as f64),
            Measure::F1 => {
                or_zero(2.0 * true_positive, 2.0 * true_positive + false_positive + false_negative)
            }
            Measure::Mcc => {
                let predicted = [true_positive + false_positive, true_negative + false_negative];
                let labelled = [true_positive + false_negative, true_negative + false_positive];
                let product: f64 = predicted.iter().chain(&labelled).product();
                or_zero(
                    true_positive * true_negative - false_positive * false_negative,
                    product.sqrt(),
                )
            }
        }
    }
}

/// One model's items of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Items {
    pub(super) measure: Measure,
    pub(super) items: Vec<Sums>,
}

impl Items {
    /// Items whose score is the mean of their values.
    pub fn means(values: impl IntoIterator<Item = f64>) -> Self {
        let items = values.into_iter().map(|value| [value, 0.0, 0.0, 0.0]).collect();
        Self { measure: Measure::Mean, items }
    }

    /// Items that are right or wrong; their score is the accuracy.
    pub fn outcomes(right: impl IntoIterator<Item = bool>) -> Self {
        Self::means(right.into_iter().map(|right| right as u8 as f64))
    }

    /// Labels as (gold, predicted); of `Measure::Mean` the accuracy.
    pub fn labels(measure: Measure, labels: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let item = |(gold, predicted): (u32, u32)| match (measure, gold == 1, predicted == 1) {
            (Measure::Mean, ..) => [(gold == predicted) as u8 as f64, 0.0, 0.0, 0.0],
            (_, true, true) => [1.0, 0.0, 0.0, 0.0],
            (_, false, true) => [0.0, 1.0, 0.0, 0.0],
            (_, true, false) => [0.0, 0.0, 1.0, 0.0],
            (_, false, false) => [0.0, 0.0, 0.0, 1.0],
        };
        Self { measure, items: labels.into_iter().map(item).collect() }
    }

    /// The answers of a model to a task.
    pub fn of_predictions(metric: Metric, predictions: &[Prediction]) -> Self {
        Self::labels(
            metric.into(),
            predictions.iter().map(|prediction| (prediction.gold, prediction.predicted)),
        )
    }

    /// EWoK's questions, two of which make an item: with contexts and targets exchanged they are
    /// anything but independent, so that the item is what is drawn. `tie` is what a tie counts;
    /// without it the first choice wins.
    pub(crate) fn of_questions(predictions: &[Prediction], tie: Option<f64>) -> Self {
        let points = |answer: &Prediction| match tie {
            Some(tie) if answer.is_tie() => tie,
            _ => answer.is_right() as u8 as f64,
        };
        Self::means(
            predictions
                .chunks(2)
                .map(|item| item.iter().map(points).sum::<f64>() / item.len() as f64),
        )
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The task's score.
    pub fn score(&self) -> f64 {
        self.score_of(0..self.items.len())
    }

    /// The score of chosen items, each as often as it is chosen.
    pub(super) fn score_of(&self, chosen: impl Iterator<Item = usize>) -> f64 {
        let (mut sums, mut count) = (Sums::default(), 0);
        for index in chosen {
            add(&mut sums, &self.items[index]);
            count += 1;
        }
        self.measure.score(&sums, count)
    }
}

/// The unweighted mean of the tasks' scores: of one task, its score.
pub fn macro_score(tasks: &[Items]) -> f64 {
    mean(tasks.iter().map(Items::score), tasks.len())
}

pub(super) fn mean(scores: impl Iterator<Item = f64>, count: usize) -> f64 {
    scores.sum::<f64>() / count as f64
}

/// Refuses a set of tasks without any item to draw.
pub(super) fn check(tasks: &[Items]) -> Result<(), StatisticsError> {
    if tasks.is_empty() {
        return Err(StatisticsError::NoTask);
    }
    match tasks.iter().position(Items::is_empty) {
        Some(task) => Err(StatisticsError::EmptyTask { task }),
        None => Ok(()),
    }
}
