//! Waiting for what passes: a store that is away (a server that restarts, a file that others hold),
//! and a folder that another worker has.

use std::time::{Duration, Instant};

use experiment::lock::LockError;
use experiment::{ExperimentError, Observer};

use super::observer::TrialObserver;
use crate::error::{Result, SweepError};
use crate::sweep::Sweep;

/// How long a store may be away before a worker gives up.
const LONGEST_ABSENCE: Duration = Duration::from_secs(600);

/// Between two tries at a store.
const RETRY: Duration = Duration::from_secs(3);

/// Between two tries at a folder.
const FOLDER_RETRY: Duration = Duration::from_millis(500);

/// Does something with the store, again and again while that may help; `wait` passes a time, and
/// answers whether to try again after it.
pub(super) fn patiently<T>(
    sweep: &mut Sweep,
    wait: impl Fn(Duration) -> bool,
    work: impl Fn(&mut Sweep) -> Result<T>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        match work(sweep) {
            Err(SweepError::Store(error))
                if error.may_pass() && begun.elapsed() < LONGEST_ABSENCE && wait(RETRY) =>
            {
                // Where it fails, so does the next try.
                let _ = sweep.store.reconnect();
            }
            done => return done,
        }
    }
}

/// Works in a folder as soon as no other worker has it; `what` names it. One that stands still may
/// have lost its trial and not the folder, and one whose trial waits at a rung is still leaving it.
pub(super) fn unlocked<T>(
    trial: &TrialObserver<'_>,
    what: &str,
    work: impl Fn() -> Result<T>,
) -> Result<T> {
    let mut is_announced = false;
    loop {
        match work() {
            Err(error) if is_held(&error) => {
                if trial.should_stop() {
                    return Err(ExperimentError::Interrupted.into());
                }
                if !is_announced {
                    trial.announce(format_args!("waits for {what}"));
                    is_announced = true;
                }
                std::thread::sleep(FOLDER_RETRY);
            }
            done => return done,
        }
    }
}

/// Whether another process has the folder.
fn is_held(error: &SweepError) -> bool {
    let SweepError::Experiment(error) = error else { return false };
    matches!(error.find(), Some(LockError::Held { .. }))
}
