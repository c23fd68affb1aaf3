//! The scores of all models side by side: as text, Markdown, CSV and JSON, with the scores that
//! papers print beside them.

use eval::statistics::{
    Interval, Items, Paired, Resampling, Spread, bootstrap, suite_items, superglue_average,
    text_average,
};
use eval::{Outcome, Prediction, Rules, Suite, SuiteResult, TaskResult};
use report::reference::{self, Track};
use report::{Align, Table};
use serde_json::{Value, json};

use super::card::Card;
use super::units::{csv, finetuned_tasks, unit_table};
use crate::error::Result;
use crate::failures::Failures;
use crate::finetuning::summary;

/// Enough for two digits of an interval.
const RESAMPLES: u32 = 2000;

const ZERO_SHOT: [Suite; 5] =
    [Suite::BlimpFiltered, Suite::BlimpSupplement, Suite::Blimp, Suite::Ewok, Suite::EwokOfficial];
/// What 2024's macro-average is the mean of.
const MACRO: [Suite; 4] = [Suite::BlimpFiltered, Suite::BlimpSupplement, Suite::Ewok, Suite::Glue];
const FINETUNED: [Suite; 2] = [Suite::Glue, Suite::Msgs];

/// What is printed and written.
pub struct Report {
    pub text: String,
    pub markdown: String,
    pub csv: String,
    pub json: Value,
}

/// One number of the overview.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Nothing,
    Words(String),
    /// Percent is shown, with an interval over items where there is one.
    Share(f64, Option<Interval>),
    /// Mean and spread over seeds.
    Seeds(Spread),
    /// The footnotes that say why there is none.
    Failed(String),
}

impl Cell {
    fn short(&self) -> String {
        match self {
            Cell::Nothing => "-".to_owned(),
            Cell::Words(words) => words.clone(),
            Cell::Share(share, _) => format!("{:.1}", 100.0 * share),
            Cell::Seeds(spread) => summary::text(Some(*spread)),
            Cell::Failed(mark) => mark.clone(),
        }
    }

    fn long(&self) -> String {
        match self {
            Cell::Share(share, Some(Interval { low, high })) => {
                format!("{:.1} ({:.1} to {:.1})", 100.0 * share, 100.0 * low, 100.0 * high)
            }
            _ => self.short(),
        }
    }
}

/// A row of the overview: a cell for each model, and what the column is called where papers print
/// it.
struct Row {
    name: String,
    printed: Option<&'static str>,
    cells: Vec<Cell>,
}

impl Report {
    pub fn of(cards: &[Card], rules: Rules, failures: &Failures) -> Result<Self> {
        let rows = overview(cards, rules, failures)?;
        let footnotes = failures.footnotes();
        let columns: Vec<&str> = printed_models(rules);
        let mut markdown = format!("# Scores by the rules of {}\n\n", rules.name());
        markdown += &table(cards, &rows, &columns, rules, Cell::long).to_markdown();
        markdown += "\nPercent, with 95 % bootstrap intervals over items, or the standard \
         deviation over seeds. ";
        markdown += "Columns of other models are as printed in their papers; see the tables below \
         for sources.\n";
        if !footnotes.is_empty() {
            // One paragraph a line.
            markdown += &format!("\n{}", footnotes.replace('\n', "\n\n").trim_end());
            markdown.push('\n');
        }
        markdown += &comparisons(cards)?;
        for suite in ZERO_SHOT.into_iter().chain(FINETUNED) {
            if let Some((table, notes)) = unit_table(cards, suite, rules, failures) {
                markdown +=
                    &format!("\n## {}\n\n{}\n{notes}\n", suite.title(), table.to_markdown());
            }
        }
        let shown: Vec<&str> =
            columns.iter().copied().filter(|model| SHOWN.contains(model)).collect();
        let text = table(cards, &rows, &shown, rules, Cell::short).to_text();
        let text = [text, footnotes].join("\n").trim_end().to_owned() + "\n";
        Ok(Self { text, markdown, csv: csv(cards), json: to_json(cards, &rows, failures) })
    }
}

/// The printed models that a terminal has room for.
const SHOWN: [&str; 2] = ["BabyLlama (10M)", "BabyLlama-2, run 1"];

