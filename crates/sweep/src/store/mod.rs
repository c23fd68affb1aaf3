//! The store of trials: an Optuna database, in a SQLite file or in PostgreSQL, that any number of
//! workers share, and one table of leases beside Optuna's own.
//!
//! Everything that changes a study happens in one transaction that locks the study's row, so that
//! numbers are dense and no trial has two workers.

mod database;
mod error;
mod leases;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::path::{Path, PathBuf};

use report::Best;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use self::database::{Database, transaction};
use self::value::Value;
use crate::sweep::place;

pub use self::error::StoreError;
pub use self::leases::{Lease, Worker};
pub use self::rows::{Parameter, TrialRow, TrialState};

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server: `postgresql://USER@HOST:PORT/DATABASE`.
    Postgres(String),
}

impl Address {
    /// Reads `sqlite:FILE`, `sqlite:///FILE` or `postgresql://...`.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        if text.starts_with("postgresql://") || text.starts_with("postgres://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let file = text.strip_prefix("sqlite:///").or_else(|| text.strip_prefix("sqlite:"));
        match file {
            Some(file) if !file.is_empty() => Ok(Self::Sqlite(PathBuf::from(file))),
            // What follows may have a password in any place.
            _ => {
                let kind = text.split([':', '=', ' ', '/']).next().unwrap_or_default();
                Err(StoreError::Address(kind.to_owned()))
            }
        }
    }

    /// Whether both lead to the same store.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(other)) => {
                std::path::absolute(one).ok() == std::path::absolute(other).ok()
            }
            (one, other) => one.to_string() == other.to_string(),
        }
    }
}

/// As it is written for a reader: without a password.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(text) => f.write_str(&without_password(text)),
        }
    }
}

/// An address without the password between user and host, and without those of its parameters.
pub(crate) fn without_password(address: &str) -> String {
    let (main, parameters) = address.split_once('?').unwrap_or((address, ""));
    let shown = match (main.find("://"), main.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            let user = main[scheme + 3..at].split(':').next().unwrap_or_default();
            format!("{}://{user}{}", &main[..scheme], &main[at..])
        }
        _ => main.to_owned(),
    };
    let kept: Vec<&str> =
        parameters.split('&').filter(|of| !of.is_empty() && !of.starts_with("password")).collect();
    match kept.is_empty() {
        true => shown,
        false => format!("{shown}?{}", kept.join("&")),
    }
}

/// A study in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StudyId(i64);

/// Whether less or more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Less is better.
    Minimize,
    /// More is better.
    Maximize,
}

impl Direction {
    /// Which of several results is best.
    pub fn best(self) -> Best {
        match self {
            Self::Minimize => Best::Lowest,
            Self::Maximize => Best::Highest,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Minimize => "MINIMIZE",
            Self::Maximize => "MAXIMIZE",
        }
    }
}

/// A connection to a store.
pub struct Store {
    address: Address,
    database: Box<dyn Database>,
    /// Why nothing may be written, if that is so.
    read_only: Option<String>,
    /// Whether there is a table of leases: one that can only be read need not have it.
    has_leases: bool,
}

