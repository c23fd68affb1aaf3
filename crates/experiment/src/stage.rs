//! Stages of a run: what each one depends on, and whether it is done already.
//!
//! A finished stage leaves `stages/NAME.json` with everything its result follows from: its
//! settings, the stages it stands on and the contents of its input files. It is done as long as all
//! of that, and its output, is still there unchanged.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use base::{atomic_file, hash};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::error::ExperimentError;
use crate::observer::Observer;

/// Why a stage's state could not be read or written.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each message documents its variant")]
pub enum StageError {
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write down the settings of stage `{stage}`: {source}")]
    Settings { stage: String, source: serde_json::Error },
}

/// A step of a run and all that its result follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    name: String,
    settings: Value,
    /// Fingerprints of the stages it stands on, by name.
    stages: BTreeMap<String, String>,
    /// Hashes of its input files' contents, by the names that messages use.
    files: BTreeMap<String, String>,
}

impl Stage {
    /// A stage with its resolved settings.
    pub fn new(name: &str, settings: &impl Serialize) -> Result<Self, StageError> {
        let settings = serde_json::to_value(settings)
            .map_err(|source| StageError::Settings { stage: name.to_string(), source })?;
        Ok(Self {
            name: name.to_string(),
            settings,
            stages: BTreeMap::new(),
            files: BTreeMap::new(),
        })
    }

    /// Adds a stage whose result this one uses.
    pub fn after(mut self, other: &Stage) -> Self {
        self.stages.insert(other.name.clone(), other.fingerprint());
        self
    }

    /// Adds an input file. Its contents and its name count, its time and place do not.
    ///
    /// # Errors
    /// When it cannot be read, or is a folder, a pipe or a device.
    pub fn reads(self, path: &Path) -> Result<Self, StageError> {
        let hash = hash::of_file(path).map_err(|source| StageError::File {
            action: "read",
            path: path.to_path_buf(),
            source,
        })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(self.follows(&name, hash))
    }

    /// Adds input files in their order, as [`reads`](Self::reads) does.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn reads_all<P: AsRef<Path>>(
        self,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self, StageError> {
        paths.into_iter().try_fold(self, |stage, path| stage.reads(path.as_ref()))
    }

    /// Adds an input by the hash of its contents. `name` is what messages call it.
    pub fn follows(mut self, name: &str, hash: String) -> Self {
        // Another input of the same name: both must count.
        let numbered = (1..).map(|number| format!("{name} ({number})"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        if let Some(name) = names.find(|name| !self.files.contains_key(name)) {
            self.files.insert(name, hash);
        }
        self
    }

    /// The name, which is unique within a run.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// BLAKE3, in hexadecimal, of everything the result follows from.
    pub fn fingerprint(&self) -> String {
        // Every part is a plain JSON value in a fixed order.
        let text =
            serde_json::json!([self.name, self.settings, self.stages, self.files]).to_string();
        hash::of_bytes(text.as_bytes())
    }
}

/// Whether a stage has to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Its result is there and up to date.
    Done,
    /// It has to run.
    Run(Reason),
}

/// Why a stage runs, in words that follow "because".
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each message documents its variant")]
pub enum Reason {
    NeverFinished,
    SettingsChanged { key: String, before: String, now: String },
    InputChanged { file: String },
    StageChanged { stage: String },
    OutputMissing { path: PathBuf },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NeverFinished => f.write_str("never finished"),
            Reason::SettingsChanged { key, before, now } => {
                write!(f, "settings changed: {key} was {before}, is {now}")
            }
            Reason::InputChanged { file } => write!(f, "input {file} changed"),
            Reason::StageChanged { stage } => write!(f, "stage {stage} changed"),
            Reason::OutputMissing { path } => write!(f, "output {} is missing", path.display()),
        }
    }
}

/// The file that a finished stage leaves.
#[derive(Serialize, Deserialize)]
struct Record {
    fingerprint: String,
    stage: Stage,
    /// Relative to the run's folder.
    outputs: Vec<PathBuf>,
}

/// The finished stages of one run.
#[derive(Debug)]
pub struct Stages {
    run: PathBuf,
    performed: Cell<usize>,
    skipped: Cell<usize>,
}

impl Stages {
    /// The stages of the run in this folder; makes `stages/` when it is not there.
    pub fn open(run: &Path) -> Result<Self, StageError> {
        let folder = run.join("stages");
        fs::create_dir_all(&folder).map_err(|source| StageError::File {
            action: "create",
            path: folder,
            source,
        })?;
        Ok(Self { run: run.to_path_buf(), performed: Cell::new(0), skipped: Cell::new(0) })
    }

