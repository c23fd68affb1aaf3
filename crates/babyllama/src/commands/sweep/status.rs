//! `babyllama sweep status`.

use report::format::{decimal, duration};
use sweep::overview::{Overview, Standing, TrialLine, VALUE};
use sweep::report::tables;
use sweep::worker;

use crate::args::{SweepPlaceArgs, SweepStatusArgs};
use crate::console;

/// How many trials a closing table shows.
const SHOWN: usize = 10;

/// Shows how far a sweep is.
pub(super) fn status(args: &SweepStatusArgs) -> anyhow::Result<()> {
    for (index, mut sweep) in super::open(&args.place)?.into_iter().enumerate() {
        let overview = sweep.overview()?;
        if index > 0 {
            console::print("")?;
        }
        let asked = worker::asked_to_stop(&mut sweep.store, sweep.study)?;
        head(&overview, asked.is_some())?;
        if let Some(why) = sweep.store.read_only() {
            console::print(format_args!("the store can only be read: {why}"))?;
        }
        let shown: Vec<&TrialLine> = match args.trials {
            true => overview.trials.iter().collect(),
            false => interesting(&overview),
        };
        if !shown.is_empty() {
            console::print("")?;
            console::print_table(&tables::trials(&overview, &shown))?;
        }
        stopped(&overview, args.trials)?;
        correlations(&overview)?;
    }
    Ok(())
}

/// Prints the best trials of all studies, and writes them beside the sweep.
pub(super) fn table(place: &SweepPlaceArgs) -> anyhow::Result<()> {
    let mut markdown = String::new();
    for mut sweep in super::open(place)? {
        let overview = sweep.overview()?;
        let best = tables::best(&overview, SHOWN);
        let table = tables::trials(&overview, &best);
        console::print("")?;
        head(&overview, false)?;
        console::print("")?;
        console::print_table(&table)?;
        markdown.push_str(&format!("{}\n\n{}\n", overview.name, table.to_markdown()));
        let path = place.sweep.join(format!("{}.csv", overview.name.replace('/', "-")));
        experiment::files::write_text(&path, &sweep::export::csv(&overview))?;
        correlations(&overview)?;
    }
    Ok(experiment::files::write_text(&place.sweep.join("table.md"), &markdown)?)
}

fn head(overview: &Overview, stopped: bool) -> anyhow::Result<()> {
    console::print(tables::progress(overview))?;
    if stopped {
        console::print("`sweep stop` asked the workers to stop; `sweep stop --undo` ends that")?;
    }
    if let Some(best) = overview.best() {
        let value = decimal(best.value, 4);
        console::print(format_args!("best so far: trial {}, {value}", best.number))?;
    }
    if overview.has_reached_target {
        console::print("the target is reached: the search ends")?;
    }
    if let Some(seconds) = overview.seconds_left() {
        let workers = overview.count(Standing::Running).max(1);
        console::print(format_args!(
            "about {} left with {workers} at a time",
            duration(seconds / workers as f64)
        ))?;
    }
    Ok(())
}

/// The best few, and what is not finished.
fn interesting(overview: &Overview) -> Vec<&TrialLine> {
    let open = [Standing::Running, Standing::Paused, Standing::Queued];
    let open = overview.trials.iter().filter(|trial| open.contains(&trial.standing));
    tables::best(overview, 5).into_iter().chain(open).collect()
}

/// Why trials were stopped or failed: all of them, or the failed and a count.
fn stopped(overview: &Overview, all: bool) -> anyhow::Result<()> {
    let ended = [Standing::Stopped, Standing::Failed];
    let lines: Vec<&TrialLine> = overview
        .trials
        .iter()
        .filter(|trial| match all {
            true => ended.contains(&trial.standing),
            false => trial.standing == Standing::Failed,
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    console::print("")?;
    for trial in lines {
        let why = console::visible(trial.why.as_deref().unwrap_or("no reason was stored"));
        let word = trial.standing.word();
        console::print(format_args!("trial {} {word}: {why}", trial.number))?;
    }
    Ok(())
}

/// How much of each score a trial's result explains.
fn correlations(overview: &Overview) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for name in overview.score_names() {
        if ["held_out_loss", "score"].contains(&name.as_str()) {
            continue;
        }
        if let Some((found, count)) = overview.r_squared(&name, VALUE) {
            lines.push(format!("R² of {name} by value: {found:.2} ({count} trials)"));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    console::print("")?;
    lines.iter().try_for_each(console::print)
}
