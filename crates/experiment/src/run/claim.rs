//! Whose a model's folder is: what the training in it follows from.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{FileContext, Result};
use crate::files;
use crate::observer::Observer;
use crate::stage::{Reason, Stage};

/// The file in a model's folder with everything that its training follows from.
pub(crate) const FILE: &str = "follows_from.json";

/// The contents of that file.
#[derive(Serialize, Deserialize)]
struct Claim {
    /// Of the stage, since numbers need not come back from text with the same bits.
    fingerprint: String,
    stage: Stage,
}

/// Makes a model's folder ready. What a run with other settings left there is set aside under a
/// name of its own, and what these settings left earlier is taken back, so that changing a setting
/// to and fro loses nothing.
pub(super) fn claim(folder: &Path, stage: &Stage, observer: &dyn Observer) -> Result<()> {
    let fingerprint = stage.fingerprint();
    if difference(folder, stage).is_some() {
        let claimed = read(folder).map(|claim| claim.fingerprint);
        let aside = free(&aside(folder, claimed.as_deref().unwrap_or("unknown")));
        fs::rename(folder, &aside).at("set aside", folder)?;
        observer.note(format_args!(
            "  what was trained with other settings is now in {}",
            aside.display()
        ));
    }
    let earlier = aside(folder, &fingerprint);
    if !folder.exists() && earlier.exists() {
        fs::rename(&earlier, folder).at("take back", &earlier)?;
        observer.note(format_args!(
            "  goes on with what these settings left earlier in {}",
            earlier.display()
        ));
    }
    files::make_folder(folder)?;
    files::write_json(&folder.join(FILE), &Claim { fingerprint, stage: stage.clone() })
}

/// Whether what a stage left is in a model's folder, or set aside.
pub(super) fn is_kept(folder: &Path, stage: &Stage) -> bool {
    let own = read(folder).is_some_and(|claim| claim.fingerprint == stage.fingerprint());
    own || aside(folder, &stage.fingerprint()).is_dir()
}

/// The fingerprint of the stage whose training a model's folder has; none of older ones.
pub(super) fn fingerprint(folder: &Path) -> Option<String> {
    Some(read(folder)?.fingerprint)
}

/// The first difference between what a model's folder follows from and a stage; none where there is
/// nothing, or it is the stage's own.
pub(super) fn difference(folder: &Path, stage: &Stage) -> Option<Reason> {
    let mut entries = fs::read_dir(folder).ok()?;
    match read(folder) {
        Some(claim) if claim.fingerprint == stage.fingerprint() => None,
        Some(claim) => Some(claim.stage.difference(stage)),
        // What a kill left half written is no training.
        None => entries.any(|entry| !is_partial(entry.ok())).then_some(Reason::Unknown),
    }
}

fn is_partial(entry: Option<fs::DirEntry>) -> bool {
    entry.is_some_and(|entry| entry.path().extension().is_some_and(|ending| ending == "partial"))
}

fn read(folder: &Path) -> Option<Claim> {
    serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
}

/// Where a model's folder goes while other settings have its place.
fn aside(folder: &Path, fingerprint: &str) -> PathBuf {
    folder.with_extension(format!("old-{}", fingerprint.get(..8).unwrap_or(fingerprint)))
}

/// The path itself, or with a number that makes it one of nothing.
fn free(path: &Path) -> PathBuf {
    let numbered = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    };
    let mut all = std::iter::once(path.to_owned()).chain((2..).map(numbered));
    all.find(|path| !path.exists()).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn settings_that_change_to_and_fro_lose_nothing() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("student");
        let stages = [0.1f32, 0.2].map(|rate| Stage::new("model", &rate).unwrap());
        claim(&folder, &stages[0], &Silent).unwrap();
        fs::write(folder.join("weights"), "first").unwrap();
        assert_eq!(difference(&folder, &stages[0]), None);
        let other = difference(&folder, &stages[1]).unwrap().to_string();
        assert!(other.starts_with("settings changed"), "{other}");
        claim(&folder, &stages[1], &Silent).unwrap();
        assert!(!folder.join("weights").exists());
        claim(&folder, &stages[0], &Silent).unwrap();
        assert_eq!(fs::read_to_string(folder.join("weights")).unwrap(), "first");
        // A claim that cannot be read names no process, and its files are kept all the same.
        for _ in 0..2 {
            fs::write(folder.join(FILE), "{").unwrap();
            assert_eq!(difference(&folder, &stages[0]), Some(Reason::Unknown));
            claim(&folder, &stages[0], &Silent).unwrap();
        }
        let aside = |name: &str| run.path().join(name).is_dir();
        assert!(aside("student.old-unknown") && aside("student.old-unknown-2"));
    }

    #[test]
    fn a_folder_that_a_kill_left_before_its_claim_is_free() {
        let run = tempfile::tempdir().unwrap();
        fs::write(run.path().join("follows_from.json.partial"), "{").unwrap();
        assert_eq!(difference(run.path(), &Stage::new("model", &1).unwrap()), None);
    }
}
