//! Small files of experiments: written whole, read back with the file's name in the error.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use base::{atomic_file, hash};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Context, FileContext, Result, refuse};

/// Writes a text.
///
/// # Errors
/// When it cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    atomic_file::write(path, text.as_bytes()).at("write", path)
}

/// Writes a value as indented JSON.
///
/// # Errors
/// When it has no JSON form or cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_text(path, &format!("{:#}\n", serde_json::to_value(value)?))
}

/// Reads a value that [`write_json`] wrote.
///
/// # Errors
/// When the file cannot be read, or is no longer what was written.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).at("read", path)?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(value),
        Err(cause) => refuse(format_args!("{} is not as it was written: {cause}", path.display()))
            .advise("delete that file and give the same command again"),
    }
}

/// The paths in a folder, sorted; none where there is no folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).at("read", folder)?;
    let paths = entries.map(|entry| Ok(entry.at("read", folder)?.path()));
    let mut paths = paths.collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The most bytes that [`short_name`] leaves. File systems take 255, and endings follow.
const LONGEST_NAME: usize = 120;

/// A file's name for something whose own name may have any length, such as an ensemble's: long ones
/// are cut, and end in a part of their hash that keeps them apart.
pub fn short_name(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let hash = hash::of_bytes(name.as_bytes());
    let mut end = LONGEST_NAME - 17;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{}", &name[..end], &hash[..16])
}

/// Makes a folder with those above it.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).at("make", folder)
}

/// Removes a file or a folder with all it holds, if it is there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    let remove = || -> io::Result<()> {
        let is_folder = std::fs::symlink_metadata(path)?.is_dir();
        if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
    };
    match remove() {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause).at("remove", path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        assert_eq!(short_name("a+b"), "a+b");
        let names = ["x", "y"].map(|end| short_name(&("\u{e9}".repeat(200) + end)));
        assert!(names[0] != names[1] && names.iter().all(|name| name.len() <= LONGEST_NAME));
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.json");
        write_json(&path, &vec![1, 2]).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), [1, 2]);
        std::fs::write(&path, "[1,").unwrap();
        let error = read_json::<Vec<u32>>(&path).unwrap_err();
        assert!(error.cause().contains("scores.json is not as it was written"), "{error}");
        assert!(error.advice().unwrap().starts_with("delete that file"));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(read_json::<u32>(&path).unwrap_err().cause().starts_with("cannot read "));
    }
}
