//! What a benchmark found: a score per task and over the whole suite, and the answer to every item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rules::{Rules, group_of, is_blimp_task, is_group};

/// A set of tasks that are reported as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suite {
    /// BLiMP's pairs all of whose words occur in the training text of BabyLM.
    BlimpFiltered,
    /// BabyLM's own minimal pairs.
    BlimpSupplement,
    /// All of BLiMP: 67 tasks of 1000 pairs.
    Blimp,
    /// Minimal pairs of another source, such as the built-in grammar's.
    Pairs,
    /// EWoK as the 2024 pipeline asks it.
    Ewok,
    /// EWoK as its authors ask it.
    EwokOfficial,
    /// The eleven tasks of (Super)GLUE.
    Glue,
    Msgs,
}

/// The tasks of the supplement.
pub const SUPPLEMENT: [&str; 5] = [
    "hypernym",
    "qa_congruence_easy",
    "qa_congruence_tricky",
    "subject_aux_inversion",
    "turn_taking",
];

impl Suite {
    /// Which suite minimal pairs belong to, by the tasks' names and sizes.
    pub fn of_pairs<'a>(tasks: impl IntoIterator<Item = (&'a str, usize)>) -> Self {
        let tasks: Vec<_> = tasks.into_iter().collect();
        let all = |known: &dyn Fn(&str) -> bool| {
            !tasks.is_empty() && tasks.iter().all(|(name, _)| known(name))
        };
        // The files of the 2023 pipeline hold a whole group each.
        if all(&|name| is_blimp_task(name) || is_group(name)) {
            let whole = tasks.iter().all(|(_, pairs)| *pairs == 1000);
            return if whole { Suite::Blimp } else { Suite::BlimpFiltered };
        }
        if all(&|name| SUPPLEMENT.contains(&name)) { Suite::BlimpSupplement } else { Suite::Pairs }
    }

    /// The name in files and folders.
    pub fn name(self) -> &'static str {
        match self {
            Suite::BlimpFiltered => "blimp_filtered",
            Suite::BlimpSupplement => "blimp_supplement",
            Suite::Blimp => "blimp",
            Suite::Pairs => "pairs",
            Suite::Ewok => "ewok",
            Suite::EwokOfficial => "ewok_official",
            Suite::Glue => "glue",
            Suite::Msgs => "msgs",
        }
    }

    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Suite::BlimpFiltered => "BLiMP filtered",
            Suite::BlimpSupplement => "BLiMP supplement",
            Suite::Blimp => "BLiMP",
            Suite::Pairs => "minimal pairs",
            Suite::Ewok => "EWoK",
            Suite::EwokOfficial => "EWoK (official)",
            Suite::Glue => "(Super)GLUE",
            Suite::Msgs => "MSGS",
        }
    }
}

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
    /// What the model says.
    pub predicted: u32,
    /// One number for each choice or label: a log-probability, or a logit.
    pub scores: Vec<f64>,
}

impl Prediction {
    /// The first choice is right, and wins ties, as in both pipelines (EVALS 1.4).
    pub fn between(good: f64, bad: f64) -> Self {
        Self { gold: 0, predicted: (good < bad) as u32, scores: vec![good, bad] }
    }

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
    pub name: String,
    pub metric: Metric,
    /// By the metric; 0 to 1, for Matthews' coefficient -1 to 1.
    pub score: f64,
    /// Standard error of the share of right answers: the root of the sample variance over the
    /// number of items, as both pipelines print it. None for other metrics.
    pub standard_error: Option<f64>,
    pub items: usize,
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

/// The scores of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteResult {
    pub suite: Suite,
    pub rules: Rules,
    /// The unweighted mean of the tasks' scores; by the rules of 2023, which print no single number
    /// for BLiMP, of the groups' scores.
    pub score: f64,
    pub tasks: Vec<TaskResult>,
    /// BLiMP's groups of 2023, each pooled over its tasks' items; empty by the rules of 2024.
    #[serde(default)]
    pub groups: Vec<TaskResult>,
    /// Sums over the tasks.
    pub items: usize,
    pub ties: usize,
    pub truncated: usize,
}

impl SuiteResult {
    /// The suite's score from those of its tasks.
    pub fn of_tasks(suite: Suite, rules: Rules, tasks: Vec<TaskResult>) -> Self {
        let pooled = rules == Rules::Year2023
            && matches!(suite, Suite::BlimpFiltered | Suite::Blimp | Suite::Pairs);
        let groups = if pooled { pool(&tasks) } else { Vec::new() };
        let units = if groups.is_empty() { &tasks } else { &groups };
        let score = units.iter().map(|unit| unit.score).sum::<f64>() / units.len().max(1) as f64;
        let sum = |part: fn(&TaskResult) -> usize| tasks.iter().map(part).sum();
        let [items, ties, truncated] =
            [sum(|task| task.items), sum(|task| task.ties), sum(|task| task.truncated)];
        Self { suite, rules, score, tasks, groups, items, ties, truncated }
    }

    /// What the rules average over: groups in 2023, tasks otherwise.
    pub fn units(&self) -> &[TaskResult] {
        if self.groups.is_empty() { &self.tasks } else { &self.groups }
    }
}

/// The groups of 2023, pooled over their tasks' items.
fn pool(tasks: &[TaskResult]) -> Vec<TaskResult> {
    let mut sums: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for task in tasks {
        let sum = sums.entry(group_of(&task.name)).or_default();
        let parts = [task.correct, task.items, task.ties, task.truncated];
        sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    let group = |(name, [correct, items, ties, truncated]): (&str, [usize; 4])| {
        TaskResult::accuracy(name, correct, items, ties, truncated)
    };
    sums.into_iter().map(group).collect()
}

/// A suite's scores with the answers behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: SuiteResult,
    /// The answers of each task, in the order of the result's tasks and of the items in their
    /// files.
    pub predictions: Vec<Vec<Prediction>>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let by_2024 = SuiteResult::of_tasks(Suite::BlimpFiltered, Rules::Year2024, tasks.clone());
        assert!((by_2024.score - (0.9 + 1.0 / 30.0 + 0.5) / 3.0).abs() < 1e-12);
        assert!(by_2024.groups.is_empty());
        let by_2023 = SuiteResult::of_tasks(Suite::BlimpFiltered, Rules::Year2023, tasks);
        assert_eq!(by_2023.groups[1], task("npi_licensing", 10, 40));
        assert!((by_2023.score - (0.25 + 0.5) / 2.0).abs() < 1e-12);
        assert_eq!(by_2023.items, 50);
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

    #[test]
    fn suites_are_known_by_their_tasks() {
        let of = |tasks: &[(&str, usize)]| Suite::of_pairs(tasks.iter().copied());
        assert_eq!(of(&[("wh_island", 960), ("passive_1", 840)]), Suite::BlimpFiltered);
        assert_eq!(of(&[("wh_island", 1000), ("passive_1", 1000)]), Suite::Blimp);
        assert_eq!(of(&[("island_effects", 7448)]), Suite::BlimpFiltered);
        assert_eq!(of(&[("hypernym", 842)]), Suite::BlimpSupplement);
        assert_eq!(of(&[("hypernym", 842), ("wh_island", 9)]), Suite::Pairs);
        assert_eq!(of(&[("agreement", 100)]), Suite::Pairs);
        assert_eq!(of(&[]), Suite::Pairs);
    }
}
