//! The tasks of a benchmark, or its groups, one by one, with the printed scores beside one's own.

use eval::classification::{find_task, tasks_of};
use eval::reference::{ReferenceTable, Track, of_year};
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
    let all: Vec<_> = models.iter().map(|model| model.results(benchmark, rules)).collect();
    let finetuned = fine_tuned_tasks(models, benchmark, rules, failures);
    let names = if finetuned.is_empty() { names(&all) } else { finetuned };
    // A table of tasks that all failed shows that.
    let first = all.iter().flatten().next();
    if names.is_empty() {
        return None;
    }
    let printed: Vec<&ReferenceTable> = printed_tables(benchmark, rules, &names);
    let rows = |table: &'static ReferenceTable| table.rows.iter().map(move |row| (table, row));
    let papers: Vec<_> = printed.iter().flat_map(|table| rows(table)).collect();
    let heads = models.iter().map(|model| model.name.as_str());
    let heads = heads.chain(papers.iter().map(|(_, row)| row.model.as_str()));
    let mut table = ScoreTable::new(&[("task", Align::Left), ("metric", Align::Left)], heads);
    let unit_of = |name: &str| {
        all.iter().flatten().flat_map(BenchmarkResult::units).find(|unit| unit.name == name)
    };
    // What 2023 prints for tasks of Matthews' coefficient are accuracies, which do not compare.
    let compares = |name: &str| {
        rules != Rules::Year2023 || unit_of(name).is_none_or(|unit| unit.metric != Metric::Mcc)
    };
    let is_apart = models.iter().any(|model| !model.letter(benchmark).is_empty());
    let mark_best = |table: &mut ScoreTable, own: &[String]| {
        if !is_apart && !own.iter().any(|cell| cell.ends_with(MARK)) {
            table.mark_best(models.len(), Best::Highest);
        }
    };
    let value = |table: &ReferenceTable, model: &str, name: &str| {
        table.value(model, name).filter(|_| compares(name))
    };
    for name in &names {
        let metric = unit_of(name).map(|unit| unit.metric);
        let metric = metric.or(find_task(name).map(|task| task.metric)).map_or("", Metric::name);
        let own = models.iter().zip(&all).map(|(model, results)| {
            let failed = failures.mark(&model.name, benchmark.name(), Some(name));
            failed.unwrap_or_else(|| {
                let is_cut = results.iter().any(|result| !result.has_all_items(name));
                let mark = if is_cut { MARK } else { "" };
                let text = score(results, |result| unit_score(result, name)) + mark;
                with_letter(text, results, model.letter(benchmark))
            })
        });
        let own: Vec<String> = own.collect();
        let of_papers = papers.iter().map(|(table, row)| {
            value(table, &row.model, name).map_or(String::new(), |value| format!("{value:.1}"))
        });
        table.row([*name, metric], own.iter().cloned().chain(of_papers));
        mark_best(&mut table, &own);
    }
    let whole = Whole::of(models, benchmark, rules);
    let own = models.iter().zip(&all).map(|(model, results)| {
        let failed = failures.mark(&model.name, benchmark.name(), None);
        failed.unwrap_or_else(|| {
            let text = score(results, |result| Some(result.score)) + whole.mark(results);
            with_letter(text, results, model.letter(benchmark))
        })
    });
    let own: Vec<String> = own.collect();
    let of_papers = papers.iter().map(|(table, row)| {
        let values: Option<Vec<f64>> =
            names.iter().map(|name| value(table, &row.model, name)).collect();
        values.map_or(String::new(), |values| {
            format!("{:.1}", values.iter().sum::<f64>() / values.len() as f64)
        })
    });
    let mean = if first.is_none_or(|first| first.groups.is_empty()) {
        "mean"
    } else {
        "mean of the groups"
    };
    table.row([mean, ""], own.iter().cloned().chain(of_papers));
    mark_best(&mut table, &own);
    let parts = parts_of(models, benchmark, rules);
    let notes = [notes(models, &all, &printed), parts].concat();
    Some((table.into_table(), notes))
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
