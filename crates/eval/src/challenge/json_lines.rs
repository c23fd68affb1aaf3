//! The rows of the pipelines' data: JSON lines, of which errors name the file and the line.

use std::path::{Path, PathBuf};

use base::input_file;
use serde_json::Value;

use crate::error::EvalError;
use crate::lines::text_lines;

/// A row of a file.
pub(super) struct Row<'a> {
    path: &'a Path,
    line: usize,
    object: Value,
}

impl Row<'_> {
    /// The text of a field.
    ///
    /// # Errors
    /// When there is no such field, or it is no text.
    pub(in crate::challenge) fn text(&self, field: &'static str) -> Result<&str, EvalError> {
        self.value(field, "a text", Value::as_str)
    }

    /// The text of a field; none where there is no such field.
    pub(in crate::challenge) fn text_if_there(&self, field: &str) -> Option<&str> {
        self.object.get(field).and_then(Value::as_str)
    }

    /// A number of a field that counts something.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(in crate::challenge) fn count(&self, field: &'static str) -> Result<usize, EvalError> {
        Ok(self.value(field, "a whole number", Value::as_u64)? as usize)
    }

    /// The number of a field.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(in crate::challenge) fn number(&self, field: &'static str) -> Result<f64, EvalError> {
        self.value(field, "a number", Value::as_f64)
    }

    /// The texts of a field.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(in crate::challenge) fn texts(&self, field: &'static str) -> Result<Vec<&str>, EvalError> {
        let all = self.value(field, "a list of texts", Value::as_array)?;
        let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
        texts.ok_or_else(|| self.wrong(field, "a list of texts"))
    }

    fn value<'v, T>(
        &'v self,
        field: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Result<T, EvalError> {
        let value = self.object.get(field).ok_or_else(|| self.lacks(field))?;
        read(value).ok_or_else(|| self.wrong(field, expected))
    }

    fn lacks(&self, field: &'static str) -> EvalError {
        EvalError::MissingField { path: self.path.to_owned(), line: self.line, field }
    }

    /// The error that a field has not what it should have.
    pub(in crate::challenge) fn wrong(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> EvalError {
        EvalError::WrongField { path: self.path.to_owned(), line: self.line, field, expected }
    }
}

/// The `.jsonl` files of a folder, in the order of their names.
///
/// # Errors
/// When the folder cannot be read, or has none.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let io = |cause| EvalError::Io { path: folder.to_owned(), cause };
    let files = input_file::find(folder, &["jsonl"]).map_err(io)?.files;
    match files.is_empty() {
        true => Err(EvalError::NoTasks { path: folder.to_owned() }),
        false => Ok(files),
    }
}

/// What `read` makes of every row of a folder's files, with the name of the file.
///
/// # Errors
/// When a file cannot be read, has no row, or a row is no JSON; those of `read`.
pub(super) fn read_rows<T>(
    folder: &Path,
    mut read: impl FnMut(&str, &Row<'_>) -> Result<T, EvalError>,
) -> Result<Vec<T>, EvalError> {
    let mut found = Vec::new();
    for path in files(folder)? {
        let bytes =
            input_file::read(&path).map_err(|cause| EvalError::Io { path: path.clone(), cause })?;
        let lines = text_lines(&path, &bytes)?;
        if lines.is_empty() {
            return Err(EvalError::Empty { path });
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        for (line, text) in lines {
            let object = serde_json::from_str(text).map_err(|cause| EvalError::Json {
                path: path.clone(),
                line,
                cause,
            })?;
            found.push(read(&stem, &Row { path: &path, line, object })?);
        }
    }
    Ok(found)
}
