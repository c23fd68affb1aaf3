//! The final losses and scores of runs, side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use report::{Align, Table};

use super::clean::{entries, require_run};
use super::evaluation::RunScores;
use crate::error::{Context, Result, refuse, wrong_usage};
use crate::evaluation::results::distinct;
use crate::files;
use crate::outputs::same;

/// The numbers of one model or ensemble, by what they are, in each run.
type Rows = BTreeMap<(String, String), Vec<Option<f64>>>;

/// A table of the models and ensembles that runs have scored: a row for each number of each, a
/// column for each run.
///
/// # Errors
/// When a folder is no run, or none has scores.
pub fn compare(runs: &[PathBuf]) -> Result<Table> {
    let mut rows = Rows::new();
    for (index, run) in runs.iter().enumerate() {
        require_run(run)?;
        if runs[..index].iter().any(|other| same(run, other)) {
            return wrong_usage(format_args!("{} is named twice", run.display()))
                .advise("name each run once");
        }
        for (model, number, value) in numbers(run)? {
            let values = rows.entry((model, number)).or_insert_with(|| vec![None; runs.len()]);
            values[index] = Some(value);
        }
    }
    if rows.is_empty() {
        return refuse("none of these runs has scores yet");
    }
    let names = distinct(runs);
    let heads = [("model", Align::Left), ("number", Align::Left)];
    let columns = names.iter().map(|name| (name.as_str(), Align::Right));
    let difference = (runs.len() == 2).then_some(("difference", Align::Right));
    let mut table = Table::new(heads.into_iter().chain(columns).chain(difference));
    for ((model, number), values) in rows {
        let shown =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let mut row = vec![model, number];
        row.extend(values.iter().map(|value| shown(*value)));
        if let [first, second] = values[..] {
            row.push(first.zip(second).map_or("-".to_owned(), |(a, b)| format!("{:+.4}", b - a)));
        }
        table.push(row);
    }
    Ok(table)
}

/// What a run has scored: models, what the number is, and the number.
fn numbers(run: &Path) -> Result<Vec<(String, String, f64)>> {
    let mut numbers = Vec::new();
    for path in entries(&run.join("evaluation"))? {
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let scores: RunScores = files::read_json(&path)?;
        let model = scores.models.join(" + ");
        let mut add = |number: &str, value| numbers.push((model.clone(), number.to_owned(), value));
        if let Some(loss) = scores.held_out_loss {
            add("held-out loss", loss);
        }
        for (place, result) in &scores.pairs {
            add(&format!("{} %, {place}", result.title()), 100.0 * result.score);
        }
    }
    Ok(numbers)
}
