//! What the fuzz targets share.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// A folder with files of these names and contents. Where memory has a file system, it is there.
///
/// # Panics
/// When it cannot be made.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = match Path::new("/dev/shm").is_dir() {
        true => tempfile::tempdir_in("/dev/shm"),
        false => tempfile::tempdir(),
    };
    let folder = folder.expect("a folder for the input");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file for the input");
    }
    folder
}
