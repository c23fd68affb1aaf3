//! The results of a benchmark: a score for each task and over all, and the answer to every item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::benchmark::Benchmark;
use crate::coverage::Coverage;
use crate::rules::{Backend, Rules};
use crate::statistics::Items;

/// How answers become a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of right answers.
    Accuracy,
    /// F1 of class 1.
    F1,
    /// Matthews' correlation coefficient.
    Mcc,
}

impl Metric {
    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::F1 => "f1",
            Metric::Mcc => "mcc",
        }
    }
}

/// The answer to one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// What is right: the index of a choice, or of a label.
    pub gold: u32,
    /// The index of the choice or label with the best score.
    pub predicted: u32,
    /// One number for each choice or label: a log-probability, or a logit.
    pub scores: Vec<f64>,
}

impl Prediction {
    /// The answer to an item by the scores of its choices, of which the first is right and wins
    /// ties, as in both pipelines: lm-evaluation-harness takes the first maximum for tasks of
    /// multiple choice (`api/task.py`), and the pipeline of 2023 compares the chosen text with the
    /// right one.
    pub fn of_choices(scores: Vec<f64>) -> Self {
        let better =
            |best: usize, index: usize| if scores[index] > scores[best] { index } else { best };
        let predicted = (0..scores.len()).reduce(better).unwrap_or(0) as u32;
        Self { gold: 0, predicted, scores }
    }

    /// The answer to a minimal pair.
    pub fn between(good: f64, bad: f64) -> Self {
        Self::of_choices(vec![good, bad])
    }

    /// Whether the predicted choice or label is the right one.
    pub fn is_right(&self) -> bool {
        self.gold == self.predicted
    }

    /// Whether the two best choices have equal scores.
    pub fn is_tie(&self) -> bool {
        let top = self.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.scores.iter().filter(|&&score| score == top).count() > 1
    }
}

/// The score of one task, or of one group of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The task or group.
    pub name: String,
    /// How its answers become its score.
    pub metric: Metric,
    /// The score by the metric; 0 to 1, for Matthews' coefficient -1 to 1.
    pub score: f64,
    /// Standard error of the share of right answers: the root of the sample variance over the
    /// number of items, as both pipelines print it. None for other metrics.
    pub standard_error: Option<f64>,
    /// Items that are answered.
    pub items: usize,
    /// Items that are answered rightly.
    pub correct: usize,
    /// Items whose best choices have equal scores, identical sentences among them.
    pub ties: usize,
    /// Texts cut to the model's positions, or to the task's length.
    pub truncated: usize,
    /// Other numbers by name, such as a classifier's loss and its other metrics.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, f64>,
}

impl TaskResult {
    /// The accuracy of choices.
    pub fn of_choices(name: &str, predictions: &[Prediction], truncated: usize) -> Self {
        let correct = predictions.iter().filter(|prediction| prediction.is_right()).count();
        let ties = predictions.iter().filter(|prediction| prediction.is_tie()).count();
        Self::accuracy(name, correct, predictions.len(), ties, truncated)
    }

    fn accuracy(name: &str, correct: usize, items: usize, ties: usize, truncated: usize) -> Self {
        let score = correct as f64 / items.max(1) as f64;
        // The sample variance of zeros and ones, over their number.
        let standard_error =
            (items > 1).then(|| (score * (1.0 - score) / (items - 1) as f64).sqrt());
        let (name, others) = (name.to_owned(), BTreeMap::new());
        Self {
            name,
            metric: Metric::Accuracy,
            score,
            standard_error,
            items,
            correct,
            ties,
            truncated,
            others,
        }
    }
}

