//! Leases: which worker has which trial. A lease has a token that every write is checked against,
//! and expires on the database's clock unless it is renewed.

use super::database::Database;
use super::error::StoreError;
use super::rows::{TrialRow, TrialState};
use super::schema::LEASES;
use super::{StudyId, Transaction, Value};

/// Who works: its name for readers, and how long its leases last.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Such as `host:1234`.
    pub name: String,
    /// Seconds after which a lease that was not renewed is void.
    pub lease_seconds: f64,
}

/// A worker's right to a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The trial's number in its study.
    pub number: u64,
    pub(super) trial: i64,
    pub(super) study: StudyId,
    pub(super) token: String,
}

impl Lease {
    /// The trial's key in the store.
    pub fn row(&self) -> i64 {
        self.trial
    }
}

/// A number that no other lease has: from the system's generator, by way of a hash map's keys.
fn new_token() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let part = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", part(), part())
}

impl Transaction<'_> {
    /// Gives a trial of state RUNNING to a worker, and takes it from any other.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn lease(&mut self, trial: &TrialRow, worker: &Worker) -> Result<Lease, StoreError> {
        let token = new_token();
        let expires = format!("{} + $6", self.database.dialect().epoch());
        let sql = format!(
            "INSERT INTO {LEASES} (trial_id, study_id, number, token, worker, expires) VALUES \
             ($1, $2, $3, $4, $5, {expires}) ON CONFLICT (trial_id) DO UPDATE SET study_id = \
             excluded.study_id, number = excluded.number, token = excluded.token, worker = \
             excluded.worker, expires = excluded.expires"
        );
        let name: String = worker.name.chars().take(256).collect();
        let number = trial.number as i64;
        self.database.query(
            &sql,
            &[
                trial.id.into(),
                self.study.0.into(),
                number.into(),
                token.as_str().into(),
                name.into(),
                worker.lease_seconds.into(),
            ],
        )?;
        self.heartbeat(trial.id)?;
        Ok(Lease { number: trial.number, trial: trial.id, study: self.study, token })
    }

    /// Whether the lease still holds, and the trial is still RUNNING.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when it does not.
    pub fn check(&mut self, lease: &Lease) -> Result<(), StoreError> {
        require(self.database, lease)
    }

    /// Ends the lease of a trial, which no worker has then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn release(&mut self, trial: i64) -> Result<(), StoreError> {
        self.database
            .query(&format!("DELETE FROM {LEASES} WHERE trial_id = $1"), &[trial.into()])?;
        self.database
            .query("DELETE FROM trial_heartbeats WHERE trial_id = $1", &[trial.into()])
            .map(drop)
    }

    /// Renews a lease and the heartbeat that Optuna looks at.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when it is another worker's by now.
    pub fn renew(&mut self, lease: &Lease, worker: &Worker) -> Result<(), StoreError> {
        let expires = format!("{} + $1", self.database.dialect().epoch());
        let sql = format!(
            "UPDATE {LEASES} SET expires = {expires} WHERE trial_id = $2 AND token = $3 RETURNING \
             trial_id"
        );
        let (seconds, token) = (worker.lease_seconds, lease.token.as_str());
        self.database.query(&sql, &[seconds.into(), lease.trial.into(), token.into()])?;
        self.check(lease)?;
        self.heartbeat(lease.trial)
    }

    fn heartbeat(&mut self, trial: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES ($1, \
                   CURRENT_TIMESTAMP) ON CONFLICT (trial_id) DO UPDATE SET heartbeat = \
                   CURRENT_TIMESTAMP";
        self.database.query(sql, &[trial.into()]).map(drop)
    }
}

fn require(database: &mut dyn Database, lease: &Lease) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT t.state, l.worker, l.token FROM trials t LEFT JOIN {LEASES} l ON l.trial_id = \
         t.trial_id AND l.study_id = t.study_id AND l.number = t.number WHERE t.trial_id = $1 \
         AND t.number = $2"
    );
    let lost = |why: String| Err(StoreError::LeaseLost { number: lease.number, why });
    let mut rows = database.query(&sql, &[lease.trial.into(), (lease.number as i64).into()])?;
    let Some(row) = rows.first_mut() else { return lost("it was deleted".to_owned()) };
    let (state, worker, token) = (row.text()?, row.optional_text()?, row.optional_text()?);
    if state != TrialState::Running.name() {
        return lost(format!("its state is {state}"));
    }
    match (worker, token) {
        (_, Some(token)) if token == lease.token => Ok(()),
        (Some(worker), Some(_)) => lost(format!("{worker} has it")),
        _ => lost("its lease was ended".to_owned()),
    }
}

/// Adds the leases to the trials of a study. One that does not match its trial is void: SQLite
/// gives the key of a deleted trial to a new one.
pub(super) fn add(
    database: &mut dyn Database,
    study: StudyId,
    trials: &mut [TrialRow],
) -> Result<(), StoreError> {
    let epoch = database.dialect().epoch();
    let sql = format!(
        "SELECT l.trial_id, l.number, l.worker, l.expires - {epoch} FROM {LEASES} l WHERE \
         l.study_id = $1"
    );
    for mut row in database.query(&sql, &[Value::from(study.0)])? {
        let (id, number, worker) = (row.integer()?, row.integer()?, row.text()?);
        let left = row.real()?.unwrap_or_default();
        let is_it = |trial: &&mut TrialRow| trial.id == id && trial.number as i64 == number;
        if let Some(trial) = trials.iter_mut().find(is_it) {
            trial.lease = Some((worker, left));
        }
    }
    Ok(())
}
