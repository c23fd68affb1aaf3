//! What a worker does next, decided in one transaction under the study's lock: trials whose worker
//! was lost, points that wait, promotions, and only then a new proposal.

use serde_json::json;

use crate::error::Result;
use crate::parts::SweepParts;
use crate::space::Stored;
use crate::stopping::{Decision, NewTrial, Why};
use crate::store::{Lease, Parameter, Transaction, TrialRow, TrialState, Worker};
use crate::sweep::Sweep;
use crate::trial::{ReportPlace, Status, StoredProposal, Terms, Trial, key};

/// The study's user attribute by which workers are asked to stop.
pub const STOP: &str = "babyllama:stop";

/// What a worker does next.
#[derive(Debug)]
pub enum Next {
    /// It trains this trial, or goes on with it.
    Train(Box<Assigned>),
    /// Others work on what must be there first.
    Wait,
    /// Workers were asked to stop.
    Stopped,
    /// All is done.
    Done,
}

/// A trial for a worker.
#[derive(Debug)]
pub struct Assigned {
    /// The right to it.
    pub lease: Lease,
    /// The trial's number.
    pub number: u64,
    /// Its parameters.
    pub stored: Vec<Stored>,
    /// The seed of its training.
    pub seed: u64,
    /// Why this trial, for a reader.
    pub why: &'static str,
    /// What it reported before.
    pub reports: Vec<(ReportPlace, f64)>,
    /// Time of its steps up to there.
    pub seconds: f64,
}

/// What decides, apart from the store.
struct Plan<'a> {
    sweep: &'a SweepParts,
    worker: &'a Worker,
}

impl Sweep {
    /// What a worker does next.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn next(&mut self, worker: &Worker) -> Result<Next> {
        let parts = self.parts()?;
        self.store.locked(self.study, |change| match stop_request(change)? {
            Some(_) => Ok(Next::Stopped),
            None => Plan { sweep: &parts, worker }.next(change),
        })
    }

    /// Stores a report, and decides whether the trial goes on.
    ///
    /// # Errors
    /// When the lease is lost, or the store cannot be read or written.
    pub fn report(
        &mut self,
        lease: &Lease,
        places: &[ReportPlace],
        value: f64,
        seconds: f64,
    ) -> Result<Decision> {
        let parts = self.parts()?;
        self.store.locked(self.study, |change| {
            let row = lease.row();
            change.report(lease, places.len() as u64, value)?;
            change.set_system(row, key::REPORTS, &json!(places))?;
            change.set_user(row, key::SECONDS, &json!(seconds))?;
            let trials = trials(change, &parts)?;
            let curves = parts.curves(&trials);
            let decision = parts.rule().decide(&curves, lease.number);
            let Some(trial) = trials.iter().find(|trial| trial.number() == lease.number) else {
                return Ok(decision);
            };
            // At its end a trial has a result, whatever the rule.
            if let Some(end) = places.last().filter(|place| place.share >= 1.0) {
                if trial.row.user::<f64>(key::EPOCHS).is_none() {
                    change.set_user(row, key::EPOCHS, &json!(end.epoch))?;
                }
                return Ok(Decision::Continue);
            }
            match &decision {
                Decision::Continue => {}
                Decision::Pause(why) => {
                    change.set_system(row, key::STATUS, &json!(Status::Paused))?;
                    change.set_system(row, key::WAITS_AT, &json!(why.rung))?;
                    keep_decision(change, row, "pause", why, parts.terms)?;
                    change.release(row)?;
                }
                Decision::Stop(why) => {
                    keep_decision(change, row, "stop", why, parts.terms)?;
                    let line = parts.terms.line(why);
                    change.set_user(row, key::WHY, &json!(line))?;
                    let newest = parts.terms.result(&trial.values());
                    let newest = newest.filter(|value| !value.is_nan());
                    change.finish(trial.row.id, trial.number(), TrialState::Pruned, newest)?;
                }
            }
            Ok(decision)
        })
    }

    /// Ends a trial with a result.
    ///
    /// # Errors
    /// When the lease is lost, or the store cannot be written.
    pub fn complete(
        &mut self,
        lease: &Lease,
        value: f64,
        attributes: &[(&str, serde_json::Value)],
    ) -> Result<()> {
        self.end(lease, TrialState::Complete, Some(value), attributes)
    }

    /// Ends a trial without a result.
    ///
    /// # Errors
    /// When the lease is lost, or the store cannot be written.
    pub fn fail(&mut self, lease: &Lease, why: &str) -> Result<()> {
        self.end(lease, TrialState::Fail, None, &[(key::WHY, json!(why))])
    }

    fn end(
        &mut self,
        lease: &Lease,
        state: TrialState,
        value: Option<f64>,
        attributes: &[(&str, serde_json::Value)],
    ) -> Result<()> {
        self.store.locked(self.study, |change| {
            change.check(lease)?;
            for (key, value) in attributes {
                change.set_user(lease.row(), key, value)?;
            }
            Ok(change.finish(lease.row(), lease.number, state, value)?)
        })
    }

    /// Gives a trial back, so that any worker can go on with it.
    ///
    /// # Errors
    /// When the store cannot be written; a lease that was lost is none to give back.
    pub fn give_back(&mut self, lease: &Lease) -> Result<()> {
        self.store.locked(self.study, |change| {
            if change.check(lease).is_ok() {
                change.set_system(lease.row(), key::STATUS, &json!(Status::Queued))?;
                change.release(lease.row())?;
            }
            Ok(())
        })
    }
}

