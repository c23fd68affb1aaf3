//! What a folder holds, by the files that are known by name.

use std::fs;
use std::path::{Path, PathBuf};

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
    // Parts of a run that have no files of their own kind.
    const PARTS: [&str; 4] = ["stages", "models", "evaluation", "teachers"];
    let is_part = folder.file_name().is_some_and(|name| PARTS.iter().any(|part| name == *part))
        && folder.parent().is_some_and(|run| run.join("recipe.toml").exists());
    if is_part {
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
            ("run/models/a/metrics.jsonl", "a training"),
            ("run/models/x.txt", "a part of a run"),
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
