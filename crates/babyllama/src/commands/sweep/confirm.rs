//! `babyllama sweep confirm`.

use eval::statistics::Spread;
use report::format::{NOTHING, decimal};
use report::{Align, Table};
use sweep::confirm::{self, ConfirmedRow, is_confirmation};
use sweep::luck::expected_best;
use sweep::overview::Standing;
use sweep::sweep::Sweep;
use sweep::worker::Worked;

use super::work::{self, Crew};
use crate::args::{DeviceArgs, SweepConfirmArgs, SweepPlaceArgs};
use crate::console;

/// Trains the best again, and prints what holds.
pub(super) fn confirm(
    args: &SweepConfirmArgs,
    threads: u16,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let work = &args.work;
    let crew = Crew { jobs: work.jobs.jobs, time: work.time, threads, device };
    match confirm_all(&work.place, &crew)? {
        Worked::Done => print(&work.place),
        Worked::Stopped => console::print(work::STOPPED),
        Worked::Paused => {
            let place = work.place.sweep.display();
            console::print(format_args!("Paused; `babyllama sweep confirm {place}` goes on."))
        }
    }
}

/// Trains the confirmations of all studies.
pub(super) fn confirm_all(place: &SweepPlaceArgs, crew: &Crew<'_>) -> anyhow::Result<Worked> {
    for mut sweep in super::open(place)? {
        let study = Some(confirm::begin(&mut sweep)?);
        let of_study =
            SweepPlaceArgs { study, sweep: place.sweep.clone(), store: place.store.clone() };
        match work::work_all(&of_study, crew)? {
            Worked::Done => {}
            ended => return Ok(ended),
        }
    }
    Ok(Worked::Done)
}

/// Prints the newest confirmation of each study.
pub(super) fn print(place: &SweepPlaceArgs) -> anyhow::Result<()> {
    let found = super::find(place)?;
    for mut search in super::open(place)? {
        let below = format!("{}/", search.name);
        let mut names = Sweep::studies(&found.address, &search.name)?;
        names.retain(|name| {
            name.strip_prefix(&below).is_some_and(|rest| !rest.contains('/'))
                && is_confirmation(name)
        });
        let Some(newest) = names.last() else { continue };
        let mut confirmation = Sweep::open(&place.sweep, &found.address, newest)?;
        let rows = confirm::rows(&mut confirmation, &mut search)?;
        let overview = search.overview()?;
        let table = table(&rows);
        console::print(format_args!("\n{newest}: fresh seeds, the best mean first\n"))?;
        console::print_table(&table)?;
        let failed = overview.count(Standing::Failed);
        luck(&rows, (overview.trials.len() - failed) as u64)?;
        let path = place.sweep.join(format!("{}.md", newest.replace('/', "-")));
        experiment::files::write_text(&path, &table.to_markdown())?;
    }
    Ok(())
}

fn table(rows: &[ConfirmedRow]) -> Table {
    let mut table = Table::new([
        ("settings", Align::Left),
        ("in the search", Align::Right),
        ("mean", Align::Right),
        ("deviation", Align::Right),
        ("seeds", Align::Right),
        ("gain over the baseline", Align::Right),
        ("", Align::Left),
    ]);
    for row in rows {
        let gain = match row.gain {
            Some((mean, Some(deviation))) => format!("{mean:+.4} ± {deviation:.4}"),
            Some((mean, None)) => format!("{mean:+.4}"),
            None => NOTHING.to_owned(),
        };
        table.push(vec![
            row.label.clone(),
            decimal(row.search, 4),
            decimal(row.mean, 4),
            decimal(row.deviation, 4),
            row.values.len().to_string(),
            gain,
            row.verdict.word().to_owned(),
        ]);
    }
    table
}

/// What luck alone would give the best of as many trials.
fn luck(rows: &[ConfirmedRow], trials: u64) -> anyhow::Result<()> {
    let deviations: Vec<f64> = rows.iter().filter_map(|row| row.deviation).collect();
    let of_all = Spread::of(&deviations, 0.95).filter(|_| trials > 1);
    let Some(deviation) = of_all.map(|of| of.mean) else { return Ok(()) };
    console::print(format_args!(
        "\nBy luck alone the best of {trials} equal trials looks {:.4} better than it is \
         ({:.2} standard deviations between seeds).",
        expected_best(trials) * deviation,
        expected_best(trials)
    ))
}
