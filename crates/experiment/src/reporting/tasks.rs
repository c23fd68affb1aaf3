//! Two models on the same items: scores by task and by group with the mark of a paired test, and
//! the items to read.

use std::cmp::Ordering;

use eval::statistics::McNemar;
use eval::{BenchmarkResult, Item, Outcome, Prediction, Rules, Task};
use report::{Align, Best, Table, points};

/// The answers of a model to a benchmark.
#[derive(Clone, Copy)]
pub(super) struct Answers<'a> {
    pub(super) model: &'a str,
    pub(super) outcome: &'a Outcome,
}

/// What the marks of [`marked`] stand for.
pub(super) const MARKS: &str = "Percent. * p < 0.05, ** p < 0.01, *** p < 0.001 by McNemar's \
    exact test on the same items against the first model; not corrected for the number of rows.";

/// A table of more models is too wide to read.
pub(super) const MOST_MODELS: usize = 8;

/// How many models the table of [`marked`] leaves out and where they are, as a sentence behind
/// others; empty where it has all.
pub(super) fn left_out(models: &[Answers<'_>], title: &str) -> String {
    match models.len() {
        count if count > MOST_MODELS => format!(
            " The first {MOST_MODELS} of {count} models; the others are in the table of {title} \
             without marks, and by group in the figure and its CSV."
        ),
        _ => String::new(),
    }
}

/// Whether two models answered the same items, as far as their numbers show.
pub(super) fn is_same(one: &Outcome, other: &Outcome) -> bool {
    let names = |outcome: &Outcome| -> Vec<(String, usize)> {
        outcome.result.tasks.iter().map(|task| (task.name.clone(), task.items)).collect()
    };
    let both = [one, other];
    both.iter().all(|outcome| !outcome.predictions.is_empty()) && names(one) == names(other)
}

/// Why a model's answers do not stand beside those of others, in words.
pub(super) fn difference(of_others: &Outcome, own: &Outcome) -> String {
    if own.predictions.is_empty() {
        return "its answers are not there".to_owned();
    }
    let without = |from: &Outcome, other: &Outcome| -> Vec<String> {
        let is_in = |name: &str| other.result.tasks.iter().any(|task| task.name == name);
        let tasks = from.result.tasks.iter().map(|task| task.name.clone());
        tasks.filter(|name| !is_in(name)).collect()
    };
    let (lacks, more) = (without(of_others, own), without(own, of_others));
    let part = |what: &str, tasks: &[String]| {
        let rest = tasks.len().saturating_sub(NAMED_TASKS);
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let named = tasks[..tasks.len().min(NAMED_TASKS)].join(", ");
        (!tasks.is_empty()).then(|| format!("{what} {named}{rest}"))
    };
    let parts = [part("it lacks the tasks", &lacks), part("it has other tasks:", &more)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "its tasks have another order or other numbers of items".to_owned(),
        false => parts.join(", "),
    }
}

/// Tasks that a sentence lists.
const NAMED_TASKS: usize = 3;

/// The share of right answers of each group or task by each model, those behind the first with the
/// mark of the test against it.
pub(super) fn marked(models: &[Answers<'_>], by_group: bool) -> Option<Table> {
    let models = &models[..models.len().min(MOST_MODELS)];
    let [first, others @ ..] = models else { return None };
    let units = units(&first.outcome.result, by_group)?;
    let heads = models.iter().map(|answers| (answers.model, Align::Right));
    let labels = [(if by_group { "group" } else { "task" }, Align::Left), ("items", Align::Right)];
    let mut table = Table::new(labels.into_iter().chain(heads));
    for (name, tasks) in units {
        let right = |answers: &Answers<'_>| -> Vec<bool> {
            let of_tasks = tasks.iter().map(|&task| &answers.outcome.predictions[task]);
            of_tasks.flatten().map(Prediction::is_right).collect()
        };
        let base = right(first);
        let mut row = vec![name, base.len().to_string(), share(&base)];
        for other in others {
            let found = right(other);
            let pairs = base.iter().copied().zip(found.iter().copied());
            let mark = mark(McNemar::of_outcomes(pairs).p_value);
            row.push(format!("{}{mark}", share(&found)));
        }
        table.push(row);
    }
    table.mark_best_of_rows(2, Best::Highest);
    Some(table)
}

/// The groups or tasks of a result with the places of their tasks; none where a task has no group.
pub(super) fn units(result: &BenchmarkResult, by_group: bool) -> Option<Vec<(String, Vec<usize>)>> {
    let mut units: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, task) in result.tasks.iter().enumerate() {
        let name = match by_group {
            true => result.benchmark.group_of(&task.name, Rules::Year2023)?,
            false => &task.name,
        };
        match units.iter_mut().find(|(known, _)| known == name) {
            Some((_, tasks)) => tasks.push(index),
            None => units.push((name.to_owned(), vec![index])),
        }
    }
    Some(units)
}

