//! What the stages of a run have written is the run's own, and no place for other outputs.

use std::path::{Path, PathBuf};

use super::place;
use crate::error::{Context, Result, refuse};
use crate::run::clean::is_run;

/// The folders that stages fill.
const PARTS: [&str; 6] = ["corpus", "evaluation", "models", "stages", "tokenizer", "tokens"];

/// Files that a run itself writes into its folder, but for its page.
const FILES: [&str; 5] = ["exposure.json", "lock", "log.txt", "recipe.toml", "table.md"];

/// The part of a run that a path is or is in.
pub(super) fn part_of(path: &Path) -> Option<PathBuf> {
    let place = place(path);
    let is_part = |folder: &&Path| is_named(folder, &PARTS) && folder.parent().is_some_and(is_run);
    place.ancestors().find(is_part).map(Path::to_owned)
}

/// The run that a path is in a part of, named as the path names it.
pub fn run_around(path: &Path) -> Option<PathBuf> {
    let run = part_of(path)?.parent()?.to_owned();
    let named = path.ancestors().find(|ancestor| place(ancestor) == run);
    Some(named.map_or(run.clone(), Path::to_owned))
}

fn is_named(path: &Path, names: &[&str]) -> bool {
    names.iter().any(|name| path.file_name().is_some_and(|found| found == *name))
}

/// Refuses an output in one of the folders that a run's stages fill, or in place of a file of the
/// run's own.
///
/// # Errors
/// When it would be there.
pub fn check(path: &Path) -> Result<()> {
    let place = place(path);
    if is_named(&place, &FILES) && place.parent().is_some_and(is_run) {
        return refuse(format_args!("{} is a file of its run", path.display()))
            .advise("name another file");
    }
    match part_of(&place) {
        Some(part) => refuse(format_args!("{} is filled by its run alone", part.display()))
            .advise("name another folder"),
        None => Ok(()),
    }
}

/// Refuses what a run reads in one of the folders that its own stages fill anew: in those of its
/// `models`, and in all that are not of models.
///
/// # Errors
/// When something is there.
pub(crate) fn check_not_replaced<'a>(
    run: &Path,
    read: &[PathBuf],
    models: impl Iterator<Item = &'a String>,
) -> Result<()> {
    let models = models.map(|name| run.join("models").join(name));
    let parts = PARTS.iter().filter(|part| **part != "models").map(|part| run.join(part));
    let replaced: Vec<PathBuf> = parts.chain(models).map(|folder| place(&folder)).collect();
    let is_replaced = |path: &&PathBuf| {
        let path = place(path);
        path.exists() && replaced.iter().any(|folder| path.starts_with(folder))
    };
    match read.iter().find(is_replaced) {
        Some(path) => refuse(format_args!(
            "{} is read, and the run in {} would replace it",
            path.display(),
            run.display()
        ))
        .advise("name another folder for the run with --output"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Kind, check_no_model, prepare_file, prepare_folder};

    #[test]
    fn what_stages_have_written_is_the_runs_own() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir_all(run.join("models/student/final")).unwrap();
        fs::create_dir_all(run.join("stages")).unwrap();
        let kind = Kind::Beginning("");
        let inside = ["models/student/final", "tokens", "corpus/train", "models/new/../student/x"];
        let all = |inside: &str| {
            let path = run.join(inside);
            let file = prepare_file(&path.join("logits.safetensors"), &[], kind).map(drop);
            [file, prepare_folder(&path).map(drop), check_no_model(&path)]
        };
        // No run, without its recipe.
        assert!(inside.iter().flat_map(|inside| all(inside)).all(|checked| checked.is_ok()));
        fs::write(run.join("recipe.toml"), "").unwrap();
        for checked in inside.iter().flat_map(|inside| all(inside)) {
            assert!(checked.unwrap_err().cause().ends_with("is filled by its run alone"));
        }
        for beside in ["loss", "finetuned/models", "../run-2/models", "model"] {
            assert!(all(beside).iter().all(Result::is_ok), "{beside}");
        }
        assert!(prepare_file(&run.join("tokens.bin"), &[], kind).is_ok());
        for own in ["lock", "recipe.toml", "stages/../table.md"] {
            let cause = prepare_file(&run.join(own), &[], kind).unwrap_err().cause();
            assert!(cause.ends_with("is a file of its run"), "{cause}");
        }
    }

    #[test]
    fn a_run_replaces_nothing_that_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let models = ["student".to_owned()];
        for (read, is_replaced) in [
            ("run/corpus/train", true),
            ("run/tokenizer/tokenizer.json", true),
            ("run/models/student/final", true),
            ("run/models/teacher/final", false),
            ("run/texts", false),
            ("corpus/train", false),
        ] {
            fs::create_dir_all(folder.path().join(read)).unwrap();
            let read = folder.path().join("run/..").join(read);
            let checked =
                super::check_not_replaced(&run, std::slice::from_ref(&read), models.iter());
            assert_eq!(checked.is_err(), is_replaced, "{}", read.display());
        }
    }
}
