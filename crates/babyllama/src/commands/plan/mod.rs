//! `babyllama plan`: what a recipe will take, before anything runs.

mod memory;

use std::path::Path;
use std::sync::Arc;

use engine::{Device, DeviceChoice, DeviceError};
use experiment::estimate::signals::Choice;
use experiment::estimate::{
    ModelEstimate, RecipeEstimate, TOKENS_PER_WORD, measured_flops, require_memory_for_all,
};
use experiment::recipe::{self, Recipe};
use experiment::run::RunSettings;
use experiment::run::preview::preview;
use experiment::stage::Status;
use report::format::{NOTHING, duration, grouped, short};
use report::{Align, Table};

use crate::args::{DeviceArgs, RecipeArgs};
use crate::console;

/// Prints parameters, tokens, work, memory, disk and expected time of every model of a recipe.
pub fn plan(args: &RecipeArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let recipe = recipe::load_with_inputs(&args.recipe, &args.overrides)?;
    let device = &device.or_precision(recipe.precision);
    let (arithmetic, faster) = (device.arithmetic(), device.faster_precision());
    let run = Path::new("runs").join(&recipe.name);
    let done = done_stages(&recipe, &run)?;
    let has_tokens = done.iter().any(|stage| stage == "tokens");
    let estimate = RecipeEstimate::of(&recipe, arithmetic, Some(&*run).filter(|_| has_tokens))?;
    let device = open(device)?;
    let speed = device.as_ref().map(measured_flops).transpose()?;
    let (words, tokens) = (grouped(estimate.words as u64), short(estimate.tokens));
    let about = if estimate.tokens_are_known { "" } else { "about " };
    console::print(format_args!("{words} words, {about}{tokens} tokens"))?;
    if let (Some(device), Some(speed)) = (&device, speed) {
        console::print(format_args!(
            "this machine, {}, trains at about {}FLOP/s (a small model, measured now)\n",
            device.name(),
            short(speed)
        ))?;
    }
    if let Some(faster) = faster {
        console::print(format_args!("{faster}\n"))?;
    }
    let time = |flops: f64| speed.map_or(NOTHING.to_owned(), |speed| duration(flops / speed));
    console::print_table(&models_table(&estimate, &done, &time))?;
    console::print("")?;
    console::print(interruption(&estimate))?;
    if device.as_ref().is_none_or(|device| device.memory().is_none())
        && let Err(refused) = require_memory_for_all(&recipe)
    {
        console::print(format_args!("`run` would refuse this recipe: {}", refused.cause()))?;
    }
    memory::print(&estimate.models, device.as_ref(), arithmetic)?;
    if estimate.has_students() {
        console::print(
            "\nKinds of teacher outputs (`signal`, `codec`, `samples`); * is the recipe's, and in \
             the table above:\n",
        )?;
        console::print_table(&signals_table(&estimate.models, &time))?;
        console::print("")?;
        console::print(
            "The disk above counts the teacher cache of each student. Where students of the same \
             teachers\nshare it, it is needed once, and only the first of them takes this long.\n",
        )?;
    }
    match estimate.tokens_are_known {
        true => Ok(()),
        false => console::print(format_args!(
            "Tokens are estimated at {TOKENS_PER_WORD} a word; smaller vocabularies make more of \
             them."
        )),
    }
}

/// The stages of the run that are done already.
fn done_stages(recipe: &Recipe, run: &Path) -> anyhow::Result<Vec<String>> {
    if !run.is_dir() {
        return Ok(Vec::new());
    }
    let stages = preview(recipe.clone(), &RunSettings::on_cpu(run))?;
    let done = stages.into_iter().filter(|stage| stage.status == Status::Done);
    Ok(done.map(|stage| stage.name).collect())
}

/// What a kill costs at most.
fn interruption(estimate: &RecipeEstimate<'_>) -> String {
    let minutes = estimate.models.iter().map(|(_, section, _)| section.train.checkpoint_minutes);
    let longest = minutes.clone().fold(0.0, f64::max);
    match minutes.into_iter().any(|minutes| minutes == 0.0) {
        true => "A kill costs an epoch of training at most (`checkpoint_minutes` is 0).".to_owned(),
        false => format!(
            "A kill costs {longest} minutes of training at most (`checkpoint_minutes`), a stop \
             with Ctrl-C nothing."
        ),
    }
}

/// A line for each model, one for the scores, and one for all; what is done takes no time.
fn models_table(
    estimate: &RecipeEstimate<'_>,
    done: &[String],
    time: &dyn Fn(f64) -> String,
) -> Table {
    let is_done = |name: &str| done.iter().any(|stage| *stage == format!("model-{name}"));
    let heads = ["parameters", "epochs", "tokens", "FLOPs", "memory", "disk", "time"];
    let mut table = Table::new(
        [("model", Align::Left)].into_iter().chain(heads.map(|head| (head, Align::Right))),
    );
    for (name, section, model) in &estimate.models {
        table.push(vec![
            name.to_string(),
            grouped(model.parameters as u64),
            section.train.epochs.to_string(),
            short(model.tokens),
            short(model.flops),
            format!("{}B", short(model.memory)),
            format!("{}B", short(model.disk)),
            if is_done(name) { "done".to_owned() } else { time(model.flops) },
        ]);
    }
    let mut row = |name: &str, disk: Option<f64>, flops: f64| {
        let mut cells = vec![String::new(); heads.len() + 1];
        cells[0] = name.to_owned();
        cells[heads.len() - 1] = disk.map_or(String::new(), |disk| format!("{}B", short(disk)));
        cells[heads.len()] = time(flops);
        table.push(cells);
    };
    let scored = done.iter().filter(|stage| stage.starts_with("evaluate-")).count();
    let subjects = estimate.models.len();
    let scoring = if scored >= subjects { 0.0 } else { estimate.scoring_flops };
    row("scores", None, scoring);
    let to_do = estimate.models.iter().filter(|(name, ..)| !is_done(name));
    let training: f64 = to_do.map(|(_, _, model)| model.flops).sum();
    row("all", Some(estimate.sum(|model| model.disk)), training + scoring);
    table
}

/// What each kind of teacher outputs takes for each student.
fn signals_table(estimates: &[ModelEstimate<'_>], time: &dyn Fn(f64) -> String) -> Table {
    let heads = ["kept on disk", "time"].map(|head| (head, Align::Right));
    let mut table =
        Table::new([("student", Align::Left), ("signal", Align::Left)].into_iter().chain(heads));
    for (name, _, estimate) in estimates {
        for choice in &estimate.choices {
            table.push(signals_row(name, choice, &|flops| time(estimate.own_flops + flops)));
        }
    }
    table
}

fn signals_row(student: &str, choice: &Choice, time: &dyn Fn(f64) -> String) -> Vec<String> {
    let mark = if choice.is_chosen { " *" } else { "" };
    let (disk, time) = match choice.cost {
        Some(cost) => (format!("{}B", short(cost.disk)), time(cost.flops)),
        None => ("not possible".to_owned(), NOTHING.to_owned()),
    };
    vec![student.to_owned(), format!("{}{mark}", choice.name), disk, time]
}

/// The device; none where a GPU is asked for that is not here, which is no reason not to plan for
/// it.
fn open(device: &DeviceArgs) -> experiment::Result<Option<Arc<dyn Device>>> {
    match device.open() {
        Ok(device) => Ok(Some(device)),
        Err(error)
            if matches!(device.device, DeviceChoice::Cuda(_))
                && error.find::<DeviceError>().is_some() =>
        {
            console::note(format_args!(
                "{error}; what follows is estimated from sizes alone, without times"
            ));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
