//! `metrics.jsonl`: what happened at each step of a training run, one JSON object a line, only ever
//! appended to.
//!
//! Every object has a whole number `step`. A run that resumes from a checkpoint removes the lines
//! after it, so that the log is that of an uninterrupted run.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use base::atomic_file;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ReportError;

/// The part of a record that the log itself reads.
#[derive(Deserialize)]
struct Step {
    step: u64,
}

/// An open metrics log.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Begins an empty log; one that was there is replaced.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let file = File::create(path).map_err(|source| failed("create", path, source))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Continues a log (or begins one) after the given step: records of later steps are
    /// removed, and so is a last line that a crash left unfinished.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a line is not a record.
    pub fn open_at(path: &Path, step: u64) -> Result<Self, ReportError> {
        let bytes = read_if_present(path)?;
        let mut kept = Vec::with_capacity(bytes.len());
        for (number, line) in finished_lines(&bytes) {
            let record: Step = parse(path, number, line)?;
            if record.step <= step {
                kept.extend_from_slice(line);
            }
        }
        if kept != bytes {
            atomic_file::write(path, &kept).map_err(|source| failed("write", path, source))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self {
            path: path.to_path_buf(),
            file: file.map_err(|source| failed("open", path, source))?,
        })
    }

    /// Syncs everything written so far to disk.
    ///
    /// # Errors
    /// When the file cannot be synced.
    pub fn sync(&self) -> Result<(), ReportError> {
        self.file.sync_all().map_err(|source| failed("write", &self.path, source))
    }

    /// Writes one record as one line, at once. It must be an object with a `step`; JSON knows no
    /// NaN, which becomes `null`.
    ///
    /// # Errors
    /// When the record has no step, or cannot be written.
    pub fn append(&mut self, record: &impl Serialize) -> Result<(), ReportError> {
        let refuse = |source| ReportError::Record { path: self.path.clone(), source };
        let mut line = serde_json::to_string(record).map_err(refuse)?;
        serde_json::from_str::<Step>(&line).map_err(refuse)?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|source| failed("write", &self.path, source))
    }
}

/// All records of a log, in order, as the caller's type or as `serde_json::Value`. An unfinished
/// last line is skipped.
///
/// # Errors
/// When the file cannot be read, or a line is not a record.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ReportError> {
    let bytes = fs::read(path).map_err(|source| failed("read", path, source))?;
    finished_lines(&bytes).map(|(number, line)| parse(path, number, line)).collect()
}

/// The records of a log, for readers who show what there is: lines that are none, such as with a
/// number that is not one, are passed over.
///
/// # Errors
/// When the file cannot be read.
pub fn read_known<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ReportError> {
    let bytes = fs::read(path).map_err(|source| failed("read", path, source))?;
    let lines = finished_lines(&bytes);
    Ok(lines.filter_map(|(number, line)| parse(path, number, line).ok()).collect())
}

/// The lines that end in a line feed, with it, numbered from 1.
fn finished_lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let finished = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    bytes[..finished]
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

fn parse<T: DeserializeOwned>(path: &Path, line: usize, text: &[u8]) -> Result<T, ReportError> {
    serde_json::from_slice(text).map_err(|source| ReportError::Line {
        path: path.to_path_buf(),
        line,
        source,
    })
}

fn read_if_present(path: &Path) -> Result<Vec<u8>, ReportError> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|source| failed("read", path, source)),
    }
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> ReportError {
    ReportError::File { action, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    fn log(folder: &TempDir) -> PathBuf {
        folder.path().join("metrics.jsonl")
    }

    fn steps(path: &Path) -> Vec<u64> {
        read::<Step>(path).unwrap().iter().map(|record| record.step).collect()
    }

    #[test]
    fn records_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = MetricsLog::create(&log(&folder)).unwrap();
        metrics.append(&json!({ "step": 1, "loss": 0.5 })).unwrap();
        // Each line is on disk before the next one is written.
        assert_eq!(steps(&log(&folder)), [1]);
        metrics.append(&json!({ "step": 2, "loss": f64::NAN })).unwrap();
        let records: Vec<Value> = read(&log(&folder)).unwrap();
        assert_eq!(
            records,
            [json!({ "step": 1, "loss": 0.5 }), json!({ "step": 2, "loss": null })]
        );
    }

    #[test]
    fn resuming_removes_records_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(&folder);
        let mut metrics = MetricsLog::open_at(&path, 0).unwrap();
        for step in [0, 1, 2, 2, 3] {
            metrics.append(&json!({ "step": step })).unwrap();
        }
        drop(metrics);
        let mut metrics = MetricsLog::open_at(&path, 2).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 2]);
        metrics.append(&json!({ "step": 3 })).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 2, 3]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
    }

    #[test]
    fn a_torn_last_line_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(&folder);
        for (torn, expected) in
            [("{\"step\":1}\n{\"st", vec![1]), ("{\"step\":1}", vec![]), ("", vec![])]
        {
            fs::write(&path, torn).unwrap();
            assert_eq!(steps(&path), expected);
            let mut metrics = MetricsLog::open_at(&path, 9).unwrap();
            metrics.append(&json!({ "step": 2 })).unwrap();
            assert_eq!(steps(&path), [expected, vec![2]].concat());
        }
    }

    #[test]
    fn what_is_no_record_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(&folder);
        fs::write(&path, "{\"step\":1}\n\n{\"step\":3}\n").unwrap();
        let message = MetricsLog::open_at(&path, 9).unwrap_err().to_string();
        assert!(message.contains("metrics.jsonl:2: not a metrics record"), "{message}");
        let mut metrics = MetricsLog::create(&path).unwrap();
        let message = metrics.append(&json!({ "loss": 1.0 })).unwrap_err().to_string();
        assert!(message.contains("missing field `step`"), "{message}");
        assert!(steps(&path).is_empty());
        let absent = read::<Value>(&folder.path().join("none.jsonl")).unwrap_err().to_string();
        assert!(absent.starts_with("cannot read ") && absent.contains("none.jsonl"), "{absent}");
    }

    #[test]
    fn single_precision_numbers_stay_short() {
        #[derive(Serialize)]
        struct Record {
            step: u64,
            loss: f32,
        }
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = MetricsLog::create(&log(&folder)).unwrap();
        metrics.append(&Record { step: 1, loss: 0.1 }).unwrap();
        assert_eq!(fs::read_to_string(log(&folder)).unwrap(), "{\"step\":1,\"loss\":0.1}\n");
    }
}
