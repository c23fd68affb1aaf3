//! Two models' answers to the same benchmark, task by task and over all.

use serde::Serialize;

use super::bootstrap::{Interval, Resampling};
use super::error::StatisticsError;
use super::mcnemar::McNemar;
use super::paired::Paired;
use crate::benchmark::Benchmark;
use crate::output::predictions::TaskPredictions;
use crate::results::{Metric, Prediction};

/// Two models' scores of a task, of a group of tasks, or over all, and how certain their difference
/// is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The task or group, or `mean`.
    pub name: String,
    /// How many items both models answered.
    pub items: usize,
    /// The first model's score.
    pub first: f64,
    /// The second model's score.
    pub second: f64,
    /// The second score less the first.
    pub difference: f64,
    /// Interval of the difference, by the paired bootstrap.
    pub interval: Interval,
    /// The p-value of the paired bootstrap ([`PairedBootstrap`](super::PairedBootstrap)).
    pub bootstrap_p: f64,
    /// The p-value of the permutation test ([`Permutation`](super::Permutation)).
    pub permutation_p: f64,
    /// McNemar's test of right and wrong answers, whatever the metric; of several tasks all items
    /// pooled.
    pub mcnemar: McNemar,
}

/// How two models' answers differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The tasks, or the groups that pool their items.
    pub units: Vec<Difference>,
    /// The unweighted mean of the units.
    pub mean: Difference,
}

/// A unit's items for both models.
struct Unit {
    name: String,
    metric: Metric,
    first: Vec<Prediction>,
    second: Vec<Prediction>,
}

/// Compares the answers of two models to a benchmark. `unit_of` names what a task is pooled into,
/// its own name if nothing; `metric_of` the metric of a unit's tasks. `see` gets how many items
/// were resampled of how many in all: each once with its unit and once for the mean.
///
/// # Errors
/// When the two files do not hold the same items.
pub fn compare<'a>(
    benchmark: &dyn Benchmark,
    first: &'a [TaskPredictions],
    second: &[TaskPredictions],
    unit_of: impl Fn(&'a str) -> &'a str,
    metric_of: impl Fn(&str) -> Metric,
    resampling: &Resampling,
    mut see: impl FnMut(usize, usize),
) -> Result<Comparison, StatisticsError> {
    let mut units: Vec<Unit> = Vec::new();
    for (a, b) in same_items(first, second)? {
        let (name, metric) = (unit_of(&a.task), metric_of(&a.task));
        let place = units.iter().position(|unit| unit.name == name).unwrap_or_else(|| {
            units.push(Unit {
                name: name.to_owned(),
                metric,
                first: Vec::new(),
                second: Vec::new(),
            });
            units.len() - 1
        });
        units[place].first.extend_from_slice(&a.predictions);
        units[place].second.extend_from_slice(&b.predictions);
    }
    let all: Vec<&Unit> = units.iter().collect();
    let items = all.iter().map(|unit| unit.first.len()).sum::<usize>();
    let mut done = 0;
    let mut difference = |name: &str, units: &[&Unit]| {
        see(done, 2 * items);
        let found = difference(benchmark, name, units, resampling)?;
        done += found.items;
        see(done, 2 * items);
        Ok(found)
    };
    let units = all.iter().map(|unit| difference(&unit.name, &[unit]));
    let units = units.collect::<Result<_, StatisticsError>>()?;
    let mean = difference("mean", &all)?;
    Ok(Comparison { units, mean })
}

fn difference(
    benchmark: &dyn Benchmark,
    name: &str,
    units: &[&Unit],
    resampling: &Resampling,
) -> Result<Difference, StatisticsError> {
    let of_first: Vec<_> = units.iter().map(|unit| (unit.metric, &unit.first[..])).collect();
    let of_second: Vec<_> = units.iter().map(|unit| (unit.metric, &unit.second[..])).collect();
    let (first, second) = (benchmark.resampled(&of_first), benchmark.resampled(&of_second));
    let paired = Paired::new(&first, &second)?;
    let bootstrap = paired.bootstrap(resampling)?;
    let answers = units.iter().flat_map(|unit| unit.first.iter().zip(&unit.second));
    Ok(Difference {
        name: name.to_owned(),
        items: units.iter().map(|unit| unit.first.len()).sum(),
        first: super::macro_score(&first),
        second: super::macro_score(&second),
        difference: bootstrap.difference,
        interval: bootstrap.interval,
        bootstrap_p: bootstrap.p_value,
        permutation_p: paired.permutation(resampling)?.p_value,
        mcnemar: McNemar::of_outcomes(answers.map(|(a, b)| (a.is_right(), b.is_right()))),
    })
}

