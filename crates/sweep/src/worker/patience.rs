//! Waiting for a store that is away: a server that restarts, a file that others hold.

use std::time::{Duration, Instant};

use crate::error::{Result, SweepError};
use crate::sweep::Sweep;

/// How long a store may be away before a worker gives up.
const LONGEST_ABSENCE: Duration = Duration::from_secs(600);

/// Between two tries.
const RETRY: Duration = Duration::from_secs(3);

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