/// The scores of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkResult {
    /// The benchmark, `suite` in files.
    #[serde(rename = "suite")]
    pub benchmark: &'static dyn Benchmark,
    /// The pipeline by whose rules it was scored.
    pub rules: Rules,
    /// How the probability of a text was computed.
    #[serde(default, skip_serializing_if = "Backend::is_default")]
    pub backend: Backend,
    /// By most benchmarks the unweighted mean of the tasks' scores; of BLiMP by the rules of 2023,
    /// which print no single number for it, of the groups' scores.
    pub score: f64,
    /// Results of the tasks, in the order of the benchmark's files.
    pub tasks: Vec<TaskResult>,
    /// BLiMP's groups of 2023, each pooled over its tasks' items; empty by the rules of 2024.
    #[serde(default)]
    pub groups: Vec<TaskResult>,
    /// Sum over the tasks.
    pub items: usize,
    /// Sum over the tasks.
    pub ties: usize,
    /// Sum over the tasks.
    pub truncated: usize,
}

impl BenchmarkResult {
    /// The benchmark's score from those of its tasks.
    pub fn of_tasks(
        benchmark: &'static dyn Benchmark,
        rules: Rules,
        tasks: Vec<TaskResult>,
    ) -> Self {
        let groups = pool(benchmark, rules, &tasks);
        let score = benchmark.mean(if groups.is_empty() { &tasks } else { &groups });
        let sum = |part: fn(&TaskResult) -> usize| tasks.iter().map(part).sum();
        let [items, ties, truncated] =
            [sum(|task| task.items), sum(|task| task.ties), sum(|task| task.truncated)];
        let backend = Backend::default();
        Self { benchmark, rules, backend, score, tasks, groups, items, ties, truncated }
    }

    /// How much of the benchmark this is; none where tasks of any names make it up.
    pub fn coverage(&self) -> Option<Coverage> {
        self.benchmark.coverage(&self.tasks, self.rules)
    }

    /// Whether this is all of the benchmark, so that the score compares with printed ones.
    pub fn is_whole(&self) -> bool {
        self.coverage().is_none_or(|coverage| coverage.is_whole())
    }

    /// Whether a unit's tasks have as many items as in the published files, as far as those are
    /// known.
    pub fn has_all_items(&self, unit: &str) -> bool {
        let has_all = |task: &TaskResult| {
            let coverage = self.benchmark.coverage(std::slice::from_ref(task), self.rules);
            coverage.is_none_or(|coverage| coverage.resized == 0)
        };
        self.tasks.iter().filter(|task| self.unit_of(&task.name) == unit).all(has_all)
    }

    /// The benchmark's title, and how much of it this is where that is not all.
    pub fn title(&self) -> String {
        let title = self.benchmark.title();
        match self.coverage().filter(|coverage| !coverage.is_whole()) {
            Some(coverage) => format!("{title}, {coverage}"),
            None => title.to_owned(),
        }
    }

    /// What the score is the mean of: groups where there are any, tasks otherwise.
    pub fn units(&self) -> &[TaskResult] {
        if self.groups.is_empty() { &self.tasks } else { &self.groups }
    }

    /// The unit that a task's items count in: its group, or the task itself.
    pub fn unit_of<'a>(&self, task: &'a str) -> &'a str {
        self.benchmark.group_of(task, self.rules).unwrap_or(task)
    }
}

/// The groups of a benchmark that has any, pooled over their tasks' items.
fn pool(benchmark: &dyn Benchmark, rules: Rules, tasks: &[TaskResult]) -> Vec<TaskResult> {
    let mut sums: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for task in tasks {
        let Some(group) = benchmark.group_of(&task.name, rules) else { continue };
        let parts = [task.correct, task.items, task.ties, task.truncated];
        let sum = sums.entry(group).or_default();
        sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    let group = |(name, [correct, items, ties, truncated]): (&str, [usize; 4])| {
        TaskResult::accuracy(name, correct, items, ties, truncated)
    };
    sums.into_iter().map(group).collect()
}

/// A benchmark's scores with the answers behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The scores.
    pub result: BenchmarkResult,
    /// The answers of each task, in the order of the result's tasks and of the items in their
    /// files.
    pub predictions: Vec<Vec<Prediction>>,
}