impl Store {
    /// Opens a store that is there. One of another revision of Optuna's tables can only be read.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn open(address: &Address) -> Result<Self, StoreError> {
        let mut database = connect(address, false)?;
        let mut read_only = schema::revision_problem(&mut *database)?;
        let mut has_leases = schema::has_leases(&mut *database)?;
        if read_only.is_none() && !has_leases {
            // A study that Python made may be continued.
            read_only = schema::create(&mut *database).err().map(|error| error.to_string());
            has_leases = read_only.is_none();
        }
        Ok(Self { address: address.clone(), database, read_only, has_leases })
    }

    /// Opens a store, and makes its tables where it has none.
    ///
    /// # Errors
    /// When it cannot be reached or made, or has tables of another revision.
    pub fn create(address: &Address) -> Result<Self, StoreError> {
        if let Address::Sqlite(path) = address
            && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|_| StoreError::Missing(folder.to_owned()))?;
        }
        let mut database = connect(address, true)?;
        schema::create(&mut *database)?;
        match schema::revision_problem(&mut *database)? {
            Some(problem) => Err(StoreError::ReadOnly(problem)),
            None => {
                let address = address.clone();
                Ok(Self { address, database, read_only: None, has_leases: true })
            }
        }
    }

    /// A second connection to the same store.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn again(&self) -> Result<Self, StoreError> {
        Self::open(&self.address)
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Why nothing can be written, if that is so.
    pub fn read_only(&self) -> Option<&str> {
        self.read_only.as_deref()
    }

    /// Names of all studies, in the order in which they were made.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn studies(&mut self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT study_name FROM studies ORDER BY study_id";
        self.database.query(sql, &[])?.iter_mut().map(|row| row.text()).collect()
    }

    /// The study of a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn study(&mut self, name: &str) -> Result<StudyId, StoreError> {
        let sql = "SELECT study_id FROM studies WHERE study_name = $1";
        match self.database.query(sql, &[name.into()])?.first_mut() {
            Some(row) => Ok(StudyId(row.integer()?)),
            None => {
                let known = self.studies()?;
                let hint = match known.is_empty() {
                    true => "it has none".to_owned(),
                    false => experiment::recipe::suggestion(name, known.iter().map(String::as_str)),
                };
                Err(StoreError::NoStudy { name: name.to_owned(), hint })
            }
        }
    }

    /// Makes a study with user attributes.
    ///
    /// # Errors
    /// When there is one of that name, or it cannot be written.
    pub fn create_study(
        &mut self,
        name: &str,
        direction: Direction,
        attributes: &[(&str, Json)],
    ) -> Result<StudyId, StoreError> {
        self.write(|database| {
            let sql = "SELECT study_id FROM studies WHERE study_name = $1";
            if !database.query(sql, &[name.into()])?.is_empty() {
                return Err(StoreError::Exists(name.to_owned()));
            }
            let sql = "INSERT INTO studies (study_name) VALUES ($1) RETURNING study_id";
            let study = write::only(database.query(sql, &[name.into()])?)?.integer()?;
            let sql = "INSERT INTO study_directions (direction, study_id, objective) VALUES \
                       ($1, $2, 0)";
            database.query(sql, &[direction.name().into(), study.into()])?;
            for (key, value) in attributes {
                let sql = "INSERT INTO study_user_attributes (study_id, \"key\", value_json) \
                           VALUES ($1, $2, $3)";
                let value = value.to_string();
                database.query(sql, &[study.into(), (*key).into(), value.into()])?;
            }
            Ok(StudyId(study))
        })
    }

    /// Sets a user attribute of a study.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_study_attribute(
        &mut self,
        study: StudyId,
        key: &str,
        value: &Json,
    ) -> Result<(), StoreError> {
        self.write(|database| {
            let sql = "INSERT INTO study_user_attributes (study_id, \"key\", value_json) VALUES \
                       ($1, $2, $3) ON CONFLICT (study_id, \"key\") DO UPDATE SET value_json = \
                       excluded.value_json";
            let value = value.to_string();
            database.query(sql, &[study.0.into(), key.into(), value.into()]).map(drop)
        })
    }

    /// A user attribute of a study.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn study_attribute<T: DeserializeOwned>(
        &mut self,
        study: StudyId,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        study_attribute(&mut *self.database, study, key)
    }

    /// What is better in a study.
    ///
    /// # Errors
    /// When it cannot be read, or the study has several objectives.
    pub fn direction(&mut self, study: StudyId) -> Result<Direction, StoreError> {
        let sql = "SELECT direction FROM study_directions WHERE study_id = $1 ORDER BY objective";
        let mut rows = self.database.query(sql, &[study.0.into()])?;
        if rows.len() > 1 {
            return Err(StoreError::Objectives(rows.len()));
        }
        let name = rows.first_mut().map(|row| row.text()).transpose()?;
        Ok(match name.as_deref() {
            Some("MAXIMIZE") => Direction::Maximize,
            _ => Direction::Minimize,
        })
    }

    /// Does work that writes, in a transaction, unless the store can only be read.
    fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut dyn Database) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.read_only {
            Some(why) => Err(StoreError::ReadOnly(why.clone()).into()),
            None => transaction(&mut *self.database, work),
        }
    }

    /// A transaction on a study with the study's row locked, so that one caller at a time changes
    /// the study.
    ///
    /// # Errors
    /// Errors of the work, and when the study is gone.
    pub fn locked<T, E: From<StoreError>>(
        &mut self,
        study: StudyId,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write(|database| {
            let lock = database.dialect().for_update();
            let sql = format!("SELECT study_id FROM studies WHERE study_id = $1{lock}");
            if database.query(&sql, &[study.0.into()])?.is_empty() {
                return Err(StoreError::StudyGone.into());
            }
            work(&mut Transaction { database, study })
        })
    }

    /// A transaction on a study that locks nothing of it: for what concerns one lease alone.
    ///
    /// # Errors
    /// Errors of the work.
    pub fn unlocked<T, E: From<StoreError>>(
        &mut self,
        study: StudyId,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write(|database| work(&mut Transaction { database, study }))
    }

    /// All trials of a study, in order of number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn trials(&mut self, study: StudyId) -> Result<Vec<TrialRow>, StoreError> {
        trials(&mut *self.database, study, self.has_leases)
    }

    /// How many trials a study has.
    ///
    /// # Errors
    /// When they cannot be counted.
    pub fn count(&mut self, study: StudyId) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM trials WHERE study_id = $1";
        let count = write::only(self.database.query(sql, &[study.0.into()])?)?.integer()?;
        Ok(count.max(0) as u64)
    }

    /// Copies all studies into a store that has none.
    ///
    /// # Errors
    /// When a row cannot be read or written.
    pub fn copy_into(&mut self, other: &mut Store) -> Result<(), StoreError> {
        schema::copy(&mut *self.database, &mut *other.database)
    }

    /// Connects again after an error of the connection.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub fn reconnect(&mut self) -> Result<(), StoreError> {
        self.database.reconnect()
    }
}

