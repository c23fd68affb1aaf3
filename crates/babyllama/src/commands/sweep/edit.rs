//! `babyllama sweep stop`, `enqueue` and `retry`.

use sweep::edit::values_of;

use crate::args::{SweepEnqueueArgs, SweepRetryArgs, SweepStopArgs};
use crate::console;

/// Asks workers to stop, or lets them begin again.
pub(super) fn stop(args: &SweepStopArgs) -> anyhow::Result<()> {
    for mut sweep in super::open(&args.place)? {
        if args.undo {
            sweep.resume()?;
            console::print(format_args!("{}: workers may begin again", sweep.name))?;
            continue;
        }
        sweep.stop(args.now)?;
        let when = if args.now { "at once" } else { "after the trial at hand" };
        console::print(format_args!("{}: workers stop {when}", sweep.name))?;
    }
    Ok(())
}

/// Adds a point.
pub(super) fn enqueue(args: &SweepEnqueueArgs) -> anyhow::Result<()> {
    let mut sweep = super::open_one(&args.place)?;
    let number = sweep.enqueue(&values_of(&args.values)?)?;
    console::print(format_args!("trial {number} of {} waits for a worker", sweep.name))
}

/// Adds failed trials again.
pub(super) fn retry(args: &SweepRetryArgs) -> anyhow::Result<()> {
    let mut sweep = super::open_one(&args.place)?;
    let numbers = match args.numbers.is_empty() {
        true => sweep.failed()?,
        false => args.numbers.clone(),
    };
    if numbers.is_empty() {
        return console::print("no trial failed");
    }
    for number in numbers {
        let again = sweep.retry(number)?;
        console::print(format_args!("trial {number} is tried again as trial {again}"))?;
    }
    Ok(())
}
