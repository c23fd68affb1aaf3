//! `babyllama evaluate challenge`: the tasks of the challenge of 2025 or 2026.

use experiment::evaluation::challenge::{ChallengeReport, evaluate_challenge};

use super::{prepare_json, write_json};
use crate::args::{ChallengeArgs, DeviceArgs};
use crate::commands::report;
use crate::console;
use crate::failure::Resume;

/// Scores all models and prints the table.
pub fn challenge(args: &ChallengeArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let keys = ["model", "year", "tasks"];
    let _json = prepare_json(&args.common, &[&args.data], &keys, Some(&args.output))?;
    let console = super::console(&args.common)?;
    let (selection, settings) = (args.common.selection(), args.settings());
    let work = || evaluate_challenge(&selection, &settings, || device.open(), &console);
    let outcome =
        report::with_page_of_failure(&args.output, work).resume_with(console::this_command)?;
    let scores = ChallengeReport::new(&outcome, settings.year);
    write_json(&args.common, &scores.json)?;
    let page = report::write_beside(&args.output);
    super::show(&console, &scores.json, || {
        console::print("")?;
        console::print_table(&scores.table)?;
        let footnotes = outcome.failures.footnotes();
        if !footnotes.is_empty() {
            console::print(format_args!("\n{}", footnotes.trim_end()))?;
        }
        for model in &outcome.models {
            if !model.answers.missing.is_empty() {
                let (name, missing) = (&model.name, model.answers.missing.join(", "));
                console::warn(format_args!("{name}: the file of all answers lacks {missing}"));
            }
            console::note_place("all answers", &model.answers.path);
        }
        let (output, page) = (args.output.display(), report::sentence(page.as_deref()));
        console::print(format_args!("\nEverything is in {output}.{page}"))
    })?;
    Ok(outcome.failures.conclude()?)
}