fn share(right: &[bool]) -> String {
    let count = right.iter().filter(|right| **right).count();
    points(count as f64 / right.len().max(1) as f64)
}

/// The mark of a probability.
pub(super) fn mark(p: f64) -> &'static str {
    match p {
        p if p < 0.001 => " ***",
        p if p < 0.01 => " **",
        p if p < 0.05 => " *",
        _ => "",
    }
}

/// Items of each kind that are shown.
const SHOWN: usize = 12;
/// Longer texts are cut.
const LONGEST: usize = 400;

/// The items that most models get wrong, the clearest mistakes first.
pub(super) fn hardest(models: &[Answers<'_>], tasks: &[Task]) -> Option<Table> {
    let mut found = Vec::new();
    for (task, index, item) in items(tasks) {
        let answers: Vec<&Prediction> = models
            .iter()
            .filter_map(|answers| answers.outcome.predictions.get(task)?.get(index))
            .collect();
        let wrong = answers.iter().filter(|answer| !answer.is_right()).count();
        let margin: f64 = answers.iter().map(|answer| margin(answer)).sum::<f64>();
        found.push((wrong, margin / answers.len().max(1) as f64, task, item));
    }
    found.retain(|(wrong, margin, ..)| *wrong > 0 && margin.is_finite());
    found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal)));
    let any = !found.is_empty();
    let mut table = table(&["wrong", "margin"]);
    for (wrong, margin, task, item) in found.into_iter().take(SHOWN) {
        let numbers = vec![format!("{wrong} of {}", models.len()), format!("{margin:+.1}")];
        table.push(row(numbers, &tasks[task].name, item));
    }
    any.then_some(table)
}

/// Items that the second model gets right and the first does not, or the other way round; those
/// that moved most first.
pub(super) fn flipped(from: Answers<'_>, to: Answers<'_>, tasks: &[Task]) -> [Option<Table>; 2] {
    let mut found: [Vec<_>; 2] = Default::default();
    for (task, index, item) in items(tasks) {
        let of = |answers: Answers<'_>| -> Option<(bool, f64)> {
            let answer = answers.outcome.predictions.get(task)?.get(index)?;
            Some((answer.is_right(), margin(answer)))
        };
        let (Some((was, before)), Some((is, after))) = (of(from), of(to)) else { continue };
        if was != is && before.is_finite() && after.is_finite() {
            found[usize::from(was)].push((before, after, task, item));
        }
    }
    found.map(|mut found| {
        let moved = |one: &(f64, f64, usize, &Item)| (one.1 - one.0).abs();
        found.sort_by(|a, b| moved(b).partial_cmp(&moved(a)).unwrap_or(Ordering::Equal));
        let any = !found.is_empty();
        let mut table = table(&[from.model, to.model]);
        for (before, after, task, item) in found.into_iter().take(SHOWN) {
            let numbers = vec![format!("{before:+.1}"), format!("{after:+.1}")];
            table.push(row(numbers, &tasks[task].name, item));
        }
        any.then_some(table)
    })
}

/// What the numbers of [`hardest`] and [`flipped`] are.
pub(super) const MARGINS: &str = "Numbers are by how much the right text is more probable than the \
    best wrong one, in nats; below zero it is taken for less probable.";

/// How much more probable the right text is than the best other one.
fn margin(answer: &Prediction) -> f64 {
    let gold = answer.scores.get(answer.gold as usize).copied().unwrap_or(f64::NAN);
    let others = answer.scores.iter().enumerate();
    let others = others.filter(|(choice, _)| *choice != answer.gold as usize);
    gold - others.map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max)
}

fn items(tasks: &[Task]) -> impl Iterator<Item = (usize, usize, &Item)> {
    tasks.iter().enumerate().flat_map(|(task, of_task)| {
        of_task.items.iter().enumerate().map(move |(index, item)| (task, index, item))
    })
}

