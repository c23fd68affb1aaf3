//! What takes room in a run and is not needed for its results.

use std::fs;
use std::path::{Path, PathBuf};

use train::signals::cache::Manifest;

use crate::error::{Context, FileContext, Result, refuse};
use crate::files::{self, entries};
use crate::lock::RunLock;
use crate::run::claim;

/// Something that can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waste {
    /// The folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: WasteKind,
    /// Of all its files.
    pub bytes: u64,
}

/// Why something is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasteKind {
    /// Teacher outputs: a student that is trained again has its teachers read the text again.
    TeacherCache,
    /// Checkpoints of a model that is finished.
    Checkpoints,
    /// A model that was trained with other settings.
    SetAside,
    /// What a killed process left half written.
    Unfinished,
}

impl WasteKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            WasteKind::TeacherCache => "teacher cache",
            WasteKind::Checkpoints => "checkpoints of a finished model",
            WasteKind::SetAside => "trained with other settings",
            WasteKind::Unfinished => "half written",
        }
    }
}

/// Finds what can go. Checkpoints of models that are not finished stay, and so do caches that a
/// recipe put elsewhere.
///
/// # Errors
/// When the folder is no run or cannot be read.
pub fn find(run: &Path) -> Result<Vec<Waste>> {
    require_run(run)?;
    let mut found = Vec::new();
    let mut add = |path: PathBuf, kind| -> Result<()> {
        let bytes = size(&path).at("read", &path)?;
        found.push(Waste { path, kind, bytes });
        Ok(())
    };
    for cache in entries(&run.join("teachers"))? {
        if matches!(Manifest::read(&cache.join("manifest.json")), Ok(Some(_))) {
            add(cache, WasteKind::TeacherCache)?;
        } else if is_partial(&cache) {
            add(cache, WasteKind::Unfinished)?;
        }
    }
    for model in entries(&run.join("models"))? {
        let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(".old-") && model.join(claim::FILE).is_file() {
            add(model, WasteKind::SetAside)?;
            continue;
        }
        let is_finished = run.join("stages").join(format!("model-{name}.json")).is_file();
        let checkpoints = model.join("checkpoints");
        if is_finished && checkpoints.is_dir() {
            add(checkpoints, WasteKind::Checkpoints)?;
        }
        for part in entries(&model)?.into_iter().filter(|path| is_partial(path)) {
            add(part, WasteKind::Unfinished)?;
        }
    }
    Ok(found)
}

/// Removes what [`find`] found, while no process works on the run.
///
/// # Errors
/// When the run is in use, or something cannot be removed.
pub fn remove(run: &Path, waste: &[Waste]) -> Result<()> {
    let _lock = RunLock::acquire(run)?;
    waste.iter().try_for_each(|waste| files::remove(&waste.path))
}

/// Refuses a folder that is no run.
///
/// # Errors
/// When it has no recipe or no stages.
pub fn require_run(run: &Path) -> Result<()> {
    match is_run(run) {
        true => Ok(()),
        false => refuse(format_args!("{} is no run's folder", run.display()))
            .advise("give the folder that `babyllama run` filled, such as runs/NAME"),
    }
}

/// Whether a folder is a run's.
pub fn is_run(folder: &Path) -> bool {
    folder.join("recipe.toml").is_file() && folder.join("stages").is_dir()
}

fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "partial")
}

/// Bytes of a file, or of all files below a folder. Links are not followed.
fn size(path: &Path) -> std::io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_old_models_and_checkpoints_of_finished_ones_can_go() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let write = |path: &str, text: &str| {
            let path = run.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(find(run).unwrap_err().to_string().ends_with("is no run's folder"));
        write("recipe.toml", "");
        write("stages/model-done.json", "{}");
        write("models/done/checkpoints/step-1/state", "four");
        write("models/done/final/weights", "weights");
        write("models/done/best.partial/weights", "half");
        write("models/begun/checkpoints/step-1/state", "four");
        write("models/done.old-12345678/final/weights", "other");
        write("models/done.old-12345678/follows_from.json", "{}");
        write("models/mine.old-notes/notes.txt", "kept");
        write("teachers/ab.partial/blocks.bin", "12345678");
        write("teachers/mine/manifest.json", "{}");
        let found = find(run).unwrap();
        let kinds: Vec<_> = found.iter().map(|waste| (waste.kind, waste.bytes)).collect();
        let expected = [
            (WasteKind::Unfinished, 8),
            (WasteKind::Checkpoints, 4),
            (WasteKind::Unfinished, 4),
            (WasteKind::SetAside, 7),
        ];
        assert_eq!(kinds, expected);
        remove(run, &found).unwrap();
        assert_eq!(find(run).unwrap(), []);
        assert!(run.join("models/begun/checkpoints/step-1/state").is_file());
        assert!(run.join("models/done/final/weights").is_file());
        assert!(run.join("models/mine.old-notes/notes.txt").is_file());
        assert!(run.join("teachers/mine/manifest.json").is_file(), "of another program");
    }
}
