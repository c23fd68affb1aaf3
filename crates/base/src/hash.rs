//! BLAKE3 hashes in hexadecimal, as fingerprints and manifests store them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::stop::{self, ShouldStop};

/// The hash of bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The hash of a file's bytes, read piece by piece.
///
/// # Errors
/// When the file cannot be read, or is no regular file: opening a pipe waits for its other end, and
/// a device may have no end.
pub fn of_file(path: &Path) -> io::Result<String> {
    of_file_unless(&stop::never, path)
}

/// The hash of a file's bytes, as [`of_file`]; it fails with [`Stopped`](crate::Stopped) once
/// `should_stop` answers `true`.
///
/// # Errors
/// As [`of_file`].
pub fn of_file_unless(should_stop: ShouldStop<'_>, path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    loop {
        stop::check(should_stop).map_err(io::Error::other)?;
        let before = hasher.count();
        hasher.update_reader(file.by_ref().take(BETWEEN_QUESTIONS))?;
        if hasher.count() == before {
            return Ok(hasher.finalize().to_hex().to_string());
        }
    }
}

/// How many bytes are hashed before the work is asked again whether it is to stop.
const BETWEEN_QUESTIONS: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_hash_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        assert_eq!(of_file(&path).unwrap(), of_bytes(b"one"));
        assert_eq!(of_bytes(b"").len(), 64);
        assert!(stop::is_stop(&of_file_unless(&|| true, &path).unwrap_err()));
        assert!(of_file(&folder.path().join("none")).is_err());
        assert!(of_file(folder.path()).unwrap_err().to_string().contains("not a regular file"));
        #[cfg(unix)]
        assert!(of_file(Path::new("/dev/zero")).is_err(), "this one has no end");
    }
}
