//! Model folders of runs, checked against what was recorded when they were written.

use std::path::{Path, PathBuf};

use train::best;

use crate::error::{Context, Result};
use crate::stage;

/// The folder of a finished model.
pub(crate) const FINAL: &str = "final";

/// The copy of the record of what a finished model's stage left, beside the model's folder.
pub(crate) const FINISHED: &str = "finished.json";

/// Checks that a model folder is as it was written, where it is one of a run or a training, which
/// keep hashes beside it. Of any other folder nothing is known.
///
/// # Errors
/// When a file is damaged or missing.
pub fn model_folder(folder: &Path) -> Result<()> {
    let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(above) = whole.parent() else { return Ok(()) };
    if whole.ends_with(best::FOLDER) {
        best::verify(above)?;
    } else if whole.ends_with(FINAL) {
        stage::verify_folder(&above.join(FINISHED), &whole).advise(
            "delete that file and give the command that trained the model again, which makes it \
             again from what else is there",
        )?;
    }
    Ok(())
}

/// The files of a finished model, relative to the folder that `training` is relative to.
pub(crate) fn outputs(training: &Path) -> [PathBuf; 2] {
    [training.join(FINAL), training.join(crate::training_log::TrainingSummary::FILE)]
}