/// The models of the tables of means, which only 2024 has.
fn printed_models(rules: Rules) -> Vec<&'static str> {
    let of_students = |model: &&str| !model.contains("teacher") && !model.contains("sweep");
    let mut models: Vec<&str> = Vec::new();
    for score in reference::scores(rules.year(), Track::StrictSmall, "overall") {
        if !models.contains(&score.model) && of_students(&score.model) {
            models.push(score.model);
        }
    }
    models
}

fn table(
    cards: &[Card],
    rows: &[Row],
    printed: &[&str],
    rules: Rules,
    show: impl Fn(&Cell) -> String,
) -> Table {
    let names = cards.iter().map(|card| card.name.as_str()).chain(printed.iter().copied());
    let mut table =
        Table::new([("", Align::Left)].into_iter().chain(names.map(|name| (name, Align::Right))));
    for row in rows {
        let of_papers = printed.iter().map(|model| {
            let mut scores = reference::scores(rules.year(), Track::StrictSmall, "overall");
            let score =
                scores.find(|score| score.model == *model && Some(score.column) == row.printed);
            score.map_or(String::new(), |score| format!("{:.1}", score.value))
        });
        table.push(
            [row.name.clone()]
                .into_iter()
                .chain(row.cells.iter().map(&show))
                .chain(of_papers)
                .collect(),
        );
    }
    table
}

/// The rows that at least one model has something for.
fn overview(cards: &[Card], rules: Rules, failures: &Failures) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut add = |name: String, benchmarks: &[&str], printed, cells: Vec<Cell>| {
        let failed = |card: &Card| failures.mark_of_any(&card.name, benchmarks);
        let or_failed = |(card, cell)| failed(card).map_or(cell, Cell::Failed);
        let cells: Vec<Cell> = cards.iter().zip(cells).map(or_failed).collect();
        if cells.iter().any(|cell| *cell != Cell::Nothing) {
            rows.push(Row { name, printed, cells });
        }
    };
    let words = |of: &dyn Fn(&Card) -> Option<String>| -> Vec<Cell> {
        cards.iter().map(|card| of(card).map_or(Cell::Nothing, Cell::Words)).collect()
    };
    add(
        "parameters".into(),
        &[],
        None,
        words(&|card| Some(report::format::short(card.parameters as f64))),
    );
    let losses = words(&|card| card.loss.as_ref().map(|loss| format!("{:.4}", loss.loss)));
    add("held-out loss".into(), &["loss"], None, losses);
    for suite in ZERO_SHOT {
        let cells = cards.iter().map(|card| card.suite(suite).map_or(Ok(Cell::Nothing), share));
        add(
            suite.title().into(),
            &[suite.name()],
            Some(suite.name()),
            cells.collect::<Result<_>>()?,
        );
    }
    let spreads = |suite| cards.iter().map(move |card| spread_of(card, suite, rules));
    for suite in FINETUNED {
        let tasks = finetuned_tasks(cards, suite, rules, failures).len();
        let printed = (suite == Suite::Glue && tasks == 11).then_some("glue");
        let cells =
            spreads(suite).map(|spread| spread.map_or(Cell::Nothing, Cell::Seeds)).collect();
        let over = if tasks == 0 { String::new() } else { format!(", mean of {tasks}") };
        add(format!("{}{over}", suite.title()), &[suite.name()], printed, cells);
    }
    let macros = cards.iter().map(|card| match macro_average(card, rules) {
        None => Cell::Nothing,
        Some(share) => Cell::Share(share, None),
    });
    // By the rules of 2023 there is none.
    let columns = MACRO.map(Suite::name);
    let columns = if rules == Rules::Year2024 { &columns[..] } else { &[] };
    add("macro-average".into(), columns, Some("macro"), macros.collect());
    let ages = words(&|card| card.ages.as_ref().map(|ages| format!("{:.3}", ages.overall_mad)));
    add("age of acquisition, error in months".into(), &["aoa"], None, ages);
    Ok(rows)
}

/// A suite's score with its interval over items.
fn share(outcome: &Outcome) -> Result<Cell> {
    let resampling = Resampling { resamples: RESAMPLES, ..Resampling::default() };
    let found = bootstrap(&items(outcome), &resampling)?;
    Ok(Cell::Share(outcome.result.score, Some(found.interval)))
}

