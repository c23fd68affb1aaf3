//! Files and folders that appear whole or not at all: written beside their place, brought to disk,
//! renamed, and the folder's entry brought to disk too, without which a rename may not outlast a
//! power cut.
//!
//! The name beside is `NAME.partial`, where the `tempfile` crate draws a random one: what a kill
//! leaves behind is replaced by the next write instead of staying for good, and the file's mode
//! follows the umask. A writer holds the operating system's lock on the file or folder, which
//! ends with the process: what is not locked is left over and removed, and beside what is locked
//! another writer takes `NAME.2.partial`. So two processes that write one place leave what one of
//! them wrote. A new partial file is created exclusively, so that a link of that name is never
//! followed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::hash;

/// A file that is written beside its place, which [`commit`](Self::commit) renames there.
///
/// Dropped without a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<File>,
    written: WrittenFile,
}

/// What [`AtomicFile`] leaves beside its place, for files that are to appear together. Dropped
/// without a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct WrittenFile {
    partial: Partial,
    path: PathBuf,
}

impl AtomicFile {
    /// Opens the file beside `path`, whose folder must exist.
    ///
    /// # Errors
    /// When the file beside cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let (partial, file) = Partial::file(path)?;
        Ok(Self {
            writer: BufWriter::new(file),
            written: WrittenFile { partial, path: path.into() },
        })
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        self.written.path()
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
        Ok(self.written)
    }
}

impl WrittenFile {
    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its place is taken by something else than a file with the same bytes.
    ///
    /// # Errors
    /// When one of the two files cannot be read.
    pub fn replaces_other_bytes(&self) -> io::Result<bool> {
        let Ok(metadata) = fs::symlink_metadata(&self.path) else { return Ok(false) };
        if !metadata.is_file() || metadata.len() != fs::metadata(&self.partial.path)?.len() {
            return Ok(true);
        }
        Ok(hash::of_file(&self.path)? != hash::of_file(&self.partial.path)?)
    }

    /// Brings the file into its place.
    ///
    /// # Errors
    /// When that fails; the place is as it was before.
    pub fn commit(self) -> io::Result<()> {
        self.partial.move_to(&self.path)
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

/// Whether a place is taken by something else than a file with these bytes.
pub fn replaces_other_bytes(path: &Path, bytes: &[u8]) -> bool {
    fs::symlink_metadata(path).is_ok() && fs::read(path).map_or(true, |found| found != bytes)
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
    let (partial, file) = Partial::file(path)?;
    write(&partial.path)?;
    // What was written by name need not have come through this handle.
    File::open(&partial.path)?.sync_all()?;
    drop(file);
    Ok(partial.move_to(path)?)
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
    let partial = Partial::folder(path)?;
    write(&partial.path)?;
    for entry in fs::read_dir(&partial.path)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(&partial.path)?.sync_all()?;
    remove_folder(path)?;
    Ok(partial.move_to(path)?)
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

/// A file or folder beside its place that only this process writes; removed when dropped, unless it
/// was moved.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    /// Held locked as long as the path is this process's; none where a folder cannot be locked.
    _lock: Option<File>,
    is_moved: bool,
}

impl Partial {
    /// A new empty file beside a place, with a handle to write it.
    fn file(place: &Path) -> io::Result<(Self, File)> {
        let create = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
        let create = |path: &Path| {
            let file = create(path)?;
            Ok((Some(file.try_clone()?), file))
        };
        Self::claim(place, create, |path| fs::remove_file(path))
    }

    /// A new empty folder beside a place; the folders above it are made too.
    fn folder(place: &Path) -> io::Result<Self> {
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        let create = |path: &Path| {
            fs::create_dir(path)?;
            Ok((File::open(path).ok(), ()))
        };
        Ok(Self::claim(place, create, |path| fs::remove_dir_all(path))?.0)
    }

    /// Has `create` make, exclusively, the first of the names beside a place that no other process
    /// holds. It returns what is to be locked, and what else the caller needs. `remove` removes
    /// what is left over of its kind.
    fn claim<T>(
        place: &Path,
        create: impl Fn(&Path) -> io::Result<(Option<File>, T)>,
        remove: impl Fn(&Path) -> io::Result<()>,
    ) -> io::Result<(Self, T)> {
        let mut number = 1;
        loop {
            let path = match number {
                1 => with_suffix(place, ".partial"),
                _ => with_suffix(place, &format!(".{number}.partial")),
            };
            match create(&path) {
                Ok((lock, rest)) => {
                    // Before it was locked, another process may have taken it for left over.
                    if lock.as_ref().is_none_or(|lock| holds(lock, &path)) {
                        return Ok((Self { path, _lock: lock, is_moved: false }, rest));
                    }
                }
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                    if !remove_left_over(&path, &remove)? {
                        number += 1;
                    }
                }
                Err(cause) => return Err(cause),
            }
        }
    }

    fn move_to(mut self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)?;
        self.is_moved = true;
        sync_entry(place)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_moved {
            // What remains of a failed write only takes up disk space; the first error matters.
            let _ = fs::remove_file(&self.path).or_else(|_| fs::remove_dir_all(&self.path));
        }
    }
}

