//! The files of a task, by the names of both years' pipelines.

use std::path::{Path, PathBuf};

use super::tasks::ClassificationTask;

/// The files of a task that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFiles {
    /// The items that are trained on.
    pub training: Option<PathBuf>,
    /// The items that are scored.
    pub validation: Option<PathBuf>,
}

const TRAINING: [&str; 2] = [".train.jsonl", ".train.json"];
const VALIDATION: [&str; 4] =
    [".valid.jsonl", ".valid.json", ".validation.json", ".validation.jsonl"];

/// Looks for a task's files in a folder, and in the folders in it that the pipelines give to each
/// benchmark.
///
/// The mismatched half of MNLI has no training file of its own in either pipeline; it gets that of
/// `mnli`.
pub fn find_files(folder: &Path, task: &ClassificationTask) -> TaskFiles {
    let inner = task.benchmark.folders().iter().map(|name| folder.join(name));
    let folders: Vec<PathBuf> = [folder.to_owned()].into_iter().chain(inner).collect();
    let find = |names: Vec<String>| {
        let paths =
            folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
        // A link to nothing counts, so that reading it names it.
        paths.into_iter().find(|path| path.is_file() || path.is_symlink())
    };
    let endings = |stem: &str, endings: &[&str]| -> Vec<String> {
        endings.iter().map(|ending| format!("{stem}{ending}")).collect()
    };
    let (mut training, mut validation) =
        (endings(task.name, &TRAINING), endings(task.name, &VALIDATION));
    match task.name {
        "mnli" => validation.extend(endings("mnli.validation_matched", &[".json", ".jsonl"])),
        "mnli-mm" => {
            training.extend(endings("mnli", &TRAINING));
            validation.extend(endings("mnli.validation_mismatched", &[".json", ".jsonl"]));
        }
        _ => {}
    }
    TaskFiles { training: find(training), validation: find(validation) }
}

#[cfg(test)]
mod tests {
    use super::super::tasks::find_task;
    use super::*;

    fn found(files: &[&str], task: &str) -> [Option<String>; 2] {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let TaskFiles { training, validation } =
            find_files(folder.path(), find_task(task).unwrap());
        [training, validation].map(|path| {
            path.map(|path| {
                path.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned()
            })
        })
    }

    fn some(names: [&str; 2]) -> [Option<String>; 2] {
        names.map(|name| Some(name.to_owned()))
    }

    #[test]
    fn both_years_names_are_known() {
        let new = [
            "rte.train.jsonl",
            "rte.valid.jsonl",
            "mnli.train.jsonl",
            "mnli.valid.jsonl",
            "mnli-mm.valid.jsonl",
        ];
        assert_eq!(found(&new, "rte"), some(["rte.train.jsonl", "rte.valid.jsonl"]));
        assert_eq!(found(&new, "mnli"), some(["mnli.train.jsonl", "mnli.valid.jsonl"]));
        assert_eq!(found(&new, "mnli-mm"), some(["mnli.train.jsonl", "mnli-mm.valid.jsonl"]));
        assert_eq!(found(&new, "qnli"), [None, None]);
        let old = [
            "rte.train.json",
            "rte.validation.json",
            "mnli.train.json",
            "mnli.validation_matched.json",
            "mnli.validation_mismatched.json",
        ];
        assert_eq!(found(&old, "rte"), some(["rte.train.json", "rte.validation.json"]));
        assert_eq!(found(&old, "mnli"), some(["mnli.train.json", "mnli.validation_matched.json"]));
        assert_eq!(
            found(&old, "mnli-mm"),
            some(["mnli.train.json", "mnli.validation_mismatched.json"])
        );
    }

    #[test]
    fn the_pipelines_folders_are_looked_into() {
        let files = [
            "glue_filtered/qnli.valid.jsonl",
            "msgs/main_verb_control.train.jsonl",
            "main_verb_control.valid.json",
        ];
        assert_eq!(found(&files, "qnli"), [None, Some("glue_filtered/qnli.valid.jsonl".into())]);
        let expected = some(["msgs/main_verb_control.train.jsonl", "main_verb_control.valid.json"]);
        assert_eq!(found(&files, "main_verb_control"), expected);
    }
}
