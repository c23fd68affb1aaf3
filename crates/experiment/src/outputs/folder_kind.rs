//! What a folder holds, by the files that are known by name.

use std::fs;
use std::path::{Path, PathBuf};

use super::run_parts;
use crate::error::{Context, Result, refuse};
use crate::lock;

/// How a folder is known that a command fills again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FolderKind {
    /// In messages.
    pub name: &'static str,
    /// One of these is beside its lock, unless the lock is all that there is.
    pub locked: &'static [&'static str],
    /// All of these are there where the lock is not.
    pub unlocked: &'static [&'static str],
    /// What only other kinds of folders have, which are locked too.
    pub of_others: &'static [&'static str],
}

/// Refuses a folder that holds something else than is written into it.
///
/// # Errors
/// When it has files, and not those of its kind.
pub(crate) fn check_kind(folder: &Path, kind: &FolderKind) -> Result<()> {
    let names = seen_names(folder);
    let has = |name: &&str| folder.join(name).exists();
    let is_locked = lock::is_lock(&folder.join(lock::FILE));
    let is_known = match is_locked {
        true => names.len() == 1 || kind.locked.iter().any(has),
        false => kind.unlocked.iter().all(has),
    };
    if names.is_empty() || is_known && !kind.of_others.iter().any(has) {
        return Ok(());
    }
    refuse(format_args!("{} holds other files and no {}", folder.display(), kind.name))
        .advise("name a new folder with --output")
}

/// The names in a folder, but for hidden ones and what a kill left half written.
pub(crate) fn seen_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.') && !name.ends_with(".partial")).collect()
}

/// What a folder holds whose own files a command reads by their names or endings: files of others
/// among them would be taken for such, or be lost with them. `None` of any other folder.
pub fn kind_of(folder: &Path) -> Option<&'static str> {
    const BY_NAME: [(&str, &[&str]); 5] = [
        ("scores of a model", &["model.json", "result.json"]),
        ("a run", &["recipe.toml", "stages"]),
        ("a training", &["metrics.jsonl", "checkpoints"]),
        ("a model", &["config.json", "model.safetensors"]),
        ("a tokenizer", &["tokenizer.json"]),
    ];
    const BY_ENDING: [(&str, &[&str]); 3] = [
        ("a corpus", &["train", "dev", "test"]),
        ("token files", &["bin"]),
        ("data of a benchmark", &["jsonl"]),
    ];
    if run_parts::part_of(folder).is_some() {
        return Some("a part of a run");
    }
    let by_name = BY_NAME.iter().find(|(_, names)| names.iter().any(|it| folder.join(it).exists()));
    if let Some((kind, _)) = by_name {
        return Some(kind);
    }
    let paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    if paths.iter().any(|path| path.join("model.json").exists()) {
        return Some("the scores of models");
    }
    let has =
        |ending: &&str| paths.iter().any(|path| path.extension().is_some_and(|it| it == *ending));
    BY_ENDING.iter().find(|(_, endings)| endings.iter().any(has)).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_files_of_their_own_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |place: &str| {
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            kind_of(path.parent().unwrap())
        };
        for (place, expected) in [
            ("run/recipe.toml", "a run"),
            ("run/stages/corpus.json", "a part of a run"),
            ("run/models/a/metrics.jsonl", "a part of a run"),
            ("a/metrics.jsonl", "a training"),
            ("model/config.json", "a model"),
            ("text/qed.train", "a corpus"),
            ("tokens/train.bin", "token files"),
            ("blimp/island.jsonl", "data of a benchmark"),
        ] {
            assert_eq!(kind(place), Some(expected), "{place}");
        }
        kind("scores/student/model.json");
        assert_eq!(kind_of(&folder.path().join("scores")), Some("the scores of models"));
        assert_eq!(kind("paper/loss.svg"), None);
        assert_eq!(kind("paper/paper.tex"), None);
        assert_eq!(kind_of(&folder.path().join("none")), None);
    }
}
