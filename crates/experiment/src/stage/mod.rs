//! Stages of a run: what each one depends on, and whether it is done already.
//!
//! A finished stage leaves `stages/NAME.json` with everything its result follows from: its
//! settings, the stages whose results it uses and the contents of its input files; and with size,
//! time and hash of every file that it left. It is done as long as all of that is still there
//! unchanged.

mod outputs;
mod reason;
mod stages;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base::{ShouldStop, Stopped, hash, stop};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use self::reason::{Reason, Status};
pub(crate) use self::stages::{Record, StageEnd};
pub use self::stages::{Stages, verify_folder};

/// Why a stage's state could not be read or written.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each message documents its variant")]
pub enum StageError {
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write down the settings of stage `{stage}`: {source}")]
    Settings { stage: String, source: serde_json::Error },
    #[error("{} is not as stage {stage} left it", path.display())]
    Damaged { stage: String, path: PathBuf },
    #[error("stopped before the end, as asked")]
    Stopped(#[from] Stopped),
}

/// A step of a run and all that its result follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    name: String,
    settings: Value,
    /// Fingerprints of the stages whose results the stage uses, by name.
    stages: BTreeMap<String, String>,
    /// Hashes of the contents of the stage's input files, by the names that messages use.
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
        self.reads_unless(&stop::never, path)
    }

    /// Adds an input file as [`reads`](Self::reads), until `should_stop` answers `true`.
    ///
    /// # Errors
    /// As [`reads`](Self::reads), and when it was asked to stop.
    pub fn reads_unless(
        self,
        should_stop: ShouldStop<'_>,
        path: &Path,
    ) -> Result<Self, StageError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(self.follows(&name, hash_of_input(should_stop, path)?))
    }

    /// Adds input files in their order, as [`reads_unless`](Self::reads_unless) does.
    ///
    /// # Errors
    /// When one of them cannot be read, or it was asked to stop.
    pub fn reads_all<P: AsRef<Path>>(
        self,
        should_stop: ShouldStop<'_>,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self, StageError> {
        let mut paths = paths.into_iter();
        paths.try_fold(self, |stage, path| stage.reads_unless(should_stop, path.as_ref()))
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

    /// The stage's resolved settings.
    pub(crate) fn settings(&self) -> &Value {
        &self.settings
    }

    /// The fingerprint of a stage whose result this one uses.
    pub(crate) fn used(&self, name: &str) -> Option<&str> {
        self.stages.get(name).map(String::as_str)
    }

    /// The stage's input files: what messages call them, and the hashes of their contents.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(name, hash)| (name.as_str(), hash.as_str()))
    }

    /// The names of the stages whose results this one uses.
    pub fn uses(&self) -> impl Iterator<Item = &str> {
        self.stages.keys().map(String::as_str)
    }

    /// The first difference between what this stage follows from and what another one does.
    pub fn difference(&self, now: &Stage) -> Reason {
        reason::first_difference(self, now).unwrap_or(Reason::NeverFinished)
    }

    /// BLAKE3, in hexadecimal, of everything the result follows from.
    pub fn fingerprint(&self) -> String {
        // Every part is a plain JSON value in a fixed order.
        let text =
            serde_json::json!([self.name, self.settings, self.stages, self.files]).to_string();
        hash::of_bytes(text.as_bytes())
    }
}

/// The hash of an input file's contents.
///
/// # Errors
/// When it cannot be read, is a folder, a pipe or a device, or it was asked to stop.
pub fn hash_of_input(should_stop: ShouldStop<'_>, path: &Path) -> Result<String, StageError> {
    hash::of_file_unless(should_stop, path).map_err(failed("read", path))
}

/// An error of the file system as one of a stage.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StageError {
    let path = path.to_path_buf();
    move |source| match stop::is_stop(&source) {
        true => StageError::Stopped(Stopped),
        false => StageError::File { action, path, source },
    }
}
