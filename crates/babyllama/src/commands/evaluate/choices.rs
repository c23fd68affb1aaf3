//! `babyllama evaluate blimp` and `evaluate ewok`: choices between texts of a folder.

use std::path::Path;

use eval::{Backend, BenchmarkResult, Method, Task, ZeroShot};
use experiment::error::Context;
use experiment::evaluation::choices::{self, Pairs};
use experiment::evaluation::results::{check_data, claim_folders, keep, names_of, short_names};
use experiment::evaluation::{LoadedModel, label, models, tokenizer};
use experiment::outputs;
use report::format::counted;
use report::{Align, ScoreTable, Table, points};
use serde_json::{Value, json};

use super::{prepare_json, show, write_json};
use crate::args::{DeviceArgs, EvaluateArgs, EwokVariant};
use crate::console;
use crate::failure::Abandon;

/// What is read before the first model is scored: the items and their benchmark.
type Items = (Vec<Task>, &'static dyn ZeroShot);

/// Accuracy on the minimal pairs of a folder.
pub fn blimp(
    args: &EvaluateArgs,
    data: &Path,
    method: Method,
    output: Option<&Path>,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let read = || {
        let pairs = Pairs::read(data)?;
        Ok((pairs.tasks, pairs.benchmark))
    };
    evaluate(args, "blimp", data, read, method, output, device)
}

/// Accuracy on EWoK's questions.
pub fn ewok(
    args: &EvaluateArgs,
    data: &Path,
    variant: EwokVariant,
    backend: Backend,
    output: Option<&Path>,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let benchmark = variant.benchmark();
    let read = || Ok((benchmark.read(data)?, benchmark));
    let method = Method { backend, ..Method::default() };
    evaluate(args, "ewok", data, read, method, output, device)
}

/// Scores all models, prints their table and writes the files; `key` is that of the scores in JSON.
fn evaluate(
    args: &EvaluateArgs,
    key: &str,
    data: &Path,
    read: impl FnOnce() -> anyhow::Result<Items>,
    method: Method,
    output: Option<&Path>,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let selection = args.selection();
    let (tasks, benchmark) = read()?;
    let console = super::console(args)?;
    let _json = prepare_json(args, &[data], &["model", key], output)?;
    // Of a folder all files are read as items.
    let within = args.json.as_deref().filter(|_| data.is_dir());
    within.map_or(Ok(()), |json| outputs::check_outside(json, data, "--data"))?;
    let loaded = selection.load(&device.open()?, &console)?;
    // All are on one device.
    let precision = loaded[0].model.device().arithmetic();
    let claim = |output| claim_folders(&selection, output, &[data.to_owned()]);
    let folders = output.map(claim).transpose()?;
    for folder in folders.iter().flatten() {
        check_data(folder, benchmark, data)?;
    }
    let score = |(index, group): (usize, &[LoadedModel])| {
        let (label, tokenizer) = (label(group), tokenizer(group)?);
        let place = format!("{label} on {}", data.display());
        let (models, tokenizer) = (models(group), &tokenizer);
        let outcome =
            choices::score(&models, benchmark, &tasks, method, tokenizer, place.clone(), &console)
                .within(|| place)
                .or_abandoned()?;
        // Kept before the next model is scored, which may fail.
        if let Some(folders) = &folders {
            keep(&outcome, &folders[index], data, precision)?;
        }
        anyhow::Ok((label, outcome))
    };
    let groups = selection.groups(&loaded).into_iter().enumerate();
    let outcomes = groups.map(score).collect::<anyhow::Result<Vec<_>>>()?;
    let results: Vec<_> =
        outcomes.iter().map(|(label, outcome)| (label.as_str(), &outcome.result)).collect();
    let values =
        results.iter().map(|(label, result)| json!({ "model": label, key: result })).collect();
    let values = Value::Array(values);
    let names = folders.map_or_else(|| short_names(&selection), |folders| names_of(&folders));
    show(&console, &values, || print(&names, &results, output))?;
    write_json(args, &values)
}

/// The scores, what they are of, and where the files are.
fn print(
    names: &[String],
    results: &[(&str, &BenchmarkResult)],
    output: Option<&Path>,
) -> anyhow::Result<()> {
    console::print_table(&table(names, results))?;
    if let Some((_, part)) = results.first().filter(|(_, result)| !result.is_whole()) {
        console::warn(format!("this is not all of the benchmark: {}", part.title()));
    }
    for (name, result) in names.iter().zip(results) {
        let cut = result.1.truncated;
        if cut > 0 {
            console::warn(format!(
                "{name}: {} cut to the model's positions",
                counted(cut as u64, "text")
            ));
        }
    }
    if let Some(output) = output {
        console::note_place("scores and answers", output);
    }
    Ok(())
}

/// A column for every model, by its name: the scores of tasks or groups, their mean as
/// the rules have it, and the ties.
fn table(names: &[String], results: &[(&str, &BenchmarkResult)]) -> Table {
    let models = names.iter().map(String::as_str);
    let mut table = ScoreTable::new(&[("task", Align::Left)], models);
    let units = results.first().map_or(&[][..], |(_, first)| first.units());
    for (index, unit) in units.iter().enumerate() {
        let scores = results.iter().map(|(_, result)| points(result.units()[index].score));
        table.row([unit.name.as_str()], scores);
    }
    table.row(["mean"], results.iter().map(|(_, result)| points(result.score)));
    table.row(["ties"], results.iter().map(|(_, result)| result.ties.to_string()));
    table.into_table()
}
