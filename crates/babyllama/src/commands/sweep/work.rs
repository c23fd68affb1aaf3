//! `babyllama sweep work`: one worker in this process, or several as processes of their own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use sweep::definition::Part;
use sweep::overview::Standing;
use sweep::sweep::{Sweep, place};
use sweep::worker::{self, WorkSettings, Worked};

use crate::args::{DeviceArgs, SweepPlaceArgs, SweepWorkArgs};
use crate::console::{self, Console, Style};
use crate::interrupt::Interrupt;

/// What is printed where `sweep stop` ended the work.
pub(super) const STOPPED: &str =
    "The sweep was stopped; `babyllama sweep stop --undo` lets workers begin again.";

/// Workers of one command.
pub(super) struct Crew<'a> {
    /// How many at a time.
    pub jobs: u16,
    /// How long.
    pub time: Option<Duration>,
    /// Threads of all together; 0 for one each core.
    pub threads: u16,
    /// Where models are trained.
    pub device: &'a DeviceArgs,
}

/// Works until all is done, the time is over, or a signal arrives.
pub(super) fn work(args: &SweepWorkArgs, threads: u16, device: &DeviceArgs) -> anyhow::Result<()> {
    let crew = Crew { jobs: args.jobs.jobs, time: args.time, threads, device };
    let worked = work_all(&args.place, &crew)?;
    let place = args.place.sweep.display();
    console::print(match worked {
        Worked::Done => format!("All trials are done; see `babyllama sweep status {place}`."),
        Worked::Stopped => STOPPED.to_owned(),
        Worked::Paused => format!("Paused; `babyllama sweep work {place}` goes on."),
    })
}

/// Works on all studies of a sweep.
pub(super) fn work_all(place: &SweepPlaceArgs, crew: &Crew<'_>) -> anyhow::Result<Worked> {
    match crew.jobs {
        0 | 1 => work_here(place, crew),
        _ => work_in_processes(place, crew),
    }
}

fn work_here(place: &SweepPlaceArgs, crew: &Crew<'_>) -> anyhow::Result<Worked> {
    let mut sweeps = super::open(place)?;
    for sweep in &sweeps {
        sweep.write_folder()?;
    }
    let device = crew.device.or_precision(precision(&sweeps)?);
    let settings = WorkSettings {
        device: device.open_for_training(Style::of(false))?,
        name: worker::worker_name(),
        until: crew.time.map(|time| Instant::now() + time),
    };
    let console = Console::stopping_on_signals()?;
    Ok(worker::work(&mut sweeps, &settings, &console)?)
}

/// The precision that the recipe of a sweep's trials names.
fn precision(sweeps: &[Sweep]) -> anyhow::Result<Option<experiment::recipe::Precision>> {
    let Some(sweep) = sweeps.first() else { return Ok(None) };
    match sweep.definition.part.searched() {
        Part::Finetune { .. } => Ok(None),
        _ => Ok(experiment::recipe::load(&sweep.folder.join(place::BASE), &[])?.precision),
    }
}

/// Begins worker processes, forwards what they print and a request to stop, and waits for all.
fn work_in_processes(place: &SweepPlaceArgs, crew: &Crew<'_>) -> anyhow::Result<Worked> {
    let interrupt = Interrupt::install().context("cannot install signal handlers")?;
    for sweep in super::open(place)? {
        sweep.write_folder()?;
    }
    let mut workers = Vec::new();
    for number in 1..=crew.jobs {
        workers.push(begin(place, crew, number)?);
    }
    let mut asked = false;
    let mut failed = 0;
    while !workers.is_empty() {
        if interrupt.is_requested() && !asked {
            asked = true;
            workers.iter().for_each(|(_, child)| ask_to_stop(child));
        }
        let mut left = Vec::new();
        for (number, mut child) in workers {
            match child.try_wait().context("cannot wait for a worker")? {
                None => left.push((number, child)),
                Some(status) if status.success() => {}
                Some(status) => {
                    console::warn(format_args!("worker {number} ended with {status}"));
                    failed += 1;
                }
            }
        }
        workers = left;
        std::thread::sleep(Duration::from_millis(50));
    }
    if failed > 0 {
        return Err(anyhow!("{failed} of {} workers failed", crew.jobs));
    }
    if asked {
        return Ok(Worked::Paused);
    }
    standing(place)
}

/// How the work of processes ended, by the store.
fn standing(place: &SweepPlaceArgs) -> anyhow::Result<Worked> {
    let mut worked = Worked::Done;
    for mut sweep in super::open(place)? {
        if worker::asked_to_stop(&mut sweep.store, sweep.study)?.is_some() {
            return Ok(Worked::Stopped);
        }
        let overview = sweep.overview()?;
        // At the end of a sweep nothing waits at a rung.
        if overview.unfinished() > 0 || overview.count(Standing::Paused) > 0 {
            worked = Worked::Paused;
        }
    }
    Ok(worked)
}

fn begin(place: &SweepPlaceArgs, crew: &Crew<'_>, number: u16) -> anyhow::Result<(u16, Child)> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.arg("sweep").arg("work").arg(&place.sweep);
    if let Some(store) = &place.store.store {
        command.arg("--store").arg(store);
    }
    if let Some(study) = &place.study {
        command.arg("--study").arg(study);
    }
    if let Some(time) = crew.time {
        command.arg("--for").arg(format!("{}s", time.as_secs().max(1)));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if crew.threads == 0 { cores } else { crew.threads.into() };
    command.arg("--threads").arg((threads / usize::from(crew.jobs)).max(1).to_string());
    command.args(crew.device.to_arguments());
    command.args(console::is_quiet().then_some("--quiet"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot begin a worker")?;
    if let Some(lines) = child.stderr.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                console::note(format_args!("[{number}] {line}"));
            }
        });
    }
    Ok((number, child))
}

#[cfg(unix)]
fn ask_to_stop(child: &Child) {
    if let Some(process) = rustix::process::Pid::from_raw(child.id() as i32) {
        // One that has ended needs no signal.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
}

#[cfg(not(unix))]
fn ask_to_stop(_: &Child) {}
