//! `babyllama sweep create` and `sweep run`.

use std::path::{Path, PathBuf};

use sweep::store::{Address, default_address};
use sweep::sweep::{Draft, stored_address};
use sweep::worker::Worked;

use super::{confirm, status, work};
use crate::args::{DeviceArgs, StoreArgs, SweepCreateArgs, SweepPlaceArgs, SweepRunArgs};
use crate::console;
use crate::failure::Interrupted;

/// Makes a sweep; returns its folder.
pub(super) fn create(args: &SweepCreateArgs) -> anyhow::Result<PathBuf> {
    let draft = Draft::read(&args.recipe.recipe, &args.recipe.overrides)?;
    let name = &draft.file.recipe.name;
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None => Path::new("runs/sweeps").join(name),
    };
    let address = match (&args.store.store, stored_address(&folder)?) {
        (Some(store), _) => Address::parse(store)?,
        (None, Some(stored)) => stored,
        (None, None) => default_address(&folder),
    };
    draft.create(&folder, &address)?;
    let place = folder.display();
    for (study, _) in &draft.studies {
        console::note_unless_quiet(format_args!("study {study} in {address}"));
    }
    console::note_unless_quiet(format_args!(
        "the sweep is in {place}; `babyllama sweep work {place}` trains it"
    ));
    Ok(folder)
}

/// Does everything on this machine.
pub(super) fn run(args: &SweepRunArgs, threads: u16, device: &DeviceArgs) -> anyhow::Result<()> {
    let folder = create(&args.create)?;
    let store = StoreArgs { store: args.create.store.store.clone() };
    let place = SweepPlaceArgs { sweep: folder, store, study: None };
    let crew = work::Crew { jobs: args.jobs.jobs, time: None, threads, device };
    let all = || match work::work_all(&place, &crew)? {
        Worked::Done => confirm::confirm_all(&place, &crew),
        ended => Ok(ended),
    };
    match super::with_page_of_failure(&place, all)? {
        Worked::Done => {}
        Worked::Paused => return Err(Interrupted { resume: console::this_command() }.into()),
        Worked::Stopped => return console::print(work::STOPPED),
    }
    status::table(&place)?;
    confirm::print(&place)?;
    super::write_page(&place)
}