impl Outcome {
    /// The answers in the form that resampling needs; their
    /// [`macro_score`](crate::statistics::macro_score) is the benchmark's score.
    pub fn resampled(&self) -> Vec<Items> {
        let result = &self.result;
        let tasks = || result.tasks.iter().zip(&self.predictions);
        if result.groups.is_empty() {
            let units: Vec<_> =
                tasks().map(|(task, answers)| (task.metric, &answers[..])).collect();
            return result.benchmark.resampled(&units);
        }
        let pooled = |group: &TaskResult| -> (Metric, Vec<Prediction>) {
            let members = tasks().filter(|(task, _)| result.unit_of(&task.name) == group.name);
            (group.metric, members.flat_map(|(_, answers)| answers).cloned().collect())
        };
        let groups: Vec<_> = result.groups.iter().map(pooled).collect();
        let units: Vec<_> =
            groups.iter().map(|(metric, answers)| (*metric, &answers[..])).collect();
        result.benchmark.resampled(&units)
    }
}

/// The result of a benchmark that is a number in a unit of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The benchmark.
    pub benchmark: &'static dyn Benchmark,
    /// The unit of the number, such as `nats`.
    pub unit: &'static str,
    /// Digits after the decimal point in tables.
    pub decimals: usize,
    /// The number over all, then those of parts.
    pub parts: Vec<Part>,
    /// The whole result as in files.
    pub json: Value,
}

/// A number over some items.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Which items.
    pub name: String,
    /// The number, in the result's unit.
    pub value: f64,
    /// How many items.
    pub items: usize,
}

