//! The scores of all models side by side: as text, Markdown, CSV and JSON, with the scores that
//! papers print beside them.

use eval::macro_average;
use eval::reference::{ReferenceTable, Track, of_year};
use eval::statistics::{Interval, Resampling, Spread, bootstrap};
use eval::{
    AgeOfAcquisition, BENCHMARKS, Benchmark, BenchmarkResult, Glue, HeldOutLoss, Kind, Outcome,
    Rules, superglue_average,
};
use report::{Align, Best, ScoreTable, Table, lettered, points};
use serde_json::{Map, Value, json};

use super::differences::{DIFFERENCES, differences};
use super::exports::csv;
use super::model_scores::ModelScores;
use super::parts::{MARK, Whole, parts};
use super::task_table::{fine_tuned_tasks, task_table};
use crate::error::Result;
use crate::failures::Failures;
use crate::finetuning::summary;
use crate::held_out::{self, HeldOut};

/// What `table.md` begins with, before the name of the rules.
pub(super) const HEADING: &str = "# Scores by the rules of ";

/// Enough for two digits of an interval.
pub(super) const RESAMPLES: u32 = 2000;

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
    /// A number that compares with those of the same letter alone.
    Lettered(Box<Cell>, String),
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
            Cell::Lettered(cell, letter) => lettered(cell.short(), letter),
            Cell::Failed(mark) => mark.clone(),
        }
    }

    fn long(&self) -> String {
        match self {
            Cell::Share(share, Some(Interval { low, high })) => {
                format!("{} ({} to {})", points(*share), points(*low), points(*high))
            }
            Cell::Part(cell) => cell.long() + MARK,
            Cell::Lettered(cell, letter) => lettered(cell.long(), letter),
            _ => self.short(),
        }
    }

    /// This cell, as that of a part of a benchmark where there is a mark.
    fn marked(self, mark: &str) -> Self {
        if mark.is_empty() { self } else { Cell::Part(Box::new(self)) }
    }

    /// This cell with a letter, where there is one.
    fn lettered(self, letter: &str) -> Self {
        match (&self, letter) {
            (Cell::Nothing, _) | (_, "") => self,
            _ => Cell::Lettered(Box::new(self), letter.to_owned()),
        }
    }

    /// Whether it stands beside numbers that it does not compare with.
    fn is_apart(&self) -> bool {
        matches!(self, Cell::Part(_) | Cell::Lettered(..))
    }

    fn json(&self) -> Value {
        match self {
            Cell::Nothing => Value::Null,
            Cell::Text(text) => json!(text),
            Cell::Share(share, interval) => json!({ "score": share, "interval": interval }),
            Cell::Seeds(spread) => json!(spread),
            Cell::Part(cell) | Cell::Lettered(cell, _) => cell.json(),
            Cell::Failed(_) => json!("failed"),
        }
    }
}

