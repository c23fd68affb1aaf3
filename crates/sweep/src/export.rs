//! A study as files: a table, lines of JSON, or a SQLite store that Optuna opens.

use std::io;
use std::path::Path;

use base::atomic_file;
use report::format::visible_json;
use serde_json::{Map, Value, json};

use crate::error::{FileContext, Result};
use crate::overview::{Overview, TrialLine};
use crate::store::{Address, Store};

/// The columns of every table, before those of settings and scores.
const COLUMNS: [&str; 7] = ["number", "state", "value", "share", "seconds", "seed", "why"];

/// The beginning of all lines of JSON.
pub const JSON_LINES_BEGINNING: &str = r#"{"study":"#;

/// A table of all trials as CSV, with a column for each setting and score.
pub fn csv(overview: &Overview) -> String {
    let settings = setting_names(overview);
    let scores = overview.score_names();
    let head = COLUMNS.map(str::to_owned).into_iter().chain(settings.clone()).chain(scores.clone());
    let mut lines = vec![head.collect::<Vec<_>>()];
    for trial in &overview.trials {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let mut line = vec![
            trial.number.to_string(),
            trial.standing.word().to_owned(),
            number(trial.value),
            trial.share.to_string(),
            number(trial.seconds),
            trial.seed.map_or(String::new(), |seed| seed.to_string()),
            trial.why.clone().unwrap_or_default(),
        ];
        let setting = |name: &String| {
            let found = trial.settings.iter().find(|(key, _)| key == name);
            found.map_or(String::new(), |(_, value)| value.trim_matches('"').to_owned())
        };
        line.extend(settings.iter().map(setting));
        line.extend(scores.iter().map(|name| number(trial.scores.get(name).copied())));
        lines.push(line);
    }
    lines.iter().map(|cells| report::csv::line(cells.iter().map(String::as_str))).collect()
}

/// All trials as lines of JSON.
pub fn json_lines(overview: &Overview) -> String {
    let line = |trial: &TrialLine| {
        let settings: Map<String, Value> = trial
            .settings
            .iter()
            .map(|(key, value)| (key.clone(), number_or_text(value)))
            .collect();
        let value = json!({
            "study": overview.name,
            "number": trial.number,
            "state": trial.standing.word(),
            "value": trial.value,
            "share": trial.share,
            "settings": settings,
            "scores": trial.scores,
            "seconds": trial.seconds,
            "seed": trial.seed,
            "why": trial.why,
        });
        visible_json(&value.to_string()) + "\n"
    };
    overview.trials.iter().map(line).collect()
}

/// The head of a table of trials, by which an earlier one is known: with all its columns, as one
/// more may be a person's.
pub fn csv_head(table: &str) -> &str {
    table.split_inclusive('\n').next().unwrap_or_default()
}

fn number_or_text(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or_else(|_| json!(value))
}

/// The settings that trials have, in the space's order.
fn setting_names(overview: &Overview) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in overview.trials.iter().flat_map(|trial| &trial.settings) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Copies a whole store into a new SQLite file.
///
/// # Errors
/// When the file is there already, or something cannot be read or written.
pub fn sqlite(store: &mut Store, path: &Path) -> Result<()> {
    if path.exists() {
        return crate::error::refuse(format_args!(
            "{} is there already; name a new file",
            path.display()
        ));
    }
    experiment::outputs::check_no_run_part(path)?;
    // SQLite makes files of its own beside a store: none is renamed before it is closed.
    let mut fill = |partial: &Path| {
        let mut copy = Store::create(&Address::Sqlite(partial.to_owned()))?;
        store.copy_into(&mut copy)
    };
    atomic_file::write_with(path, |partial| fill(partial).map_err(io::Error::other))
        .at("write", path)
}