/// Locks an open file or folder, and returns whether it is this process's and still of this path. A
/// file system without locks has one writer at a time, as far as can be known.
fn holds(open: &File, path: &Path) -> bool {
    !matches!(open.try_lock(), Err(TryLockError::WouldBlock)) && is_at(open, path)
}

/// Whether a path leads to what is open.
#[cfg(unix)]
fn is_at(open: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let [open, there] = [open.metadata(), fs::symlink_metadata(path)];
    open.is_ok_and(|open| {
        there.is_ok_and(|there| (open.dev(), open.ino()) == (there.dev(), there.ino()))
    })
}

/// Elsewhere what is open cannot be removed.
#[cfg(not(unix))]
fn is_at(_open: &File, path: &Path) -> bool {
    path.exists()
}

/// Removes what a process that has ended left beside a place. False where one is at work on it.
fn remove_left_over(path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> io::Result<bool> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(true) };
    let is_plain = metadata.is_file() || metadata.is_dir();
    // What is no file, such as a link or a pipe, is never opened.
    let open = match is_plain.then(|| File::open(path)) {
        // Its writer has moved it away, and another may be about to take the name.
        Some(Err(cause)) if cause.kind() == ErrorKind::NotFound => return Ok(true),
        open => open.and_then(Result::ok),
    };
    if open.as_ref().is_some_and(|open| matches!(open.try_lock(), Err(TryLockError::WouldBlock))) {
        return Ok(false);
    }
    if open.as_ref().is_some_and(|open| !is_at(open, path)) {
        return Ok(true);
    }
    match remove(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(true),
    }
}

/// Removes a folder with all that is in it; nothing happens when it is not there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove_folder(path: &Path) -> io::Result<()> {
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

    /// Handles of one process lock each other out as those of two do.
    #[test]
    fn two_writers_of_one_place_leave_what_one_of_them_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut writers = [1, 2, 3].map(|_| AtomicFile::create(&path).unwrap());
        assert_eq!(entries(folder.path()), 3);
        for (number, writer) in writers.iter_mut().enumerate() {
            writer.write_all(&[b'0' + number as u8; 9]).unwrap();
        }
        let [first, second, third] = writers;
        second.commit().unwrap();
        first.commit().unwrap();
        drop(third);
        assert_eq!(fs::read(&path).unwrap(), b"000000000");
        assert_eq!(entries(folder.path()), 1);
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        write_with(&one, |outer| {
            fs::write(outer, "outer")?;
            write_with(&one, |inner| fs::write(inner, "inner"))?;
            write_folder(&other, |outer| {
                fs::write(outer.join("a"), "outer")?;
                write_folder(&other, |inner| fs::write(inner.join("b"), "inner"))
            })
        })
        .unwrap();
        assert_eq!(fs::read(&one).unwrap(), b"outer");
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
        assert_eq!(entries(folder.path()), 3);
    }

    #[test]
    fn what_a_kill_left_beside_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(folder.path().join("file.partial"), "half").unwrap();
        fs::create_dir(folder.path().join("step.partial")).unwrap();
        fs::write(folder.path().join("step.partial/old"), "half").unwrap();
        write(&path, b"whole").unwrap();
        let place = folder.path().join("step");
        write_folder(&place, |partial| fs::write(partial.join("new"), "1")).unwrap();
        assert_eq!((entries(folder.path()), entries(&place)), (2, 1));
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    /// Many threads at once: every write is whole, and nothing stays beside.
    #[test]
    fn writers_that_race_never_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::thread::scope(|scope| {
            for number in 0..8u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        write(path, &[number; 3000]).unwrap();
                        let found = fs::read(path).unwrap();
                        assert!(found.len() == 3000 && found.iter().all(|byte| *byte == found[0]));
                    }
                });
            }
        });
        assert_eq!(entries(folder.path()), 1);
    }
}
