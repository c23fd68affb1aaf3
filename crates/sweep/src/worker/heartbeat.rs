//! Heartbeats: a thread with a connection of its own renews the lease while a trial is trained.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::schedule::stop_request;
use crate::store::{Lease, Store, StudyId, Worker};
use crate::sweep::Sweep;

/// Renews a lease until it is dropped.
pub(super) struct Heartbeat {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ends: bool,
    /// Why the lease is another's, or cannot be renewed any more.
    lost: Option<String>,
    /// Whether all workers are to stop now.
    stop_now: bool,
}

impl Heartbeat {
    /// Begins to renew a lease.
    ///
    /// # Errors
    /// When there is no second connection.
    pub(super) fn begin(sweep: &Sweep, lease: Lease, worker: Worker) -> Result<Self> {
        let (store, study) = (sweep.store.again()?, sweep.study);
        let interval = Duration::from_secs_f64(sweep.file.recipe.heartbeat_seconds);
        let shared = Arc::<Shared>::default();
        let of_thread = shared.clone();
        let thread =
            std::thread::spawn(move || beat(store, study, &lease, &worker, interval, &of_thread));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Why the lease is lost, if it is.
    pub(super) fn lost(&self) -> Option<String> {
        self.shared.state.lock().map_or(None, |state| state.lost.clone())
    }

    /// Whether the worker must stop: the lease is lost, or all workers were asked to stop now.
    pub(super) fn must_stop(&self) -> bool {
        self.shared.state.lock().map_or(true, |state| state.lost.is_some() || state.stop_now)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.ends = true;
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn beat(
    mut store: Store,
    study: StudyId,
    lease: &Lease,
    worker: &Worker,
    interval: Duration,
    shared: &Shared,
) {
    let lease_time = Duration::from_secs_f64(worker.lease_seconds);
    let mut renewed = Instant::now();
    loop {
        let Ok(state) = shared.state.lock() else { return };
        let waited = shared.changed.wait_timeout_while(state, interval, |state| !state.ends);
        let Ok((mut state, _)) = waited else { return };
        if state.ends {
            return;
        }
        drop(state);
        let beat = store.unlocked(study, |change| {
            change.renew(lease, worker)?;
            stop_request(change)
        });
        state = match shared.state.lock() {
            Ok(state) => state,
            Err(_) => return,
        };
        match beat {
            Ok(asked) => {
                renewed = Instant::now();
                state.stop_now |= asked.as_deref() == Some("now");
            }
            Err(error) if error.is_lost_lease() => {
                state.lost = Some(error.to_string());
                return;
            }
            // The store may come back before the lease expires.
            Err(error) if renewed.elapsed() > lease_time => {
                state.lost = Some(format!("the lease could not be renewed: {error}"));
                return;
            }
            Err(_) => {
                drop(state);
                let _ = store.reconnect();
            }
        }
    }
}