/// A row of the overview: a cell for each model.
struct Row {
    name: String,
    /// The name of its column where papers print it.
    printed: Option<&'static str>,
    /// Which of its numbers is best; none where that is no question.
    best: Option<Best>,
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
    pub fn new(mut models: Vec<ModelScores>, rules: Rules, failures: &Failures) -> Result<Self> {
        let losses = add_letters(&mut models);
        let models = &models[..];
        let overview = Overview::new(models, rules, failures)?;
        let remarks = [failures.footnotes(), losses, parts(models, rules, failures)];
        let remarks: Vec<String> = remarks.into_iter().filter(|text| !text.is_empty()).collect();
        let footnotes = remarks.join("\n");
        let printed: Vec<&str> = printed_models(rules);
        let mut markdown = format!("{HEADING}{}\n\n", rules.name());
        markdown += &overview.table(&printed, Cell::long).to_markdown();
        markdown += &format!("\n{}\n", explanation(&printed));
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

/// Gives held-out losses letters where the models have different tokenizers, and returns a sentence
/// on them; an empty one where all losses compare.
fn add_letters(models: &mut [ModelScores]) -> String {
    let held_out = |model: &ModelScores| {
        let tokenizer = model.measured(&HeldOutLoss)?.json.get("tokenizer")?.as_str();
        let [text, tokenizer] = ["", tokenizer.unwrap_or_default()].map(|it| Some(it.to_owned()));
        Some(HeldOut { text, tokenizer, ..HeldOut::default() })
    };
    let all: Vec<Option<HeldOut>> = models.iter().map(held_out).collect();
    let (letters, sentence) =
        held_out::letters(&all.iter().map(Option::as_ref).collect::<Vec<_>>());
    for (model, letter) in models.iter_mut().zip(letters) {
        model.letters.insert(HeldOutLoss.name(), letter);
    }
    sentence
}

/// The overview with intervals and everything that papers print beside it, and what its numbers
/// are.
///
/// # Errors
/// When items cannot be resampled.
pub(crate) fn overview(
    models: &[ModelScores],
    rules: Rules,
    failures: &Failures,
) -> Result<(Table, String)> {
    let overview = Overview::new(models, rules, failures)?;
    let has_any = |model: &&str| {
        let value = |row: &Row, table: &ReferenceTable| table.value(model, row.printed?);
        let mut rows = overview.rows.iter();
        rows.any(|row| printed_means(rules).any(|table| value(row, table).is_some()))
    };
    let printed: Vec<&str> = printed_models(rules).into_iter().filter(has_any).collect();
    Ok((overview.table(&printed, Cell::long), explanation(&printed)))
}

/// A benchmark's tasks with their title and notes, of every benchmark that any model has.
pub(crate) fn task_tables<'a>(
    models: &'a [ModelScores],
    rules: Rules,
    failures: &'a Failures,
) -> impl Iterator<Item = (&'static dyn Benchmark, String, Table, String)> {
    BENCHMARKS.iter().filter_map(move |&benchmark| {
        let (table, notes) = task_table(models, benchmark, rules, failures)?;
        Some((benchmark, Whole::of(models, benchmark, rules).title, table, notes))
    })
}

/// What the overview's numbers are, with columns of printed models beside them.
fn explanation(printed: &[&str]) -> String {
    let mut text = "Percent, with 95 % bootstrap intervals over items, or the standard deviation \
                    over seeds."
        .to_owned();
    if !printed.is_empty() {
        text += " Columns of other models are as printed in their papers; see the tables below for \
                 sources.";
    }
    text
}

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
        overview.add("parameters".into(), &[], None, None, cells);
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
        let best = Some(Best::Highest);
        overview.add("macro-average".into(), parts, printed, best, macros.collect());
        overview.add_benchmark(last)?;
        Ok(overview)
    }

    /// Adds a row unless no model has a number; those of whose `benchmarks` one failed are marked.
    fn add(
        &mut self,
        name: String,
        benchmarks: &[&str],
        printed: Option<&'static str>,
        best: Option<Best>,
        cells: Vec<Cell>,
    ) {
        let failed = |model: &ModelScores| self.failures.mark_of_any(&model.name, benchmarks);
        let or_failed = |(model, cell)| failed(model).map_or(cell, Cell::Failed);
        let cells: Vec<Cell> = self.models.iter().zip(cells).map(or_failed).collect();
        if cells.iter().any(|cell| *cell != Cell::Nothing) {
            self.rows.push(Row { name, printed, best, cells });
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
        let cells = self.models.iter().zip(cells);
        let cells = cells.map(|(model, cell)| cell.lettered(model.letter(benchmark))).collect();
        let best = match benchmark.kind() {
            Kind::ZeroShot(_) | Kind::FineTuned(_) => Best::Highest,
            Kind::HeldOutLoss | Kind::AgeOfAcquisition => Best::Lowest,
        };
        self.add(title, &[benchmark.name()], printed, Some(best), cells);
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
            let is_apart = row.cells.iter().any(Cell::is_apart);
            if let Some(best) = row.best.filter(|_| !is_apart) {
                table.mark_best(self.models.len(), best);
            }
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