impl Measured {
    /// The number over all, as tables show it.
    pub fn to_text(&self) -> Option<String> {
        let all = self.parts.first()?;
        Some(format!("{:.*}", self.decimals, all.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::blimp::groups::{blimp_tasks, filtered_sizes, group_of};
    use crate::benchmarks::{Blimp, BlimpFiltered, BlimpSupplement, Ewok, Glue, OtherPairs};

    fn task(name: &str, correct: usize, items: usize) -> TaskResult {
        TaskResult::accuracy(name, correct, items, 0, 0)
    }

    #[test]
    fn groups_pool_items_and_means_ignore_counts() {
        let tasks = vec![
            task("npi_present_1", 9, 10),
            task("npi_present_2", 1, 30),
            task("wh_island", 5, 10),
        ];
        let by_2024 = BenchmarkResult::of_tasks(&BlimpFiltered, Rules::Year2024, tasks.clone());
        assert!((by_2024.score - (0.9 + 1.0 / 30.0 + 0.5) / 3.0).abs() < 1e-12);
        assert!(by_2024.groups.is_empty());
        let by_2023 = BenchmarkResult::of_tasks(&BlimpFiltered, Rules::Year2023, tasks);
        assert_eq!(by_2023.groups[1], task("npi_licensing", 10, 40));
        assert!((by_2023.score - (0.25 + 0.5) / 2.0).abs() < 1e-12);
        assert_eq!(by_2023.items, 50);
    }

    #[test]
    fn what_is_not_all_of_a_benchmark_is_named_as_a_part_of_it() {
        let title = |benchmark, tasks: Vec<TaskResult>| {
            BenchmarkResult::of_tasks(benchmark, Rules::Year2024, tasks).title()
        };
        let all = |items| blimp_tasks().map(|name| task(name, 5, items)).collect::<Vec<_>>();
        // Of the published filtered files the shortest task has 681 pairs, the longest 986.
        let filtered = || {
            let sizes = filtered_sizes();
            sizes.map(|(name, items)| task(name, 5, items)).collect::<Vec<_>>()
        };
        let with = |name: &str| [filtered(), vec![task(name, 5, 9)]].concat();
        assert_eq!(title(&BlimpFiltered, filtered()), "BLiMP filtered");
        let mut cut = filtered();
        cut[3].items -= 1;
        let cut_by_one = "BLiMP filtered, 1 of 67 tasks of another size";
        assert_eq!(title(&BlimpFiltered, cut), cut_by_one);
        let other = "BLiMP filtered, 67 of 67 tasks of another size";
        assert_eq!(title(&BlimpFiltered, all(200)), other);
        assert_eq!(title(&BlimpFiltered, all(1000)), other);
        assert_eq!(title(&Blimp, all(1000)), "BLiMP");
        assert_eq!(title(&Blimp, all(900)), "BLiMP, 67 of 67 tasks of another size");
        let one = || vec![task("wh_island", 5, 9)];
        assert_eq!(title(&BlimpFiltered, one()), "BLiMP filtered, 1 of 67 tasks");
        let more = "BLiMP filtered, 67 of 67 tasks and 1 of other names";
        assert_eq!(title(&BlimpFiltered, with("agreement")), more);
        let mut groups: Vec<&str> = blimp_tasks().map(group_of).collect();
        groups.dedup();
        let files: Vec<_> = groups.into_iter().map(|name| task(name, 5, 9)).collect();
        let of_2023 =
            BenchmarkResult::of_tasks(&BlimpFiltered, Rules::Year2023, files.clone()).title();
        assert_eq!(of_2023, "BLiMP filtered");
        let of_2024 = "BLiMP filtered, 0 of 67 tasks and 12 of other names";
        assert_eq!(title(&BlimpFiltered, files), of_2024);
        assert_eq!(title(&OtherPairs, one()), "minimal pairs");
    }

    /// Sizes are those of the filtered files; unfiltered ones, which have more, are another
    /// benchmark.
    #[test]
    fn other_items_than_the_published_files_have_are_no_whole() {
        let title = |benchmark, names: &[(&str, usize)]| {
            let tasks = names.iter().map(|&(name, items)| task(name, 5, items)).collect();
            BenchmarkResult::of_tasks(benchmark, Rules::Year2024, tasks).title()
        };
        let supplement = |hypernym| {
            let questions = [("qa_congruence_easy", 64), ("qa_congruence_tricky", 165)];
            let others = [("subject_aux_inversion", 3867), ("turn_taking", 280)];
            let tasks = [questions, others].concat();
            title(&BlimpSupplement, &[tasks, vec![("hypernym", hypernym)]].concat())
        };
        assert_eq!(supplement(842), "BLiMP supplement");
        assert_eq!(supplement(860), "BLiMP supplement, 1 of 5 tasks of another size");
        assert_eq!(supplement(841), "BLiMP supplement, 1 of 5 tasks of another size");
        assert_eq!(title(&BlimpSupplement, &[("hypernym", 9)]), "BLiMP supplement, 1 of 5 tasks");
        let domains = |more: usize| {
            let domains =
                crate::benchmarks::ewok::DOMAINS.map(|(name, items)| (name, items + more));
            title(&Ewok, &domains)
        };
        assert_eq!(domains(0), "EWoK");
        assert_eq!(domains(400), "EWoK, 11 of 11 tasks of another size");
    }

    #[test]
    fn tasks_of_other_items_than_the_published_files_have_are_known() {
        let tasks = vec![task("rte", 5, 138), task("wsc", 5, 52), task("cola", 5, 1043)];
        let result = BenchmarkResult::of_tasks(&Glue, Rules::Year2024, tasks);
        let has_all = ["rte", "wsc", "cola"].map(|name| result.has_all_items(name));
        assert_eq!(has_all, [false, true, false]);
        assert!(!result.is_whole());
        // By the rules of 2023 the tasks of a group are its items.
        let tasks = vec![task("wh_island", 5, 960), task("npi_present_1", 5, 9)];
        let result = BenchmarkResult::of_tasks(&BlimpFiltered, Rules::Year2023, tasks);
        let has_all = ["island_effects", "npi_licensing"].map(|name| result.has_all_items(name));
        assert_eq!(has_all, [true, false]);
    }

    #[test]
    fn the_first_choice_wins_ties() {
        let [better, equal, worse] =
            [(2.0, 1.0), (1.0, 1.0), (0.0, 1.0)].map(|(a, b)| Prediction::between(a, b));
        assert!(better.is_right() && equal.is_right() && !worse.is_right());
        assert!(equal.is_tie() && !better.is_tie());
        let result = TaskResult::of_choices("t", &[better, equal, worse], 0);
        assert_eq!((result.correct, result.items, result.ties), (2, 3, 1));
        // numpy: std([1, 1, 0], ddof=1) / sqrt(3)
        assert!((result.standard_error.unwrap() - 0.3333333333333333).abs() < 1e-12);
    }
}
