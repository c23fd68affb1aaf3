//! `babyllama evaluate all`: every available benchmark, for every model, and one table.

use std::path::{Path, PathBuf};

use experiment::evaluation::all::evaluate_all;

use super::{prepare_json, write_json};
use crate::args::{AllArgs, DeviceArgs};
use crate::commands::report;
use crate::console;
use crate::failure::Resume;

/// Scores all models and prints the table.
pub fn all(args: &AllArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let files = [Some(&args.data), args.text.as_ref(), args.contexts.as_ref()];
    let files: Vec<&Path> = files.into_iter().flatten().map(PathBuf::as_path).collect();
    let _json =
        prepare_json(&args.common, &files, &["model", "overview", "suites"], Some(&args.output))?;
    let console = super::console(&args.common)?;
    let (selection, settings) = (args.common.selection(), args.settings()?);
    let work = || evaluate_all(&selection, &settings, || device.open(), &console);
    let outcome =
        report::with_page_of_failure(&args.output, work).resume_with(console::this_command)?;
    write_json(&args.common, &outcome.report.json)?;
    let page = report::write_beside(&args.output);
    super::show(&console, &outcome.report.json, || {
        console::print("")?;
        console::print_table(&outcome.report.table)?;
        console::print(format_args!("\n{}", outcome.report.footnotes).to_string().trim_end())?;
        let output = args.output.display();
        let report = report::sentence(page.as_deref());
        console::print(format_args!("Everything is in {output}; table.md has every task.{report}"))
    })?;
    Ok(outcome.failures.conclude()?)
}
