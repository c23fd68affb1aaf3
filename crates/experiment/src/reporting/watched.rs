//! What the files that a page is made of look like, without reading them: a page is made anew when
//! that changes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::PAGE;
use crate::files::entries;
use crate::held_out::HeldOut;
use crate::lock;

/// A hash of the paths, sizes and times of all files that [`page`](super::page) reads in a folder,
/// and of the process that works on it.
pub fn stamp(folder: &Path) -> String {
    let process = lock::holder_of(folder);
    stamp_of(files(folder)) + &format!("-{}", process.unwrap_or_default())
}

/// A hash of the paths, sizes and times of files; what is not there is left out.
pub fn stamp_of(paths: impl IntoIterator<Item = PathBuf>) -> String {
    let mut text = String::new();
    for path in paths {
        let Ok(found) = std::fs::metadata(&path) else { continue };
        let time = found.modified().ok();
        let time = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        text += &format!("{path:?} {} {time:?}\n", found.len());
    }
    base::hash::of_bytes(text.as_bytes())
}

/// Folders in that of an evaluation: a model's, a benchmark's, a task's, a seed's.
const DEPTH: usize = 4;

/// The files of a folder that a page is made of.
fn files(folder: &Path) -> Vec<PathBuf> {
    let inside = |name: &str| files_in(&folder.join(name), 0);
    let is_of_run = ["recipe.toml", "stages", "models"].map(|name| folder.join(name).exists());
    if is_of_run.contains(&true) {
        let models = entries(&folder.join("models")).unwrap_or_default();
        let of_models = models.iter().flat_map(|model| files_in(model, 0));
        let own = files_in(folder, 0).into_iter().chain(inside("stages"));
        return own.chain(inside("evaluation")).chain(of_models).collect();
    }
    let is_training =
        ["metrics.jsonl", HeldOut::FILE].iter().any(|name| folder.join(name).exists());
    files_in(folder, if is_training { 0 } else { DEPTH })
}

/// The files in a folder and in folders in it down to a depth, sorted; those of pages are no input.
fn files_in(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder).unwrap_or_default() {
        match path.is_dir() {
            true if depth > 0 => files.extend(files_in(&path, depth - 1)),
            true => {}
            false if path.ends_with(PAGE) => {}
            false => files.push(path),
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn everything_that_a_page_is_made_of_changes_its_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let write = |place: &str| {
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        let mut last = stamp(folder.path());
        let mut changes = |place: &str| {
            write(place);
            let now = stamp(folder.path());
            let changed = now != last;
            last = now;
            changed
        };
        for place in
            ["model/model.json", "model/blimp/result.json", "m/glue/rte/seed-1/result.json"]
        {
            assert!(changes(place), "{place} of an evaluation");
        }
        for place in ["recipe.toml", "log.txt", "exposure.json", "stages/corpus.json"] {
            assert!(changes(place), "{place} of a run");
        }
        for place in ["models/a/metrics.jsonl", "models/a/summary.json", "evaluation/a.json"] {
            assert!(changes(place), "{place} of a run");
        }
        assert!(!changes("report.html") && !changes("corpus/train/a.train"));
        assert!(!changes("models/a/checkpoints/1/weights"));
    }
}
