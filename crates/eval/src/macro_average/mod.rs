//! The macro-average of BabyLM's 2024 text track, and the table in which papers print it with the
//! means of its parts.

use std::sync::LazyLock;

use crate::benchmark::Benchmark;
use crate::benchmarks::{BlimpFiltered, BlimpSupplement, Ewok, Glue};
use crate::reference::{self, ReferenceTable};

/// The benchmarks whose means it is the unweighted mean of (README of
/// github.com/babylm/evaluation-pipeline-2024).
pub const PARTS: [&dyn Benchmark; 4] = [&BlimpFiltered, &BlimpSupplement, &Ewok, &Glue];

/// The column of the macro-average in printed tables.
pub const COLUMN: &str = "macro";

static REFERENCE: LazyLock<Vec<ReferenceTable>> =
    LazyLock::new(|| reference::embedded(include_str!("reference.toml")));

/// The printed means of benchmarks and their macro-average.
pub fn reference() -> &'static [ReferenceTable] {
    &REFERENCE
}

/// The macro-average from the scores of [`PARTS`], unrounded and in their order.
pub fn macro_average([blimp, supplement, ewok, superglue]: [f64; 4]) -> f64 {
    (blimp + supplement + ewok + superglue) / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BabyLlama-2 (arXiv 2409.17312), table 3.
    #[test]
    fn the_papers_columns_have_the_papers_mean() {
        assert!((macro_average([73.2, 63.1, 50.6, 69.3]) - 64.05).abs() < 1e-9);
        assert!((macro_average([71.8, 63.4, 51.5, 70.2]) - 64.225).abs() < 1e-9);
    }
}
