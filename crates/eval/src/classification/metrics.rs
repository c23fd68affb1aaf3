//! How a classifier's answers become numbers, as scikit-learn computes them.

use super::tasks::ClassificationTask;
use crate::error::EvalError;
use crate::results::{Metric, Prediction, TaskResult};
use crate::rules::Rules;
use crate::statistics::{Items, Measure};

/// The score of pairs of the right class and the named one; class 1 is the positive one of F1 and
/// of Matthews' coefficient, which are 0 where they are not defined.
pub fn score(metric: Metric, answers: impl IntoIterator<Item = (u32, u32)>) -> f64 {
    let measure = match metric {
        Metric::Accuracy => Measure::Mean,
        Metric::F1 => Measure::F1,
        Metric::Mcc => Measure::Mcc,
    };
    Items::labels(measure, answers).score()
}

/// What chooses the weights to keep. By the rules of 2023 and 2024 F1 of class 1 where there are
/// two classes, whatever the task reports; else accuracy. By those of 2025 and 2026 F1 for the
/// tasks that report it; else accuracy.
pub fn selection_metric(task: &ClassificationTask, classes: usize, rules: Rules) -> Metric {
    let by_f1 = match rules.score_texts() {
        true => classes == 2,
        false => task.metric == Metric::F1,
    };
    if by_f1 { Metric::F1 } else { Metric::Accuracy }
}

/// A classifier's answers from its logits, an item each: the class of the largest, the first of
/// equals.
///
/// # Errors
/// When a logit is no finite number.
pub fn predictions(gold: &[u32], logits: &[Vec<f32>]) -> Result<Vec<Prediction>, EvalError> {
    let answer = |(&gold, logits): (&u32, &Vec<f32>)| {
        let scores: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        if let Some(&score) = scores.iter().find(|score| !score.is_finite()) {
            return Err(EvalError::NotFinite { score });
        }
        Ok(Prediction { gold, predicted: largest(logits), scores })
    };
    gold.iter().zip(logits).map(answer).collect()
}

/// The index of the largest number, the first of equals.
pub(super) fn largest(logits: &[f32]) -> u32 {
    let better =
        |best: usize, index: usize| if logits[index] > logits[best] { index } else { best };
    (0..logits.len()).reduce(better).unwrap_or(0) as u32
}

/// A task's score by its metric. `others` holds what the pipelines print besides: the mean
/// cross-entropy as `loss`, and of tasks with two classes accuracy, F1 and Matthews' coefficient.
pub fn task_result(
    task: &ClassificationTask,
    predictions: &[Prediction],
    truncated: usize,
) -> TaskResult {
    let value =
        |metric| score(metric, predictions.iter().map(|answer| (answer.gold, answer.predicted)));
    let mut result = TaskResult::of_choices(task.name, predictions, truncated);
    if task.metric != Metric::Accuracy {
        (result.metric, result.score, result.standard_error) =
            (task.metric, value(task.metric), None);
    }
    if task.classes == 2 {
        let all = [Metric::Accuracy, Metric::F1, Metric::Mcc];
        result.others = all.map(|metric| (metric.name().to_owned(), value(metric))).into();
    }
    let loss = predictions.iter().map(cross_entropy).sum::<f64>() / predictions.len().max(1) as f64;
    result.others.insert("loss".to_owned(), loss);
    result
}

