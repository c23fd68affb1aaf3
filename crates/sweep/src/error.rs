//! Why a sweep could not be made or worked on.

use std::path::PathBuf;

use experiment::ExperimentError;
use experiment::recipe::RecipeError;
use thiserror::Error;

use crate::distribution::DistributionError;
use crate::space::SpaceError;
use crate::store::StoreError;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, SweepError>;

/// Why a sweep could not be made or worked on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The recipe of the sweep, or the one that it varies.
    #[error("{0}")]
    Recipe(#[from] RecipeError),
    /// The space, or a point of it.
    #[error("{0}")]
    Space(#[from] SpaceError),
    /// A distribution of the store.
    #[error("{0}")]
    Distribution(#[from] DistributionError),
    /// The store of trials.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// What trials share, or a trial.
    #[error("{0}")]
    Experiment(#[source] Box<ExperimentError>),
    /// A file of the sweep's folder.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The definition of a sweep that another version stored.
    #[error("the sweep `{name}` cannot be understood: {why}")]
    Definition {
        /// The study's name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The recipe is another one than the sweep was made from.
    #[error("the sweep `{name}` was made from another recipe: {difference}")]
    Changed {
        /// The study's name.
        name: String,
        /// The first key that differs.
        difference: String,
    },
    /// Words of the command line that cannot be used.
    #[error("{0}")]
    WrongUsage(String),
    /// Something else is wrong with what was asked for.
    #[error("{0}")]
    Refused(String),
    /// A test loss is asked for of a model that predicts no next token.
    #[error("`{model}` is {kind}, which has no loss of the next token; leave `test` out")]
    NoTestLoss {
        /// The model's name.
        model: String,
        /// What it is.
        kind: &'static str,
    },
    /// The text is not that of earlier trials.
    #[error("the text that trials are trained on is another than when the sweep began")]
    OtherText,
}

impl From<ExperimentError> for SweepError {
    fn from(error: ExperimentError) -> Self {
        Self::Experiment(Box::new(error))
    }
}

impl SweepError {
    /// Whether the work was asked to stop.
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Experiment(error) if error.is_stop())
    }

    /// Whether a trial is another worker's by now.
    pub fn is_lost_lease(&self) -> bool {
        matches!(self, Self::Store(StoreError::LeaseLost { .. }))
    }
}

/// A refusal in a sentence of its own.
pub(crate) fn refuse<T>(message: impl std::fmt::Display) -> Result<T> {
    Err(SweepError::Refused(message.to_string()))
}

/// Names the file that an error of the file system is about.
pub(crate) trait FileContext<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T>;
}

impl<T> FileContext<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T> {
        self.map_err(|source| SweepError::File { action, path: path.to_owned(), source })
    }
}
