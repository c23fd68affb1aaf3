//! What a trial reports goes into the store, and the decision on it comes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use experiment::{Event, Observer};
use train::EvaluationRecord;

use super::heartbeat::Heartbeat;
use super::patience::patiently;
use crate::error::{Result, SweepError};
use crate::schedule::Assigned;
use crate::stopping::Decision;
use crate::sweep::Sweep;
use crate::trial::ReportPlace;

/// The study's user attribute of what the text is known by.
const TEXT: &str = "babyllama:text";

/// Why a trial's training ended before its end, apart from its own errors.
pub(super) enum Ending {
    /// It was not asked to.
    Own,
    /// It waits at a rung, by the rule; with a line on why.
    Paused(String),
    /// It was stopped by the rule.
    Stopped(String),
    /// Another worker has it.
    LeaseLost(String),
    /// The store failed.
    StoreFailed(SweepError),
}

/// Observes one trial.
pub(super) struct TrialObserver<'a> {
    outer: &'a dyn Observer,
    heartbeat: &'a Heartbeat,
    /// Reads the evaluations that the trial's folder has.
    logged: &'a (dyn Fn() -> Vec<EvaluationRecord> + Sync),
    until: Option<Instant>,
    /// Whether what all trials share is there.
    is_training: AtomicBool,
    /// Whether no evaluation is missing that was made before this worker had the trial.
    has_caught_up: AtomicBool,
    state: Mutex<TrialProgress<'a>>,
}

struct TrialProgress<'a> {
    sweep: &'a mut Sweep,
    assigned: &'a Assigned,
    places: Vec<ReportPlace>,
    values: Vec<f64>,
    /// Time of the steps.
    seconds: f64,
    ending: Option<Ending>,
}

impl<'a> TrialObserver<'a> {
    pub(super) fn new(
        sweep: &'a mut Sweep,
        assigned: &'a Assigned,
        heartbeat: &'a Heartbeat,
        logged: &'a (dyn Fn() -> Vec<EvaluationRecord> + Sync),
        until: Option<Instant>,
        outer: &'a dyn Observer,
    ) -> Self {
        let (places, values) = assigned.reports.iter().copied().unzip();
        let seconds = assigned.seconds;
        let progress = TrialProgress { sweep, assigned, places, values, seconds, ending: None };
        let state = Mutex::new(progress);
        let [is_training, has_caught_up] = [false, false].map(AtomicBool::new);
        Self { outer, heartbeat, logged, until, is_training, has_caught_up, state }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, TrialProgress<'a>> {
        // A thread that failed while it held the lock left numbers that are still right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requires the text of the study's earlier trials; the first trial's is kept.
    pub(super) fn require_text(&self, text: &str) -> Result<()> {
        let mut state = self.state();
        patiently(
            state.sweep,
            |time| self.wait(time),
            |sweep| {
                let known = sweep.store.study_attribute::<String>(sweep.study, TEXT)?;
                match known {
                    None => Ok(sweep.store.set_study_attribute(sweep.study, TEXT, &text.into())?),
                    Some(known) if known == text => Ok(()),
                    Some(_) => Err(SweepError::OtherText),
                }
            },
        )
    }

    /// Notes something about the work on the trial.
    pub(super) fn announce(&self, line: std::fmt::Arguments<'_>) {
        self.outer.note(line);
    }

    /// From now on events are of the trial alone.
    pub(super) fn begin_training(&self) {
        self.is_training.store(true, Ordering::Relaxed);
    }

    /// Why the training ended, if something else than itself ended it.
    pub(super) fn ending(&self) -> Ending {
        let ending = self.state().ending.take();
        match (ending, self.heartbeat.lost()) {
            (Some(ending), _) => ending,
            (None, Some(why)) => Ending::LeaseLost(why),
            (None, None) => Ending::Own,
        }
    }

    /// All reports, in order.
    pub(super) fn into_reports(self) -> Vec<f64> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).values
    }

    /// Reports the evaluations that are in the trial's folder and not in the store: one that the
    /// store refused, since the worker had lost the trial, is behind a checkpoint, and does not
    /// come again.
    fn catch_up(&self, logged: &[EvaluationRecord], total_steps: u64) {
        for record in logged {
            if !self.state().places.iter().any(|place| place.step == record.step) {
                self.report(place(record.step, record.epoch, total_steps), record.lowest());
            }
        }
    }

    /// As [`catch_up`](Self::catch_up), once the training is at its end.
    pub(super) fn catch_up_to_the_end(&self) {
        let logged = (self.logged)();
        if let Some(last) = logged.last() {
            self.catch_up(&logged, last.step);
        }
    }

    /// Passes a time, after which there is another try; `false` where the work is to end.
    fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.is_asked_to_stop() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// Whether something else than a decision on the trial ends the work on it.
    fn is_asked_to_stop(&self) -> bool {
        self.outer.should_stop()
            || self.heartbeat.must_stop()
            || self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn report(&self, place: ReportPlace, value: f64) {
        let mut state = self.state();
        // After a decision the trial is another worker's.
        if state.ending.is_some() {
            return;
        }
        let number = state.assigned.number;
        let (epoch, share) = (place.epoch, 100.0 * place.share);
        match state.report(place, value, |time| self.wait(time)) {
            Some(ending) => state.ending = Some(ending),
            None => self
                .outer
                .note(format_args!("trial {number}  epoch {epoch:.2} ({share:.0} %): {value:.4}")),
        }
    }
}

