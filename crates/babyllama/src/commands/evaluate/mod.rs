//! `babyllama evaluate`: the scores of any model folder, one file a command.

pub mod ages;
pub mod all;
pub mod challenge;
pub mod choices;
pub mod compare;
pub mod ewok_filter;
pub mod loss;

use std::path::Path;

use experiment::outputs::{Kind, MadeFolders};
use experiment::{files, outputs};
use serde_json::{Value, json};

use crate::args::EvaluateArgs;
use crate::console::{self, Console, Style};

/// Files that are written directly into the folder of results.
const OWN: [&str; 4] = ["table.md", "scores.csv", "report.html", "lock"];

/// Tries the file of `--json` before the work; `data` is what is read besides the models, `keys`
/// those of a model's scores, and `output` the folder of results.
fn prepare_json(
    args: &EvaluateArgs,
    data: &[&Path],
    keys: &[&str],
    output: Option<&Path>,
) -> anyhow::Result<Option<MadeFolders>> {
    let inputs: Vec<_> =
        data.iter().map(|path| (*path).to_owned()).chain(args.models.iter().cloned()).collect();
    let json = args.json.as_deref();
    if let Some((json, output)) = json.zip(output) {
        outputs::check_apart(json, output, &OWN)?;
    }
    Ok(json.map(|path| outputs::prepare_file(path, &inputs, Kind::Json(keys))).transpose()?)
}

/// Shows scores: as text, or as the last event where events are printed as JSON.
fn show(
    console: &Console,
    scores: &Value,
    as_text: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match console.style() {
        Style::Json => console::print_json(json!({ "event": "done", "scores": scores })),
        Style::Text | Style::Quiet => as_text(),
    }
}

/// A console for the events of an evaluation.
fn console(args: &EvaluateArgs) -> anyhow::Result<Console> {
    Ok(Console::stopping_on_signals()?.with_style(Style::of(args.events)))
}

fn write_json(args: &EvaluateArgs, value: &Value) -> anyhow::Result<()> {
    Ok(args.json.as_deref().map_or(Ok(()), |path| files::write_json(path, value))?)
}
