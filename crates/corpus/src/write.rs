//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{CorpusError, Result};

/// A file written beside its place, `NAME.partial`, which [`commit`](Self::commit) renames there
/// once it is on disk.
///
/// Dropped without a commit, it leaves nothing behind.
pub(crate) struct PendingFile {
    writer: BufWriter<File>,
    partial: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl PendingFile {
    /// Opens the file, making the folder it lies in if need be.
    pub fn create(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|cause| CorpusError::write(folder, cause))?;
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let file = File::create(&partial).map_err(|cause| CorpusError::write(path, cause))?;
        Ok(Self {
            writer: BufWriter::new(file),
            partial: partial.into(),
            path: path.into(),
            committed: false,
        })
    }

    /// Where the file will lie.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|cause| CorpusError::write(&self.path, cause))
    }

    /// Writes bytes over the first ones of the file.
    pub fn overwrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        let result = (|| {
            self.writer.seek(SeekFrom::Start(0))?;
            self.writer.write_all(bytes)?;
            self.writer.seek(SeekFrom::End(0))
        })();
        result.map(drop).map_err(|cause| CorpusError::write(&self.path, cause))
    }

    /// Brings the file to disk and into its place.
    pub fn commit(mut self) -> Result<()> {
        let result = (|| {
            self.writer.flush()?;
            self.writer.get_ref().sync_all()?;
            std::fs::rename(&self.partial, &self.path)?;
            self.committed = true;
            sync_folder(&self.path)
        })();
        result.map_err(|cause| CorpusError::write(&self.path, cause))
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.committed {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// A rename is safe from a power cut once the folder that holds the name is on disk.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => {
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_before_the_commit_and_nothing_stays_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file.bin");
        let mut file = PendingFile::create(&path).unwrap();
        file.write(b"____tail").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);

        let mut file = PendingFile::create(&path).unwrap();
        file.write(b"____tail").unwrap();
        file.overwrite_start(b"head").unwrap();
        file.write(b"!").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"headtail!");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("occupied");
        std::fs::write(&occupied, "a file").unwrap();
        let message = PendingFile::create(&occupied.join("file.bin")).err().unwrap().to_string();
        assert!(message.starts_with("cannot write ") && message.contains("occupied"), "{message}");
    }
}
