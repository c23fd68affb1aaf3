//! Minimal pairs of the built-in grammar.

use std::path::{Path, PathBuf};

use base::ShouldStop;
use builtin_corpus::{BuiltinSettings, Pair};
use corpus::CorpusError;
use eval::BUILTIN_MARKER;
use serde_json::json;

use super::Run;
use super::prepared::{builtin_settings, remove_old, require_own};
use crate::error::Result;
use crate::files;
use crate::identity;
use crate::recipe::Source;
use crate::stage::Stage;

/// Where a run has them.
pub(super) const PAIRS: &str = "corpus/pairs";

impl Run<'_> {
    /// The folder of a set of minimal pairs; those of the built-in grammar are written when they
    /// are asked for.
    pub(super) fn pairs_folder(&self, source: &Source) -> Result<PathBuf> {
        let folder = match source {
            Source::Folder(folder) => return Ok(folder.clone()),
            Source::Builtin => self.path(PAIRS),
        };
        let settings = builtin_settings(&self.recipe);
        self.perform(&self.pairs_stage()?, &[Path::new(PAIRS)], || {
            remove_old(&folder)?;
            write_pairs(&folder, &pair_files(&|| self.observer.should_stop(), settings)?)
        })?;
        let files = identity::pair_files(&folder)?;
        require_own(&self.stages, &self.folder, &self.pairs_stage()?, &files)?;
        Ok(folder)
    }

    /// What the pairs of the built-in grammar follow from.
    pub(super) fn pairs_stage(&self) -> Result<Stage> {
        let settings = builtin_settings(&self.recipe);
        let (words, pairs) = (settings.words, settings.pairs_per_paradigm);
        let corpus = json!({ "words": words, "pairs_per_paradigm": pairs });
        Ok(Stage::new("pairs", &json!({ "corpus": corpus, "seed": settings.seed }))?)
    }
}

/// Writes minimal pairs of the built-in grammar into a folder, and the file by which it is known to
/// hold them.
///
/// # Errors
/// When the files cannot be written.
pub fn write_pairs(folder: &Path, pairs: &[(String, String)]) -> Result<()> {
    files::make_folder(folder)?;
    pairs.iter().try_for_each(|(name, text)| files::write_text(&folder.join(name), text))
}

/// The files of a folder of the built-in corpus's minimal pairs, one for each paradigm: names and
/// contents.
///
/// # Errors
/// When it is asked to stop.
pub fn pair_files(
    should_stop: ShouldStop<'_>,
    settings: BuiltinSettings,
) -> Result<Vec<(String, String)>> {
    let pairs = builtin_corpus::minimal_pairs_unless(should_stop, settings);
    let file = |(paradigm, pairs): (String, Vec<Pair>)| {
        let lines: String = pairs.iter().map(|pair| pair.to_json_line() + "\n").collect();
        (format!("{paradigm}.jsonl"), lines)
    };
    let mut files: Vec<_> = pairs.map_err(CorpusError::from)?.into_iter().map(file).collect();
    files.push((
        BUILTIN_MARKER.to_owned(),
        "Minimal pairs of the built-in grammar, not BLiMP.\n".to_owned(),
    ));
    Ok(files)
}
