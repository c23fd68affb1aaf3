//! Minimal pairs of another source, in BLiMP's format.

use std::path::Path;

use super::blimp::groups;
use super::zero_shot;
use crate::benchmark::{Benchmark, Kind, ZeroShot};
use crate::choices::Task;
use crate::error::EvalError;
use crate::minimal_pairs;
use crate::rules::Rules;

/// Minimal pairs that are none of the other benchmarks.
pub struct OtherPairs;

impl Benchmark for OtherPairs {
    fn name(&self) -> &'static str {
        "pairs"
    }

    fn title(&self) -> &'static str {
        "minimal pairs"
    }

    fn about(&self) -> &'static str {
        "minimal pairs of another source"
    }

    fn kind(&self) -> Kind {
        Kind::ZeroShot(&Self)
    }

    fn group_of<'a>(&self, task: &'a str, rules: Rules) -> Option<&'a str> {
        groups::pooled(task, rules)
    }
}

impl ZeroShot for OtherPairs {
    fn read(&self, path: &Path) -> Result<Vec<Task>, EvalError> {
        minimal_pairs::read_folder(path)
    }
}

/// The benchmark of minimal pairs whose folder may have any name: the one that recognizes them, or
/// [`OtherPairs`].
pub fn benchmark_of_pairs(folder: &Path, tasks: &[Task]) -> &'static dyn ZeroShot {
    zero_shot().find(|benchmark| benchmark.recognizes(folder, tasks)).unwrap_or(&OtherPairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::BUILTIN_MARKER;
    use crate::choices::Item;

    fn of(folder: &Path, tasks: &[(&str, usize)]) -> &'static str {
        let task = |(name, pairs): &(&str, usize)| Task {
            name: name.to_string(),
            items: vec![Item::pair("a", "b"); *pairs],
        };
        let tasks: Vec<Task> = tasks.iter().map(task).collect();
        benchmark_of_pairs(folder, &tasks).name()
    }

    #[test]
    fn pairs_are_recognized_by_their_tasks() {
        let of = |tasks: &[(&str, usize)]| of(Path::new("data"), tasks);
        assert_eq!(of(&[("wh_island", 960), ("passive_1", 840)]), "blimp_filtered");
        assert_eq!(of(&[("wh_island", 1000), ("passive_1", 1000)]), "blimp");
        assert_eq!(of(&[("island_effects", 7448)]), "blimp_filtered");
        assert_eq!(of(&[("hypernym", 842)]), "blimp_supplement");
        assert_eq!(of(&[("hypernym", 842), ("wh_island", 9)]), "pairs");
        assert_eq!(of(&[("agreement", 100)]), "pairs");
        assert_eq!(of(&[]), "pairs");
    }

    #[test]
    fn built_in_pairs_with_the_names_of_blimp_are_not_blimp() {
        let folder = tempfile::tempdir().unwrap();
        let tasks = [("wh_island", 960), ("passive_1", 840)];
        assert_eq!(of(folder.path(), &tasks), "blimp_filtered");
        std::fs::write(folder.path().join(BUILTIN_MARKER), "").unwrap();
        assert_eq!(of(folder.path(), &tasks), "builtin_pairs");
        assert_eq!(of(folder.path(), &[("wh_island", 1000)]), "builtin_pairs");
    }
}
