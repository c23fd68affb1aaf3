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
/// When the file cannot be read.
pub fn of_file(path: &Path) -> io::Result<String> {
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
    }
}
