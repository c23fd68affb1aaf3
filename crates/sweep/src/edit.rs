//! What people change in a sweep that goes on: more points, another try, an end.

use serde_json::{Map, json};
use toml::Table;

use crate::distribution::Distribution;
use crate::error::{Result, SweepError};
use crate::schedule::STOP;
use crate::space::Stored;
use crate::store::{StoreError, Transaction, TrialState};
use crate::sweep::Sweep;
use crate::target::Assignment;
use crate::trial::{Trial, key};

impl Sweep {
    /// Puts a point into the store for any worker to take; what it leaves out is proposed then.
    /// Returns its number.
    ///
    /// # Errors
    /// When a value is not of the space, or the recipe cannot take it.
    pub fn enqueue(&mut self, values: &Table) -> Result<u64> {
        let space = &self.file.space;
        let given = space.stored_of_values(values)?;
        let settings = space.settings(&given);
        self.target(crate::sweep::cpu())?.check(&Assignment { settings, seed: 1 })?;
        Ok(self.store.locked(self.study, |change| wait(change, &given, None))?)
    }

    /// Tries a trial that has no result again, as a new one with the same values; of a
    /// confirmation, with the same seed. Returns its number.
    ///
    /// # Errors
    /// When there is no such trial, or it did not fail.
    pub fn retry(&mut self, number: u64) -> Result<u64> {
        let trials = self.trials()?;
        let trial = trials.iter().find(|trial| trial.number() == number);
        let trial = trial.ok_or(StoreError::NoTrial(number))?;
        if trial.row.state != TrialState::Fail {
            let state = trial.row.state.name();
            return Err(SweepError::WrongUsage(format!(
                "trial {number} is {state}; only failed ones are tried again"
            )));
        }
        Ok(self.store.locked(self.study, |change| wait(change, &trial.stored, Some(number)))?)
    }

    /// Numbers of the failed trials that were not tried again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn failed(&mut self) -> Result<Vec<u64>> {
        let trials = self.trials()?;
        let again = |trial: &Trial| trial.row.system::<u64>(key::FAILED_TRIAL);
        let again: Vec<u64> = trials.iter().filter_map(again).collect();
        let failed = trials.iter().filter(|trial| trial.row.state == TrialState::Fail);
        Ok(failed.map(Trial::number).filter(|number| !again.contains(number)).collect())
    }

    /// Asks all workers to stop: after the trial at hand, or at once with the trial given back.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn stop(&mut self, now: bool) -> Result<()> {
        let when = if now { "now" } else { "after" };
        Ok(self.store.set_study_attribute(self.study, STOP, &json!(when))?)
    }

    /// Lets workers begin again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn resume(&mut self) -> Result<()> {
        Ok(self.store.set_study_attribute(self.study, STOP, &json!(null))?)
    }
}

/// Adds a trial that waits, in the form of Optuna's `enqueue_trial`.
fn wait(
    change: &mut Transaction<'_>,
    given: &[Stored],
    again: Option<u64>,
) -> std::result::Result<u64, StoreError> {
    let row = change.insert(TrialState::Waiting)?;
    let mut fixed = Map::new();
    for stored in given {
        let value = match &stored.distribution {
            Distribution::Categorical { choices } => {
                choices.get(stored.value as usize).cloned().unwrap_or_default()
            }
            Distribution::Int { .. } => json!(stored.value as i64),
            Distribution::Float { .. } => json!(stored.value),
        };
        fixed.insert(stored.name.clone(), value);
    }
    change.set_system(row.id, key::FIXED, &json!(fixed))?;
    if let Some(number) = again {
        change.set_system(row.id, key::FAILED_TRIAL, &json!(number))?;
    }
    Ok(row.number)
}

/// Reads `KEY=VALUE` words into a table of settings.
///
/// # Errors
/// When a word is none.
pub fn values_of(words: &[String]) -> Result<Table> {
    let mut table = Table::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(SweepError::WrongUsage(format!("`{word}` should read KEY=VALUE")));
        };
        if table.contains_key(key.trim()) {
            return Err(SweepError::WrongUsage(format!("`{}` is given twice", key.trim())));
        }
        table.insert(key.trim().to_owned(), experiment::recipe::parse_value(value.trim()));
    }
    Ok(table)
}
