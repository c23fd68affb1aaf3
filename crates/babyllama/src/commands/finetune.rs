//! `babyllama finetune`: language models as classifiers, on the tasks of (Super)GLUE and MSGS.

use experiment::finetuning::finetune as finetune_all;
use experiment::{files, outputs};

use crate::args::{DeviceArgs, FinetuneArgs};
use crate::console::{self, Console};
use crate::failure::Resume;

/// Fine-tunes every model for every task with every seed, and shows the scores.
pub fn finetune(args: &FinetuneArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let inputs: Vec<_> = [args.data.clone()].into_iter().chain(args.models.clone()).collect();
    let json = args.json.as_deref();
    let _json = json.map(|path| outputs::prepare_file(path, &inputs)).transpose()?;
    let console = Console::stopping_on_signals()?;
    let outcome = finetune_all(&args.job()?, || device.open(), &console)
        .resume_with(console::this_command)?;
    let (table, notes) = (outcome.table.to_text(), outcome.failures.footnotes());
    console::print([table, notes].join("\n").trim_end())?;
    console::note_place("scores and answers", &args.output);
    super::report::write_beside(&args.output).iter().for_each(|page| super::report::note(page));
    console::note_place("scores and answers", &args.output);
    super::report::write_beside(&args.output).iter().for_each(|page| super::report::note(page));
    if let Some(page) = super::report::write_beside(&args.output) {
        console::print(format_args!("The report is {}.", page.display()))?;
    }
    args.json.as_deref().map_or(Ok(()), |path| files::write_json(path, &outcome.json))?;
    Ok(outcome.failures.conclude()?)
}
