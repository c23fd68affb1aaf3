//! `babyllama finetune`: language models as classifiers, on the tasks of (Super)GLUE and MSGS.

use experiment::finetuning::finetune as finetune_all;
use experiment::outputs::Kind;
use experiment::{files, outputs};
use serde_json::json;

use super::report;
use crate::args::{DeviceArgs, FinetuneArgs};
use crate::console::{self, Console, Style};
use crate::failure::Resume;

/// What `--json` holds.
const SCORES: Kind<'static> = Kind::Json(&["model", "name", "tasks", "suites", "results"]);

/// Fine-tunes every model for every task with every seed, and shows the scores.
pub fn finetune(args: &FinetuneArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let inputs: Vec<_> = [args.data.clone()].into_iter().chain(args.models.clone()).collect();
    let json = args.json.as_deref();
    json.map_or(Ok(()), |json| outputs::check_apart(json, &args.output, &["report.html", "lock"]))?;
    let _json = json.map(|path| outputs::prepare_file(path, &inputs, SCORES)).transpose()?;
    let style = Style::of(args.events);
    let console = Console::stopping_on_signals()?.with_style(style);
    let job = args.job()?;
    let work = || finetune_all(&job, || device.open(), &console);
    let outcome =
        report::with_page_of_failure(&args.output, work).resume_with(console::this_command)?;
    let page = report::write_beside(&args.output);
    match style {
        Style::Json => {
            console::print_json(json!({ "event": "done", "scores": outcome.json }))?;
        }
        Style::Text | Style::Quiet => {
            let (table, notes) = (outcome.table.to_text(), outcome.failures.footnotes());
            console::print([table, notes].join("\n").trim_end())?;
            console::note_place("scores and answers", &args.output);
            page.iter().for_each(|page| report::note(page));
        }
    }
    args.json.as_deref().map_or(Ok(()), |path| files::write_json(path, &outcome.json))?;
    Ok(outcome.failures.conclude()?)
}
