//! The scores of all models side by side: as text, Markdown, CSV and JSON, with the scores that
//! papers print beside them.

use std::collections::BTreeMap;

use eval::macro_average;
use eval::reference::{ReferenceTable, Track, of_year};
use eval::statistics::{Interval, Paired, Resampling, Spread, bootstrap};
use eval::{
    AgeOfAcquisition, BENCHMARKS, Benchmark, BenchmarkResult, Glue, HeldOutLoss, Kind, Outcome,
    Rules, superglue_average,
};
use report::{Align, ScoreTable, Table, points};
use serde_json::{Map, Value, json};

use super::exports::csv;
use super::model_scores::ModelScores;
use super::parts::{MARK, Whole, parts};
use super::task_table::{fine_tuned_tasks, task_table};
use crate::error::Result;
use crate::failures::Failures;
use crate::finetuning::summary;

/// What `table.md` begins with, before the name of the rules.
pub(super) const HEADING: &str = "# Scores by the rules of ";

/// Enough for two digits of an interval.
const RESAMPLES: u32 = 2000;

/// What is printed and written.
pub struct Report {
    /// The overview for a terminal.
    pub table: Table,
    /// What failed or does not compare, for below the overview.
    pub footnotes: String,
    /// `table.md`: overview, differences, and every task.
    pub markdown: String,
    /// `scores.csv`.
    pub csv: String,
    /// All scores.
    pub json: Value,
}

/// One number of the overview.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Nothing,
    Text(String),
    /// Percent is shown, with an interval over items where there is one.
    Share(f64, Option<Interval>),
    /// Mean and spread over seeds.
    Seeds(Spread),
    /// A number of a part of the benchmark.
    Part(Box<Cell>),
    /// The footnotes with the reasons for which there is no number.
    Failed(String),
}

impl Cell {
    fn short(&self) -> String {
        match self {
            Cell::Nothing => "-".to_owned(),
            Cell::Text(text) => text.clone(),
            Cell::Share(share, _) => points(*share),
            Cell::Seeds(spread) => summary::text(Some(*spread)),
            Cell::Part(cell) => cell.short() + MARK,
            Cell::Failed(mark) => mark.clone(),
        }
    }

    fn long(&self) -> String {
        match self {
            Cell::Share(share, Some(Interval { low, high })) => {
                format!("{} ({} to {})", points(*share), points(*low), points(*high))
            }
            Cell::Part(cell) => cell.long() + MARK,
            _ => self.short(),
        }
    }

    /// The same cell, of a part where there is a mark.
    fn marked(self, mark: &str) -> Self {
        if mark.is_empty() { self } else { Cell::Part(Box::new(self)) }
    }

    fn json(&self) -> Value {
        match self {
            Cell::Nothing => Value::Null,
            Cell::Text(text) => json!(text),
            Cell::Share(share, interval) => json!({ "score": share, "interval": interval }),
            Cell::Seeds(spread) => json!(spread),
            Cell::Part(cell) => cell.json(),
            Cell::Failed(_) => json!("failed"),
        }
    }
}

/// A row of the overview: a cell for each model, and the name of its column where papers print it.
struct Row {
    name: String,
    printed: Option<&'static str>,
    cells: Vec<Cell>,
}

/// The models whose scores are shown, and how.
struct Overview<'a> {
    models: &'a [ModelScores],
    rules: Rules,
    failures: &'a Failures,
    rows: Vec<Row>,
}