/// A transaction on a study.
pub struct Transaction<'a> {
    database: &'a mut dyn Database,
    study: StudyId,
}

fn study_attribute<T: DeserializeOwned>(
    database: &mut dyn Database,
    study: StudyId,
    key: &str,
) -> Result<Option<T>, StoreError> {
    let sql = "SELECT value_json FROM study_user_attributes WHERE study_id = $1 AND \"key\" = $2";
    let mut rows = database.query(sql, &[study.0.into(), key.into()])?;
    let Some(text) = rows.first_mut().map(|row| row.text()).transpose()? else {
        return Ok(None);
    };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|source| StoreError::Attribute { key: key.to_owned(), source })
}

/// All trials of a study, with their leases where there are such.
fn trials(
    database: &mut dyn Database,
    study: StudyId,
    has_leases: bool,
) -> Result<Vec<TrialRow>, StoreError> {
    let mut trials = rows::trials(database, study)?;
    if has_leases {
        leases::add(database, study, &mut trials)?;
    }
    Ok(trials)
}

fn connect(address: &Address, create: bool) -> Result<Box<dyn Database>, StoreError> {
    match address {
        Address::Sqlite(path) => Ok(Box::new(sqlite::Sqlite::open(path, create)?)),
        #[cfg(feature = "postgres")]
        Address::Postgres(text) => Ok(Box::new(postgres::Postgres::open(text)?)),
        #[cfg(not(feature = "postgres"))]
        Address::Postgres(_) => Err(StoreError::NoPostgres),
    }
}

/// The default store of a sweep's folder.
pub fn default_address(folder: &Path) -> Address {
    Address::Sqlite(folder.join(place::DATABASE))
}

/// A value as an attribute's text.
///
/// # Errors
/// When it has no JSON form.
pub fn to_json<T: Serialize>(key: &str, value: &T) -> Result<Json, StoreError> {
    let json = serde_json::to_value(value);
    json.map_err(|source| StoreError::Attribute { key: key.to_owned(), source })
}
