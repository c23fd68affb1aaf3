//! Files that come from outside: found in folders without leaving any out in silence, and read with
//! what stands in for a file recognised.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::pipe::PipeReader;
use crate::stop::ShouldStop;

/// What a Git LFS pointer begins with (git-lfs, docs/spec.md).
const LFS_POINTER_START: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The files whose names have one of the endings, by name.
    pub files: Vec<PathBuf>,
    /// All other entries but hidden ones, by name; folders too.
    pub left_out: Vec<PathBuf>,
}

/// The files of a folder whose names have one of the endings (without the dot, in any case), sorted
/// by name. Hidden files, whose names begin with a dot, are no data: editors and file managers
/// leave them (`._a.txt`, `.DS_Store`).
///
/// # Errors
/// When the folder cannot be read, or a file of such a name is a link to nothing or no regular
/// file: it would be missing otherwise, or be waited for without end.
pub fn find(folder: &Path, endings: &[&str]) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        let is_data = has_ending(&path, endings) && !path.is_dir();
        if is_data {
            require_regular(&path)?;
        }
        (if is_data { &mut found.files } else { &mut found.left_out }).push(path);
    }
    found.files.sort();
    found.left_out.sort();
    Ok(found)
}

/// Whether a file's name has one of the endings, in upper or lower case.
pub fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let matches = |extension: &std::ffi::OsStr| {
        endings.iter().any(|ending| extension.eq_ignore_ascii_case(ending))
    };
    path.extension().is_some_and(matches)
}

/// Refuses what is not a regular file, or a link to one.
///
/// # Errors
/// Names the path, which is not always the one that a caller asked for.
pub fn require_regular(path: &Path) -> io::Result<()> {
    let named = |kind, problem: &str| io::Error::new(kind, format!("{} {problem}", path.display()));
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(named(ErrorKind::InvalidInput, "is not a regular file")),
        Err(cause) if cause.kind() == ErrorKind::NotFound && path.is_symlink() => {
            Err(named(ErrorKind::NotFound, "is a link to a file that does not exist"))
        }
        Err(cause) => Err(named(cause.kind(), &format!("cannot be read: {cause}"))),
    }
}

/// Reads a whole file.
///
/// # Errors
/// As [`open_regular`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file for reading.
///
/// # Errors
/// When it cannot be read, is a Git LFS pointer ([`is_lfs_pointer`]), or a pipe or device: one may
/// be waited for without end, and the other have none.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Asked before it is opened: opening a pipe waits for a writer.
    let kind = fs::metadata(path)?.file_type();
    match kind.is_file() || kind.is_dir() {
        true => open(path),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// Opens a file for reading.
///
/// # Errors
/// When it cannot be read, or is a Git LFS pointer ([`is_lfs_pointer`]).
pub fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    // Only a regular file can be looked into without losing what was read.
    if file.metadata()?.is_file() {
        let mut start = Vec::new();
        File::open(path)?.take(LFS_POINTER_START.len() as u64).read_to_end(&mut start)?;
        if start == LFS_POINTER_START {
            return Err(lfs_pointer());
        }
    }
    Ok(file)
}

/// Opens a regular file or a pipe for reading. Of a pipe, reading fails with
/// [`Stopped`](crate::Stopped) once `should_stop` answers `true`.
///
/// # Errors
/// As [`read`], and when the path leads to something else, such as a device, which may have no end.
pub fn open_unless<'a>(should_stop: ShouldStop<'a>, path: &Path) -> io::Result<Box<dyn Read + 'a>> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(Box::new(open(path)?));
    }
    match is_pipe(kind) {
        true => Ok(Box::new(PipeReader::open(path, should_stop))),
        false => {
            let problem = "it is neither a regular file nor a pipe";
            Err(io::Error::new(ErrorKind::InvalidInput, problem))
        }
    }
}

#[cfg(unix)]
fn is_pipe(kind: fs::FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind)
}

#[cfg(not(unix))]
fn is_pipe(_kind: fs::FileType) -> bool {
    false
}

/// A file's bytes without the byte order mark that Windows' editors put before text in UTF-8.
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// Whether reading failed because the file is a Git LFS pointer: the few lines that stand in for a
/// large file until it is fetched.
pub fn is_lfs_pointer(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<LfsPointer>())
}

fn lfs_pointer() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, LfsPointer)
}

#[derive(Debug)]
struct LfsPointer;

impl fmt::Display for LfsPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is a Git LFS pointer, not the file itself")
    }
}

impl Error for LfsPointer {}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTER: &str =
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";

    fn names(paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into()).collect()
    }

    #[test]
    fn every_file_is_found_or_listed_as_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.TXT", "a.txt", "notes.md", "._a.txt", ".DS_Store", "txt"] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        fs::create_dir(folder.path().join("folder.txt")).unwrap();
        let found = find(folder.path(), &["txt"]).unwrap();
        assert_eq!(names(&found.files), ["a.txt", "b.TXT"]);
        assert_eq!(names(&found.left_out), ["folder.txt", "notes.md", "txt"]);
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_and_broken_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("blob"), "text").unwrap();
        std::os::unix::fs::symlink("blob", folder.path().join("a.txt")).unwrap();
        assert_eq!(names(&find(folder.path(), &["txt"]).unwrap().files), ["a.txt"]);
        std::os::unix::fs::symlink("not-fetched", folder.path().join("b.txt")).unwrap();
        let error = find(folder.path(), &["txt"]).unwrap_err();
        assert!(error.to_string().ends_with("b.txt is a link to a file that does not exist"));
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    #[cfg(unix)]
    fn sockets_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("a.txt")).unwrap();
        let error = find(folder.path(), &["txt"]).unwrap_err().to_string();
        assert!(error.ends_with("a.txt is not a regular file"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn what_has_no_end_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("a.txt");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&*link, Path::new("/dev/null"), folder.path()] {
            let problem = open_unless(&crate::stop::never, path).err().unwrap().to_string();
            assert_eq!(problem, "it is neither a regular file nor a pipe");
        }
        for path in [&*link, Path::new("/dev/null")] {
            let problem = read(path).unwrap_err().to_string();
            assert_eq!(problem, "it is not a regular file");
        }
        assert!(read(folder.path()).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_taken_off_once() {
        assert_eq!(without_byte_order_mark(b"\xef\xbb\xbf\xef\xbb\xbf"), b"\xef\xbb\xbf");
        assert_eq!(without_byte_order_mark(b"\xef\xbb"), b"\xef\xbb");
    }

    #[test]
    fn pointers_are_not_taken_for_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, POINTER).unwrap();
        assert!(is_lfs_pointer(&read(&path).unwrap_err()));
        assert!(is_lfs_pointer(&open(&path).unwrap_err()));
        fs::write(&path, "version 2").unwrap();
        assert_eq!(read(&path).unwrap(), b"version 2");
        let mut text = String::new();
        open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "version 2");
    }
}