/// Minus the log-probability of the right class.
fn cross_entropy(answer: &Prediction) -> f64 {
    let largest = answer.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = answer.scores.iter().map(|score| (score - largest).exp()).sum();
    largest + sum.ln() - answer.scores[answer.gold as usize]
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::tasks::{find_task, tasks_of};
    use super::*;
    use crate::benchmarks::Glue;
    use crate::results::BenchmarkResult;
    use crate::rules::Rules;

    /// `tools/golden/classification.py`: scikit-learn's numbers, undefined ones included.
    #[test]
    fn every_number_is_that_of_scikit_learn() {
        #[derive(Deserialize)]
        struct Case {
            gold: Vec<u32>,
            predicted: Vec<u32>,
            accuracy: f64,
            f1: Option<f64>,
            mcc: Option<f64>,
        }
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/fixtures/metrics.json")).unwrap();
        assert!(cases.len() >= 10 && cases.iter().any(|case| case.f1.is_none()));
        for (index, case) in cases.iter().enumerate() {
            let near = |metric, expected: f64| {
                let found =
                    score(metric, case.gold.iter().copied().zip(case.predicted.iter().copied()));
                assert!(
                    (found - expected).abs() < 1e-12,
                    "case {index}, {metric:?}: {found}, not {expected}"
                );
            };
            near(Metric::Accuracy, case.accuracy);
            case.f1.into_iter().for_each(|expected| near(Metric::F1, expected));
            case.mcc.into_iter().for_each(|expected| near(Metric::Mcc, expected));
        }
    }

    fn answers(pairs: &[(u32, u32)]) -> Vec<Prediction> {
        let logits =
            |predicted: u32| (0..2).map(|class| (class == predicted) as u32 as f64).collect();
        let answer = |&(gold, predicted): &(u32, u32)| Prediction {
            gold,
            predicted,
            scores: logits(predicted),
        };
        pairs.iter().map(answer).collect()
    }

    #[test]
    fn tasks_report_their_own_metric_and_the_others_beside() {
        let answers = answers(&[(1, 1), (1, 1), (1, 0), (0, 1), (0, 0)]);
        let [cola, mrpc, rte] =
            ["cola", "mrpc", "rte"].map(|name| task_result(find_task(name).unwrap(), &answers, 3));
        assert!((cola.score - 1.0 / 6.0).abs() < 1e-12 && (mrpc.score - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((rte.score, rte.correct, rte.items, rte.truncated), (0.6, 3, 5, 3));
        assert_eq!((cola.standard_error, mrpc.metric), (None, Metric::F1));
        assert!((rte.standard_error.unwrap() - (0.24f64 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!((rte.others["mcc"], rte.others["f1"]), (cola.score, mrpc.score));
        let mnli = task_result(find_task("mnli").unwrap(), &answers, 0);
        assert_eq!(mnli.others.keys().collect::<Vec<_>>(), ["loss"]);
        // Logits 1 and 0: three answers are right, two are wrong.
        let expected = ((1.0 + 1f64.exp()).ln() * 5.0 - 3.0) / 5.0;
        assert!((mnli.others["loss"] - expected).abs() < 1e-12);
    }

    #[test]
    fn the_first_of_equal_logits_wins() {
        let found = predictions(&[1, 0], &[vec![0.5, 0.5], vec![-1.0, 2.0]]).unwrap();
        assert_eq!((found[0].predicted, found[1].predicted), (0, 1));
        assert!(found[0].is_tie() && !found[1].is_tie());
        assert!(matches!(
            predictions(&[0], &[vec![f32::NAN, 0.0]]),
            Err(EvalError::NotFinite { .. })
        ));
    }

    #[test]
    fn each_pipeline_chooses_weights_by_its_metric() {
        let chosen = |rules| {
            let tasks = [("rte", 2), ("mrpc", 2), ("mnli", 3)];
            tasks.map(|(task, classes)| selection_metric(find_task(task).unwrap(), classes, rules))
        };
        use Metric::{Accuracy, F1};
        assert_eq!(chosen(Rules::Year2023), [F1, F1, Accuracy]);
        assert_eq!(chosen(Rules::Year2024), [F1, F1, Accuracy]);
        assert_eq!(chosen(Rules::Year2025), [Accuracy, F1, Accuracy]);
        assert_eq!(chosen(Rules::Year2026), [Accuracy, F1, Accuracy]);
    }

    /// BabyLlama-2's Table 5, in its order, and the SuperGLUE column of its Table 3: MNLI-mm counts
    /// like any other task.
    #[test]
    fn the_mean_of_eleven_is_that_of_the_paper() {
        let columns = [
            ([34.9, 85.8, 82.2, 84.1, 74.4, 75.3, 83.3, 54.7, 65.9, 64.4, 57.7], 69.336),
            ([31.4, 83.5, 83.8, 84.3, 74.3, 76.4, 83.2, 61.2, 63.4, 64.9, 65.4], 70.164),
        ];
        for (scores, expected) in columns {
            let with = |(task, score): (&ClassificationTask, f64)| TaskResult {
                score,
                ..task_result(task, &answers(&[(1, 1)]), 0)
            };
            let tasks = tasks_of(&Glue).iter().zip(scores).map(with).collect();
            let result = BenchmarkResult::of_tasks(&Glue, Rules::Year2024, tasks);
            assert!((result.score - expected).abs() < 5e-4, "{}", result.score);
        }
    }
}
