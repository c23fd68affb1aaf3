//! `babyllama evaluate loss`: cross-entropy and perplexity on held-out text, of each file and over
//! all.

use std::collections::BTreeSet;

use eval::LossResult;
use experiment::evaluation::label;
use experiment::evaluation::loss::{HeldoutText, measure};
use experiment::evaluation::results::short_names;
use report::{Align, ScoreTable, Table};
use serde_json::{Value, json};

use super::{prepare_json, show, write_json};
use crate::args::{DeviceArgs, EvaluateArgs};
use crate::console;
use crate::failure::Abandon;

/// Held-out cross-entropy over non-overlapping sequences of the whole text.
pub fn loss(args: &EvaluateArgs, text: HeldoutText<'_>, device: &DeviceArgs) -> anyhow::Result<()> {
    text.check()?;
    let console = super::console(args)?;
    let _json = prepare_json(args, &[text.data], &["model", "loss", "perplexity"], None)?;
    let selection = args.selection();
    let models = selection.load_causal(&device.open()?, &console)?;
    let mut results = Vec::new();
    for group in selection.groups(&models) {
        results.push((label(group), measure(group, text, &console).or_abandoned()?));
    }
    let as_json = |(label, result): &(String, LossResult)| {
        let LossResult { loss, perplexity, tokens, files, precision, tokenizer } = result;
        json!({
            "model": label,
            "loss": loss,
            "perplexity": perplexity,
            "tokens": tokens,
            "files": files,
            "precision": precision,
            "tokenizer": tokenizer,
        })
    };
    let scores = Value::Array(results.iter().map(as_json).collect());
    show(&console, &scores, || print(&short_names(&selection), &results))?;
    write_json(args, &scores)
}

/// The losses of all models, and of every file where there are several.
fn print(names: &[String], results: &[(String, LossResult)]) -> anyhow::Result<()> {
    let mut table = Table::new([
        ("model", Align::Left),
        ("held-out loss", Align::Right),
        ("perplexity", Align::Right),
    ]);
    for (name, (_, result)) in names.iter().zip(results) {
        table.push(vec![
            name.clone(),
            format!("{:.4}", result.loss),
            format!("{:.2}", result.perplexity),
        ]);
    }
    console::print_table(&table)?;
    let tokenizers: BTreeSet<_> = results.iter().map(|(_, result)| &result.tokenizer).collect();
    if tokenizers.len() > 1 {
        console::warn(
            "the models have different tokenizers: their losses of a token do not compare",
        );
    }
    if results.iter().all(|(_, result)| result.files.len() > 1) {
        console::print("")?;
        console::print_table(&files_table(names, results))?;
    }
    Ok(())
}

/// The loss of every file, a column for each model.
fn files_table(names: &[String], results: &[(String, LossResult)]) -> Table {
    let models = names.iter().map(String::as_str);
    let labels = [("file", Align::Left), ("predicted", Align::Right)];
    let mut table = ScoreTable::new(&labels, models);
    for (index, file) in results[0].1.files.iter().enumerate() {
        let losses = results.iter().map(|(_, result)| {
            let loss = result.files.get(index).and_then(|file| file.loss);
            loss.map_or("-".to_owned(), |loss| format!("{loss:.4}"))
        });
        table.row([file.file.as_str(), &file.predicted_tokens.to_string()], losses);
    }
    table.into_table()
}
