//! The weights of the lowest held-out number so far, in `best/`, with what belongs to them, and the
//! hashes in `best.json` beside it by which damage to them is found.
//!
//! The hashes of what comes are on disk before it replaces what is there, whose hashes stay: a kill
//! between leaves no file that is not known.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use base::{atomic_file, hash};
use model::{Model, hugging_face};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// The folder of the weights in that of the training.
pub const FOLDER: &str = "best";
const RECORD: &str = "best.json";
/// How many hashes of a file are known: what a kill left, what it was to become, and what comes.
const KNOWN: usize = 3;

/// The hashes that each file may have, oldest first.
#[derive(Default, Serialize, Deserialize)]
struct Record(BTreeMap<String, Vec<String>>);

impl Record {
    /// One that cannot be read knows nothing.
    fn read(training: &Path) -> Self {
        let bytes = fs::read(training.join(RECORD)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn add(&mut self, name: &str, hash: String) {
        let known = self.0.entry(name.to_owned()).or_default();
        known.retain(|other| *other != hash);
        known.push(hash);
        known.drain(..known.len().saturating_sub(KNOWN));
    }
}

/// Puts a model's weights and configuration in the place of the best ones.
pub(crate) fn save(model: &Model, training: &Path) -> Result<(), TrainError> {
    let (place, beside) = (training.join(FOLDER), training.join("best.partial"));
    atomic_file::remove_folder(&beside).map_err(at(&beside))?;
    hugging_face::save(model, &beside)?;
    replace(training, &place, &beside).map_err(at(&place))
}

/// Puts files that belong to all weights of a training, such as those of the tokenizer, beside the
/// best ones. `write` writes them into a folder.
///
/// # Errors
/// When that fails, or the files cannot take their places.
pub fn add<E: From<TrainError>>(
    training: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let (place, beside) = (training.join(FOLDER), training.join("best.partial"));
    atomic_file::remove_folder(&beside).map_err(at(&beside))?;
    fs::create_dir_all(&beside).map_err(at(&beside))?;
    write(&beside)?;
    Ok(replace(training, &place, &beside).map_err(at(&place))?)
}

fn replace(training: &Path, place: &Path, beside: &Path) -> io::Result<()> {
    let mut record = Record::read(training);
    let mut names = Vec::new();
    for entry in fs::read_dir(beside)? {
        names.push(entry?.file_name());
    }
    names.sort();
    for name in &names {
        record.add(&name.to_string_lossy(), hash::of_file(&beside.join(name))?);
    }
    let text = serde_json::to_vec_pretty(&record)?;
    atomic_file::write(&training.join(RECORD), &text)?;
    fs::create_dir_all(place)?;
    for name in &names {
        fs::rename(beside.join(name), place.join(name))?;
        atomic_file::sync_entry(&place.join(name))?;
    }
    atomic_file::remove_folder(beside)
}

/// Checks that the best weights of a training, and what belongs to them, are as they were written.
/// Of a training of an earlier version nothing is known, and nothing is checked.
///
/// # Errors
/// [`TrainError::DamagedBest`] with the file that is not.
pub fn verify(training: &Path) -> Result<(), TrainError> {
    for (name, known) in Record::read(training).0 {
        let path = training.join(FOLDER).join(name);
        let found = match hash::of_file(&path) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => None,
            found => Some(found.map_err(at(&path))?),
        };
        if found.is_none_or(|found| !known.contains(&found)) {
            return Err(TrainError::DamagedBest { path });
        }
    }
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> TrainError {
    let path = path.to_owned();
    move |cause| TrainError::Io { path, cause }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::Device;
    use engine::cpu::Cpu;
    use model::{Architecture, ModelConfig};

    use super::*;

    fn model(seed: u64) -> Model {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        Model::new(ModelConfig::tiny(Architecture::LLAMA), &device, seed).unwrap()
    }

    #[test]
    fn damage_to_the_best_weights_is_found() {
        let folder = tempfile::tempdir().unwrap();
        verify(folder.path()).unwrap();
        for seed in 0..5 {
            save(&model(seed), folder.path()).unwrap();
            verify(folder.path()).unwrap();
        }
        let entries = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(entries, 2, "the folder and its record");
        for name in ["config.json", "generation_config.json", "model.safetensors"] {
            let path = folder.path().join(FOLDER).join(name);
            let whole = fs::read(&path).unwrap();
            let mut damaged = whole.clone();
            *damaged.last_mut().unwrap() ^= 1;
            fs::write(&path, damaged).unwrap();
            let problem = verify(folder.path()).unwrap_err().to_string();
            assert!(problem.contains(&format!("best/{name} is not as it was written")));
            fs::remove_file(&path).unwrap();
            assert!(verify(folder.path()).is_err());
            fs::write(&path, whole).unwrap();
        }
        verify(folder.path()).unwrap();
    }

    /// The files are as a kill leaves them: the new hashes are known, and some of the new files
    /// are in their places.
    #[test]
    fn a_kill_between_the_files_leaves_nothing_that_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        save(&model(1), folder.path()).unwrap();
        let weights = folder.path().join("best/model.safetensors");
        let before = fs::read(&weights).unwrap();
        save(&model(2), folder.path()).unwrap();
        let after = fs::read(&weights).unwrap();
        for found in [before, after] {
            fs::write(&weights, found).unwrap();
            verify(folder.path()).unwrap();
        }
    }
}
