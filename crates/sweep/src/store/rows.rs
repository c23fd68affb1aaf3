//! Trials as they are stored.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::database::Database;
use super::error::StoreError;
use super::value::Row;
use super::{StudyId, Value};

/// The state of a trial, by Optuna's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialState {
    /// A worker has it, or it is paused or queued.
    Running,
    /// It has a result.
    Complete,
    /// It was stopped before its end.
    Pruned,
    /// It has no result.
    Fail,
    /// A point that any worker may take.
    Waiting,
}

impl TrialState {
    /// Optuna's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Pruned => "PRUNED",
            Self::Fail => "FAIL",
            Self::Waiting => "WAITING",
        }
    }

    /// Whether the trial will not change any more.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Fail)
    }

    fn of(name: &str) -> Result<Self, StoreError> {
        let all = [Self::Running, Self::Complete, Self::Pruned, Self::Fail, Self::Waiting];
        all.into_iter().find(|state| state.name() == name).ok_or_else(|| StoreError::Unexpected {
            wanted: "a trial's state",
            found: name.to_owned(),
        })
    }
}

/// A parameter of a trial: its distribution as Optuna's JSON, and its value as a number (the index
/// of a category).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name in the store.
    pub name: String,
    /// The value as a number.
    pub value: f64,
    /// `{"name": "FloatDistribution", "attributes": ...}`.
    pub distribution: String,
}

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRow {
    /// Its key in the store.
    pub id: i64,
    /// Its number in the study, from 0.
    pub number: u64,
    /// Its state.
    pub state: TrialState,
    /// In the order in which they were stored.
    pub parameters: Vec<Parameter>,
    /// The result, where it has one.
    pub value: Option<f64>,
    /// What it reported, by step from 1; NaN where that was no number.
    pub reports: BTreeMap<i64, f64>,
    /// JSON of the attributes that are for readers.
    pub user: BTreeMap<String, String>,
    /// JSON of the others.
    pub system: BTreeMap<String, String>,
    /// When it began, in UTC.
    pub started: Option<String>,
    /// When it ended.
    pub completed: Option<String>,
    /// The worker that has it and the seconds until its lease expires, below 0 when it has.
    pub lease: Option<(String, f64)>,
}

impl TrialRow {
    /// A trial of which nothing else is stored yet.
    pub(super) fn new(id: i64, number: u64, state: TrialState) -> Self {
        Self {
            id,
            number,
            state,
            parameters: Vec::new(),
            value: None,
            reports: BTreeMap::new(),
            user: BTreeMap::new(),
            system: BTreeMap::new(),
            started: None,
            completed: None,
            lease: None,
        }
    }

    /// A user attribute; `None` where it is missing or is something else.
    pub fn user<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.user.get(key)?).ok()
    }

    /// A system attribute; `None` where it is missing or is something else.
    pub fn system<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.system.get(key)?).ok()
    }
}

/// All trials of a study, in order of number.
pub(super) fn trials(
    database: &mut dyn Database,
    study: StudyId,
) -> Result<Vec<TrialRow>, StoreError> {
    let mut trials = rows(database, study)?;
    let places: BTreeMap<i64, usize> =
        trials.iter().enumerate().map(|(place, trial)| (trial.id, place)).collect();
    for part in &PARTS {
        let sql = format!(
            "SELECT p.trial_id, {} FROM {} p JOIN trials t ON t.trial_id = p.trial_id WHERE \
             t.study_id = $1 ORDER BY {}",
            part.columns, part.table, part.order
        );
        for mut row in database.query(&sql, &[Value::from(study.0)])? {
            let place = places.get(&row.integer()?).copied();
            if let Some(trial) = place.and_then(|place| trials.get_mut(place)) {
                (part.add)(trial, &mut row)?;
            }
        }
    }
    Ok(trials)
}

/// The trials of a study as the table `trials` has them.
fn rows(database: &mut dyn Database, study: StudyId) -> Result<Vec<TrialRow>, StoreError> {
    let time = |column: &str| format!("CAST({column} AS VARCHAR(32))");
    let sql = format!(
        "SELECT trial_id, number, state, {}, {} FROM trials WHERE study_id = $1 AND number IS \
         NOT NULL ORDER BY number, trial_id",
        time("datetime_start"),
        time("datetime_complete")
    );
    let mut trials = Vec::new();
    for mut row in database.query(&sql, &[Value::from(study.0)])? {
        let (id, number) = (row.integer()?, row.integer()?.max(0) as u64);
        let trial = TrialRow::new(id, number, TrialState::of(&row.text()?)?);
        let (started, completed) = (row.optional_text()?, row.optional_text()?);
        trials.push(TrialRow { started, completed, ..trial });
    }
    Ok(trials)
}

/// A table with rows of trials.
struct Part {
    table: &'static str,
    columns: &'static str,
    order: &'static str,
    /// Adds the columns of a row to its trial.
    add: fn(&mut TrialRow, &mut Row) -> Result<(), StoreError>,
}

/// What other tables have of trials, in the order in which it is read.
const PARTS: [Part; 5] = [
    Part {
        table: "trial_params",
        columns: "p.param_name, p.param_value, p.distribution_json",
        order: "p.param_id",
        add: |trial, row| {
            let name = row.text()?;
            let value = row.real()?.unwrap_or(f64::NAN);
            let distribution = row.optional_text()?.unwrap_or_default();
            trial.parameters.push(Parameter { name, value, distribution });
            Ok(())
        },
    },
    Part {
        table: "trial_values",
        columns: "p.value, p.value_type",
        order: "p.objective DESC",
        add: |trial, row| {
            let value = row.real()?;
            trial.value = Some(typed(value, &row.text()?));
            Ok(())
        },
    },
    Part {
        table: "trial_intermediate_values",
        columns: "p.step, p.intermediate_value, p.intermediate_value_type",
        order: "p.step",
        add: |trial, row| {
            let (step, value) = (row.integer()?, row.real()?);
            trial.reports.insert(step, typed(value, &row.text()?));
            Ok(())
        },
    },
    Part {
        table: "trial_user_attributes",
        columns: "p.\"key\", p.value_json",
        order: "p.trial_id",
        add: |trial, row| {
            trial.user.insert(row.text()?, row.optional_text()?.unwrap_or_default());
            Ok(())
        },
    },
    Part {
        table: "trial_system_attributes",
        columns: "p.\"key\", p.value_json",
        order: "p.trial_id",
        add: |trial, row| {
            trial.system.insert(row.text()?, row.optional_text()?.unwrap_or_default());
            Ok(())
        },
    },
];

/// A number of Optuna's type: infinities and NaN have no value of their own.
fn typed(value: Option<f64>, kind: &str) -> f64 {
    match (kind, value) {
        ("INF_POS", _) => f64::INFINITY,
        ("INF_NEG", _) => f64::NEG_INFINITY,
        (_, Some(value)) => value,
        (_, None) => f64::NAN,
    }
}

/// The value and Optuna's type of a number.
pub(super) fn type_of(value: f64) -> (Option<f64>, &'static str) {
    if value.is_nan() {
        (None, "NAN")
    } else if value == f64::INFINITY {
        (None, "INF_POS")
    } else if value == f64::NEG_INFINITY {
        (None, "INF_NEG")
    } else {
        (Some(value), "FINITE")
    }
}
