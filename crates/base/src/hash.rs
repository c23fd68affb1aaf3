//! BLAKE3 hashes in hexadecimal, as fingerprints and manifests store them.

use std::fs::File;
use std::io;
use std::path::Path;

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
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

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
        assert!(of_file(&folder.path().join("none")).is_err());
        assert!(of_file(folder.path()).unwrap_err().to_string().contains("not a regular file"));
        #[cfg(unix)]
        assert!(of_file(Path::new("/dev/zero")).is_err(), "this one has no end");
    }
}
