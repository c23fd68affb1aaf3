//! Lines about what model folders have and no forward pass uses.

use std::path::Path;

use model::hugging_face;

use crate::Observer;
use crate::error::Result;

/// Warns of what in a language model's folder is not used.
///
/// # Errors
/// When the folder holds no language model, or is damaged.
pub(crate) fn warn(folder: &Path, observer: &dyn Observer) -> Result<()> {
    let lines = hugging_face::remarks(folder)?;
    lines.iter().for_each(|line| observer.warn(format_args!("{line}")));
    Ok(())
}
