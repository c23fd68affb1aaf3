//! What changes a study: new trials, states, reports, results, attributes.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::database::Database;
use super::error::StoreError;
use super::rows::{Parameter, TrialRow, TrialState, type_of};
use super::value::Row;
use super::{Lease, Transaction, Value};

/// The one row of an answer.
pub(super) fn only(rows: Vec<Row>) -> Result<Row, StoreError> {
    let missing = StoreError::Unexpected { wanted: "a row", found: "none".to_owned() };
    rows.into_iter().next().ok_or(missing)
}

impl Transaction<'_> {
    /// All trials of the study, in order of number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn trials(&mut self) -> Result<Vec<TrialRow>, StoreError> {
        super::trials(self.database, self.study, true)
    }

    /// A user attribute of the study.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn study_attribute<T: DeserializeOwned>(
        &mut self,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        super::study_attribute(self.database, self.study, key)
    }

    /// Adds a trial; its number is the count of the trials before it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn insert(&mut self, state: TrialState) -> Result<TrialRow, StoreError> {
        let start = match state {
            TrialState::Running => self.database.dialect().now(),
            _ => "NULL",
        };
        let sql = format!(
            "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) \
             VALUES (NULL, $1, $2, {start}, NULL) RETURNING trial_id"
        );
        let study = self.study.0;
        let id = only(self.database.query(&sql, &[study.into(), state.name().into()])?)?;
        let id = { id }.integer()?;
        let sql = "UPDATE trials SET number = (SELECT COUNT(*) FROM trials WHERE study_id = $1 \
                   AND trial_id < $2) WHERE trial_id = $2 RETURNING number";
        let number = only(self.database.query(sql, &[study.into(), id.into()])?)?;
        let number = { number }.integer()?.max(0) as u64;
        Ok(TrialRow::new(id, number, state))
    }

    /// Stores parameters of a trial.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn set_parameters(&mut self, trial: i64, all: &[Parameter]) -> Result<(), StoreError> {
        let sql = "INSERT INTO trial_params (trial_id, param_name, param_value, \
                   distribution_json) VALUES ($1, $2, $3, $4) ON CONFLICT (trial_id, param_name) \
                   DO UPDATE SET param_value = excluded.param_value, distribution_json = \
                   excluded.distribution_json";
        for Parameter { name, value, distribution } in all {
            let (name, distribution) = (name.as_str(), distribution.as_str());
            let row = [trial.into(), name.into(), (*value).into(), distribution.into()];
            self.database.query(sql, &row)?;
        }
        Ok(())
    }

    /// Changes the state of a trial that has an expected one; `false` when it has another.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn change_state(
        &mut self,
        trial: i64,
        from: TrialState,
        to: TrialState,
    ) -> Result<bool, StoreError> {
        let now = self.database.dialect().now();
        let time = match to {
            TrialState::Running => format!(", datetime_start = {now}"),
            TrialState::Waiting => String::new(),
            _ => format!(", datetime_complete = {now}"),
        };
        let sql = format!(
            "UPDATE trials SET state = $1{time} WHERE trial_id = $2 AND state = $3 RETURNING \
             trial_id"
        );
        let found =
            self.database.query(&sql, &[to.name().into(), trial.into(), from.name().into()])?;
        Ok(!found.is_empty())
    }

    /// Stores a user attribute of a trial.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_user(&mut self, trial: i64, key: &str, value: &Json) -> Result<(), StoreError> {
        set_attribute(self.database, "trial_user_attributes", trial, key, value)
    }

    /// Stores a system attribute of a trial.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_system(&mut self, trial: i64, key: &str, value: &Json) -> Result<(), StoreError> {
        set_attribute(self.database, "trial_system_attributes", trial, key, value)
    }

    /// Stores what a trial reported at a step, from 1. The same report again changes nothing.
    ///
    /// # Errors
    /// When the lease is lost, or it cannot be written.
    pub fn report(&mut self, lease: &Lease, step: u64, value: f64) -> Result<(), StoreError> {
        self.check(lease)?;
        let (number, kind) = type_of(value);
        let sql = "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, \
                   intermediate_value_type) VALUES ($1, $2, $3, $4) ON CONFLICT (trial_id, step) \
                   DO UPDATE SET intermediate_value = excluded.intermediate_value, \
                   intermediate_value_type = excluded.intermediate_value_type";
        let step = step as i64;
        let row = [lease.trial.into(), step.into(), number.into(), kind.into()];
        self.database.query(sql, &row).map(drop)
    }

    /// Ends a trial: COMPLETE or PRUNED with a value, FAIL without one. The lease ends with it.
    ///
    /// # Errors
    /// When the trial is not RUNNING, a result is NaN, or it cannot be written.
    pub fn finish(
        &mut self,
        trial: i64,
        number: u64,
        state: TrialState,
        value: Option<f64>,
    ) -> Result<(), StoreError> {
        if let Some(value) = value {
            if value.is_nan() {
                return Err(StoreError::NotFinite { number, value });
            }
            let (value, kind) = type_of(value);
            let sql = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES \
                       ($1, 0, $2, $3) ON CONFLICT (trial_id, objective) DO UPDATE SET value = \
                       excluded.value, value_type = excluded.value_type";
            self.database.query(sql, &[trial.into(), value.into(), kind.into()])?;
        }
        if !self.change_state(trial, TrialState::Running, state)? {
            let why = "it is not RUNNING".to_owned();
            return Err(StoreError::LeaseLost { number, why });
        }
        self.release(trial)
    }
}

fn set_attribute(
    database: &mut dyn Database,
    table: &str,
    trial: i64,
    key: &str,
    value: &Json,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO {table} (trial_id, \"key\", value_json) VALUES ($1, $2, $3) ON CONFLICT \
         (trial_id, \"key\") DO UPDATE SET value_json = excluded.value_json"
    );
    let value = Value::from(value.to_string());
    database.query(&sql, &[trial.into(), key.into(), value]).map(drop)
}
