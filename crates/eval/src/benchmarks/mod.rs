//! The benchmarks, a file or folder each. Adding one is a file here and a line in [`BENCHMARKS`].

pub mod age_of_acquisition;
pub mod blimp;
mod blimp_supplement;
mod builtin_pairs;
pub mod ewok;
mod glue;
mod loss;
mod msgs;
mod other_pairs;

pub use age_of_acquisition::AgeOfAcquisition;
pub use blimp::{Blimp, BlimpFiltered};
pub use blimp_supplement::BlimpSupplement;
pub use builtin_pairs::{BUILTIN_MARKER, BuiltinPairs};
pub use ewok::{Ewok, EwokOfficial};
pub use glue::{Glue, glue_items, superglue_average};
pub use loss::{FileLoss, HeldOutLoss, LossResult};
pub use msgs::Msgs;
pub use other_pairs::{OtherPairs, benchmark_of_pairs};

use serde::{Deserialize, Deserializer, de};

use crate::benchmark::{Benchmark, Kind, ZeroShot};

/// All benchmarks, in the order in which they are run and stand in tables. Minimal pairs of a
/// folder of any name are of the first that recognizes them: the built-in ones, which have names of
/// BLiMP's, come before it.
pub static BENCHMARKS: &[&dyn Benchmark] = &[
    &HeldOutLoss,
    &BuiltinPairs,
    &BlimpFiltered,
    &BlimpSupplement,
    &Blimp,
    &Ewok,
    &EwokOfficial,
    &AgeOfAcquisition,
    &Glue,
    &Msgs,
    &OtherPairs,
];

/// The benchmark of a name.
pub fn find_benchmark(name: &str) -> Option<&'static dyn Benchmark> {
    BENCHMARKS.iter().copied().find(|benchmark| benchmark.name() == name)
}

/// All benchmarks of choices with their reader and scorer, in the order of the list.
pub fn zero_shot() -> impl Iterator<Item = &'static dyn ZeroShot> {
    BENCHMARKS.iter().copied().filter_map(|benchmark| match benchmark.kind() {
        Kind::ZeroShot(benchmark) => Some(benchmark),
        _ => None,
    })
}

impl<'de> Deserialize<'de> for &'static dyn Benchmark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        find_benchmark(&name)
            .ok_or_else(|| de::Error::custom(format!("there is no benchmark `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_stay_as_they_are_in_files() {
        let in_files = [
            "loss",
            "builtin_pairs",
            "blimp_filtered",
            "blimp_supplement",
            "blimp",
            "ewok",
            "ewok_official",
            "aoa",
            "glue",
            "msgs",
            "pairs",
        ];
        let missing = in_files.into_iter().find(|name| find_benchmark(name).is_none());
        assert_eq!(missing, None);
        for &benchmark in BENCHMARKS {
            assert_eq!(find_benchmark(benchmark.name()), Some(benchmark));
            let json = serde_json::to_string(benchmark).unwrap();
            assert_eq!(json, format!("\"{}\"", benchmark.name()));
            assert_eq!(serde_json::from_str::<&dyn Benchmark>(&json).unwrap(), benchmark);
            assert!(!benchmark.title().is_empty() && !benchmark.about().is_empty());
        }
        let unknown = serde_json::from_str::<&dyn Benchmark>("\"unknown\"").unwrap_err();
        assert!(unknown.to_string().contains("there is no benchmark `unknown`"), "{unknown}");
    }

    #[test]
    fn every_task_of_a_printed_table_is_printed_once() {
        for &benchmark in BENCHMARKS {
            crate::reference::tests::check(benchmark.name(), benchmark.reference());
        }
    }
}
