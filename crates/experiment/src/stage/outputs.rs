//! The files that a finished stage left, and whether they are still as it left them.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use base::{ShouldStop, hash};
use serde::{Deserialize, Serialize};

use super::Reason;

/// Files up to this size are hashed at every look: it takes no time that is noticed.
const SMALL: u64 = 16 << 20;

/// How closely a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A large file of the same size and time is taken for the same.
    Quick,
    /// Every file is hashed.
    Close,
}

/// A file as a stage left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutputFile {
    /// Relative to the run's folder.
    pub path: PathBuf,
    size: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    pub hash: String,
}

impl OutputFile {
    /// The file as it is now.
    fn of(should_stop: ShouldStop<'_>, run: &Path, path: PathBuf) -> io::Result<Self> {
        let whole = run.join(&path);
        let metadata = fs::metadata(&whole)?;
        let hash = hash::of_file_unless(should_stop, &whole)?;
        Ok(Self { path, size: metadata.len(), modified: modified(&metadata), hash })
    }

    /// What became of the file, if it is not as it was.
    pub(super) fn problem(
        &self,
        should_stop: ShouldStop<'_>,
        run: &Path,
        look: Look,
    ) -> io::Result<Option<Reason>> {
        let metadata = match fs::metadata(run.join(&self.path)) {
            Err(cause)
                if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Some(Reason::OutputMissing { path: self.path.clone() }));
            }
            metadata => metadata?,
        };
        let damaged = || Some(Reason::OutputDamaged { path: self.path.clone() });
        if !metadata.is_file() || metadata.len() != self.size {
            return Ok(damaged());
        }
        let looks_same = modified(&metadata) == self.modified && self.size > SMALL;
        if looks_same && look == Look::Quick {
            return Ok(None);
        }
        Ok(if self.is_in(should_stop, &run.join(&self.path))? { None } else { damaged() })
    }

    /// Whether a file has the contents that this one had.
    pub(super) fn is_in(&self, should_stop: ShouldStop<'_>, file: &Path) -> io::Result<bool> {
        let has_size =
            fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() == self.size);
        Ok(has_size && hash::of_file_unless(should_stop, file)? == self.hash)
    }
}

/// The files of a stage's outputs, which are files and folders relative to the run's folder.
pub(super) fn list(
    should_stop: ShouldStop<'_>,
    run: &Path,
    outputs: &[&Path],
) -> io::Result<Vec<OutputFile>> {
    let mut paths = Vec::new();
    for output in outputs {
        collect(run, output, &mut paths)?;
    }
    paths.into_iter().map(|path| OutputFile::of(should_stop, run, path)).collect()
}

/// The file itself, or every file below the folder, in sorted order.
fn collect(run: &Path, path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let whole = run.join(path);
    if !whole.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let names = fs::read_dir(whole)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    names.iter().try_for_each(|name| collect(run, &path.join(name), files))
}

fn modified(metadata: &Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |time| time.as_nanos() as u64)
}
