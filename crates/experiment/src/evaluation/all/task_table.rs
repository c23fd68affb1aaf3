//! The tasks of a benchmark, or its groups, one by one, with the printed scores beside one's own.

use eval::classification::{find_task, tasks_of};
use eval::reference::{ReferenceRow, ReferenceTable, Track, of_year};
use eval::{Benchmark, BenchmarkResult, Metric, Rules, TaskResult};
use report::format::counted;
use report::{Align, Best, ScoreTable, Table, lettered};

use super::model_scores::ModelScores;
use super::parts::{MARK, Whole, parts_of};
use crate::failures::Failures;
use crate::finetuning::summary;

/// The units of results that any model has, in order.
fn names(all: &[Vec<BenchmarkResult>]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for unit in all.iter().flatten().flat_map(BenchmarkResult::units) {
        if !names.contains(&unit.name.as_str()) {
            names.push(&unit.name);
        }
    }
    names
}

/// The tasks of a fine-tuned benchmark that any model has, or of which any failed, in the papers'
/// order.
pub(super) fn fine_tuned_tasks(
    models: &[ModelScores],
    benchmark: &'static dyn Benchmark,
    rules: Rules,
    failures: &Failures,
) -> Vec<&'static str> {
    let all: Vec<_> = models.iter().map(|model| model.results(benchmark, rules)).collect();
    let (found, failed) = (names(&all), failures.tasks(benchmark.name()));
    let tasks = tasks_of(benchmark).iter().map(|task| task.name);
    tasks.filter(|task| found.contains(task) || failed.contains(task)).collect()
}

/// A benchmark's tasks, or its groups, one by one with the printed scores beside one's own, and
/// notes on what was tied and cut and on the sources; none when no model has a result.
pub(super) fn task_table(
    models: &[ModelScores],
    benchmark: &'static dyn Benchmark,
    rules: Rules,
    failures: &Failures,
) -> Option<(Table, String)> {
    let all = models.iter().map(|model| model.results(benchmark, rules)).collect();
    let scores = Scores { models, benchmark, rules, failures, all };
    let finetuned = fine_tuned_tasks(models, benchmark, rules, failures);
    let names = if finetuned.is_empty() { names(&scores.all) } else { finetuned };
    // A table of tasks that all failed shows that.
    if names.is_empty() {
        return None;
    }
    let printed = printed_tables(benchmark, rules, &names);
    let rows = |table: &'static ReferenceTable| table.rows.iter().map(move |row| (table, row));
    let papers: Vec<Printed> = printed.iter().flat_map(|table| rows(table)).collect();
    let heads = models.iter().map(|model| model.name.as_str());
    let heads = heads.chain(papers.iter().map(|(_, row)| row.model.as_str()));
    let mut table = ScoreTable::new(&[("task", Align::Left), ("metric", Align::Left)], heads);
    for name in &names {
        let of_papers = papers.iter().map(|paper| percent(scores.printed(*paper, name)));
        scores.push(&mut table, [name, scores.metric(name)], scores.of_unit(name), of_papers);
    }
    let of_papers = papers.iter().map(|paper| percent(scores.printed_mean(*paper, &names)));
    scores.push(&mut table, [scores.name_of_mean(), ""], scores.means(), of_papers);
    let parts = parts_of(models, benchmark, rules);
    let notes = [notes(models, &scores.all, &printed), parts].concat();
    Some((table.into_table(), notes))
}

/// A printed row with its table.
type Printed = (&'static ReferenceTable, &'static ReferenceRow);

/// What models have in a benchmark, as cells of its table.
struct Scores<'a> {
    models: &'a [ModelScores],
    benchmark: &'static dyn Benchmark,
    rules: Rules,
    failures: &'a Failures,
    /// The results of each model, one for each seed of a fine-tuning.
    all: Vec<Vec<BenchmarkResult>>,
}

