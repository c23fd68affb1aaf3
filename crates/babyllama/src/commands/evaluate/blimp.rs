//! `babyllama evaluate blimp`: the minimal pairs of a folder.

use std::path::Path;

use eval::SuiteResult;
use experiment::evaluation::pairs::score_folder;
use experiment::evaluation::results::{claim_folders, keep};
use experiment::evaluation::{label, models, tokenizer};
use report::{Align, Table};
use serde_json::{Value, json};

use super::write_json;
use crate::args::{DeviceArgs, EvaluateArgs, Rules};
use crate::console::{self, Console};

/// Accuracy on the minimal pairs of a folder.
pub fn blimp(
    args: &EvaluateArgs,
    data: &Path,
    rules: Rules,
    output: Option<&Path>,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let selection = args.selection();
    let loaded = selection.load(&device.open()?)?;
    let folders = output.map(|output| claim_folders(&selection, output)).transpose()?;
    let console = Console::without_signals();
    let mut outcomes = Vec::new();
    for group in selection.groups(&loaded) {
        let (label, tokenizer) = (label(group), tokenizer(group)?);
        let outcome =
            score_folder(&models(group), data, rules.into(), &tokenizer, &label, &console)?;
        outcomes.push((label, outcome));
    }
    for (folder, (_, outcome)) in folders.iter().flatten().zip(&outcomes) {
        keep(outcome, folder)?;
    }
    let results: Vec<_> =
        outcomes.iter().map(|(label, outcome)| (label.as_str(), &outcome.result)).collect();
    console::print(table(&results).to_text().trim_end())?;
    let values =
        results.iter().map(|(label, result)| json!({ "model": label, "blimp": result })).collect();
    write_json(args, &Value::Array(values))
}

/// A column for every model: the scores of tasks or groups, their mean as the rules have it, and
/// the ties.
pub(super) fn table(results: &[(&str, &SuiteResult)]) -> Table {
    let mut table = Table::new(
        [("task", Align::Left)]
            .into_iter()
            .chain(results.iter().map(|(label, _)| (*label, Align::Right))),
    );
    let percent = |accuracy: f64| format!("{:.1}", 100.0 * accuracy);
    for (index, unit) in
        results.first().map_or(&[][..], |(_, first)| first.units()).iter().enumerate()
    {
        let scores = results.iter().map(|(_, result)| percent(result.units()[index].score));
        table.push([unit.name.clone()].into_iter().chain(scores).collect());
    }
    let means = results.iter().map(|(_, result)| percent(result.score));
    table.push(["mean".to_owned()].into_iter().chain(means).collect());
    let ties = results.iter().map(|(_, result)| result.ties.to_string());
    table.push(["ties".to_owned()].into_iter().chain(ties).collect());
    table
}