    /// Runs a stage unless it is done, and records that it is. `work` receives the reason; outputs
    /// are relative to the run's folder.
    ///
    /// # Errors
    /// Those of `work`, and [`ExperimentError::Interrupted`] when the observer asked to stop.
    pub fn perform(
        &self,
        stage: &Stage,
        outputs: &[&Path],
        observer: &dyn Observer,
        work: impl FnOnce(&Reason) -> crate::Result<()>,
    ) -> crate::Result<()> {
        let Status::Run(reason) = self.status(stage)? else {
            self.skipped.set(self.skipped.get() + 1);
            return Ok(());
        };
        if observer.should_stop() {
            return Err(ExperimentError::Interrupted);
        }
        // From here on the old output may be half replaced: no record may state that it is done.
        self.forget(stage)?;
        work(&reason)?;
        self.mark_done(stage, outputs)?;
        self.performed.set(self.performed.get() + 1);
        Ok(())
    }

    /// How many stages were performed, and how many were done already.
    pub fn counts(&self) -> (usize, usize) {
        (self.performed.get(), self.skipped.get())
    }

    /// Whether the stage has to run, and why.
    pub fn status(&self, stage: &Stage) -> Result<Status, StageError> {
        let Some(record) = self.record(stage)? else {
            return Ok(Status::Run(Reason::NeverFinished));
        };
        if record.fingerprint != stage.fingerprint() {
            let reason = first_difference(&record.stage, stage).unwrap_or(Reason::NeverFinished);
            return Ok(Status::Run(reason));
        }
        let missing = record.outputs.into_iter().find(|path| !self.run.join(path).exists());
        Ok(missing.map_or(Status::Done, |path| Status::Run(Reason::OutputMissing { path })))
    }

    /// Records that the stage is done, with the paths of its output in the run's folder.
    pub fn mark_done(&self, stage: &Stage, outputs: &[&Path]) -> Result<(), StageError> {
        let record = Record {
            fingerprint: stage.fingerprint(),
            stage: stage.clone(),
            outputs: outputs.iter().map(|path| path.to_path_buf()).collect(),
        };
        let text = serde_json::to_string_pretty(&record)
            .map_err(|source| StageError::Settings { stage: stage.name.clone(), source })?;
        let path = self.path(stage);
        atomic_file::write(&path, text.as_bytes()).map_err(|source| StageError::File {
            action: "write",
            path,
            source,
        })
    }

    /// Removes the record of a stage of this name, whatever its settings were.
    pub fn forget(&self, stage: &Stage) -> Result<(), StageError> {
        let path = self.path(stage);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(StageError::File { action: "remove", path, source })
            }
            _ => atomic_file::sync_entry(&path).map_err(|source| StageError::File {
                action: "write",
                path,
                source,
            }),
        }
    }

    fn path(&self, stage: &Stage) -> PathBuf {
        self.run.join("stages").join(format!("{}.json", stage.name))
    }

    /// What the stage left when it was last done. A record that cannot be understood counts as
    /// none.
    fn record(&self, stage: &Stage) -> Result<Option<Record>, StageError> {
        let path = self.path(stage);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StageError::File { action: "read", path, source }),
        }
    }
}

fn first_difference(before: &Stage, now: &Stage) -> Option<Reason> {
    if let Some((key, before, now)) = changed_setting("", &before.settings, &now.settings) {
        return Some(Reason::SettingsChanged { key, before, now });
    }
    let file = changed_key(&before.files, &now.files).map(|file| Reason::InputChanged { file });
    file.or_else(|| {
        changed_key(&before.stages, &now.stages).map(|stage| Reason::StageChanged { stage })
    })
}