impl TrialProgress<'_> {
    fn report(
        &mut self,
        place: ReportPlace,
        value: f64,
        wait: impl Fn(Duration) -> bool,
    ) -> Option<Ending> {
        if let Some(index) = self.places.iter().position(|known| known.step == place.step) {
            // It was trained again from an earlier point, and was decided on before.
            self.values[index] = value;
            return None;
        }
        self.places.push(place);
        self.values.push(value);
        let (lease, places, seconds) = (&self.assigned.lease, &self.places, self.seconds);
        let decided =
            patiently(self.sweep, wait, |sweep| sweep.report(lease, places, value, seconds));
        match decided {
            Ok(Decision::Continue) => None,
            Ok(Decision::Pause(why)) => Some(Ending::Paused(self.sweep.terms().line(&why))),
            Ok(Decision::Stop(why)) => Some(Ending::Stopped(self.sweep.terms().line(&why))),
            Err(error) if error.is_lost_lease() => Some(Ending::LeaseLost(error.to_string())),
            Err(error) => Some(Ending::StoreFailed(error)),
        }
    }
}

impl Observer for TrialObserver<'_> {
    fn on_event(&self, event: Event<'_>) {
        if !self.is_training.load(Ordering::Relaxed) {
            // Evaluations of teachers are none of the trial's.
            return self.outer.on_event(event);
        }
        match event {
            Event::Step { record, total_steps, .. } => {
                if !self.has_caught_up.swap(true, Ordering::Relaxed) {
                    let mut logged = (self.logged)();
                    logged.retain(|earlier| earlier.step < record.step);
                    self.catch_up(&logged, total_steps);
                }
                self.state().seconds += record.seconds;
            }
            Event::Evaluation { record, total_steps, .. } => {
                self.report(place(record.step, record.epoch, total_steps), record.lowest());
            }
            Event::FinetuneEvaluation { evaluation, total_steps, .. } => {
                let place = place(evaluation.step, evaluation.epoch, total_steps);
                self.report(place, evaluation.metric);
            }
            // How far the trial is, and warnings; all else is in the log of its own folder.
            Event::Begin(_) | Event::Advance { .. } => self.outer.on_event(event),
            Event::Warning(line) => {
                let number = self.state().assigned.number;
                self.outer.warn(format_args!("trial {number}: {line}"));
            }
            _ => {}
        }
    }

    fn should_stop(&self) -> bool {
        self.is_asked_to_stop() || self.state().ending.is_some()
    }
}

/// Where a report of a training of so many steps is made.
fn place(step: u64, epoch: f64, total_steps: u64) -> ReportPlace {
    ReportPlace { step, epoch, share: step as f64 / total_steps.max(1) as f64 }
}
