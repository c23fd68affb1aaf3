//! A worker: takes trials one after the other and trains them, until all is done.

mod heartbeat;
mod observer;
mod patience;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Device;
use experiment::Observer;
use serde_json::json;
use train::TrainError;

use self::heartbeat::Heartbeat;
use self::observer::{Ending, TrialObserver};
use self::patience::{patiently, unlocked};
use crate::error::{Result, SweepError};
use crate::recipe::VALIDATION_LOSS;
use crate::schedule::{Assigned, Next, STOP};
use crate::store::{Lease, Store, StudyId, TrialState, Worker};
use crate::sweep::Sweep;
use crate::target::{Assignment, Measured, Target};
use crate::trial::key;

/// Between two looks at a store that has nothing to do; it doubles from look to look.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a worker works.
pub struct WorkSettings {
    /// Where models are trained.
    pub device: Arc<dyn Device>,
    /// Names the worker to readers.
    pub name: String,
    /// When it stops, whatever is left.
    pub until: Option<Instant>,
}

/// How the work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// All trials are done.
    Done,
    /// The time is over, or a signal asked to stop; the trial at hand is given back.
    Paused,
    /// `sweep stop` asked all workers to.
    Stopped,
}

/// Works on studies, on the one with the fewest trials first, until all are done.
///
/// # Errors
/// When a store, the disk or the device fails; the trial at hand is given back where that can be.
/// A trial that fails by itself ends alone.
pub fn work(
    sweeps: &mut [Sweep],
    settings: &WorkSettings,
    observer: &dyn Observer,
) -> Result<Worked> {
    let mut pause = FIRST_PAUSE;
    loop {
        if observer.should_stop() || settings.until.is_some_and(|until| Instant::now() >= until) {
            return Ok(Worked::Paused);
        }
        match step(sweeps, settings, observer)? {
            Step::Trained => pause = FIRST_PAUSE,
            Step::Ended(worked) => {
                if worked == Worked::Done {
                    forget_stopped(sweeps, settings)?;
                }
                return Ok(worked);
            }
            Step::Waits => {
                wait(pause, settings, observer);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Removes the checkpoints of trials that waited at a rung to the end.
fn forget_stopped(sweeps: &mut [Sweep], settings: &WorkSettings) -> Result<()> {
    for sweep in sweeps {
        let target = sweep.target(settings.device.clone())?;
        for trial in sweep.trials()? {
            if trial.row.state == TrialState::Pruned {
                target.forget(&sweep.trial_folder(trial.number()));
            }
        }
    }
    Ok(())
}

enum Step {
    Trained,
    Waits,
    Ended(Worked),
}

fn step(sweeps: &mut [Sweep], settings: &WorkSettings, observer: &dyn Observer) -> Result<Step> {
    let mut waits = false;
    let passes = |time| wait(time, settings, observer);
    for index in by_trials(sweeps, passes)? {
        let sweep = &mut sweeps[index];
        let seconds = sweep.file.recipe.heartbeat_seconds;
        let worker = Worker { name: settings.name.clone(), lease_seconds: 4.0 * seconds };
        match patiently(sweep, passes, |sweep| sweep.next(&worker))? {
            Next::Train(assigned) => {
                let trained = train(sweep, &assigned, &worker, settings, observer)?;
                return Ok(match trained {
                    Some(worked) => Step::Ended(worked),
                    None => Step::Trained,
                });
            }
            Next::Wait => waits = true,
            Next::Stopped => return Ok(Step::Ended(Worked::Stopped)),
            Next::Done => {}
        }
    }
    Ok(if waits { Step::Waits } else { Step::Ended(Worked::Done) })
}

/// The places of the studies, that with the fewest trials first.
fn by_trials(sweeps: &mut [Sweep], wait: impl Fn(Duration) -> bool) -> Result<Vec<usize>> {
    if sweeps.len() == 1 {
        return Ok(vec![0]);
    }
    let mut order = Vec::new();
    for (index, sweep) in sweeps.iter_mut().enumerate() {
        let count = patiently(sweep, &wait, |sweep| Ok(sweep.store.count(sweep.study)?))?;
        order.push((count, index));
    }
    order.sort();
    Ok(order.into_iter().map(|(_, index)| index).collect())
}

/// Whether workers of a study were asked to stop: `after` the trial at hand, or `now`.
///
/// # Errors
/// When the store cannot be read.
pub fn asked_to_stop(store: &mut Store, study: StudyId) -> Result<Option<String>> {
    Ok(store.study_attribute::<Option<String>>(study, STOP)?.flatten())
}

/// Passes a time; `false` where it is cut short by the end of the work.
fn wait(time: Duration, settings: &WorkSettings, observer: &dyn Observer) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if observer.should_stop() || settings.until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Trains one trial; returns how the work ends, where it does.
fn train(
    sweep: &mut Sweep,
    assigned: &Assigned,
    worker: &Worker,
    settings: &WorkSettings,
    observer: &dyn Observer,
) -> Result<Option<Worked>> {
    let target = sweep.target(settings.device.clone())?;
    let assignment = sweep.assignment(&assigned.stored, assigned.seed);
    announce(sweep, assigned, &assignment, observer);
    let folder = sweep.trial_folder(assigned.number);
    let begun = Instant::now();
    let (lease, wait) = (&assigned.lease, |time| wait(time, settings, observer));
    let heartbeat =
        patiently(sweep, wait, |sweep| Heartbeat::begin(sweep, lease.clone(), worker.clone()));
    let heartbeat = match heartbeat {
        Ok(heartbeat) => heartbeat,
        Err(error) => return conclude(sweep, lease, Outcome::Ends(error), observer),
    };
    let logged = || target.evaluations(&folder);
    let trial = TrialObserver::new(sweep, assigned, &heartbeat, &logged, settings.until, observer);
    let done = execute(&*target, &assignment, &folder, &trial);
    let (ending, reports) = (trial.ending(), trial.into_reports());
    let outcome = match (done, ending) {
        (_, Ending::StoreFailed(error)) => Outcome::Ends(error),
        (_, Ending::LeaseLost(why)) => Outcome::Left(format!("{why}; this worker leaves it")),
        (Ok(measured), _) => {
            let result = patiently(sweep, wait, |sweep| {
                finish(sweep, assigned, &folder, &measured, &reports, settings)
            });
            let (number, seconds) = (assigned.number, begun.elapsed().as_secs_f64());
            left(result, |ending| match ending {
                None => format!("trial {number} is done after {seconds:.1} s"),
                Some(why) => format!("trial {number} fails: {why}"),
            })
        }
        (Err(_), Ending::Paused(line)) => {
            Outcome::Left(format!("trial {} waits: {line}", assigned.number))
        }
        (Err(_), Ending::Stopped(line)) => {
            target.forget(&folder);
            Outcome::Left(format!("trial {} stops: {line}", assigned.number))
        }
        (Err(error), Ending::Own) if error.is_stop() => Outcome::Interrupted,
        (Err(error), Ending::Own) if ends_the_worker(&error, &*target) => Outcome::Ends(error),
        (Err(error), Ending::Own) => {
            let why = reason(&error);
            target.forget(&folder);
            let result = patiently(sweep, wait, |sweep| sweep.fail(lease, &why));
            left(result, |()| format!("trial {} fails: {why}", assigned.number))
        }
    };
    drop(heartbeat);
    conclude(sweep, lease, outcome, observer)
}

/// What follows from the end of a trial that was stored: of a lease that was lost nothing was.
fn left<T>(stored: Result<T>, line: impl FnOnce(T) -> String) -> Outcome {
    match stored {
        Ok(stored) => Outcome::Left(line(stored)),
        Err(error) if error.is_lost_lease() => {
            Outcome::Left(format!("{error}; this worker leaves it"))
        }
        Err(error) => Outcome::Ends(error),
    }
}

/// Gives a trial back that is not at its end; returns how the work ends, where it does.
fn conclude(
    sweep: &mut Sweep,
    lease: &Lease,
    outcome: Outcome,
    observer: &dyn Observer,
) -> Result<Option<Worked>> {
    match outcome {
        Outcome::Left(line) => {
            observer.note(format_args!("{line}"));
            Ok(None)
        }
        Outcome::Interrupted => {
            sweep.give_back(lease)?;
            let stopped = asked_to_stop(&mut sweep.store, sweep.study)?.is_some();
            Ok(Some(if stopped { Worked::Stopped } else { Worked::Paused }))
        }
        Outcome::Ends(error) => {
            // Where the store fails too, the lease expires.
            let _ = sweep.give_back(lease);
            Err(error)
        }
    }
}

/// What becomes of the worker after a trial.
enum Outcome {
    /// It goes on with another trial.
    Left(String),
    /// It was asked to stop.
    Interrupted,
    /// It cannot work here.
    Ends(SweepError),
}

fn announce(sweep: &Sweep, assigned: &Assigned, assignment: &Assignment, observer: &dyn Observer) {
    let values: Vec<String> =
        assignment.settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let values = match values.is_empty() {
        true => "the recipe's own settings".to_owned(),
        false => values.join(", "),
    };
    let (number, why, name) = (assigned.number, assigned.why, &sweep.name);
    observer.note(format_args!("trial {number} of {name} {why}: {values}"));
}

/// Prepares what trials share and trains. A trial whose checkpoints are damaged begins again.
fn execute(
    target: &dyn Target,
    assignment: &Assignment,
    folder: &Path,
    trial: &TrialObserver<'_>,
) -> Result<Measured> {
    target.check(assignment)?;
    let prepare = || target.prepare(assignment, trial);
    let text = unlocked(trial, "what another worker prepares", prepare)?;
    if let Some(text) = text {
        trial.require_text(&text)?;
    }
    trial.begin_training();
    let train = || {
        let what = "the trial's folder, which another worker has";
        unlocked(trial, what, || target.execute(assignment, folder, trial))
    };
    let measured = match train() {
        Err(error) if has_damaged_checkpoint(&error) => {
            target.forget(folder);
            train()
        }
        done => done,
    }?;
    trial.catch_up_to_the_end();
    Ok(measured)
}

fn has_damaged_checkpoint(error: &SweepError) -> bool {
    let SweepError::Experiment(error) = error else { return false };
    matches!(error.find(), Some(TrainError::DamagedCheckpoint { .. }))
}

/// Whether an error would meet every trial here: the device or the disk fails, or something that
/// all trials read is gone.
fn ends_the_worker(error: &SweepError, target: &dyn Target) -> bool {
    match error {
        SweepError::Experiment(error) if error.concerns_the_machine() => true,
        // A store that stays away is no fault of the trial.
        SweepError::OtherText | SweepError::Store(_) => true,
        _ => target.check_inputs().is_err(),
    }
}

/// An error in one line.
fn reason(error: &SweepError) -> String {
    match error {
        SweepError::Experiment(error) => error.cause(),
        error => experiment::error::one_line(experiment::error::chain(error)),
    }
}

/// Stores the result of a trial; returns why it counts as failed, where it does.
fn finish(
    sweep: &mut Sweep,
    assigned: &Assigned,
    folder: &Path,
    measured: &Measured,
    reports: &[f64],
    settings: &WorkSettings,
) -> Result<Option<String>> {
    let terms = sweep.terms();
    let metric = sweep.file.recipe.objective.metric.as_str();
    // A fine-tuning has its task's score, and a run the loss or shares of pairs.
    let value = match measured.scores.get("score") {
        Some(score) => Some(*score),
        None if metric == VALIDATION_LOSS => terms.result(reports),
        None => measured.scores.get(metric).copied(),
    };
    let Some(value) = value.filter(|value| !value.is_nan()) else {
        let why = format!("it has no {metric}");
        return sweep.fail(&assigned.lease, &why).map(|()| Some(why));
    };
    let best = terms.best(reports);
    let run = folder.strip_prefix(&sweep.folder).unwrap_or(folder).to_string_lossy().into_owned();
    let attributes = [
        (key::RUN, json!(run)),
        (key::BEST, json!(best)),
        (key::SECONDS, json!(measured.seconds)),
        (key::DEVICE, json!(settings.device.products())),
        (key::SCORES, json!(measured.scores)),
    ];
    sweep.complete(&assigned.lease, value, &attributes).map(|()| None)
}

/// A name of this process for readers of the store.
pub fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "host",
        name => name,
    };
    format!("{host}:{}", std::process::id())
}
