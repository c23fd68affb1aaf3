//! `babyllama evaluate ewok`: world knowledge, from a user's own copy of EWoK.

use std::path::Path;

use eval::ewok::read;
use experiment::evaluation::results::{claim_folders, keep};
use experiment::evaluation::{ewok as scoring, label};
use report::{Align, Table};
use serde_json::{Value, json};

use super::blimp::table;
use super::write_json;
use crate::args::{DeviceArgs, EvaluateArgs, EwokVariant};
use crate::console::{self, Console};

/// Accuracy on EWoK's questions.
pub fn ewok(
    args: &EvaluateArgs,
    data: &Path,
    variant: EwokVariant,
    output: Option<&Path>,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let selection = args.selection();
    let models = selection.load(&device.open()?)?;
    let domains = read(data)?;
    let folders = output.map(|output| claim_folders(&selection, output)).transpose()?;
    let console = Console::without_signals();
    let mut outcomes = Vec::new();
    for group in selection.groups(&models) {
        let outcome = scoring::score(group, &domains, variant.into(), &console)?;
        outcomes.push((label(group), outcome));
    }
    for (folder, (_, outcome)) in folders.iter().flatten().zip(&outcomes) {
        keep(outcome, folder)?;
    }
    let results: Vec<_> =
        outcomes.iter().map(|(label, outcome)| (label.as_str(), &outcome.result)).collect();
    console::print(table(&results).to_text().trim_end())?;
    let values =
        results.iter().map(|(label, result)| json!({ "model": label, "ewok": result })).collect();
    write_json(args, &Value::Array(values))
}

/// Writes the questions all of whose words are in a list, a file for each domain.
pub fn filter(data: &Path, vocabulary: &Path, output: &Path) -> anyhow::Result<()> {
    let kept = scoring::filter(data, vocabulary, output)?;
    let heads = [("domain", Align::Left), ("questions", Align::Right), ("kept", Align::Right)];
    let mut table = Table::new(heads);
    for domain in &kept {
        let counts = [domain.questions, domain.kept].map(|count| count.to_string());
        table.push([domain.name.clone()].into_iter().chain(counts).collect());
    }
    let questions: usize = kept.iter().map(|domain| domain.questions).sum();
    let all: usize = kept.iter().map(|domain| domain.kept).sum();
    table.push(vec!["all".to_owned(), questions.to_string(), all.to_string()]);
    console::print(table.to_text().trim_end())
}