/// Stores what a decision at a rung followed from, with values as they are reported.
fn keep_decision(
    change: &mut Transaction<'_>,
    trial: i64,
    decision: &str,
    why: &Why,
    terms: Terms,
) -> Result<()> {
    let key = format!("{}{}", key::RUNG, why.rung);
    let value = json!({
        "decision": decision,
        "value": terms.cost(why.value),
        "threshold": why.threshold.map(|threshold| terms.cost(threshold)),
        "n": why.n,
    });
    Ok(change.set_system(trial, &key, &value)?)
}

/// Why a paused trial ends: what was known when it began to wait is no longer the reason.
fn why_paused(trial: &Trial) -> String {
    let rung: usize = trial.row.system(key::WAITS_AT).unwrap_or(0);
    let value = trial.values().last().copied().unwrap_or(f64::NAN);
    format!(
        "waited at rung {rung} with {value:.4} to the end of the sweep, where no place was left"
    )
}

/// Whether workers were asked to stop: `after` the trial at hand, or `now`.
pub(crate) fn stop_request(change: &mut Transaction<'_>) -> Result<Option<String>> {
    Ok(change.study_attribute::<Option<String>>(STOP)?.flatten())
}

fn trials(change: &mut Transaction<'_>, parts: &SweepParts) -> Result<Vec<Trial>> {
    change.trials()?.into_iter().map(|row| Trial::of(row, &parts.space)).collect()
}

