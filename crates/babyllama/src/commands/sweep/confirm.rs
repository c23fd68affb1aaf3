//! `babyllama sweep confirm`.

use sweep::confirm::{self, is_confirmation};
use sweep::report::tables;
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
    match super::with_page_of_failure(&work.place, || confirm_all(&work.place, &crew))? {
        Worked::Done => {
            print(&work.place)?;
            super::write_page(&work.place)
        }
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
        let table = tables::confirmation(&rows, search.terms().direction);
        console::print(format_args!("\n{newest}: fresh seeds, the best mean first\n"))?;
        console::print_table(&table)?;
        if let Some(luck) = tables::luck(&overview, &rows) {
            console::print(format_args!("\n{luck}"))?;
        }
        let path = place.sweep.join(format!("{}.md", newest.replace('/', "-")));
        experiment::files::write_text(&path, &table.to_markdown())?;
    }
    Ok(())
}
