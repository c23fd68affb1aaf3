//! The final losses and scores of runs, side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corpus::TokenFile;
use model::hugging_face::load_any_config;
use report::{Align, Table};

use super::clean::require_run;
use super::scores::{RunScores, stage_name};
use crate::error::{Context, Result, refuse, wrong_usage};
use crate::evaluation::results::distinct;
use crate::files;
use crate::files::entries;
use crate::held_out::{self, HeldOut};
use crate::outputs::same;
use crate::scored_items;
use crate::stage::{Record, Stages};
use crate::verify::FINAL;

/// The numbers of one model or ensemble, by what they are, in each run.
type Rows = BTreeMap<(String, String), Vec<Option<f64>>>;

/// A table of the models and ensembles that runs have scored: a row for each number of each, a
/// column for each run. Held-out losses that do not compare, and scores on items of other texts,
/// have a letter each, and no difference.
///
/// # Errors
/// When a folder is no run, or none has scores.
pub fn compare(runs: &[PathBuf]) -> Result<Comparison> {
    let (mut rows, mut held_out, mut items) = (Rows::new(), Vec::new(), Vec::new());
    let mut remarks: Vec<(String, Vec<String>)> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        require_run(run)?;
        if runs[..index].iter().any(|other| same(run, other)) {
            return wrong_usage(format_args!("{} is named twice", run.display()))
                .advise("name each run once");
        }
        let of_run = numbers(run)?;
        held_out.push(of_run.held_out);
        items.push(of_run.items);
        if !of_run.retrained.is_empty() {
            let sentence = format!(
                "trained again in {} since it was scored, and left out; `babyllama run` scores it.",
                run.display()
            );
            remarks.push((sentence, of_run.retrained));
        }
        for (model, number, value) in of_run.numbers {
            let values = rows.entry((model, number)).or_insert_with(|| vec![None; runs.len()]);
            values[index] = Some(value);
        }
    }
    if rows.is_empty() {
        return match remarks.is_empty() {
            true => refuse("none of these runs has scores yet"),
            false => refuse("all scores of these runs are of earlier trainings of their models")
                .advise("give `babyllama run --output RUN`, which scores what was trained again"),
        };
    }
    let names = distinct(runs);
    let heads = [("model", Align::Left), ("number", Align::Left)];
    let columns = names.iter().map(|name| (name.as_str(), Align::Right));
    let difference = (runs.len() == 2).then_some(("difference", Align::Right));
    let mut table = Table::new(heads.into_iter().chain(columns).chain(difference));
    for ((model, number), values) in rows {
        let shown =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let measured: Vec<Option<&HeldOut>> = match number == LOSS {
            true => held_out.iter().map(|of_run| of_run.get(&model)).collect(),
            false => vec![None; runs.len()],
        };
        let key = (model.clone(), number.clone());
        let scored: Vec<Option<&String>> = items.iter().map(|of_run| of_run.get(&key)).collect();
        let (letters, sentence) = match number == LOSS {
            true => held_out::letters(&measured),
            false => scored_items::letters(&scored),
        };
        let of = if number == LOSS { &model } else { &number };
        let is_comparable = sentence.is_empty();
        match remarks.iter_mut().find(|(known, _)| *known == sentence) {
            _ if is_comparable => {}
            Some((_, of_reason)) if of_reason.contains(of) => {}
            Some((_, of_reason)) => of_reason.push(of.clone()),
            None => remarks.push((sentence, vec![of.clone()])),
        }
        let mut row = vec![model, number];
        let cells = values.iter().zip(&letters);
        row.extend(
            cells.map(|(value, letter)| format!("{} {letter}", shown(*value)).trim().into()),
        );
        if let [first, second] = values[..] {
            let both = first.zip(second).filter(|_| is_comparable);
            row.push(both.map_or("-".to_owned(), |(a, b)| format!("{:+.4}", b - a)));
        }
        table.push(row);
    }
    let remark = remarks.iter().map(|(text, of)| format!("{}: {text}", of.join(", ")));
    Ok(Comparison { table, remark: remark.collect::<Vec<_>>().join("\n") })
}

/// Runs side by side.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// A row for each number, a column for each run.
    pub table: Table,
    /// Which losses and scores do not compare, and why; a line for each reason, empty where all do.
    pub remark: String,
}

/// What the held-out loss is called.
const LOSS: &str = "held-out loss";

/// What is measured in a run: models, what the number is, and the number.
type Numbers = Vec<(String, String, f64)>;

/// What a run has scored.
struct OfRun {
    numbers: Numbers,
    /// What the loss of each model is measured on.
    held_out: BTreeMap<String, HeldOut>,
    /// Hashes of the items that scores are of, where they are recorded, by model and number.
    items: BTreeMap<(String, String), String>,
    /// Models and ensembles whose scores are of an earlier training.
    retrained: Vec<String>,
}

fn numbers(run: &Path) -> Result<OfRun> {
    let (mut numbers, mut held_out) = (Numbers::new(), BTreeMap::new());
    let (mut items, stages) = (BTreeMap::new(), Stages::look(run));
    let mut retrained = Vec::new();
    let recipe = std::fs::read_to_string(run.join("recipe.toml")).ok();
    let recipe = recipe.and_then(|text| text.parse().ok()).unwrap_or_default();
    for path in entries(&run.join("evaluation"))? {
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let scores: RunScores = files::read_json(&path)?;
        let model = scores.models.join(" + ");
        let record = stages.record(&stage_name(&scores.models)).ok().flatten();
        if scores.retrained(run, record.as_ref()).is_some() {
            retrained.push(model);
            continue;
        }
        let mut add = |number: &str, value| numbers.push((model.clone(), number.to_owned(), value));
        if let Some(loss) = scores.held_out_loss {
            add(LOSS, loss);
            let measured = scores.held_out.clone().unwrap_or_else(|| of_stages(run));
            let hidden = measured.hidden.clone().or_else(|| hidden(run, &recipe, &scores.models));
            held_out.insert(model.clone(), HeldOut { hidden, ..measured });
        }
        for (place, result) in &scores.pairs {
            let number = format!("{} %, {place}", result.title());
            add(&number, 100.0 * result.score);
            let scored = scores.items_of(place, record.as_ref());
            items.extend(scored.map(|scored| ((model.clone(), number), scored)));
        }
    }
    Ok(OfRun { numbers, held_out, items, retrained })
}

/// How tokens are hidden from the first of some models, where their scores do not state it.
fn hidden(run: &Path, recipe: &toml::Table, models: &[String]) -> Option<String> {
    let name = models.first()?;
    let section = recipe.get("models").and_then(|models| models.get(name));
    let config = load_any_config(&run.join("models").join(name).join(FINAL)).ok();
    held_out::hidden_of_section(section, config.map(|config| config.architecture))
}

/// What losses of a run are measured on whose files do not state it.
fn of_stages(run: &Path) -> HeldOut {
    let stages = Stages::look(run);
    let record = |name| Some((name, stages.record(name).ok().flatten()?));
    let records: BTreeMap<&str, Record> =
        ["corpus", "tokens"].into_iter().filter_map(record).collect();
    let tokens = TokenFile::open(&run.join("tokens/validation.bin")).ok();
    let tokenizer = tokens.and_then(|tokens| tokens.tokenizer_hash());
    HeldOut { tokenizer, ..HeldOut::of_records(|name| records.get(name)) }
}