fn table(numbers: &[&str]) -> Table {
    let texts = ["right", "wrong", "task"].map(|head| (head, Align::Left));
    Table::new(texts.into_iter().chain(numbers.iter().map(|head| (*head, Align::Right))))
}

fn row(numbers: Vec<String>, task: &str, item: &Item) -> Vec<String> {
    let text = |choice: &eval::Choice| {
        let whole = match choice.context.is_empty() {
            true => choice.text.clone(),
            false => format!("{} | {}", choice.context, choice.text),
        };
        match whole.chars().count() > LONGEST {
            true => whole.chars().take(LONGEST).chain(['…']).collect(),
            false => whole,
        }
    };
    let right = item.choices.first().map(text).unwrap_or_default();
    let wrong: Vec<String> = item.choices.iter().skip(1).map(text).collect();
    [right, wrong.join(" / "), task.to_owned()].into_iter().chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use eval::{OtherPairs, TaskResult};

    use super::*;

    fn outcome(margins: &[f64]) -> Outcome {
        let answers: Vec<Prediction> =
            margins.iter().map(|&margin| Prediction::between(margin, 0.0)).collect();
        let tasks = vec![TaskResult::of_choices("a", &answers, 0)];
        let result = BenchmarkResult::of_tasks(&OtherPairs, Rules::Year2024, tasks);
        Outcome { result, predictions: vec![answers] }
    }

    fn tasks(count: usize) -> Vec<Task> {
        let items = (0..count).map(|n| Item::pair(format!("good {n}"), format!("bad {n}")));
        vec![Task { name: "a".into(), items: items.collect() }]
    }

    fn lines(table: &Table) -> Vec<String> {
        let text = table.to_text();
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().skip(2).map(line).collect()
    }

    #[test]
    fn differences_that_are_more_than_chance_are_marked() {
        // 20 items that only the second gets right: p = 2 * 0.5^20.
        let (weak, strong) = (outcome(&[-1.0; 20]), outcome(&[1.0; 20]));
        let answers = [("weak", &weak), ("strong", &strong)]
            .map(|(model, outcome)| Answers { model, outcome });
        let table = marked(&answers, false).unwrap();
        assert_eq!(lines(&table), ["a 20 0.0 100.0 ***"]);
        // Five of five: p = 2 * 0.5^5 = 0.0625.
        let (weak, strong) = (outcome(&[-1.0; 5]), outcome(&[1.0; 5]));
        let answers = [("weak", &weak), ("strong", &strong)]
            .map(|(model, outcome)| Answers { model, outcome });
        assert_eq!(lines(&marked(&answers, false).unwrap()), ["a 5 0.0 100.0"]);
        assert!(is_same(&weak, &strong) && !is_same(&weak, &outcome(&[1.0])));
    }

    #[test]
    fn a_table_of_many_models_names_how_many_it_leaves_out() {
        let one = outcome(&[1.0]);
        let answers = |count| vec![Answers { model: "m", outcome: &one }; count];
        assert_eq!(left_out(&answers(MOST_MODELS), "BLiMP"), "");
        let text = left_out(&answers(12), "BLiMP");
        assert!(text.starts_with(" The first 8 of 12 models; the others are in the"), "{text}");
        let table = marked(&answers(12), false).unwrap();
        assert_eq!(lines(&table), [format!("a 1{}", " 100.0".repeat(MOST_MODELS))]);
    }

    #[test]
    fn hard_items_are_those_that_all_models_get_wrong() {
        let (one, two) = (outcome(&[-1.0, -2.0, 1.0]), outcome(&[-1.0, -4.0, -9.0]));
        let answers =
            [("one", &one), ("two", &two)].map(|(model, outcome)| Answers { model, outcome });
        let table = hardest(&answers, &tasks(3)).unwrap();
        let expected = [
            "good 1 bad 1 a 2 of 2 -3.0",
            "good 0 bad 0 a 2 of 2 -1.0",
            "good 2 bad 2 a 1 of 2 -4.0",
        ];
        assert_eq!(lines(&table), expected);
        let [better, worse] = flipped(answers[0], answers[1], &tasks(3));
        assert!(better.is_none());
        assert_eq!(lines(&worse.unwrap()), ["good 2 bad 2 a +1.0 -9.0"]);
    }
}
