//! Which items a benchmark's scores are of: scores and answers compare only on the same ones, and
//! files may have been edited since.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base::hash;
use eval::{BUILTIN_MARKER, Benchmark, Kind};
use serde::Deserialize;

use crate::evaluation::results::DATA;
use crate::files::entries;
use crate::held_out;
use crate::run::scores::RunScores;
use crate::stage::Stage;

/// A hash of the names and contents of the files that a benchmark's items are read from; none where
/// they cannot be read.
pub(crate) fn hash_of(benchmark: &dyn Benchmark, place: &Path) -> Option<String> {
    let Kind::ZeroShot(reader) = benchmark.kind() else { return None };
    let file = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, hash::of_file(&path).ok()?))
    };
    let files: Option<BTreeMap<String, String>> =
        reader.files(place).ok()?.into_iter().map(file).collect();
    of_files(files?.iter().map(|(name, hash)| (name.as_str(), hash.as_str())))
}

/// A hash of the names and contents of a benchmark's files, by the record of a stage that read one
/// benchmark's files and no others; none where it has no files.
pub(crate) fn of_stage(stage: &Stage) -> Option<String> {
    of_files(stage.files().filter(|(name, _)| *name != BUILTIN_MARKER))
}

/// The hash of files by their names and hashes, in the order of their names.
fn of_files<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let lines: String = files.map(|(name, hash)| format!("{name} {hash}\n")).collect();
    (!lines.is_empty()).then(|| hash::of_bytes(lines.as_bytes()))
}

/// A letter for each score, which those have in common that are of the same items, and a sentence
/// on them; empty where all are, or it is not recorded.
pub(crate) fn letters(all: &[Option<&String>]) -> (Vec<String>, String) {
    let mut known: Vec<&String> = all.iter().copied().flatten().collect();
    let mut seen = BTreeSet::new();
    known.retain(|hash| seen.insert(*hash));
    if known.len() < 2 {
        return (vec![String::new(); all.len()], String::new());
    }
    let letter = |hash: &Option<&String>| {
        let place = known.iter().position(|known| Some(*known) == *hash);
        place.map_or_else(String::new, held_out::letter)
    };
    let sentence = "Scores compare only on the same items, here those of one letter: other letters \
                    have items of other texts.";
    (all.iter().map(letter).collect(), sentence.to_owned())
}

/// What answers are to, as far as it is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ScoredItems {
    /// The folder or file of the items.
    pub data: Option<String>,
    /// A hash of its files when they were scored.
    pub items: Option<String>,
}

impl ScoredItems {
    /// By the records beside a file of answers: those of an evaluation, or the scores of a run.
    pub fn beside(answers: &Path) -> Self {
        let record = std::fs::read(answers.with_file_name(DATA)).ok();
        if let Some(found) = record.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return found;
        }
        let (Some(folder), Some(name)) = (answers.parent(), answers.file_name()) else {
            return Self::default();
        };
        let scores = entries(folder).unwrap_or_default().into_iter();
        let scores = scores.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        let mut scores = scores.filter_map(|path| {
            serde_json::from_slice::<RunScores>(&std::fs::read(path).ok()?).ok()
        });
        let of_run = scores.find_map(|scores| {
            let (place, _) = scores.answers.iter().find(|(_, file)| Path::new(file) == name)?;
            let data = match place.as_str() {
                "builtin" => format!("the built-in pairs of {}", folder.display()),
                place => place.to_owned(),
            };
            Some(Self { data: Some(data), items: scores.items.get(place).cloned() })
        });
        of_run.unwrap_or_default()
    }

    /// Whether both are recorded to be of other items.
    pub fn are_others(&self, other: &Self) -> bool {
        self.items.as_ref().zip(other.items.as_ref()).is_some_and(|(one, other)| one != other)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use eval::OtherPairs;

    use super::*;

    #[test]
    fn items_are_known_by_the_files_that_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(hash_of(&OtherPairs, path), None, "there are none");
        fs::write(path.join("b.jsonl"), "{}\n").unwrap();
        fs::write(path.join("a.jsonl"), "{}\n").unwrap();
        let before = hash_of(&OtherPairs, path);
        let mut stage = Stage::new("evaluate-a", &0).unwrap();
        for name in ["a.jsonl", "b.jsonl"] {
            stage = stage.reads(&path.join(name)).unwrap();
        }
        assert_eq!(of_stage(&stage), before);
        for name in ["README.md", BUILTIN_MARKER] {
            fs::write(path.join(name), "x").unwrap();
            assert_eq!(hash_of(&OtherPairs, path), before, "{name} has no items");
        }
        fs::write(path.join("a.jsonl"), "{ }\n").unwrap();
        assert!(before.is_some() && hash_of(&OtherPairs, path) != before);
    }

    #[test]
    fn scores_of_the_same_items_have_one_letter() {
        let [x, y] = ["x", "y"].map(str::to_owned);
        let (found, sentence) = letters(&[Some(&x), None, Some(&y), Some(&x)]);
        assert_eq!(found, ["a", "", "b", "a"]);
        assert!(sentence.contains("the same items"));
        assert_eq!(letters(&[Some(&x), None, Some(&x)]), (vec![String::new(); 3], String::new()));
    }

    #[test]
    fn answers_are_of_other_items_where_both_are_recorded() {
        let of = |items: Option<&str>| ScoredItems { data: None, items: items.map(str::to_owned) };
        assert!(of(Some("x")).are_others(&of(Some("y"))));
        assert!(!of(Some("x")).are_others(&of(Some("x"))));
        assert!(!of(Some("x")).are_others(&of(None)));
    }
}
