//! Scores of a part of a benchmark, which do not compare with those of the whole: they have a mark
//! where they stand beside others.

use eval::classification::{ClassificationTask, tasks_of};
use eval::{BENCHMARKS, Benchmark, BenchmarkResult, Kind, Rules};

use super::model_scores::ModelScores;
use crate::failures::Failures;

/// Behind a number that is of a part.
pub(super) const MARK: &str = " †";

/// What scores of a benchmark are called that stand beside each other, and how many tasks the mean
/// of a fine-tuned one is over.
pub(super) struct Whole {
    pub(super) title: String,
    tasks: usize,
}

impl Whole {
    /// Where all models have the same part of a benchmark the title states it, otherwise it is that
    /// of the whole.
    pub(super) fn of(
        models: &[ModelScores],
        benchmark: &'static dyn Benchmark,
        rules: Rules,
    ) -> Self {
        let results = models.iter().filter_map(|model| model.outcome(benchmark));
        let mut titles = results.map(|outcome| outcome.result.title());
        let first = titles.next().filter(|first| titles.all(|title| title == *first));
        let title = first.unwrap_or_else(|| benchmark.title().to_owned());
        let results: Vec<BenchmarkResult> =
            models.iter().flat_map(|model| model.results(benchmark, rules)).collect();
        let has = |name: &str| results.iter().any(|it| it.tasks.iter().any(|it| it.name == name));
        let tasks = tasks_of(benchmark).iter().filter(|task| has(task.name)).count();
        Self { title, tasks }
    }

    /// Whether a result is of less than that.
    pub(super) fn is_more_than(&self, result: &BenchmarkResult) -> bool {
        match result.benchmark.kind() {
            Kind::FineTuned(_) => result.tasks.len() < self.tasks || !cut(result).is_empty(),
            _ => result.title() != self.title,
        }
    }

    /// The mark of the mean of some results, one for each seed.
    pub(super) fn mark(&self, results: &[BenchmarkResult]) -> &'static str {
        if results.iter().any(|result| self.is_more_than(result)) { MARK } else { "" }
    }
}

/// The tasks whose number of items is not the published one.
fn cut(result: &BenchmarkResult) -> Vec<&str> {
    let names = result.units().iter().map(|unit| unit.name.as_str());
    names.filter(|name| !result.has_all_items(name)).collect()
}

/// A sentence on the marks of all benchmarks' means; empty where there are none.
pub(crate) fn parts(models: &[ModelScores], rules: Rules, failures: &Failures) -> String {
    let benchmarks = BENCHMARKS.iter().map(|benchmark| {
        let whole = Whole::of(models, *benchmark, rules);
        // What failed has no mean, and so no mark.
        let has_mean =
            |model: &&ModelScores| failures.mark(&model.name, benchmark.name(), None).is_none();
        let models = models.iter().filter(has_mean);
        found(models, *benchmark, rules, |result| whole.is_more_than(result))
    });
    sentence(benchmarks.flatten().collect())
}

/// A sentence on the marks of a benchmark's mean and tasks; empty where there are none.
pub(super) fn parts_of(
    models: &[ModelScores],
    benchmark: &'static dyn Benchmark,
    rules: Rules,
) -> String {
    let whole = Whole::of(models, benchmark, rules);
    let is_part = |result: &_| whole.is_more_than(result) || !cut(result).is_empty();
    sentence(found(models.iter(), benchmark, rules, is_part))
}

/// The models that have such a result, with how much of the benchmark it is of.
fn found<'a>(
    models: impl Iterator<Item = &'a ModelScores>,
    benchmark: &'static dyn Benchmark,
    rules: Rules,
    is_part: impl Fn(&BenchmarkResult) -> bool,
) -> Vec<String> {
    let part = |model: &ModelScores| {
        let result = model.results(benchmark, rules).into_iter().find(&is_part)?;
        Some(format!("{} ({})", model.name, described(&result)))
    };
    models.filter_map(part).collect()
}

fn sentence(parts: Vec<String>) -> String {
    match parts.is_empty() {
        true => String::new(),
        false => format!(
            "† Of other numbers of tasks or items than the whole benchmark has, which does not \
             compare with scores of the whole: {}.",
            parts.join("; ")
        ),
    }
}

/// How much of its benchmark a result is of.
fn described(result: &BenchmarkResult) -> String {
    let is_of = |task: &&ClassificationTask| task.is_of(result.rules);
    let tasks = tasks_of(result.benchmark).iter().filter(is_of).count();
    if tasks == 0 {
        return result.title();
    }
    let (title, own, cut) = (result.benchmark.title(), result.tasks.len(), cut(result));
    let cut = match cut.is_empty() {
        true => String::new(),
        false => format!(", not the published items of {}", cut.join(", ")),
    };
    format!("{title}, {own} of {tasks} tasks{cut}")
}

#[cfg(test)]
mod tests {
    use eval::{BlimpSupplement, Outcome, TaskResult};

    use super::*;

    fn scored(name: &str, tasks: &[(&str, usize)]) -> ModelScores {
        let task = |&(name, items): &(&str, usize)| {
            let answers = vec![eval::Prediction::between(1.0, 0.0); items];
            TaskResult::of_choices(name, &answers, 0)
        };
        let tasks = tasks.iter().map(task).collect();
        let result = BenchmarkResult::of_tasks(&BlimpSupplement, Rules::Year2024, tasks);
        let mut scores = ModelScores::of(name, name, 0);
        scores.outcomes.push(Outcome { result, predictions: Vec::new() });
        scores
    }

    const WHOLE: [(&str, usize); 5] = [
        ("hypernym", 842),
        ("qa_congruence_easy", 64),
        ("qa_congruence_tricky", 165),
        ("subject_aux_inversion", 3867),
        ("turn_taking", 280),
    ];

    #[test]
    fn a_part_beside_the_whole_is_marked_and_named() {
        let of = |models: &[ModelScores]| Whole::of(models, &BlimpSupplement, Rules::Year2024);
        let mark = |whole: &Whole, model: &ModelScores| {
            whole.mark(&model.results(&BlimpSupplement, Rules::Year2024))
        };
        let cut: Vec<(&str, usize)> = WHOLE.map(|(name, items)| (name, items.min(100))).to_vec();
        let models = [scored("all", &WHOLE), scored("cut", &cut)];
        let whole = of(&models);
        assert_eq!(whole.title, "BLiMP supplement");
        assert_eq!((mark(&whole, &models[0]), mark(&whole, &models[1])), ("", MARK));
        let none = Failures::default();
        let text = parts(&models, Rules::Year2024, &none);
        assert!(text.ends_with("cut (BLiMP supplement, 4 of 5 tasks of another size)."), "{text}");
        // Where all have the same part the title states it.
        let models = [scored("one", &cut), scored("two", &cut)];
        let part = of(&models);
        assert_eq!(part.title, "BLiMP supplement, 4 of 5 tasks of another size");
        assert_eq!(
            (mark(&part, &models[0]), parts(&models, Rules::Year2024, &none)),
            ("", String::new())
        );
    }
}