impl Scores<'_> {
    /// The first model's result in a task or group.
    fn unit(&self, name: &str) -> Option<&TaskResult> {
        self.all.iter().flatten().flat_map(BenchmarkResult::units).find(|unit| unit.name == name)
    }

    /// The metric of a task or group, empty where it is not known.
    fn metric(&self, name: &str) -> &'static str {
        let metric = self.unit(name).map(|unit| unit.metric);
        metric.or(find_task(name).map(|task| task.metric)).map_or("", Metric::name)
    }

    /// Each model's score in a task or group.
    fn of_unit(&self, name: &str) -> Vec<String> {
        self.cells(Some(name), |results| {
            let is_cut = results.iter().any(|result| !result.has_all_items(name));
            let mark = if is_cut { MARK } else { "" };
            score(results, |result| unit_score(result, name)) + mark
        })
    }

    /// Each model's score of the whole benchmark.
    fn means(&self) -> Vec<String> {
        let whole = Whole::of(self.models, self.benchmark, self.rules);
        self.cells(None, |results| {
            score(results, |result| Some(result.score)) + whole.mark(results)
        })
    }

    /// A cell for each model, which names a failure, or has the letter of those that it compares
    /// with.
    fn cells(
        &self,
        task: Option<&str>,
        text: impl Fn(&[BenchmarkResult]) -> String,
    ) -> Vec<String> {
        let cell = |(model, results): (&ModelScores, &Vec<BenchmarkResult>)| {
            let failed = self.failures.mark(&model.name, self.benchmark.name(), task);
            failed.unwrap_or_else(|| {
                with_letter(text(results), results, model.letter(self.benchmark))
            })
        };
        self.models.iter().zip(&self.all).map(cell).collect()
    }

    fn name_of_mean(&self) -> &'static str {
        let first = self.all.iter().flatten().next();
        match first.is_none_or(|first| first.groups.is_empty()) {
            true => "mean",
            false => "mean of the groups",
        }
    }

    /// A printed score that compares with one's own: what 2023 prints for tasks of Matthews'
    /// coefficient are accuracies, which do not.
    fn printed(&self, (table, row): Printed, name: &str) -> Option<f64> {
        let is_mcc = self.unit(name).is_some_and(|unit| unit.metric == Metric::Mcc);
        let compares = self.rules != Rules::Year2023 || !is_mcc;
        table.value(&row.model, name).filter(|_| compares)
    }

    /// The mean of a model's printed scores, where it has all.
    fn printed_mean(&self, paper: Printed, names: &[&str]) -> Option<f64> {
        let values: Option<Vec<f64>> = names.iter().map(|name| self.printed(paper, name)).collect();
        values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Adds a row, with the best of one's own in bold where all of them compare.
    fn push(
        &self,
        table: &mut ScoreTable,
        names: [&str; 2],
        own: Vec<String>,
        of_papers: impl Iterator<Item = String>,
    ) {
        let is_apart = self.models.iter().any(|model| !model.letter(self.benchmark).is_empty());
        let is_cut = own.iter().any(|cell| cell.ends_with(MARK));
        table.row(names, own.into_iter().chain(of_papers));
        if !is_apart && !is_cut {
            table.mark_best(self.models.len(), Best::Highest);
        }
    }
}

/// A printed score as text, empty for none.
fn percent(score: Option<f64>) -> String {
    score.map_or(String::new(), |score| format!("{score:.1}"))
}

/// A model's number with the letter of those that it compares with, where there are results.
fn with_letter(text: String, results: &[BenchmarkResult], letter: &str) -> String {
    if results.is_empty() { text } else { lettered(text, letter) }
}

fn unit_score(result: &BenchmarkResult, name: &str) -> Option<f64> {
    result.units().iter().find(|unit| unit.name == name).map(|unit| unit.score)
}

fn score(results: &[BenchmarkResult], of: impl Fn(&BenchmarkResult) -> Option<f64>) -> String {
    let scores: Vec<f64> = results.iter().filter_map(of).collect();
    summary::text(summary::spread(&scores))
}

/// The printed tables of the year that have any of the units.
fn printed_tables(
    benchmark: &dyn Benchmark,
    rules: Rules,
    names: &[&str],
) -> Vec<&'static ReferenceTable> {
    let has_any = |table: &&ReferenceTable| {
        table.columns.iter().any(|column| names.contains(&column.as_str()))
    };
    of_year(benchmark.reference(), rules.year(), Track::StrictSmall).filter(has_any).collect()
}

fn notes(
    models: &[ModelScores],
    all: &[Vec<BenchmarkResult>],
    printed: &[&ReferenceTable],
) -> String {
    let mut notes = String::new();
    for (model, results) in models.iter().zip(all) {
        let (ties, cut) = (sum(results, |task| task.ties), sum(results, |task| task.truncated));
        if ties + cut > 0 {
            let (ties, cut) = (counted(ties as u64, "tie"), counted(cut as u64, "text"));
            notes += &format!("{}: {ties}, {cut} cut to fit.\n", model.name);
        }
    }
    for table in printed {
        let models: Vec<&str> = table.rows.iter().map(|row| row.model.as_str()).collect();
        notes += &format!("{}: {} ({}).\n", models.join("; "), table.source, table.measure);
    }
    notes
}

fn sum(results: &[BenchmarkResult], part: impl Fn(&TaskResult) -> usize) -> usize {
    results.iter().flat_map(|result| &result.tasks).map(part).sum()
}
