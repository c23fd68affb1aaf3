//! Files and folders that appear whole or not at all: written beside their place, brought to disk,
//! renamed, and the folder's entry brought to disk too, without which a rename may not outlast a
//! power cut.
//!
//! The name beside is fixed, `NAME.partial`, where the `tempfile` crate draws a random one: what a
//! kill leaves behind is replaced by the next write instead of staying for good, and the file's
//! mode follows the umask. The price is that a place has one writer at a time, which the locks of
//! runs and caches see to; where they do not, [`AtomicFile::create_shared`] has names of its own
//! for each process. An old partial file is removed and the new one created exclusively, so that a
//! link of that name is never followed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file that is written beside its place, which [`commit`](Self::commit) renames there.
///
/// Dropped without a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<File>,
    partial: WrittenFile,
}

/// What [`AtomicFile`] leaves beside its place, for files that are to appear together. Dropped
/// without a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct WrittenFile {
    partial: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl AtomicFile {
    /// Opens the file beside `path`, whose folder must exist.
    ///
    /// # Errors
    /// When the file beside cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::create_beside(path, with_suffix(path, ".partial"))
    }

    /// The same for a place that several processes may write at once: the last one counts.
    ///
    /// # Errors
    /// When the file beside cannot be made.
    pub fn create_shared(path: &Path) -> io::Result<Self> {
        Self::create_beside(path, with_suffix(path, &format!(".{}.partial", std::process::id())))
    }

    fn create_beside(path: &Path, partial: PathBuf) -> io::Result<Self> {
        remove_file(&partial)?;
        let file = OpenOptions::new().write(true).create_new(true).open(&partial)?;
        let partial = WrittenFile { partial, path: path.into(), committed: false };
        Ok(Self { writer: BufWriter::new(file), partial })
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Writes bytes over the first ones of the file; the next ones are appended again.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn overwrite_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.seek(SeekFrom::Start(0))?;
        self.writer.write_all(bytes)?;
        self.writer.seek(SeekFrom::End(0)).map(drop)
    }

    /// Brings the file to disk and into its place.
    ///
    /// # Errors
    /// When that fails; the place is as it was before.
    pub fn commit(self) -> io::Result<()> {
        self.finish()?.commit()
    }

    /// Brings the file to disk and closes it, beside its place.
    ///
    /// # Errors
    /// When that fails; the place is as it was before.
    pub fn finish(mut self) -> io::Result<WrittenFile> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        Ok(self.partial)
    }
}

impl WrittenFile {
    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings the file into its place.
    ///
    /// # Errors
    /// When that fails; the place is as it was before.
    pub fn commit(mut self) -> io::Result<()> {
        fs::rename(&self.partial, &self.path)?;
        self.committed = true;
        sync_entry(&self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for WrittenFile {
    fn drop(&mut self) {
        if !self.committed {
            // What remains of a failed write only takes up disk space; the first error matters.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Writes a whole file.
///
/// # Errors
/// When that fails; the place is as it was before.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Lets `write` make a file of the name that it is given, beside `path`, and moves it to `path`.
///
/// # Errors
/// When that fails, with the error type of `write`; the place is as it was before.
pub fn write_with<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let partial = with_suffix(path, ".partial");
    remove_file(&partial)?;
    let written = write(&partial).and_then(|()| {
        File::open(&partial)?.sync_all()?;
        Ok(fs::rename(&partial, path)?)
    });
    written.inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })?;
    Ok(sync_entry(path)?)
}

/// Lets `write` fill an empty folder beside `path`, and moves it to `path`, in place of what is
/// there. The files directly in it are brought to disk.
///
/// # Errors
/// When that fails, with the error type of `write`.
pub fn write_folder<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let partial = with_suffix(path, ".partial");
    let written = (|| {
        remove_folder(&partial)?;
        fs::create_dir_all(&partial)?;
        write(&partial)?;
        for entry in fs::read_dir(&partial)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(&partial)?.sync_all()?;
        remove_folder(path)?;
        Ok(fs::rename(&partial, path)?)
    })();
    written.inspect_err(|_: &E| {
        let _ = fs::remove_dir_all(&partial);
    })?;
    Ok(sync_entry(path)?)
}

/// Brings the folder's entry for a file or folder to disk, after it was renamed or removed.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_entry(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Removes a file if it is there.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Removes a folder with all it holds, if it is there.
fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn nothing_shows_before_the_commit_and_nothing_stays_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.bin");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"____tail").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(entries(folder.path()), 0);

        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"____tail").unwrap();
        file.overwrite_start(b"head").unwrap();
        file.write_all(b"!").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"headtail!");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn files_can_appear_together() {
        let folder = tempfile::tempdir().unwrap();
        let written = |name: &str| {
            let mut file = AtomicFile::create(&folder.path().join(name)).unwrap();
            file.write_all(name.as_bytes()).unwrap();
            file.finish().unwrap()
        };
        let (one, other) = (written("one"), written("other"));
        assert!(!one.path().exists() && !other.path().exists());
        one.commit().unwrap();
        drop(other);
        assert_eq!(fs::read(folder.path().join("one")).unwrap(), b"one");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |partial| {
            fs::write(partial, "new")?;
            Err(io::Error::other("no"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(entries(folder.path()), 1);
        write_with(&path, |partial| fs::write(partial, "new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_folder_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("step");
        write_folder(&place, |partial| fs::write(partial.join("a"), "1")).unwrap();
        write_folder(&place, |partial| fs::write(partial.join("b"), "2")).unwrap();
        assert_eq!(entries(&place), 1);
        assert_eq!(fs::read(place.join("b")).unwrap(), b"2");
        let failed = write_folder(&place, |partial| {
            fs::write(partial.join("c"), "3")?;
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err() && place.join("b").exists());
        assert_eq!(entries(folder.path()), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_way_is_removed_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("precious");
        fs::write(&target, "precious").unwrap();
        let path = folder.path().join("file");
        std::os::unix::fs::symlink(&target, folder.path().join("file.partial")).unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(entries(folder.path()), 2);
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_of_a_file_follows_the_umask() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let (plain, atomic) = (folder.path().join("plain"), folder.path().join("atomic"));
        File::create(&plain).unwrap();
        write(&atomic, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&atomic), mode(&plain));
    }

    #[test]
    fn a_bare_file_name_stands_in_the_working_directory() {
        assert!(sync_entry(Path::new("name")).is_ok());
    }

    #[test]
    fn two_processes_may_write_one_place_each_under_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernel");
        let shared = AtomicFile::create_shared(&path).unwrap();
        let alone = AtomicFile::create(&path).unwrap();
        assert_eq!(entries(folder.path()), 2);
        alone.commit().unwrap();
        shared.commit().unwrap();
        assert_eq!(entries(folder.path()), 1);
    }
}