impl Report {
    /// The report on models, of which some parts may have failed.
    ///
    /// # Errors
    /// When items cannot be resampled, or models answered different ones.
    pub fn new(models: &[ModelScores], rules: Rules, failures: &Failures) -> Result<Self> {
        let overview = Overview::new(models, rules, failures)?;
        let remarks = [failures.footnotes(), other_tokenizers(models), parts(models, rules)];
        let remarks: Vec<String> = remarks.into_iter().filter(|text| !text.is_empty()).collect();
        let footnotes = remarks.join("\n");
        let printed: Vec<&str> = printed_models(rules);
        let mut markdown = format!("{HEADING}{}\n\n", rules.name());
        markdown += &overview.table(&printed, Cell::long).to_markdown();
        markdown += &format!("\n{EXPLANATION}\n");
        if !footnotes.is_empty() {
            // One paragraph a line.
            markdown += &format!("\n{}", footnotes.replace('\n', "\n\n").trim_end());
            markdown.push('\n');
        }
        if let Some(table) = differences(models)? {
            markdown += &format!("\n## Differences\n\n{}\n{DIFFERENCES}\n", table.to_markdown());
        }
        for &benchmark in BENCHMARKS {
            if let Some((table, notes)) = task_table(models, benchmark, rules, failures) {
                let title = Whole::of(models, benchmark, rules).title;
                let table = table.to_markdown();
                markdown += &format!("\n## {title}\n\n{table}\n{notes}\n");
            }
        }
        let shown: Vec<&str> =
            printed.iter().copied().filter(|model| SHOWN.contains(model)).collect();
        let table = overview.table(&shown, Cell::short);
        Ok(Self { table, footnotes, markdown, csv: csv(models), json: overview.to_json() })
    }
}

/// A sentence on held-out losses of a token where the models have different tokenizers.
fn other_tokenizers(models: &[ModelScores]) -> String {
    let mut by_tokenizer: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for model in models {
        if let Some(measured) = model.measured(&HeldOutLoss) {
            let tokenizer = measured.json.get("tokenizer").and_then(Value::as_str);
            by_tokenizer.entry(tokenizer).or_default().push(&model.name);
        }
    }
    if by_tokenizer.len() < 2 {
        return String::new();
    }
    let groups: Vec<String> = by_tokenizer.values().map(|names| names.join(", ")).collect();
    format!(
        "Held-out losses are of a token and compare only with the same tokenizer, here within: {}.",
        groups.join("; ")
    )
}

/// The overview with intervals and everything that papers print beside it.
///
/// # Errors
/// When items cannot be resampled.
pub(crate) fn overview(models: &[ModelScores], rules: Rules) -> Result<Table> {
    let failures = Failures::default();
    let overview = Overview::new(models, rules, &failures)?;
    let has_any = |model: &&str| {
        let value = |row: &Row, table: &ReferenceTable| table.value(model, row.printed?);
        let mut rows = overview.rows.iter();
        rows.any(|row| printed_means(rules).any(|table| value(row, table).is_some()))
    };
    let printed: Vec<&str> = printed_models(rules).into_iter().filter(has_any).collect();
    Ok(overview.table(&printed, Cell::long))
}

/// A benchmark's tasks with their title and notes, of every benchmark that any model has.
pub(crate) fn task_tables(
    models: &[ModelScores],
    rules: Rules,
) -> impl Iterator<Item = (&'static dyn Benchmark, String, Table, String)> {
    BENCHMARKS.iter().filter_map(move |&benchmark| {
        let (table, notes) = task_table(models, benchmark, rules, &Failures::default())?;
        Some((benchmark, Whole::of(models, benchmark, rules).title, table, notes))
    })
}

/// What the overview's numbers are.
pub(crate) const EXPLANATION: &str = "Percent, with 95 % bootstrap intervals over items, or the \
     standard deviation over seeds. Columns of other models are as printed in their papers; see \
     the tables below for sources.";

/// What the numbers of [`differences`] are.
pub(crate) const DIFFERENCES: &str = "Paired bootstrap and random exchange over items; another \
     training seed may move a score by more.";

/// The printed models that a terminal has width for.
const SHOWN: [&str; 2] = ["BabyLlama (10M)", "BabyLlama-2, run 1"];

fn printed_means(rules: Rules) -> impl Iterator<Item = &'static ReferenceTable> {
    of_year(macro_average::reference(), rules.year(), Track::StrictSmall)
}

/// The models of the printed tables of means, which only 2024 has.
fn printed_models(rules: Rules) -> Vec<&'static str> {
    let of_students = |model: &&str| !model.contains("teacher") && !model.contains("sweep");
    let rows = printed_means(rules).flat_map(|table| &table.rows);
    let mut models: Vec<&str> = Vec::new();
    for model in rows.map(|row| row.model.as_str()).filter(of_students) {
        if !models.contains(&model) {
            models.push(model);
        }
    }
    models
}

