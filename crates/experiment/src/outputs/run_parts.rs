//! What the stages of a run have written is the run's own, and no place for other outputs.

use std::path::Path;

use super::place;
use crate::error::{Context, Result, refuse};

/// The folders that stages fill.
const PARTS: [&str; 6] = ["corpus", "evaluation", "models", "stages", "tokenizer", "tokens"];

/// Refuses an output in one of the folders that a run's stages fill.
///
/// # Errors
/// When it would be there.
pub(super) fn check(path: &Path) -> Result<()> {
    let place = place(path);
    let is_part = |folder: &&Path| {
        let is_named_so = PARTS.iter().any(|part| folder.file_name().is_some_and(|n| n == *part));
        let run = folder.parent().filter(|_| is_named_so);
        run.is_some_and(|run| run.join("recipe.toml").is_file() && run.join("stages").is_dir())
    };
    match place.ancestors().find(is_part) {
        Some(part) => refuse(format_args!("{} is filled by its run alone", part.display()))
            .advise("name another folder"),
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
    }
}
