//! `babyllama evaluate challenge`: the tasks of the challenge of 2025 or 2026.

use experiment::evaluation::challenge::{ChallengeReport, evaluate_challenge};

use super::{prepare_json, write_json};
use crate::args::{ChallengeArgs, DeviceArgs};
use crate::console;
use crate::failure::Resume;

/// Scores all models and prints the table.
pub fn challenge(args: &ChallengeArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let keys = ["model", "year", "tasks"];
    let _json = prepare_json(&args.common, &[&args.data], &keys, Some(&args.output))?;
    let console = super::console(&args.common)?;
    let (selection, settings) = (args.common.selection(), args.settings());
    let outcome = evaluate_challenge(&selection, &settings, || device.open(), &console)
        .resume_with(console::this_command)?;
    let report = ChallengeReport::new(&outcome, settings.year);
    write_json(&args.common, &report.json)?;
    super::show(&console, &report.json, || {
        console::print("")?;
        console::print_table(&report.table)?;
        for model in &outcome.models {
            if !model.answers.missing.is_empty() {
                let (name, missing) = (&model.name, model.answers.missing.join(", "));
                console::note(format_args!("{name}: the file of all answers lacks {missing}"));
            }
            console::note_place("all answers", &model.answers.path);
        }
        Ok(())
    })?;
    Ok(outcome.failures.conclude()?)
}
