//! What a person sees at the end, and the same as JSON: tasks by models, with mean and spread over
//! the seeds.

use std::path::PathBuf;

use eval::classification::{ClassificationTask, classification_tasks, tasks_of};
use eval::statistics::Spread;
use eval::{BENCHMARKS, Benchmark, BenchmarkResult, Rules, TaskResult};
use report::format::NOTHING;
use report::{Align, ScoreTable, Table, points};
use serde_json::{Value, json};

use super::result::FinetuneResult;
use crate::failures::Failures;

/// All results of one model.
pub struct ModelResults {
    /// The model's short name.
    pub name: String,
    /// The model's folder.
    pub folder: PathBuf,
    /// One list a seed, in the order in which the seeds were given.
    pub seeds: Vec<Vec<FinetuneResult>>,
}

/// A benchmark's mean over its tasks, for each list of results that has any.
pub fn by_seed(
    seeds: &[Vec<FinetuneResult>],
    benchmark: &'static dyn Benchmark,
    rules: Rules,
    all_rows: bool,
) -> Vec<BenchmarkResult> {
    let tasks = |results: &Vec<FinetuneResult>| -> Vec<TaskResult> {
        let own = results.iter().filter(|result| result.is_of(benchmark));
        own.map(|result| result.shown(all_rows).clone()).collect()
    };
    let with_tasks = seeds.iter().map(tasks).filter(|tasks| !tasks.is_empty());
    with_tasks.map(|tasks| BenchmarkResult::of_tasks(benchmark, rules, tasks)).collect()
}

/// Mean and spread over seeds; nothing for no seed. The interval is the usual one of 95 %.
pub fn spread(scores: &[f64]) -> Option<Spread> {
    Spread::of(scores, 0.95)
}

/// Percent, with the sample standard deviation of more than one seed.
pub fn text(spread: Option<Spread>) -> String {
    let Some(Spread { mean, standard_deviation, .. }) = spread else { return NOTHING.to_owned() };
    match standard_deviation {
        None => points(mean),
        Some(deviation) => format!("{} ± {}", points(mean), points(deviation)),
    }
}

impl ModelResults {
    /// What each seed scored on a task.
    fn scores(&self, task: &str, all_rows: bool) -> Vec<&TaskResult> {
        let results = self.seeds.iter().flatten().filter(|result| result.score.name == task);
        results.map(|result| result.shown(all_rows)).collect()
    }

    /// The mean over a benchmark's tasks, with its spread over seeds.
    fn mean(
        &self,
        benchmark: &'static dyn Benchmark,
        rules: Rules,
        all_rows: bool,
    ) -> Option<Spread> {
        let seeds = by_seed(&self.seeds, benchmark, rules, all_rows);
        spread(&seeds.iter().map(|result| result.score).collect::<Vec<_>>())
    }
}

/// The closing table: percent, with the sample standard deviation over seeds. A task of which a
/// seed failed has no number, and neither has a mean over it.
pub fn table(models: &[ModelResults], rules: Rules, all_rows: bool, failures: &Failures) -> Table {
    let heads = models.iter().map(|model| model.name.as_str());
    let mut table = ScoreTable::new(&[("task", Align::Left), ("metric", Align::Left)], heads);
    for &benchmark in BENCHMARKS {
        let mut tasks = Vec::new();
        for task in tasks_of(benchmark) {
            let scores = |model: &ModelResults| -> Vec<f64> {
                model.scores(task.name, all_rows).iter().map(|result| result.score).collect()
            };
            let failed = |model: &ModelResults| {
                failures.mark(&model.name, benchmark.name(), Some(task.name))
            };
            let shown = |model| failed(model).or_else(|| Some(text(Some(spread(&scores(model))?))));
            let cells: Vec<Option<String>> = models.iter().map(shown).collect();
            if cells.iter().any(Option::is_some) {
                tasks.push(task);
                let cells = cells.into_iter().map(|cell| cell.unwrap_or(NOTHING.to_owned()));
                table.row([task.name, task.metric.name()], cells);
            }
        }
        if !tasks.is_empty() {
            let means = models.iter().map(|model| {
                let failed = failures.mark(&model.name, benchmark.name(), None);
                failed.unwrap_or_else(|| text(model.mean(benchmark, rules, all_rows)))
            });
            table.row([mean_name(benchmark, &tasks, rules).as_str(), ""], means);
        }
    }
    table.into_table()
}

/// The papers' SuperGLUE is the mean of all eleven tasks, and of nothing less; the challenge's GLUE
/// that of all seven.
fn mean_name(benchmark: &dyn Benchmark, tasks: &[&ClassificationTask], rules: Rules) -> String {
    let all: Vec<_> = tasks_of(benchmark).iter().filter(|task| task.is_of(rules)).collect();
    let (count, title) = (tasks.len(), benchmark.title());
    match count {
        1 => format!("mean of 1 task of {title}"),
        _ if tasks == all && rules.score_texts() => {
            format!("{}, the mean of all {count}", benchmark.mean_title())
        }
        _ if tasks == all => {
            format!("{title} of {}, the mean of all {count}", rules.name())
        }
        _ => format!("mean of {count} tasks of {title}"),
    }
}