/// The first key whose value differs or that only one of the two has.
fn changed_key(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Option<String> {
    let mut keys = now.keys().chain(before.keys());
    keys.find(|&key| before.get(key) != now.get(key)).cloned()
}

/// The first setting that differs: its dotted key, its old value and its new one.
fn changed_setting(key: &str, before: &Value, now: &Value) -> Option<(String, String, String)> {
    match (before, now) {
        _ if before == now => None,
        (Value::Object(old), Value::Object(new)) => {
            let mut keys = new.keys().chain(old.keys());
            keys.find_map(|inner| {
                let dot = if key.is_empty() { "" } else { "." };
                let values = (
                    old.get(inner).unwrap_or(&Value::Null),
                    new.get(inner).unwrap_or(&Value::Null),
                );
                changed_setting(&format!("{key}{dot}{inner}"), values.0, values.1)
            })
        }
        _ => Some((key.to_string(), shown(before), shown(now))),
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() { "not set".to_string() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    struct Run {
        folder: TempDir,
        stages: Stages,
    }

    fn run() -> Run {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("text")).unwrap();
        fs::write(folder.path().join("text/b.train"), "two").unwrap();
        fs::write(folder.path().join("text/a.train"), "one").unwrap();
        fs::write(folder.path().join("out"), "").unwrap();
        let stages = Stages::open(folder.path()).unwrap();
        Run { folder, stages }
    }

    fn stage(run: &Run, settings: Value) -> Stage {
        let text = run.folder.path().join("text");
        let files = ["a.train", "b.train"].map(|name| text.join(name));
        let there = files.iter().filter(|file| file.exists());
        Stage::new("clean", &settings).unwrap().reads_all(there).unwrap()
    }

    fn reason(run: &Run, stage: &Stage) -> String {
        match run.stages.status(stage).unwrap() {
            Status::Done => "done".to_string(),
            Status::Run(reason) => reason.to_string(),
        }
    }

    #[test]
    fn a_stage_is_done_until_something_changes() {
        let run = run();
        let first = stage(&run, json!({ "clean": true, "train": { "epochs": 4 } }));
        assert_eq!(reason(&run, &first), "never finished");
        run.stages.mark_done(&first, &[Path::new("out")]).unwrap();
        assert_eq!(run.stages.status(&first).unwrap(), Status::Done);
        assert!(!run.folder.path().join("stages/clean.json.partial").exists());

        let changed = stage(&run, json!({ "clean": true, "train": { "epochs": 8 } }));
        assert_eq!(reason(&run, &changed), "settings changed: train.epochs was 4, is 8");
        let gone = stage(&run, json!({ "train": { "epochs": 4 } }));
        assert_eq!(reason(&run, &gone), "settings changed: clean was true, is not set");

        fs::remove_file(run.folder.path().join("out")).unwrap();
        assert_eq!(reason(&run, &first), "output out is missing");
    }

    #[test]
    fn contents_count_and_nothing_else_of_a_file() {
        let run = run();
        let first = stage(&run, json!(1));
        run.stages.mark_done(&first, &[]).unwrap();
        fs::write(run.folder.path().join("text/b.train"), "two").unwrap();
        assert_eq!(stage(&run, json!(1)), first);
        fs::write(run.folder.path().join("text/b.train"), "TWO").unwrap();
        assert_eq!(reason(&run, &stage(&run, json!(1))), "input b.train changed");
        fs::remove_file(run.folder.path().join("text/b.train")).unwrap();
        assert_eq!(reason(&run, &stage(&run, json!(1))), "input b.train changed");
    }

    #[test]
    fn a_single_file_is_named_by_its_name() {
        let run = run();
        let stage =
            Stage::new("x", &()).unwrap().reads(&run.folder.path().join("text/a.train")).unwrap();
        assert_eq!(stage.files.keys().collect::<Vec<_>>(), ["a.train"]);
        let twice = stage.clone().reads(&run.folder.path().join("text/a.train")).unwrap();
        assert_eq!(twice.files.keys().collect::<Vec<_>>(), ["a.train", "a.train (1)"]);
        let absent = Stage::new("x", &())
            .unwrap()
            .reads(&run.folder.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(absent.starts_with("cannot read ") && absent.contains("none"), "{absent}");
        let folder = Stage::new("x", &()).unwrap().reads(&run.folder.path().join("text"));
        assert!(folder.unwrap_err().to_string().ends_with("it is not a regular file"));
    }

    #[test]
    fn a_change_below_reaches_the_stages_above() {
        let run = run();
        let lower = stage(&run, json!(1));
        let upper = Stage::new("tokens", &()).unwrap().after(&lower);
        run.stages.mark_done(&upper, &[]).unwrap();
        assert_eq!(reason(&run, &upper), "done");
        let upper = Stage::new("tokens", &()).unwrap().after(&stage(&run, json!(2)));
        assert_eq!(reason(&run, &upper), "stage clean changed");
    }

    #[test]
    fn a_record_that_makes_no_sense_counts_as_none() {
        let run = run();
        let stage = stage(&run, json!(1));
        fs::write(run.folder.path().join("stages/clean.json"), "{").unwrap();
        assert_eq!(reason(&run, &stage), "never finished");
    }

    #[test]
    fn single_precision_settings_read_back_equal() {
        let run = run();
        let stage = stage(&run, serde_json::to_value(0.1f32).unwrap());
        run.stages.mark_done(&stage, &[]).unwrap();
        assert_eq!(reason(&run, &stage), "done");
    }
}
