//! Choices between texts: how often the right one is at least as probable as each of the others.

use crate::benchmark::ZeroShot;
use crate::error::EvalError;
use crate::results::{BenchmarkResult, Outcome, Prediction};
use crate::rules::Rules;
use crate::scoring::{Scorer, request};

/// The items of one file, paradigm or domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The name, unique in its benchmark.
    pub name: String,
    /// The items, in the order of the file.
    pub items: Vec<Item>,
}

/// A question: texts to choose from, of which the first is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The texts, at least two.
    pub choices: Vec<Choice>,
}

/// A text that is scored after a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What is given; may be empty.
    pub context: String,
    /// What is scored, without the space that is put before it.
    pub text: String,
}

impl Item {
    /// A minimal pair: two sentences without a context.
    pub fn pair(good: impl Into<String>, bad: impl Into<String>) -> Self {
        let choice = |text| Choice { context: String::new(), text };
        Self { choices: vec![choice(good.into()), choice(bad.into())] }
    }
}

/// Texts that a benchmark's tasks have scored.
pub fn count_choices(tasks: &[Task]) -> usize {
    tasks.iter().flat_map(|task| &task.items).map(|item| item.choices.len()).sum()
}

/// The texts that were chosen in a task, as they were scored: with the space before them.
pub fn chosen_texts<'a>(
    task: &'a Task,
    answers: &'a [Prediction],
) -> impl Iterator<Item = String> + 'a {
    let chosen = task.items.iter().zip(answers);
    chosen.filter_map(|(item, answer)| {
        Some(format!(" {}", item.choices.get(answer.predicted as usize)?.text))
    })
}

/// Scores every item of every task. `encode` turns text into token ids as the model was trained on
/// them; `prefix` is the id of `rules.prefix_token()`, which only texts without a context need.
/// `on_progress` receives how many distinct texts are scored, of how many.
///
/// # Errors
/// Those of `encode`; when a text has no token, or the models cannot score.
pub fn score_choices(
    benchmark: &'static dyn ZeroShot,
    scorer: &Scorer<'_>,
    tasks: &[Task],
    rules: Rules,
    prefix: u32,
    encode: impl Fn(&str) -> Result<Vec<u32>, EvalError>,
    on_progress: impl FnMut(usize, usize),
) -> Result<Outcome, EvalError> {
    let mut requests = Vec::with_capacity(count_choices(tasks));
    for task in tasks {
        for (index, item) in task.items.iter().enumerate() {
            for Choice { context, text } in &item.choices {
                let space = scorer.space_before(context);
                let request = request(rules, &encode, prefix, context, space, text);
                requests.push(request.map_err(|error| error.of_item(&task.name, index))?);
            }
        }
    }
    let log_probabilities = scorer.score(&requests, on_progress)?.log_probabilities;
    let mut scored = requests.iter().zip(log_probabilities);
    let (mut results, mut predictions) = (Vec::new(), Vec::new());
    for task in tasks {
        let mut truncated = 0;
        let mut answer = |item: &Item| {
            let of_item = scored.by_ref().take(item.choices.len());
            let scores = of_item.map(|(request, score)| {
                truncated += scorer.is_cut(request) as usize;
                score
            });
            Prediction::of_choices(scores.collect())
        };
        let answers: Vec<Prediction> = task.items.iter().map(&mut answer).collect();
        results.push(benchmark.task_result(&task.name, &answers, truncated));
        predictions.push(answers);
    }
    Ok(Outcome { result: BenchmarkResult::of_tasks(benchmark, rules, results), predictions })
}

#[cfg(test)]
mod tests {
    use model::Architecture;

    use super::*;
    use crate::benchmarks::OtherPairs;
    use crate::scoring::tests::small;

    fn encode(text: &str) -> Result<Vec<u32>, EvalError> {
        Ok(text.bytes().map(|byte| byte as u32 % 30).collect())
    }

    #[test]
    fn identical_sentences_tie_and_long_ones_are_counted() {
        let model = small(Architecture::LLAMA, 4, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        let task = |name: &str, items| Task { name: name.into(), items };
        let tasks = [
            task("same", [("abc", "abc"), ("ab", "ba"), ("ba", "ab")].map(pair).into()),
            task("long", vec![pair(("abcdef", "a"))]),
        ];
        let found =
            score_choices(&OtherPairs, &scorer, &tasks, Rules::Year2024, 1, encode, |_, _| ());
        let found = found.unwrap();
        let [same, long] = &found.result.tasks[..] else { panic!("two tasks") };
        assert_eq!((same.correct, same.ties, same.truncated), (2, 1, 0));
        assert_eq!((long.items, long.truncated, found.result.benchmark.name()), (1, 1, "pairs"));
        assert_eq!(found.predictions[0][1].scores[0], found.predictions[0][2].scores[1]);
        assert_eq!(count_choices(&tasks), 8);
        let chosen: Vec<String> = chosen_texts(&tasks[0], &found.predictions[0]).collect();
        assert_eq!((chosen[0].as_str(), &chosen[1]), (" abc", &chosen[2]));
    }

    fn pair((good, bad): (&str, &str)) -> Item {
        Item::pair(good, bad)
    }

    #[test]
    fn an_item_may_have_more_than_two_choices() {
        let model = small(Architecture::LLAMA, 16, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        let choice = |text: &str| Choice { context: "c".into(), text: text.into() };
        let score = |texts: [&str; 3]| {
            let item = Item { choices: texts.map(choice).into() };
            let tasks = [Task { name: "three".into(), items: vec![item] }];
            let rules = Rules::Year2024;
            score_choices(&OtherPairs, &scorer, &tasks, rules, 1, encode, |_, _| ()).unwrap()
        };
        let first = score(["ab", "ba", "bb"]).predictions[0][0].clone();
        let best = ["ab", "ba", "bb"][first.predicted as usize];
        let turned = score([best, "ab", "ba"]);
        assert_eq!((turned.predictions[0][0].predicted, turned.result.score), (0, 1.0));
    }
}
