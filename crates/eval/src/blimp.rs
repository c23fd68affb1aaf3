//! Accuracy on minimal pairs: how often the better sentence is at least as probable as the worse one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::pairs::Task;
use crate::rules::{Rules, group_of};
use crate::scoring::{Request, Scorer};

/// The score of one task, or of one group of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    pub name: String,
    pub accuracy: f64,
    /// Pairs whose better sentence won or tied: both pipelines take the first on a tie.
    pub correct: usize,
    pub items: usize,
    /// Pairs with equal scores, identical sentences among them.
    pub ties: usize,
}

/// The scores of a set of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlimpResult {
    pub rules: Rules,
    /// By the rules of 2024 the unweighted mean of the tasks. The pipeline of 2023 prints no single number; this is
    /// then the unweighted mean of its groups.
    pub accuracy: f64,
    pub tasks: Vec<TaskResult>,
    /// The groups of 2023, each pooled over its tasks' items; empty by the rules of 2024.
    pub groups: Vec<TaskResult>,
    pub items: usize,
    pub ties: usize,
    /// Sentences cut to the model's positions.
    pub truncated: usize,
}

/// Scores every pair of every task. `encode` turns text into token ids as the model was trained on them; `prefix` is the
/// id of `rules.prefix_token()`.
pub fn score_tasks(
    scorer: &Scorer<'_>,
    tasks: &[Task],
    rules: Rules,
    prefix: u32,
    encode: impl Fn(&str) -> Vec<u32>,
    on_progress: impl FnMut(usize, usize),
) -> Result<BlimpResult, EvalError> {
    let sentences = tasks.iter().flat_map(|task| &task.pairs).flat_map(|pair| [&pair.good, &pair.bad]);
    // The continuation always begins with one space, which neither pipeline lets the tokenizer add.
    let request = |sentence: &String| Request { context: vec![prefix], continuation: encode(&format!(" {sentence}")) };
    let requests: Vec<Request> = sentences.map(request).collect();
    let scores = scorer.score(&requests, on_progress)?;
    let mut pairs = scores.log_probabilities.as_chunks::<2>().0.iter();
    let results: Vec<TaskResult> = tasks
        .iter()
        .map(|task| {
            let (mut correct, mut ties) = (0, 0);
            for [good, bad] in pairs.by_ref().take(task.pairs.len()) {
                correct += (good >= bad) as usize;
                ties += (good == bad) as usize;
            }
            result(&task.name, correct, task.pairs.len(), ties)
        })
        .collect();
    Ok(aggregate(rules, results, scores.truncated))
}

fn result(name: &str, correct: usize, items: usize, ties: usize) -> TaskResult {
    TaskResult { name: name.to_owned(), accuracy: correct as f64 / items as f64, correct, items, ties }
}

fn aggregate(rules: Rules, tasks: Vec<TaskResult>, truncated: usize) -> BlimpResult {
    let groups = match rules {
        Rules::Year2023 => pool(&tasks),
        Rules::Year2024 => Vec::new(),
    };
    let units = if groups.is_empty() { &tasks } else { &groups };
    let accuracy = units.iter().map(|unit| unit.accuracy).sum::<f64>() / units.len().max(1) as f64;
    let (items, ties) = (tasks.iter().map(|task| task.items).sum(), tasks.iter().map(|task| task.ties).sum());
    BlimpResult { rules, accuracy, tasks, groups, items, ties, truncated }
}

/// The groups of 2023, pooled over their tasks' items.
fn pool(tasks: &[TaskResult]) -> Vec<TaskResult> {
    let mut sums: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for task in tasks {
        let sum = sums.entry(group_of(&task.name)).or_default();
        *sum = (sum.0 + task.correct, sum.1 + task.items, sum.2 + task.ties);
    }
    sums.into_iter().map(|(name, (correct, items, ties))| result(name, correct, items, ties)).collect()
}

#[cfg(test)]
mod tests {
    use model::Architecture;

    use super::*;
    use crate::pairs::Pair;
    use crate::scoring::tests::small;

    #[test]
    fn groups_pool_items_and_means_ignore_counts() {
        let tasks =
            vec![result("npi_present_1", 9, 10, 0), result("npi_present_2", 1, 30, 0), result("wh_island", 5, 10, 2)];
        let by_2024 = aggregate(Rules::Year2024, tasks.clone(), 0);
        assert!((by_2024.accuracy - (0.9 + 1.0 / 30.0 + 0.5) / 3.0).abs() < 1e-12);
        assert!(by_2024.groups.is_empty());
        let by_2023 = aggregate(Rules::Year2023, tasks, 0);
        assert_eq!(by_2023.groups[1], result("npi_licensing", 10, 40, 0));
        assert!((by_2023.accuracy - (0.25 + 0.5) / 2.0).abs() < 1e-12);
        assert_eq!((by_2023.items, by_2023.ties), (50, 2));
    }

    #[test]
    fn identical_sentences_tie_and_count_as_correct() {
        let model = small(Architecture::Llama, 16, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        let pair = |good: &str, bad: &str| Pair { good: good.into(), bad: bad.into() };
        let task = Task { name: "same".into(), pairs: vec![pair("abc", "abc"), pair("ab", "ba"), pair("ba", "ab")] };
        let encode = |text: &str| text.bytes().map(|byte| byte as u32 % 30).collect();
        let found = score_tasks(&scorer, &[task], Rules::Year2024, 1, encode, |_, _| ()).unwrap();
        assert_eq!((found.tasks[0].correct, found.ties), (2, 1));
    }
}