/// Everything, as JSON; means only over what is whole.
pub fn to_json(
    models: &[ModelResults],
    rules: Rules,
    all_rows: bool,
    failures: &Failures,
) -> Value {
    let model = |model: &ModelResults| {
        let mut tasks = serde_json::Map::new();
        for task in classification_tasks() {
            let scores: Vec<f64> =
                model.scores(task.name, all_rows).iter().map(|result| result.score).collect();
            let failed = failures.mark(&model.name, task.benchmark.name(), Some(task.name));
            if let Some(spread) = spread(&scores).filter(|_| failed.is_none()) {
                tasks.insert(task.name.to_owned(), json!(spread));
            }
        }
        let is_whole = |benchmark: &&'static dyn Benchmark| {
            failures.mark(&model.name, benchmark.name(), None).is_none()
        };
        let whole = BENCHMARKS.iter().copied().filter(is_whole);
        let suites: Vec<_> =
            whole.flat_map(|whole| by_seed(&model.seeds, whole, rules, all_rows)).collect();
        let results: Vec<&FinetuneResult> = model.seeds.iter().flatten().collect();
        json!({
            "model": model.folder.to_string_lossy(),
            "name": model.name,
            "tasks": tasks,
            "suites": suites,
            "results": results,
            "failed": failures.to_json(&model.name),
        })
    };
    models.iter().map(model).collect()
}

#[cfg(test)]
mod tests {
    use eval::classification::{CHALLENGE_GLUE, find_task, task_result};
    use eval::{Glue, Prediction};
    use train::finetune::FinetuneSettings;

    use super::super::result::FinetuneHistory;
    use super::*;

    fn result(task: &str, score: f64) -> FinetuneResult {
        let answer = Prediction { gold: 1, predicted: 1, scores: vec![0.0, 1.0] };
        let score = TaskResult { score, ..task_result(find_task(task).unwrap(), &[answer], 0) };
        let all_rows = (task == "main_verb_control")
            .then(|| TaskResult { score: score.score / 2.0, ..score.clone() });
        let course = FinetuneHistory {
            trained_on: task.to_owned(),
            rules: Rules::Year2024,
            model: None,
            settings: FinetuneSettings::default(),
            labels: vec![0, 1],
            training_items: 2,
            training_items_truncated: 0,
            steps: 1,
            stopped_early: false,
            best: None,
            history: Vec::new(),
            tokens: 4,
            seconds: 1.0,
            tokens_per_second: 4.0,
            precision: None,
            machine: None,
        };
        let fingerprint = String::new();
        FinetuneResult {
            fingerprint,
            checksum: String::new(),
            score,
            all_rows,
            validation_items: 1,
            validation_items_truncated: 0,
            course,
        }
    }

    fn model(name: &str, seeds: &[&[(&str, f64)]]) -> ModelResults {
        let of_seed = |results: &&[(&str, f64)]| {
            results.iter().map(|(task, score)| result(task, *score)).collect()
        };
        ModelResults {
            name: name.to_owned(),
            folder: name.into(),
            seeds: seeds.iter().map(of_seed).collect(),
        }
    }

    fn lines(models: &[ModelResults], all_rows: bool) -> Vec<String> {
        let text = table(models, Rules::Year2024, all_rows, &Failures::default()).to_text();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().skip(2).map(words).collect()
    }

    #[test]
    fn tasks_stand_in_the_papers_order_with_mean_and_spread() {
        let models = [
            model("a", &[&[("rte", 0.5), ("cola", 0.1)], &[("rte", 0.6), ("cola", 0.3)]]),
            model("b", &[&[("rte", 0.7)]]),
        ];
        let expected = [
            "cola mcc 20.0 ± 14.1 -",
            "rte accuracy 55.0 ± 7.1 70.0",
            "mean of 2 tasks of (Super)GLUE 37.5 ± 10.6 70.0",
        ];
        assert_eq!(lines(&models, false), expected);
    }

    #[test]
    fn only_eleven_tasks_are_superglue() {
        let all: Vec<(&str, f64)> = tasks_of(&Glue).iter().map(|task| (task.name, 0.5)).collect();
        let last = |tasks: &[(&str, f64)]| lines(&[model("a", &[tasks])], false).pop().unwrap();
        assert_eq!(last(&all), "SuperGLUE, the mean of all 11 50.0");
        assert_eq!(last(&all[1..]), "mean of 10 tasks of (Super)GLUE 50.0");
        assert_eq!(last(&[("main_verb_control", 0.5)]), "mean of 1 task of MSGS 50.0");
        let seven: Vec<(&str, f64)> = CHALLENGE_GLUE.iter().map(|task| (*task, 0.5)).collect();
        let of_2026 = |tasks: &[(&str, f64)]| {
            let models = [model("a", &[tasks])];
            let text = table(&models, Rules::Year2026, false, &Failures::default()).to_text();
            text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of_2026(&seven), "(Super)GLUE of 2026, the mean of all 7 50.0");
        let other = [&seven[1..], &[("cola", 0.5)]].concat();
        assert_eq!(of_2026(&other), "mean of 7 tasks of (Super)GLUE 50.0");
    }

    #[test]
    fn msgs_can_be_shown_over_all_rows() {
        let models = [model("a", &[&[("main_verb_control", 0.5), ("rte", 0.25)]])];
        let shown = |all_rows| lines(&models, all_rows)[2].clone();
        assert_eq!(
            [shown(false), shown(true)],
            ["main_verb_control mcc 50.0", "main_verb_control mcc 25.0"]
        );
        let all = to_json(&models, Rules::Year2024, true, &Failures::default());
        assert_eq!(all[0]["tasks"]["main_verb_control"]["mean"], 0.25);
        assert_eq!(all[0]["tasks"]["rte"]["mean"], 0.25);
    }
}