impl<'a> Overview<'a> {
    /// The rows that at least one model has a number for: the benchmarks in their order, then the
    /// macro-average, then the age of acquisition, an error where less is better.
    fn new(models: &'a [ModelScores], rules: Rules, failures: &'a Failures) -> Result<Self> {
        let mut overview = Self { models, rules, failures, rows: Vec::new() };
        let parameters = |model: &ModelScores| match model.parameters {
            0 => Cell::Nothing,
            count => Cell::Text(report::format::short(count as f64)),
        };
        let cells = models.iter().map(parameters).collect();
        overview.add("parameters".into(), &[], None, cells);
        let last: &'static dyn Benchmark = &AgeOfAcquisition;
        for benchmark in BENCHMARKS.iter().copied().filter(|benchmark| *benchmark != last) {
            overview.add_benchmark(benchmark)?;
        }
        let macros = models.iter().map(|model| match macro_of(model, rules) {
            None => Cell::Nothing,
            Some(share) => Cell::Share(share, None),
        });
        // By the rules of 2023 there is none.
        let parts = macro_average::PARTS.map(|part| part.name());
        let parts = if rules == Rules::Year2024 { &parts[..] } else { &[] };
        let printed = Some(macro_average::COLUMN);
        overview.add("macro-average".into(), parts, printed, macros.collect());
        overview.add_benchmark(last)?;
        Ok(overview)
    }

    /// Adds a row unless no model has a number; those of whose `benchmarks` one failed are marked.
    fn add(
        &mut self,
        name: String,
        benchmarks: &[&str],
        printed: Option<&'static str>,
        cells: Vec<Cell>,
    ) {
        let failed = |model: &ModelScores| self.failures.mark_of_any(&model.name, benchmarks);
        let or_failed = |(model, cell)| failed(model).map_or(cell, Cell::Failed);
        let cells: Vec<Cell> = self.models.iter().zip(cells).map(or_failed).collect();
        if cells.iter().any(|cell| *cell != Cell::Nothing) {
            self.rows.push(Row { name, printed, cells });
        }
    }

    fn add_benchmark(&mut self, benchmark: &'static dyn Benchmark) -> Result<()> {
        let (mut title, mut printed) = (benchmark.title().to_owned(), Some(benchmark.name()));
        let models = self.models.iter();
        let whole = Whole::of(self.models, benchmark, self.rules);
        let mark = |model: &ModelScores| whole.mark(&model.results(benchmark, self.rules));
        let cells: Vec<Cell> = match benchmark.kind() {
            Kind::ZeroShot(_) => {
                title.clone_from(&whole.title);
                let mut outcomes = self.models.iter().filter_map(|model| model.outcome(benchmark));
                printed = printed.filter(|_| outcomes.any(|outcome| outcome.result.is_whole()));
                let cell = |model: &ModelScores| match model.outcome(benchmark) {
                    None => Ok(Cell::Nothing),
                    Some(outcome) => Ok(share(outcome)?.marked(mark(model))),
                };
                models.map(cell).collect::<Result<_>>()?
            }
            Kind::FineTuned(tasks) => {
                let count =
                    fine_tuned_tasks(self.models, benchmark, self.rules, self.failures).len();
                if count > 0 {
                    title += &format!(", mean of {count}");
                }
                printed = printed.filter(|_| count == tasks.len());
                let cell = |model: &ModelScores| {
                    let scores = model.results(benchmark, self.rules);
                    let scores: Vec<f64> = scores.iter().map(|found| found.score).collect();
                    let cell = summary::spread(&scores).map_or(Cell::Nothing, Cell::Seeds);
                    cell.marked(mark(model))
                };
                models.map(cell).collect()
            }
            Kind::HeldOutLoss | Kind::AgeOfAcquisition => {
                let cell = |model: &ModelScores| {
                    let text = model.measured(benchmark).and_then(|measured| measured.to_text());
                    text.map_or(Cell::Nothing, Cell::Text)
                };
                models.map(cell).collect()
            }
        };
        self.add(title, &[benchmark.name()], printed, cells);
        Ok(())
    }

