//! The benchmarks whose data is present.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use corpus::text;
use eval::{BENCHMARKS, BUILTIN_MARKER, Benchmark, Kind, Task, ZeroShot};

use crate::error::{Context, FileContext, Result, refuse, wrong_usage};

/// A benchmark and the folder or file of its data.
pub(super) struct AvailableBenchmark {
    /// The benchmark.
    pub benchmark: &'static dyn Benchmark,
    /// The benchmark's data.
    pub path: PathBuf,
    /// Whether it is to be scored; of another one only what is done already is shown.
    pub is_wanted: bool,
    /// The items of a benchmark of choices, once they have been read.
    tasks: OnceLock<Vec<Task>>,
}

impl AvailableBenchmark {
    fn new(benchmark: &'static dyn Benchmark, path: PathBuf, is_wanted: bool) -> Self {
        Self { benchmark, path, is_wanted, tasks: OnceLock::new() }
    }

    /// The items of a benchmark of choices, which are read once for all models.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn tasks(&self, reader: &dyn ZeroShot) -> Result<&[Task]> {
        if let Some(tasks) = self.tasks.get() {
            return Ok(tasks);
        }
        let tasks = reader.read(&self.path)?;
        Ok(self.tasks.get_or_init(|| tasks))
    }
}

/// The benchmarks that can be scored, and for each that cannot, why.
#[derive(Default)]
pub(super) struct Found {
    /// The benchmarks that can be scored, in the order of [`BENCHMARKS`].
    pub available: Vec<AvailableBenchmark>,
    /// The benchmarks that cannot be scored, each with the reason.
    pub missing: Vec<(&'static dyn Benchmark, String)>,
    /// Folders in the data that belong to no benchmark, by name.
    pub unknown: Vec<String>,
}

impl Found {
    /// Whether anything is to be fine-tuned.
    pub(super) fn finetunes(&self) -> bool {
        let mut wanted = self.available.iter().filter(|found| found.is_wanted);
        wanted.any(|found| found.benchmark.kind().is_fine_tuned())
    }
}

/// The benchmarks that [`find`] looks for: those that have folders, and the held-out loss.
pub fn searchable() -> impl Iterator<Item = &'static dyn Benchmark> {
    BENCHMARKS.iter().copied().filter(|benchmark| {
        !benchmark.folders().is_empty() || matches!(benchmark.kind(), Kind::HeldOutLoss)
    })
}

/// Looks for every benchmark in `data`, and for held-out text at `text`. Those that are not wanted
/// are found too, for what is done of them.
pub(super) fn find(
    data: &Path,
    text: Option<&Path>,
    wanted: impl Fn(&dyn Benchmark) -> bool,
) -> Result<Found> {
    std::fs::read_dir(data).at("read", data).advise(
        "name the folder that holds blimp_filtered, glue_filtered and the like with --data",
    )?;
    let mut found = Found { unknown: unknown_folders(data)?, ..Found::default() };
    for benchmark in searchable() {
        let is_wanted = wanted(benchmark);
        let path = match benchmark.kind() {
            Kind::HeldOutLoss => text.map(Path::to_owned),
            _ => folder_of(benchmark, data),
        };
        match path {
            Some(path) => {
                found.available.push(AvailableBenchmark::new(benchmark, path, is_wanted));
            }
            None if !is_wanted => {}
            None => found.missing.push((benchmark, why_missing(benchmark, data))),
        }
    }
    match found.available.iter().any(|found| found.is_wanted) {
        true => Ok(found),
        false => nothing_to_score(data, &found.missing),
    }
}

/// Folders that no benchmark looks for: a misspelt name, or a benchmark that is not known.
fn unknown_folders(data: &Path) -> Result<Vec<String>> {
    let mut unknown = Vec::new();
    for entry in std::fs::read_dir(data).at("read", data)? {
        let path = entry.at("read", data)?.path();
        let name = text::file_name(&path);
        let is_known = BENCHMARKS.iter().any(|known| known.folders().contains(&name.as_str()));
        if path.is_dir() && !name.starts_with('.') && !is_known {
            unknown.push(name);
        }
    }
    unknown.sort();
    Ok(unknown)
}

/// The first of a benchmark's folders that exists.
fn folder_of(benchmark: &dyn Benchmark, data: &Path) -> Option<PathBuf> {
    let is_data = |folder: &PathBuf| {
        let has_file = |file| folder.join(file).is_file();
        let is_of_benchmark = benchmark.required_file().is_none_or(has_file);
        folder.is_dir() && is_of_benchmark && !is_builtin(folder)
    };
    benchmark.folders().iter().map(|name| data.join(name)).find(is_data)
}

