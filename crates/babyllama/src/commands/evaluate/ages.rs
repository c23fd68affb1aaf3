//! `babyllama evaluate aoa`: how well surprisals help to predict when children learn words.

use std::path::PathBuf;

use eval::reference::{Track, of_year};
use eval::{AgeOfAcquisition, Benchmark};
use experiment::evaluation::ages::{AgeData, AgeResult};
use experiment::evaluation::label;
use experiment::evaluation::results::claim_folders;
use report::{Align, ScoreTable};
use serde_json::{Value, json};

use super::{prepare_json, show, write_json};
use crate::args::{AgesArgs, DeviceArgs};
use crate::console;
use crate::failure::Abandon;

/// Mean absolute errors in months of the words that a list and its contexts have in common.
pub fn ages(args: &AgesArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let (console, selection) = (super::console(&args.common)?, args.common.selection());
    let data = AgeData::read(&args.settings(), &console).or_abandoned()?;
    let _json = prepare_json(
        &args.common,
        &[&args.words, &args.contexts],
        &["model", "aoa"],
        args.output.as_deref(),
    )?;
    let read = [args.words.clone(), args.contexts.clone()];
    let claim = |output: &PathBuf| claim_folders(&selection, output, &read);
    let models = selection.load_causal(&device.open()?, &console)?;
    let folders = args.output.as_ref().map(claim).transpose()?;
    let mut results = Vec::new();
    for (index, group) in selection.groups(&models).into_iter().enumerate() {
        let folder = folders.as_ref().map(|folders| folders[index].as_path());
        results.push((label(group), data.measure(group, folder, &console).or_abandoned()?));
    }
    let as_json = |(label, AgeResult { score, surprisals, precision }): &(String, AgeResult)| {
        json!({
            "model": label,
            "aoa": score,
            "precision": precision.to_string(),
            "as_published": args.as_published,
            "contexts": data.contexts(),
            "words_found": surprisals.words_found(),
            "unaligned": surprisals.unaligned,
            "truncated": surprisals.truncated,
        })
    };
    let scores = Value::Array(results.iter().map(as_json).collect());
    show(&console, &scores, || {
        print(&results, data.words())?;
        if let Some(output) = &args.output {
            console::note_place("scores and surprisals", output);
        }
        Ok(())
    })?;
    write_json(&args.common, &scores)
}

/// The errors beside the baselines that the pipeline's README prints, and what was left out.
fn print(results: &[(String, AgeResult)], words: usize) -> anyhow::Result<()> {
    let printed: Vec<_> = of_year(AgeOfAcquisition.reference(), 2023, Track::StrictSmall)
        .flat_map(|table| table.rows.iter().map(move |row| (table, row.model.as_str())))
        .collect();
    let own = results.iter().map(|(label, _)| label.as_str());
    let models = own.chain(printed.iter().map(|(_, model)| *model));
    let labels = [("error in months", Align::Left), ("rows", Align::Right)];
    let mut table = ScoreTable::new(&labels, models);
    let parts: Vec<_> = results.iter().map(|(_, result)| result.score.parts()).collect();
    for (index, (name, _, first_rows)) in parts.first().into_iter().flatten().enumerate() {
        // All models read the same contexts; a tokenizer of its own may lose one a word.
        let rows = parts.iter().map(|parts| parts[index].2).max().unwrap_or(*first_rows);
        let own = parts.iter().map(|parts| format!("{:.3}", parts[index].1));
        let of_papers = printed.iter().map(|(table, model)| {
            let value = table.value(model, name);
            value.map_or(String::new(), |value| format!("{value:.2}"))
        });
        let (name, rows) = (name.replace('_', " "), rows.to_string());
        table.row([name.as_str(), &rows], own.chain(of_papers));
    }
    console::print_table(&table.into_table())?;
    for (label, AgeResult { surprisals: found, .. }) in results {
        let missing = words - found.words_found();
        if missing + found.unaligned + found.truncated > 0 {
            console::warn(format!(
                "{label}: {missing} of {words} words have no context; {} occurrences share a \
                 token with what stands beside them; {} were cut",
                found.unaligned, found.truncated
            ));
        }
    }
    Ok(())
}