impl Plan<'_> {
    fn next(&self, change: &mut Transaction<'_>) -> Result<Next> {
        let parts = self.sweep;
        let mut trials = self::trials(change, parts)?;
        self.take_back_lost(change, &mut trials)?;
        let queued = |trial: &&Trial| trial.status == Some(Status::Queued);
        let running = |trial: &&Trial| trial.row.state == TrialState::Running;
        if let Some(trial) = trials.iter().filter(running).find(queued) {
            return self.train(change, trial, "continues");
        }
        let waiting = |trial: &&Trial| trial.row.state == TrialState::Waiting;
        while let Some(trial) = trials.iter().find(waiting) {
            match self.take_waiting(change, trial, &trials)? {
                Some(next) => return Ok(next),
                None => trials = self::trials(change, parts)?,
            }
        }
        let curves = parts.curves(&trials);
        let rule = parts.rule();
        if parts.has_reached_target(&trials) {
            return self.end_paused(change, &trials);
        }
        let has_room = parts.has_room(&trials);
        if let Some((number, _)) = rule.next_promotion(&curves, has_room)
            && let Some(trial) = trials.iter().find(|trial| trial.number() == number)
        {
            return self.train(change, trial, "is promoted");
        }
        if has_room {
            return self.begin(change, &trials);
        }
        self.end_paused(change, &trials)
    }

    /// Ends what is paused, which will not be promoted any more, once nothing else runs.
    fn end_paused(&self, change: &mut Transaction<'_>, trials: &[Trial]) -> Result<Next> {
        let parts = self.sweep;
        if trials.iter().any(|trial| trial.is_worked_on()) {
            return Ok(Next::Wait);
        }
        for trial in trials.iter().filter(|trial| trial.status == Some(Status::Paused)) {
            if trial.row.state == TrialState::Running {
                let newest = parts.terms.result(&trial.values());
                change.set_user(trial.row.id, key::WHY, &json!(why_paused(trial)))?;
                let newest = newest.filter(|value| !value.is_nan());
                change.finish(trial.row.id, trial.number(), TrialState::Pruned, newest)?;
            }
        }
        Ok(Next::Done)
    }

    /// Queues trials whose worker has no heartbeats, or ends them after too many losses.
    fn take_back_lost(&self, change: &mut Transaction<'_>, trials: &mut [Trial]) -> Result<()> {
        for trial in trials {
            let is_lost = trial.row.state == TrialState::Running
                && trial.status.is_none()
                && !trial.is_worked_on();
            // A trial that Python runs has neither a lease nor a seed.
            if !is_lost || !trial.is_own() {
                continue;
            }
            let lost = trial.row.system::<u64>(key::LOST).unwrap_or(0) + 1;
            let id = trial.row.id;
            change.set_system(id, key::LOST, &json!(lost))?;
            change.release(id)?;
            if lost > self.sweep.retries() {
                let why = format!("its worker was lost {lost} times");
                change.set_user(id, key::WHY, &json!(why))?;
                change.finish(trial.row.id, trial.number(), TrialState::Fail, None)?;
                trial.row.state = TrialState::Fail;
            } else {
                change.set_system(id, key::STATUS, &json!(Status::Queued))?;
                trial.status = Some(Status::Queued);
            }
        }
        Ok(())
    }

    /// Takes a point that was put into the store. One that cannot be used fails with the reason.
    fn take_waiting(
        &self,
        change: &mut Transaction<'_>,
        trial: &Trial,
        trials: &[Trial],
    ) -> Result<Option<Next>> {
        let (parts, id) = (self.sweep, trial.row.id);
        if !change.change_state(id, TrialState::Waiting, TrialState::Running)? {
            return Ok(None);
        }
        let others: Vec<Trial> =
            trials.iter().filter(|other| other.number() != trial.number()).cloned().collect();
        let start = parts.start(trial.number(), &others);
        match parts.propose_waiting(trial, &others, start) {
            Ok((stored, proposal)) => {
                self.give(change, &trial.row, stored, &proposal, start, "was enqueued").map(Some)
            }
            Err(error) => {
                change.set_user(id, key::WHY, &json!(error.to_string()))?;
                change.finish(trial.row.id, trial.number(), TrialState::Fail, None)?;
                Ok(None)
            }
        }
    }

    /// Goes on with a trial that has its point.
    fn train(
        &self,
        change: &mut Transaction<'_>,
        trial: &Trial,
        why: &'static str,
    ) -> Result<Next> {
        change.set_system(trial.row.id, key::STATUS, &serde_json::Value::Null)?;
        let lease = change.lease(&trial.row, self.worker)?;
        let (number, stored, reports) =
            (trial.number(), trial.stored.clone(), trial.reports.clone());
        let index = trial.proposal().and_then(|proposal| proposal.index);
        let seed = trial.row.user(key::SEED).unwrap_or_else(|| self.sweep.seed(number, index));
        let seconds = trial.row.user(key::SECONDS).unwrap_or(0.0);
        let assigned = Assigned { lease, number, stored, seed, why, reports, seconds };
        Ok(Next::Train(Box::new(assigned)))
    }

    fn begin(&self, change: &mut Transaction<'_>, trials: &[Trial]) -> Result<Next> {
        let row = change.insert(TrialState::Running)?;
        let start = self.sweep.start(row.number, trials);
        let (stored, proposal) = self.sweep.propose(row.number, trials, start)?;
        self.give(change, &row, stored, &proposal, start, "is new")
    }

    /// Stores the point of a trial, which the worker then has.
    fn give(
        &self,
        change: &mut Transaction<'_>,
        row: &TrialRow,
        stored: Vec<Stored>,
        proposal: &StoredProposal,
        start: NewTrial,
        why: &'static str,
    ) -> Result<Next> {
        let parameters: Vec<Parameter> = stored.iter().map(Parameter::from).collect();
        change.set_parameters(row.id, &parameters)?;
        let (number, seed) = (row.number, self.sweep.seed(row.number, proposal.index));
        change.set_user(row.id, key::SEED, &json!(seed))?;
        if let Some(epochs) = self.sweep.epochs(&stored, seed) {
            change.set_user(row.id, key::EPOCHS, &json!(epochs))?;
        }
        change.set_system(row.id, key::START, &json!(start))?;
        change.set_system(row.id, key::PROPOSAL, &json!(proposal))?;
        let lease = change.lease(row, self.worker)?;
        let (reports, seconds) = (Vec::new(), 0.0);
        let assigned = Assigned { lease, number, stored, seed, why, reports, seconds };
        Ok(Next::Train(Box::new(assigned)))
    }
}
