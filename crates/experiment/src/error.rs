//! Why an experiment failed: one type for everything that its parts can report.
//!
//! A caller finds the cause by its type anywhere in the chain of sources
//! ([`ExperimentError::find`]). Where the type alone does not lead to a next step, the error
//! carries advice.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Stopped, stop};
use corpus::CorpusError;
use engine::{DeviceError, Fault};
use eval::EvalError;
use eval::age_of_acquisition::AgeError;
use eval::statistics::StatisticsError;
use model::ModelError;
use report::ReportError;
use thiserror::Error;
use train::TrainError;

use crate::lock::LockError;
use crate::recipe::RecipeError;
use crate::stage::StageError;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, ExperimentError>;

/// Why an experiment, or a part of it, failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// A recipe that cannot be read or does not hold.
    #[error("{0}")]
    Recipe(#[from] RecipeError),
    /// The record of a stage.
    #[error("{0}")]
    Stage(#[from] StageError),
    /// A run that another process works on.
    #[error("{0}")]
    Lock(#[from] LockError),
    /// Texts, tokenizers, token files.
    #[error("{0}")]
    Corpus(#[from] CorpusError),
    /// Models and their folders.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// Training and teachers.
    #[error("{0}")]
    Train(#[from] TrainError),
    /// Benchmarks and their data.
    #[error("{0}")]
    Eval(#[from] EvalError),
    /// Age of acquisition.
    #[error("{0}")]
    Age(#[from] AgeError),
    /// Intervals and tests.
    #[error("{0}")]
    Statistics(#[from] StatisticsError),
    /// Metrics logs.
    #[error("{0}")]
    Report(#[from] ReportError),
    /// A device that cannot be opened.
    #[error("{0}")]
    Device(#[from] DeviceError),
    /// A device that failed.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// A value that has no JSON form.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A file or folder of the experiment.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// The observer asked to stop, and everything up to there is saved.
    #[error("interrupted; everything up to here is saved")]
    Interrupted,
    /// Settings that are right one by one and do not fit together.
    #[error("{0}")]
    WrongUsage(String),
    /// Something else is wrong with the inputs.
    #[error("{0}")]
    Refused(String),
    /// Where the error happened.
    #[error("{context}")]
    Within {
        /// The place of the error, such as `stage tokens` or `model student`.
        context: String,
        /// What happened there.
        source: Box<ExperimentError>,
    },
    /// An error with a next step; it reads like the error alone.
    #[error("{source}")]
    Advised {
        /// What to do about it.
        advice: String,
        /// What happened.
        source: Box<ExperimentError>,
    },
    /// Parts that failed while the others went on.
    #[error("{message}")]
    Parts {
        /// All that failed, with the reason where there is one for all.
        message: String,
        /// The distinct reasons.
        reasons: Vec<Arc<ExperimentError>>,
    },
    /// An error that several parts failed with.
    #[error("{0}")]
    Shared(#[source] Arc<ExperimentError>),
}

impl ExperimentError {
    /// The first error of a type in the chain of causes, this error included.
    pub fn find<T: Error + 'static>(&self) -> Option<&T> {
        find(self)
    }

    /// Whether the work was asked to stop, in whatever library.
    pub fn is_stop(&self) -> bool {
        self.find::<Stopped>().is_some()
            || chain(self)
                .any(|cause| matches!(cause.downcast_ref(), Some(ExperimentError::Interrupted)))
    }

    /// The error, or [`ExperimentError::Interrupted`] where it only reports that the work was asked
    /// to stop.
    pub fn or_interrupted(self) -> Self {
        if self.is_stop() { Self::Interrupted } else { self }
    }

    /// The advice that the error carries, if any.
    pub fn advice(&self) -> Option<&str> {
        chain(self).find_map(|cause| match cause.downcast_ref() {
            Some(ExperimentError::Advised { advice, .. }) => Some(advice.as_str()),
            _ => None,
        })
    }

    /// The chain of causes in one line, without those that only repeat what is there already.
    pub fn cause(&self) -> String {
        one_line(chain(self))
    }

    /// Whether something could not be written for lack of permission.
    pub fn is_forbidden(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let kind = self.find::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(PermissionDenied | ReadOnlyFilesystem))
    }

    /// Whether an error of one part of the work would meet its other parts too: it was asked to
    /// stop, the settings are wrong, the device is lost, or nothing can be written any more.
    pub fn concerns_everything(&self) -> bool {
        let wrong_settings = chain(self).any(|cause| {
            matches!(cause.downcast_ref(), Some(ExperimentError::WrongUsage(_)))
                || cause.is::<RecipeError>()
        });
        self.is_stop() || wrong_settings || self.concerns_the_machine()
    }

    /// Whether the device is lost, or nothing can be written any more.
    pub fn concerns_the_machine(&self) -> bool {
        let lost = match self.find() {
            Some(TrainError::Device(fault)) => Some(fault),
            _ => self.find::<Fault>(),
        };
        matches!(lost, Some(Fault::Device { .. }))
            || chain(self).filter_map(file_error).any(is_unwritable)
    }
}

/// An error and its sources.
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let all = std::iter::successors(Some(error), |cause| (*cause).source());
    // An error behind a pointer would otherwise have the pointer's type.
    all.map(|cause| {
        let boxed = cause.downcast_ref::<Box<ExperimentError>>().map(|error| &**error);
        let shared = || cause.downcast_ref::<Arc<ExperimentError>>().map(|error| &**error);
        boxed.or_else(shared).map_or(cause, |error| error as &(dyn Error + 'static))
    })
}

/// The first error of a type in a chain of causes.
pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// A chain of causes in one line, without those that only repeat what is there already.
pub fn one_line<'a>(chain: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut text = String::new();
    for cause in chain {
        let cause = cause.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The error of the file system that an error is, or carries beside its chain.
fn file_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    if let Some(error) = error.downcast_ref() {
        return Some(error);
    }
    let of_model = || match error.downcast_ref()? {
        ModelError::Io { cause, .. } => Some(cause),
        _ => None,
    };
    let of_corpus = || match error.downcast_ref()? {
        CorpusError::Write { cause, .. } => Some(cause),
        _ => None,
    };
    match error.downcast_ref() {
        // A transparent error is not in the chain of what it carries.
        Some(TrainError::Io { cause, .. } | TrainError::Model(ModelError::Io { cause, .. })) => {
            Some(cause)
        }
        _ => of_model().or_else(of_corpus),
    }
}

fn is_unwritable(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem)
}

/// Adds to an error where it happened, or what to do about it.
pub trait Context<T> {
    /// Puts the place in front of the cause.
    ///
    /// # Errors
    /// The error in its context.
    fn within(self, context: impl FnOnce() -> String) -> Result<T>;

    /// Carries a next step along with the error; the cause stays as it is.
    ///
    /// # Errors
    /// The error with its advice.
    fn advise(self, advice: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<ExperimentError>> Context<T> for std::result::Result<T, E> {
    fn within(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| ExperimentError::Within {
            context: context(),
            source: Box::new(source.into()),
        })
    }

    fn advise(self, advice: impl Into<String>) -> Result<T> {
        self.map_err(|source| ExperimentError::Advised {
            advice: advice.into(),
            source: Box::new(source.into()),
        })
    }
}

/// Names the file that an error of the file system is about.
pub trait FileContext<T> {
    /// What was tried (`read`, `write`, `create`), and with which file or folder.
    ///
    /// # Errors
    /// [`ExperimentError::File`].
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> FileContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| match stop::is_stop(&source) {
            true => ExperimentError::Interrupted,
            false => ExperimentError::File { action, path: path.to_owned(), source },
        })
    }
}

/// A refusal in a sentence of its own.
pub(crate) fn refuse<T>(message: impl Display) -> Result<T> {
    Err(ExperimentError::Refused(message.to_string()))
}

/// A refusal of settings that do not fit together.
pub(crate) fn wrong_usage<T>(message: impl Display) -> Result<T> {
    Err(ExperimentError::WrongUsage(message.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> io::Error {
        io::ErrorKind::StorageFull.into()
    }

    #[test]
    fn a_cause_is_found_behind_every_layer() {
        let model = ModelError::Io { path: "m".into(), cause: full() };
        let failed: Result<()> = Err(model).advise("x").within(|| "stage y".to_owned());
        let error = failed.unwrap_err();
        assert!(error.find::<ModelError>().is_some() && error.find::<EvalError>().is_none());
        assert_eq!(error.advice(), Some("x"));
        assert_eq!(error.cause(), "stage y: m: no storage space");
        assert!(error.concerns_everything() && !error.is_stop());
    }

    #[test]
    fn every_library_can_be_asked_to_stop() {
        let errors: [ExperimentError; 4] = [
            CorpusError::from(Stopped).into(),
            TrainError::from(Stopped).into(),
            EvalError::from(Stopped).into(),
            AgeError::from(EvalError::from(Stopped)).into(),
        ];
        for error in errors.into_iter().chain([ExperimentError::Interrupted]) {
            let within = Err::<(), _>(error).within(|| "stage x".to_owned()).unwrap_err();
            assert!(within.is_stop() && within.concerns_everything(), "{within:?}");
        }
        assert!(!ExperimentError::Refused("x".into()).is_stop());
    }

    #[test]
    fn a_full_disk_concerns_the_machine_whatever_library_meets_it() {
        let path = || std::path::PathBuf::from("x");
        let errors: [ExperimentError; 4] = [
            TrainError::Io { path: path(), cause: full() }.into(),
            ModelError::Io { path: path(), cause: full() }.into(),
            TrainError::from(ModelError::Io { path: path(), cause: full() }).into(),
            ExperimentError::File { action: "write", path: path(), source: full() },
        ];
        for error in errors {
            assert!(error.concerns_the_machine(), "{error:?}");
        }
        let cause = || io::Error::from(io::ErrorKind::NotFound);
        let other = TrainError::Io { path: path(), cause: cause() };
        assert!(!ExperimentError::from(other).concerns_the_machine());
    }
}
