//! Errors of this crate.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a file of a report could not be read, drawn or written.
#[expect(missing_docs, reason = "the message of a variant states what it is")]
#[derive(Debug, Error)]
pub enum ReportError {
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{}:{line}: not a metrics record: {source}", path.display())]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("cannot write a record to {}: {source}", path.display())]
    Record { path: PathBuf, source: serde_json::Error },
    #[error("cannot write a table: {source}")]
    Output { source: std::io::Error },
    #[error("{} is there already and is not as a report wrote it", path.display())]
    Taken { path: PathBuf },
    #[error("cannot draw figure {name}: {reason}")]
    Drawing { name: String, reason: String },
}

impl From<ReportError> for io::Error {
    /// The error with the kind that the file system gave it.
    fn from(error: ReportError) -> Self {
        match &error {
            ReportError::File { source, .. } | ReportError::Output { source } => {
                Self::new(source.kind(), error)
            }
            _ => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}
