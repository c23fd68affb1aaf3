//! `babyllama sweep`: searches for settings.

mod confirm;
mod create;
mod edit;
mod output;
mod plan;
mod status;
mod work;

use anyhow::Context;
use sweep::confirm::is_confirmation;
use sweep::store::Address;
use sweep::sweep::{Sweep, name_in, name_in_store, stored_address};

use crate::args::{DeviceArgs, SweepCommand, SweepPlaceArgs};
use crate::console;
use crate::failure::{Hint, WrongUsage};

/// Runs a subcommand.
pub fn sweep(command: &SweepCommand, threads: u16, device: &DeviceArgs) -> anyhow::Result<()> {
    match command {
        SweepCommand::Run(args) => create::run(args, threads, device),
        SweepCommand::Plan(args) => plan::plan(args, device),
        SweepCommand::Create(args) => create::create(args).map(drop),
        SweepCommand::Work(args) => work::work(args, threads, device),
        SweepCommand::Status(args) => status::status(args),
        SweepCommand::Stop(args) => edit::stop(args),
        SweepCommand::Enqueue(args) => edit::enqueue(args),
        SweepCommand::Retry(args) => edit::retry(args),
        SweepCommand::Best(args) => output::best(args),
        SweepCommand::Confirm(args) => confirm::confirm(args, threads, device),
        SweepCommand::Export(args) => output::export(args),
        SweepCommand::Import(args) => output::import(args),
        SweepCommand::Check(args) => output::check(args),
    }
}

/// A sweep as the command line names it: its store, and the name of its studies.
struct Found {
    address: Address,
    name: String,
}

/// Where a sweep has its store, and what it is called.
fn find(args: &SweepPlaceArgs) -> anyhow::Result<Found> {
    let folder = &args.sweep;
    let address = match &args.store.store {
        Some(store) => Some(Address::parse(store)?),
        None => stored_address(folder)?,
    };
    let Some(address) = address else {
        return Err(WrongUsage(format!("{} holds no sweep", folder.display()))).hint(
            "give the folder that `babyllama sweep create` made, or --store and --study of a sweep \
             that is new on this machine",
        );
    };
    let name = match &args.study {
        Some(study) => study.clone(),
        // A folder that is new on this machine has no recipe yet.
        None => name_in(folder)?.unwrap_or_else(|| name_in_store(folder, &address)),
    };
    Ok(Found { address, name })
}

/// Opens the studies of a sweep, without its confirmations unless one is named.
fn open(args: &SweepPlaceArgs) -> anyhow::Result<Vec<Sweep>> {
    let Found { address, name } = find(args)?;
    let mut names = Sweep::studies(&address, &name)?;
    if !is_confirmation(&name) {
        names.retain(|name| !is_confirmation(name));
    }
    let open = |name: &String| {
        Sweep::open(&args.sweep, &address, name).with_context(|| format!("study {name}"))
    };
    names.iter().map(open).collect()
}

/// The address and the name of the whole sweep, also where one of its studies is named.
fn whole(args: &SweepPlaceArgs) -> anyhow::Result<Found> {
    let found = find(args)?;
    let name = name_in(&args.sweep)?.unwrap_or(found.name);
    Ok(Found { name, ..found })
}

/// Writes the page about a sweep into its folder; what keeps it from being written is a warning.
fn write_page(args: &SweepPlaceArgs) -> anyhow::Result<()> {
    let Found { address, name } = whole(args)?;
    match sweep::report::write_into(&args.sweep, &address, &name) {
        Ok(page) => super::report::note(&page),
        Err(error) => console::warn(format_args!("no report was written: {error}")),
    }
    Ok(())
}

/// Does a sweep's work. Where it fails, the page about what is done is written too; what keeps it
/// from being written is less than the failure, and is not printed.
fn with_page_of_failure<T>(
    args: &SweepPlaceArgs,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let done = work();
    if done.is_err()
        && let Ok(Found { address, name }) = whole(args)
        // A page without trials would replace one with them.
        && Sweep::studies(&address, &name).is_ok()
        && let Ok(page) = sweep::report::write_into(&args.sweep, &address, &name)
    {
        super::report::note(&page);
    }
    done
}

/// Opens the one study of a sweep.
fn open_one(args: &SweepPlaceArgs) -> anyhow::Result<Sweep> {
    let mut sweeps = open(args)?;
    if sweeps.len() > 1 {
        let names: Vec<&str> = sweeps.iter().map(|sweep| sweep.name.as_str()).collect();
        return Err(WrongUsage(format!("the sweep has {} studies", names.len())))
            .hint(format!("name one with --study: {}", names.join(", ")));
    }
    sweeps.pop().ok_or_else(|| WrongUsage("the store has no such study".to_owned()).into())
}
