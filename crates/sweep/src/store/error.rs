//! Why a store could not be used.

use std::path::PathBuf;

use thiserror::Error;

/// Why a store could not be opened, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address of a store is none that is known.
    #[error("`{0}...` is no store: give sqlite:FILE or postgresql://USER@HOST/DATABASE")]
    Address(String),
    /// There is no such file.
    #[error("there is no store {}", .0.display())]
    Missing(PathBuf),
    /// SQLite failed.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite reports.
        source: rusqlite::Error,
    },
    /// PostgreSQL failed.
    #[error("{place}: {reason}")]
    Postgres {
        /// Host and database, without a password.
        place: String,
        /// What the server or the connection reports.
        reason: String,
        /// Whether the same may succeed later.
        may_pass: bool,
        /// The error itself.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// PostgreSQL is no part of this program.
    #[error("this program was built without PostgreSQL")]
    NoPostgres,
    /// SQLite's locks cannot be trusted there.
    #[error(
        "{} is on a network file system ({kind}), where the locks of SQLite do not hold",
        path.display()
    )]
    NetworkFileSystem {
        /// The file.
        path: PathBuf,
        /// Such as `nfs`.
        kind: &'static str,
    },
    /// The store was made by another revision of Optuna, or is none.
    #[error("the store can only be read: {0}")]
    ReadOnly(String),
    /// A study that is not there.
    #[error("the store has no study `{name}`; {hint}")]
    NoStudy {
        /// The name that was asked for.
        name: String,
        /// The nearest name, or all.
        hint: String,
    },
    /// The study was deleted while it was worked on.
    #[error("the study is no longer in the store: it was deleted")]
    StudyGone,
    /// A study of several objectives.
    #[error("the study has {0} objectives, and a sweep has one")]
    Objectives(usize),
    /// A study of that name that is no sweep of this program.
    #[error("the study `{0}` was not made by `babyllama sweep create`")]
    Foreign(String),
    /// A study that is there already.
    #[error("the store has a study `{0}` already")]
    Exists(String),
    /// Another worker has the trial, or its state was changed from outside.
    #[error("trial {number} is no longer this worker's: {why}")]
    LeaseLost {
        /// The trial's number in its study.
        number: u64,
        /// Who has it, or its state.
        why: String,
    },
    /// A number that is not finite cannot be the result of a trial.
    #[error("the result of trial {number} is {value}, which is no number")]
    NotFinite {
        /// The trial's number.
        number: u64,
        /// NaN or an infinity.
        value: f64,
    },
    /// No trial of that number.
    #[error("the study has no trial {0}")]
    NoTrial(u64),
    /// A value of another type than the schema has.
    #[error("the store holds {found} where {wanted} is expected")]
    Unexpected {
        /// What the schema has.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// An attribute of ours that cannot be understood.
    #[error("the attribute `{key}` cannot be understood: {source}")]
    Attribute {
        /// Its key.
        key: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl StoreError {
    /// Whether the same may succeed later: a server that is away, a file that others write to.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => {
                let code = source.sqlite_error_code();
                matches!(code, Some(rusqlite::ErrorCode::DatabaseBusy))
            }
            Self::Postgres { may_pass, .. } => *may_pass,
            _ => false,
        }
    }
}
