//! `babyllama run` and `babyllama cache-teachers`: a whole recipe, or its teacher caches.

use std::path::{Path, PathBuf};

use experiment::run::clean;
use experiment::run::only;
use experiment::run::preview::{self, StagePreview};
use experiment::run::{RunOutcome, RunSettings};
use experiment::stage::Status;
use experiment::{Recipe, recipe};
use report::format::short;
use serde_json::json;

use crate::args::{CacheTeachersArgs, DeviceArgs, RunArgs};
use crate::console::{self, Answer, Console, Style};
use crate::failure::{Resume, WrongUsage};

/// Bytes that are worth a line at the end of a run.
const MENTIONED: u64 = 100_000_000;

/// Does everything that the recipe describes, and prints the table.
pub fn run(args: &RunArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let recipe = recipe::load_with_inputs(
        &recipe_file(args.recipe.as_deref(), args.output.as_deref())?,
        &args.overrides,
    )?;
    let only = only::select(&recipe, &args.only)?;
    let folder = folder(args.output.as_deref(), &recipe);
    let device = device.or_precision(recipe.precision);
    experiment::run::check_caches(&recipe, &folder, device.known_arithmetic())?;
    if args.dry_run {
        let settings =
            RunSettings { prepared: args.prepared.clone(), only, ..RunSettings::on_cpu(folder) };
        let console = Console::showing().with_style(Style::of(args.json));
        return show(&preview::preview(recipe, &settings, &console)?, args.json);
    }
    let style = Style::of(args.json);
    let device = device.open_for_training(style)?;
    let mut settings = RunSettings {
        folder,
        prepared: args.prepared.clone(),
        caches: None,
        device,
        only,
        replace: args.replace,
    };
    if !may_go_on(&recipe, &mut settings)? {
        return console::print("Nothing was changed.");
    }
    let console = Console::stopping_on_signals()?.with_style(style);
    let work = || experiment::run::run(recipe, &settings, &console);
    let outcome = super::report::with_page_of_failure(&settings.folder, work)
        .resume_with(console::this_command)?;
    close(&outcome, &settings.folder, style)
}

/// Fills the caches that the recipe's students read.
pub fn cache_teachers(args: &CacheTeachersArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let recipe = recipe::load_with_inputs(&args.recipe.recipe, &args.recipe.overrides)?;
    experiment::run::check_students(&recipe, args.model.as_deref())?;
    let folder = folder(args.output.as_deref(), &recipe);
    let device = device.or_precision(recipe.precision);
    experiment::run::check_caches(&recipe, &folder, device.known_arithmetic())?;
    let mut settings = RunSettings {
        folder,
        prepared: args.prepared.clone(),
        caches: None,
        device: device.open()?,
        only: Vec::new(),
        replace: args.replace,
    };
    if !may_go_on(&recipe, &mut settings)? {
        return console::print("Nothing was changed.");
    }
    let (model, console) = (args.model.as_deref(), Console::stopping_on_signals()?);
    experiment::run::cache_teachers(recipe, model, &settings, &console)
        .resume_with(console::this_command)
}

/// The recipe that was named, or the run's own.
pub(super) fn recipe_file(recipe: Option<&Path>, output: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(recipe) = recipe {
        return Ok(recipe.to_owned());
    }
    let own = output.map(preview::recipe_of).unwrap_or_default();
    match own.is_file() {
        true => {
            preview::check_stored(&own)?;
            Ok(own)
        }
        false => Err(WrongUsage(format!(
            "no recipe is named, and there is none of an earlier run at {}",
            own.display()
        ))
        .into()),
    }
}

/// The folder of a recipe's run.
pub(super) fn folder(output: Option<&Path>, recipe: &Recipe) -> PathBuf {
    output.map_or_else(|| Path::new("runs").join(&recipe.name), Path::to_owned)
}

/// Asks before training is set aside, where there is a terminal to ask in; elsewhere the run
/// itself refuses.
fn may_go_on(recipe: &Recipe, settings: &mut RunSettings) -> anyhow::Result<bool> {
    if settings.replace || !console::can_ask() {
        return Ok(true);
    }
    let undone = preview::preview(recipe.clone(), settings, &Console::showing())?;
    let undone = preview::major(&undone);
    if undone.is_empty() {
        return Ok(true);
    }
    console::note("This would set aside and train again:");
    for undone in &undone {
        console::note(format_args!("  {undone}"));
    }
    settings.replace = console::ask("Go on?") == Answer::Yes;
    Ok(settings.replace)
}

/// Prints what a run would do.
fn show(stages: &[StagePreview], as_json: bool) -> anyhow::Result<()> {
    for stage in stages {
        let (name, undoes) = (&stage.name, stage.undoes.as_ref().map(ToString::to_string));
        let reason = match &stage.status {
            Status::Done => None,
            Status::Run(reason) => Some(reason.to_string()),
        };
        if as_json {
            let state = if reason.is_none() { "done" } else { "to do" };
            console::print_json(json!({
                "stage": name, "state": state, "reason": reason, "sets_aside": undoes,
            }))?;
            continue;
        }
        // The training that is set aside has the reason with it.
        match (reason, undoes) {
            (None, _) => console::print(format_args!("{name}: done"))?,
            (Some(_), Some(undone)) => {
                console::print(format_args!("{name}: to do, sets aside {undone}"))?;
            }
            (Some(reason), None) => console::print(format_args!("{name}: to do: {reason}"))?,
        }
    }
    Ok(())
}

fn close(outcome: &RunOutcome, folder: &Path, style: Style) -> anyhow::Result<()> {
    let place = folder.display();
    let page = super::report::write_beside(folder);
    if style == Style::Json {
        let (performed, skipped) = (outcome.performed, outcome.skipped);
        let folder = place.to_string();
        return console::print_json(json!({
            "event": "done", "folder": folder, "performed": performed, "skipped": skipped,
            "report": page.map(|page| page.display().to_string()),
        }));
    }
    console::print("")?;
    console::print_table(&outcome.table)?;
    console::print("")?;
    outcome.remark.iter().try_for_each(console::print)?;
    if let Some(over_seeds) = &outcome.over_seeds {
        console::print(format_args!("{}\n", over_seeds.caption))?;
        console::print_table(&over_seeds.table)?;
        console::print("")?;
    }
    let report = super::report::sentence(page.as_deref());
    match outcome.performed {
        0 => console::print(format_args!(
            "Nothing to do: all {} stages of {place} are done and up to date.{report}",
            outcome.skipped
        )),
        _ => console::print(format_args!(
            "Everything is in {place}; the models are in {place}/models/NAME/final.{report}"
        )),
    }?;
    // Caches stay, since the next student may use them; so a reader should know what they take.
    let waste = clean::find(folder).unwrap_or_default();
    let bytes: u64 = waste.iter().map(|waste| waste.bytes).sum();
    if bytes < MENTIONED {
        return Ok(());
    }
    let size = short(bytes as f64);
    console::print(format_args!(
        "`babyllama clean {place}` frees {size}B: teacher caches and such."
    ))
}
