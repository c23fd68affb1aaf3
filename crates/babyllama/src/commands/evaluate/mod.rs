//! `babyllama evaluate`: the scores of any model folder, one file a command.

mod ages;
mod all;
mod challenge;
mod choices;
mod compare;
mod ewok_filter;
mod loss;

use std::path::Path;

use experiment::evaluation::loss::HeldoutText;
use experiment::outputs::{Kind, MadeFolders};
use experiment::{files, outputs};
use serde_json::{Value, json};

use crate::args::{DeviceArgs, EvaluateArgs, EvaluateCommand};
use crate::console::{self, Console, Style};

/// Files that are written directly into the folder of results.
const OWN: [&str; 4] = ["table.md", "scores.csv", "report.html", "lock"];

/// What the command line asks for.
pub fn evaluate(command: &EvaluateCommand, device: &DeviceArgs) -> anyhow::Result<()> {
    match command {
        EvaluateCommand::Loss { common, data, raw_tokens, clean, sequence_length } => {
            let text = HeldoutText {
                data,
                raw_tokens: *raw_tokens,
                clean: *clean,
                sequence_length: *sequence_length,
            };
            loss::loss(common, text, device)
        }
        EvaluateCommand::Blimp { common, data, rules, backend, output } => {
            let method = eval::Method { rules: (*rules).into(), backend: (*backend).into() };
            choices::blimp(common, data, method, output.as_deref(), device)
        }
        EvaluateCommand::Ewok { common, data, variant, backend, output } => {
            let (variant, backend, output) = (*variant, (*backend).into(), output.as_deref());
            choices::ewok(common, data, variant, backend, output, device)
        }
        EvaluateCommand::FilterEwok { data, vocabulary, output } => {
            ewok_filter::filter(data, vocabulary, output)
        }
        EvaluateCommand::All(args) => all::all(args, device),
        EvaluateCommand::Aoa(args) => ages::ages(args, device),
        EvaluateCommand::Challenge(args) => challenge::challenge(args, device),
        EvaluateCommand::Compare(args) => compare::compare(args),
    }
}

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