/// Whether a folder holds pairs of the built-in grammar, under whatever name.
fn is_builtin(folder: &Path) -> bool {
    folder.join(BUILTIN_MARKER).is_file()
}

fn why_missing(benchmark: &dyn Benchmark, data: &Path) -> String {
    let mut places = benchmark.folders().iter().map(|name| data.join(name));
    if let Some(folder) = places.find(|folder| is_builtin(folder)) {
        return format!(
            "{} holds pairs of the built-in grammar; score these with `evaluate blimp`",
            folder.display()
        );
    }
    let (folders, data) = (benchmark.folders().join(" or "), data.display());
    match (benchmark.kind(), benchmark.required_file()) {
        (Kind::HeldOutLoss, _) => "no held-out text is named with --text".to_owned(),
        (_, Some(file)) => format!("no {file} in the folder {folders} of {data}"),
        (_, None) => format!("no folder {folders} in {data}"),
    }
}

fn nothing_to_score(data: &Path, missing: &[(&'static dyn Benchmark, String)]) -> Result<Found> {
    if missing.is_empty() {
        return wrong_usage("--only and --skip leave no benchmark");
    }
    let reasons = match missing {
        [(benchmark, why)] => format!("{}: {why}", benchmark.name()),
        _ => format!("{} has none of the benchmarks' folders", data.display()),
    };
    let is_known = |name: &&str| BENCHMARKS.iter().any(|known| known.folders().contains(name));
    let name = data.file_name().and_then(|name| name.to_str()).filter(is_known);
    let folders = BENCHMARKS.iter().filter_map(|benchmark| benchmark.folders().first().copied());
    let advice = match name {
        Some(name) => format!("give the folder that contains {name} with --data"),
        None => format!(
            "put the benchmarks' folders into --data, under their names: {}",
            folders.collect::<Vec<_>>().join(", ")
        ),
    };
    refuse(format_args!("nothing to score ({reasons})")).advise(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_are_found_by_their_folders() {
        let data = tempfile::tempdir().unwrap();
        for folder in ["blimp_filtered", "msgs", "supplement", "supplement_typo", ".git"] {
            std::fs::create_dir(data.path().join(folder)).unwrap();
        }
        let found = find(data.path(), None, |benchmark| benchmark.name() != "glue").unwrap();
        let names: Vec<&str> = found.available.iter().map(|found| found.benchmark.name()).collect();
        assert_eq!(names, ["blimp_filtered", "blimp_supplement", "msgs"]);
        let only = find(data.path(), None, |benchmark| benchmark.name() == "msgs").unwrap();
        let wanted: Vec<bool> = only.available.iter().map(|found| found.is_wanted).collect();
        assert_eq!((wanted, only.missing.len()), (vec![false, false, true], 0));
        let missing: Vec<&str> =
            found.missing.iter().map(|(benchmark, _)| benchmark.name()).collect();
        for name in ["loss", "blimp", "ewok", "ewok_official", "aoa"] {
            assert!(missing.contains(&name), "{missing:?}");
        }
        assert!(!missing.contains(&"glue") && !missing.contains(&"msgs"), "{missing:?}");
        let empty = tempfile::tempdir().unwrap();
        let all = find(empty.path(), None, |_| true).err().unwrap();
        let cause = all.cause();
        assert!(cause.ends_with("has none of the benchmarks' folders)"), "{cause}");
        assert!(cause.len() < 150 + empty.path().as_os_str().len(), "{cause}");
        let none = find(data.path(), None, |benchmark| benchmark.name() == "ewok")
            .err()
            .unwrap()
            .to_string();
        assert!(none.contains("no folder ewok_filtered or ewok in"), "{none}");
        assert_eq!(found.unknown, ["supplement_typo"]);
        std::fs::write(data.path().join("blimp_filtered").join(BUILTIN_MARKER), "").unwrap();
        let found = find(data.path(), None, |benchmark| benchmark.name() != "glue").unwrap();
        let (_, why) = found
            .missing
            .iter()
            .find(|(benchmark, _)| benchmark.name() == "blimp_filtered")
            .unwrap();
        assert!(why.contains("blimp_filtered holds pairs of the built-in grammar"), "{why}");
    }
}
