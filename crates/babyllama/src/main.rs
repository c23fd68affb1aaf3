//! The command line: the only part of babyllama that prints, draws progress or reads arguments.

mod advice;
mod args;
mod commands;
mod console;
mod device;
mod failure;
mod interrupt;
mod progress;
mod server;

use std::process::ExitCode;

use anyhow::Context;

use args::{Cli, Command, DeviceArgs};
use failure::Failure;

fn main() -> ExitCode {
    interrupt::survive_file_limits();
    let done = args::parse().and_then(|Cli { command, threads, quiet, device }| {
        console::set_quiet(quiet);
        in_thread_pool(threads, || guarded(|| dispatch(&command, threads, &device)))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::from(&error);
            console::note(&failure);
            ExitCode::from(failure.code)
        }
    }
}

/// Runs a command on a pool of the asked number of threads, 0 meaning one per core.
fn in_thread_pool(
    threads: u16,
    command: impl FnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.into())
        .build()
        .context("cannot start threads")?;
    pool.install(command)
}

/// Runs a command that may lose its device, which ends here as an error.
fn guarded(command: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    engine::fault::catch(command).unwrap_or_else(|fault| Err(fault.into()))
}

fn dispatch(command: &Command, threads: u16, device: &DeviceArgs) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => commands::run::run(args, device),
        Command::Status(args) => commands::runs::status(args),
        Command::Watch(args) => commands::watch::watch(args),
        Command::List(args) => commands::runs::list(args),
        Command::Compare(args) => commands::runs::compare_runs(args),
        Command::Report(args) => commands::report::report(args),
        Command::Clean(args) => commands::runs::clean(args),
        Command::CacheTeachers(args) => commands::run::cache_teachers(args, device),
        Command::Plan(args) => commands::plan::plan(args, device),
        Command::Recipe(command) => commands::recipe::recipe(command),
        Command::Corpus(command) => commands::corpus::corpus(command),
        Command::Tokenizer(command) => commands::tokenizer::tokenizer(command),
        Command::Tokens(command) => commands::tokens::tokens(command),
        Command::Pretrain(args) => commands::train::train(&args.train, args.request(), device),
        Command::Distill(args) => commands::train::train(&args.train, args.request(), device),
        Command::Evaluate(command) => commands::evaluate::evaluate(command, device),
        Command::Finetune(args) => commands::finetune::finetune(args, device),
        Command::Sweep(command) => commands::sweep::sweep(command, threads, device),
        Command::Generate(args) => commands::generate::generate(args, device),
        Command::Export(args) => commands::export::export(args, device),
        Command::Bench(args) => commands::bench::bench(args, device),
        Command::Check(args) => commands::check::check(args, device),
    }
}