    /// A column for each model, then one for each printed one.
    fn table(&self, printed: &[&str], show: impl Fn(&Cell) -> String) -> Table {
        let own = self.models.iter().map(|model| model.name.as_str());
        let mut table = ScoreTable::new(&[("", Align::Left)], own.chain(printed.iter().copied()));
        for row in &self.rows {
            let of_papers = printed.iter().map(|model| {
                let value = |table: &ReferenceTable| table.value(model, row.printed?);
                let score = printed_means(self.rules).find_map(value);
                score.map_or(String::new(), |score| format!("{score:.1}"))
            });
            table.row([row.name.as_str()], row.cells.iter().map(&show).chain(of_papers));
        }
        table.into_table()
    }

    fn to_json(&self) -> Value {
        let model = |(index, model): (usize, &ModelScores)| {
            let overview: Map<String, Value> =
                self.rows.iter().map(|row| (row.name.clone(), row.cells[index].json())).collect();
            let results: Vec<_> = model.outcomes.iter().map(|outcome| &outcome.result).collect();
            let mut json = json!({ "model": model.label, "name": model.name,
                "overview": overview, "suites": results });
            for benchmark in BENCHMARKS.iter().filter(|b| b.kind().is_causal_only()) {
                json[benchmark.name()] =
                    json!(model.measured(*benchmark).map(|measured| &measured.json));
            }
            json["failed"] = self.failures.to_json(&model.name);
            json
        };
        self.models.iter().enumerate().map(model).collect()
    }
}

/// A score with its interval over items, where the answers are there.
fn share(outcome: &Outcome) -> Result<Cell> {
    if outcome.predictions.is_empty() {
        return Ok(Cell::Share(outcome.result.score, None));
    }
    let resampling = Resampling { resamples: RESAMPLES, ..Resampling::default() };
    let found = bootstrap(&outcome.resampled(), &resampling)?;
    Ok(Cell::Share(outcome.result.score, Some(found.interval)))
}

/// The mean of 2024's four columns, where all are whole.
fn macro_of(model: &ModelScores, rules: Rules) -> Option<f64> {
    let of_seed = |found: &BenchmarkResult| {
        superglue_average(|name| {
            found.tasks.iter().find(|task| task.name == name).map(|task| task.score)
        })
    };
    let of_seed = |found: &BenchmarkResult| of_seed(found).filter(|_| found.is_whole());
    let seeds: Option<Vec<f64>> = model.results(&Glue, rules).iter().map(of_seed).collect();
    let superglue = summary::spread(&seeds?).filter(|_| rules == Rules::Year2024)?.mean;
    let mut parts = [superglue; 4];
    for (score, part) in parts.iter_mut().zip(macro_average::PARTS) {
        if !part.kind().is_fine_tuned() {
            let result = &model.outcome(part)?.result;
            *score = result.is_whole().then_some(result.score)?;
        }
    }
    Some(macro_average::macro_average(parts))
}

/// Every model against the first, on the same items; none where there is nothing to compare.
///
/// # Errors
/// When they answered different items.
pub(crate) fn differences(models: &[ModelScores]) -> Result<Option<Table>> {
    let mut table = Table::new([
        ("suite", Align::Left),
        ("model", Align::Left),
        ("less", Align::Left),
        ("difference", Align::Right),
        ("95 % interval", Align::Right),
        ("p (exchange)", Align::Right),
    ]);
    let resampling = Resampling { resamples: RESAMPLES, ..Resampling::default() };
    let mut any = false;
    let [first, others @ ..] = models else { return Ok(None) };
    for &benchmark in BENCHMARKS {
        for other in others {
            let (Some(base), Some(found)) = (first.outcome(benchmark), other.outcome(benchmark))
            else {
                continue;
            };
            if base.predictions.is_empty() || found.predictions.is_empty() {
                continue;
            }
            let title = base.result.title();
            let (base, found) = (base.resampled(), found.resampled());
            let paired = Paired::new(&base, &found)?;
            let (by_items, by_exchange) =
                (paired.bootstrap(&resampling)?, paired.permutation(&resampling)?);
            let Interval { low, high } = by_items.interval;
            table.push(vec![
                title,
                other.name.clone(),
                first.name.clone(),
                format!("{:+.1}", 100.0 * by_items.difference),
                format!("{:+.1} to {:+.1}", 100.0 * low, 100.0 * high),
                format!("{:.4}", by_exchange.p_value),
            ]);
            any = true;
        }
    }
    Ok(any.then_some(table))
}
