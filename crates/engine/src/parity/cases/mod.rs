//! The cases: every operation, on shapes as models have them and on odd ones.

mod attention;
mod experts;
mod layers;
mod losses;
mod updates;

use super::Case;
use crate::tensor::{Precision, Shape};

/// All cases, in the order of a training step.
pub(super) fn all() -> Vec<Case> {
    let groups =
        [layers::cases(), attention::cases(), experts::cases(), losses::cases(), updates::cases()];
    groups.into_iter().flatten().collect()
}

/// An input that is kept in f32.
fn full(rows: usize, columns: usize) -> Shape {
    Shape { rows, columns, precision: Precision::Full }
}

/// An input as most operations leave it behind.
fn compact(rows: usize, columns: usize) -> Shape {
    Shape { rows, columns, precision: Precision::Compact }
}
