//! `babyllama status`, `list`, `compare` and `clean`: the folders of runs.

use std::time::SystemTime;

use experiment::run::clean;
use experiment::run::compare::compare;
use experiment::run::status::{self, ModelStatus, RunStatus};
use report::format::{NOTHING, decimal, duration, short, time_of_day};
use report::sparkline::sparkline;
use report::{Align, Table};

use crate::args::{CleanArgs, CompareRunsArgs, ListArgs, StatusArgs};
use crate::console::{self, Answer};

/// Prints how far a run is.
pub fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let run = RunStatus::read(&args.run)?;
    let state = match run.process {
        Some(process) => format!("process {process} works on it"),
        None => "no process works on it".to_owned(),
    };
    console::print(format_args!("{}: {state}\n", run.folder.display()))?;
    let mut stages = Table::new([("stage", Align::Left), ("done at", Align::Left)]);
    for (name, time) in &run.stages {
        stages.push(vec![name.clone(), time_of_day(*time)]);
    }
    console::print_table(&stages)?;
    console::print("")?;
    let is_under_way = run.process.is_some();
    let left = is_under_way.then_some("time left");
    let heads = ["progress", "step", "loss", "held-out loss", "time"].into_iter().chain(left);
    let heads = heads.map(|head| (head, Align::Right));
    let ends = [[("model", Align::Left)], [("products", Align::Left)]];
    let mut models = Table::new(ends[0].into_iter().chain(heads).chain(ends[1]));
    run.models.iter().for_each(|model| models.push(model_row(model, is_under_way)));
    console::print_table(&models)?;
    match run.models.iter().all(|model| model.losses.is_empty()) {
        true => Ok(()),
        false => {
            console::print("")?;
            console::print_table(&curves(&run.models))
        }
    }
}

/// Columns of the longest curve.
const CURVE_COLUMNS: usize = 60;

/// Columns of a curve that shows something.
const LEAST_CURVE_COLUMNS: usize = 8;

/// The losses of models as small curves, as wide as the terminal allows.
fn curves(models: &[ModelStatus]) -> Table {
    let heads = [
        ("model", Align::Left),
        ("loss", Align::Left),
        ("first", Align::Right),
        ("last", Align::Right),
        ("curve", Align::Left),
    ];
    let name = models.iter().map(|model| model.name.chars().count().max(5)).max().unwrap_or(0);
    // The widths of the other columns, and two blanks after each.
    let others = name + "held-out".len() + 2 * "10.0000".len() + 2 * 4;
    let room = console::columns().saturating_sub(others);
    let room = room.clamp(LEAST_CURVE_COLUMNS, CURVE_COLUMNS);
    let mut table = Table::new(heads);
    for model in models {
        let mut name = model.name.as_str();
        for (kind, losses) in [("training", &model.losses), ("held-out", &model.held_out_losses)] {
            if losses.is_empty() {
                continue;
            }
            let [first, last] =
                [losses.first(), losses.last()].map(|loss| decimal(loss.copied(), 4));
            let curve = sparkline(losses, room, console::letters());
            table.push(vec![name.to_owned(), kind.to_owned(), first, last, curve]);
            name = "";
        }
    }
    table
}

fn model_row(model: &ModelStatus, is_under_way: bool) -> Vec<String> {
    let number = |loss: Option<f64>| decimal(loss, 4);
    let progress = match model.is_finished {
        true => "finished".to_owned(),
        false => format!("{:.0} %", 100.0 * model.share.min(1.0)),
    };
    let left = model.seconds_left().map_or(NOTHING.to_owned(), duration);
    let mut row = vec![
        model.name.clone(),
        progress,
        model.step.to_string(),
        number(model.losses.last().copied()),
        number(model.held_out_loss),
        duration(model.seconds),
    ];
    row.extend(is_under_way.then_some(left));
    row.push(model.products.clone().unwrap_or(NOTHING.to_owned()));
    row
}

/// Prints a line for each run of a folder.
pub fn list(args: &ListArgs) -> anyhow::Result<()> {
    let runs = status::list(&args.folder)?;
    if runs.is_empty() {
        return console::print(format_args!("{} holds no runs", args.folder.display()));
    }
    let mut table = Table::new([
        ("run", Align::Left),
        ("models", Align::Right),
        ("state", Align::Left),
        ("last stage done", Align::Left),
    ]);
    for (folder, run) in runs {
        let name = folder.display().to_string();
        table.push(match run {
            Ok(run) => vec![
                name,
                format!("{} of {}", run.finished_models(), run.models.len()),
                state(&run),
                run.last_change().map_or(NOTHING.to_owned(), |time: SystemTime| time_of_day(time)),
            ],
            Err(error) => vec![name, NOTHING.to_owned(), error.cause(), NOTHING.to_owned()],
        });
    }
    console::print_table(&table)
}

/// What happens in a run.
fn state(run: &RunStatus) -> String {
    match run.process {
        Some(process) => format!("process {process}"),
        None if run.finished_models() == run.models.len() => "finished".to_owned(),
        None => "stopped".to_owned(),
    }
}

/// Prints final losses and scores side by side.
pub fn compare_runs(args: &CompareRunsArgs) -> anyhow::Result<()> {
    let found = compare(&args.runs)?;
    console::print_table(&found.table)?;
    match found.remark.is_empty() {
        true => Ok(()),
        false => console::print(format_args!("\n{}", found.remark)),
    }
}

/// Shows what a run does not need, and removes it after a question.
pub fn clean(args: &CleanArgs) -> anyhow::Result<()> {
    let waste = clean::find(&args.run)?;
    let bytes = |bytes: u64| format!("{}B", short(bytes as f64));
    let total = bytes(waste.iter().map(|waste| waste.bytes).sum());
    if waste.is_empty() {
        return console::print(format_args!("{} has nothing to remove", args.run.display()));
    }
    let mut table =
        Table::new([("folder", Align::Left), ("what", Align::Left), ("size", Align::Right)]);
    for waste in &waste {
        let path = waste.path.display().to_string();
        table.push(vec![path, waste.kind.name().to_owned(), bytes(waste.bytes)]);
    }
    console::print_table(&table)?;
    let question = format!("Remove these {total}?");
    match if args.yes { Answer::Yes } else { console::ask(&question) } {
        Answer::Yes => {
            clean::remove(&args.run, &waste)?;
            console::print(format_args!("Removed {total}."))
        }
        Answer::No => console::print("Nothing was removed."),
        Answer::NoTerminal => {
            console::print(format_args!("Nothing was removed; --yes removes these {total}."))
        }
    }
}