/// The tasks of both files side by side, in the order of the first.
fn same_items<'a, 'b>(
    first: &'a [TaskPredictions],
    second: &'b [TaskPredictions],
) -> Result<Vec<(&'a TaskPredictions, &'b TaskPredictions)>, StatisticsError> {
    let find =
        |tasks: &'b [TaskPredictions], name: &str| tasks.iter().find(|task| task.task == name);
    if let Some(only) = second.iter().find(|b| first.iter().all(|a| a.task != b.task)) {
        return Err(StatisticsError::OnlyInOne { task: only.task.clone(), place: "second" });
    }
    let mut pairs = Vec::new();
    for a in first {
        let task = a.task.clone();
        let Some(b) = find(second, &task) else {
            return Err(StatisticsError::OnlyInOne { task, place: "first" });
        };
        if a.predictions.len() != b.predictions.len() {
            let (first, second) = (a.predictions.len(), b.predictions.len());
            return Err(StatisticsError::TaskItems { task, first, second });
        }
        let items = a.predictions.iter().zip(&b.predictions);
        let differs = |(a, b): (&Prediction, &Prediction)| {
            a.gold != b.gold || a.scores.len() != b.scores.len()
        };
        if let Some(index) = items.into_iter().position(differs) {
            return Err(StatisticsError::OtherItem { task, index });
        }
        pairs.push((a, b));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::{Ewok, EwokOfficial, OtherPairs};

    fn task(name: &str, right: &[bool]) -> TaskPredictions {
        let answer = |right: &bool| Prediction::between(*right as u32 as f64, 0.5);
        TaskPredictions { task: name.into(), predictions: right.iter().map(answer).collect() }
    }

    fn compared(
        first: &[TaskPredictions],
        second: &[TaskPredictions],
    ) -> Result<Comparison, String> {
        let resampling = Resampling { resamples: 200, ..Default::default() };
        let found = compare(
            &OtherPairs,
            first,
            second,
            |task| task,
            |_| Metric::Accuracy,
            &resampling,
            |_, _| (),
        );
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn every_item_is_counted_twice() {
        let tasks = [task("a", &[true, false, false, true]), task("b", &[false, true])];
        let (resampling, mut seen) =
            (Resampling { resamples: 10, ..Default::default() }, Vec::new());
        let see = |done, all| seen.push((done, all));
        compare(&OtherPairs, &tasks, &tasks, |task| task, |_| Metric::Accuracy, &resampling, see)
            .unwrap();
        seen.dedup();
        assert_eq!(seen, [(0, 12), (4, 12), (6, 12), (12, 12)]);
    }

    #[test]
    fn tasks_are_compared_by_name_and_averaged() {
        let first = [task("a", &[true, false, false, true]), task("b", &[false, false])];
        let second = [task("b", &[true, true]), task("a", &[true, true, false, false])];
        let found = compared(&first, &second).unwrap();
        let names: Vec<&str> = found.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(
            (found.units[0].first, found.units[0].second, found.units[0].difference),
            (0.5, 0.5, 0.0)
        );
        assert_eq!((found.mean.first, found.mean.second, found.mean.items), (0.25, 0.75, 6));
        assert_eq!(found.mean.mcnemar, McNemar::of_counts(1, 3));
        assert!(found.mean.interval.low <= 0.5 && 0.5 <= found.mean.interval.high);
        // Both items of b would have to change sides at once, in either direction.
        assert_eq!(found.units[1].permutation_p, 0.5);
    }

    #[test]
    fn groups_pool_the_items_of_their_tasks() {
        let first =
            [task("wh_1", &[true]), task("x", &[true]), task("wh_2", &[false, false, false])];
        let second =
            [task("wh_1", &[true]), task("x", &[true]), task("wh_2", &[true, true, false])];
        let resampling = Resampling { resamples: 50, ..Default::default() };
        fn unit(task: &str) -> &str {
            if task.starts_with("wh") { "wh" } else { task }
        }
        let found = compare(
            &OtherPairs,
            &first,
            &second,
            unit,
            |_| Metric::Accuracy,
            &resampling,
            |_, _| (),
        )
        .unwrap();
        let names: Vec<(&str, usize, f64)> =
            found.units.iter().map(|unit| (unit.name.as_str(), unit.items, unit.second)).collect();
        assert_eq!(names, [("wh", 4, 0.75), ("x", 1, 1.0)]);
        assert_eq!(found.mean.first, (0.25 + 1.0) / 2.0);
    }

    #[test]
    fn other_metrics_are_those_of_the_task() {
        let labels = |predicted: [u32; 4]| {
            let answer = |(gold, predicted): (u32, u32)| Prediction {
                gold,
                predicted,
                scores: vec![0.0, 1.0],
            };
            [TaskPredictions {
                task: "f".into(),
                predictions: [0, 1, 1, 0].into_iter().zip(predicted).map(answer).collect(),
            }]
        };
        let resampling = Resampling { resamples: 50, ..Default::default() };
        let (first, second) = (labels([1, 1, 0, 0]), labels([0, 1, 1, 1]));
        let found = compare(
            &OtherPairs,
            &first,
            &second,
            |task| task,
            |_| Metric::F1,
            &resampling,
            |_, _| (),
        )
        .unwrap();
        // Of two right and two named: one hit; then of two right and three named two hits.
        assert_eq!((found.mean.first, found.mean.second), (0.5, 0.8));
    }

    /// Two items with contexts and targets exchanged: the same answer to both questions of an item
    /// is half right, however often it is drawn.
    #[test]
    fn the_two_questions_of_an_ewok_item_are_drawn_together() {
        let first = [task("x", &[true, false, true, false])];
        let second = [task("x", &[true, true, false, true])];
        let resampling = Resampling { resamples: 100, ..Default::default() };
        let metric = |_: &str| Metric::Accuracy;
        let found =
            compare(&Ewok, &first, &second, |task| task, metric, &resampling, |_, _| ()).unwrap();
        assert_eq!((found.mean.first, found.mean.second, found.mean.items), (0.5, 0.75, 4));
        assert_eq!((found.mean.interval.low, found.mean.interval.high), (0.0, 0.5));
        let tied = [TaskPredictions {
            task: "x".into(),
            predictions: vec![Prediction::between(1.0, 1.0); 4],
        }];
        let found =
            compare(&EwokOfficial, &tied, &first, |task| task, metric, &resampling, |_, _| ())
                .unwrap();
        assert_eq!(found.mean.first, 0.5, "a tie counts half");
    }

    #[test]
    fn other_items_are_refused() {
        let message = |first: &[TaskPredictions], second: &[TaskPredictions]| {
            compared(first, second).unwrap_err()
        };
        let (one, two) = (task("a", &[true]), task("b", &[true, false]));
        assert_eq!(
            message(&[one.clone(), two.clone()], std::slice::from_ref(&one)),
            "task `b` is only in the first file"
        );
        assert_eq!(
            message(std::slice::from_ref(&two), &[one.clone(), two.clone()]),
            "task `a` is only in the second file"
        );
        let longer = task("a", &[true, true]);
        let found = message(std::slice::from_ref(&one), &[longer]);
        assert_eq!(found, "task `a` has 1 items in the first file and 2 in the second");
        let mut other = two.clone();
        other.predictions[1].gold = 1;
        let found = message(&[two], &[other]);
        assert_eq!(
            found,
            "item 1 of task `b` has another right answer in the second file, or other choices"
        );
    }
}