/// The items of what the rules average over: tasks, or groups with their tasks' items pooled.
fn items(outcome: &Outcome) -> Vec<Items> {
    let result = &outcome.result;
    if result.groups.is_empty() {
        let tasks = result.tasks.iter().zip(&outcome.predictions);
        return suite_items(result.suite, tasks.map(|(task, answers)| (task.metric, &answers[..])));
    }
    let of_group = |group: &TaskResult| -> Vec<Prediction> {
        let tasks = result.tasks.iter().zip(&outcome.predictions);
        let members = tasks.filter(|(task, _)| eval::rules::group_of(&task.name) == group.name);
        members.flat_map(|(_, answers)| answers.iter().cloned()).collect()
    };
    let groups: Vec<_> =
        result.groups.iter().map(|group| (group.metric, of_group(group))).collect();
    suite_items(result.suite, groups.iter().map(|(metric, answers)| (*metric, &answers[..])))
}

/// The mean of a fine-tuned suite over its seeds.
fn spread_of(card: &Card, suite: Suite, rules: Rules) -> Option<Spread> {
    let scores: Vec<f64> =
        card.finetuned_suites(suite, rules).iter().map(|found| found.score).collect();
    summary::spread(&scores)
}

/// The mean of 2024's four columns, where all are whole.
fn macro_average(card: &Card, rules: Rules) -> Option<f64> {
    let score = |suite| card.suite(suite).map(|outcome| outcome.result.score);
    let of_seed = |found: &SuiteResult| {
        superglue_average(|name| {
            found.tasks.iter().find(|task| task.name == name).map(|task| task.score)
        })
    };
    let seeds = card.finetuned_suites(Suite::Glue, rules);
    let scores: Option<Vec<f64>> = seeds.iter().map(of_seed).collect();
    let superglue = summary::spread(&scores?).filter(|_| rules == Rules::Year2024)?;
    Some(text_average(
        score(Suite::BlimpFiltered)?,
        score(Suite::BlimpSupplement)?,
        score(Suite::Ewok)?,
        superglue.mean,
    ))
}

/// Every model against the first, on the same items.
fn comparisons(cards: &[Card]) -> Result<String> {
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
    let [first, others @ ..] = cards else { return Ok(String::new()) };
    for suite in ZERO_SHOT {
        for other in others {
            let (Some(base), Some(found)) = (first.suite(suite), other.suite(suite)) else {
                continue;
            };
            let (base, found) = (items(base), items(found));
            let paired = Paired::new(&base, &found)?;
            let (by_items, by_exchange) =
                (paired.bootstrap(&resampling)?, paired.permutation(&resampling)?);
            let Interval { low, high } = by_items.interval;
            table.push(vec![
                suite.title().to_owned(),
                other.name.clone(),
                first.name.clone(),
                format!("{:+.1}", 100.0 * by_items.difference),
                format!("{:+.1} to {:+.1}", 100.0 * low, 100.0 * high),
                format!("{:.4}", by_exchange.p_value),
            ]);
            any = true;
        }
    }
    let notes = "Paired bootstrap and random exchange over items; another training seed may move \
     a score by more.";
    Ok(if any {
        format!("\n## Differences\n\n{}\n{notes}\n", table.to_markdown())
    } else {
        String::new()
    })
}

fn to_json(cards: &[Card], rows: &[Row], failures: &Failures) -> Value {
    let cell = |cell: &Cell| match cell {
        Cell::Nothing => Value::Null,
        Cell::Words(words) => json!(words),
        Cell::Share(share, interval) => json!({ "score": share, "interval": interval }),
        Cell::Seeds(spread) => json!(spread),
        Cell::Failed(_) => json!("failed"),
    };
    let model = |(index, card): (usize, &Card)| {
        let scores: serde_json::Map<String, Value> =
            rows.iter().map(|row| (row.name.clone(), cell(&row.cells[index]))).collect();
        let suites: Vec<_> = card.suites.iter().map(|outcome| &outcome.result).collect();
        json!({
            "model": card.label,
            "name": card.name,
            "overview": scores,
            "suites": suites,
            "loss": card.loss,
            "aoa": card.ages,
            "failed": failures.to_json(&card.name),
        })
    };
    cards.iter().enumerate().map(model).collect()
}
