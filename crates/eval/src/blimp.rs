//! Minimal pairs: how often the better sentence is at least as probable as the worse one.

use crate::error::EvalError;
use crate::pairs::{Pair, Task};
use crate::results::{Outcome, Prediction, Suite, SuiteResult, TaskResult};
use crate::rules::Rules;
use crate::scoring::{Request, Scorer, request};

/// Scores every pair of every task. `encode` turns text into token ids as the model was trained on
/// them; `prefix` is the id of `rules.prefix_token()`.
pub fn score_tasks(
    scorer: &Scorer<'_>,
    tasks: &[Task],
    rules: Rules,
    prefix: u32,
    encode: impl Fn(&str) -> Vec<u32>,
    on_progress: impl FnMut(usize, usize),
) -> Result<Outcome, EvalError> {
    let sentences =
        tasks.iter().flat_map(|task| &task.pairs).flat_map(|Pair { good, bad }| [good, bad]);
    let ask = |sentence: &String| request(rules, &encode, prefix, "", sentence);
    let requests = sentences.map(ask).collect::<Result<Vec<Request>, _>>()?;
    let scores = scorer.score(&requests, on_progress)?;
    let mut answers =
        requests.as_chunks::<2>().0.iter().zip(scores.log_probabilities.as_chunks::<2>().0);
    let (mut results, mut predictions) = (Vec::new(), Vec::new());
    for task in tasks {
        let mut truncated = 0;
        let answered = answers.by_ref().take(task.pairs.len()).map(|(requests, &[good, bad])| {
            truncated += requests.iter().filter(|request| scorer.is_cut(request)).count();
            Prediction::between(good, bad)
        });
        let answered: Vec<_> = answered.collect();
        results.push(TaskResult::of_choices(&task.name, &answered, truncated));
        predictions.push(answered);
    }
    let suite = Suite::of_pairs(tasks.iter().map(|task| (task.name.as_str(), task.pairs.len())));
    Ok(Outcome { result: SuiteResult::of_tasks(suite, rules, results), predictions })
}

#[cfg(test)]
mod tests {
    use model::Architecture;

    use super::*;
    use crate::scoring::tests::small;

    #[test]
    fn identical_sentences_tie_and_long_ones_are_counted() {
        let model = small(Architecture::LLAMA, 4, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        let pair = |good: &str, bad: &str| Pair { good: good.into(), bad: bad.into() };
        let task = |name: &str, pairs| Task { name: name.into(), pairs };
        let tasks = [
            task("same", vec![pair("abc", "abc"), pair("ab", "ba"), pair("ba", "ab")]),
            task("long", vec![pair("abcdef", "a")]),
        ];
        let encode = |text: &str| text.bytes().map(|byte| byte as u32 % 30).collect();
        let found = score_tasks(&scorer, &tasks, Rules::Year2024, 1, encode, |_, _| ()).unwrap();
        let [same, long] = &found.result.tasks[..] else { panic!("two tasks") };
        assert_eq!((same.correct, same.ties, same.truncated), (2, 1, 0));
        assert_eq!((long.items, long.truncated, found.result.suite), (1, 1, Suite::Pairs));
        assert_eq!(found.predictions[0][1].scores[0], found.predictions[0][2].scores[1]);
    }
}
