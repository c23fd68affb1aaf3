//! The cases: every operation, on shapes as models have them and on odd ones.

mod attention;
mod layers;
mod losses;

use super::Case;
use crate::tensor::{Precision, Shape};

/// All cases, in the order of a forward pass.
pub(super) fn all() -> Vec<Case> {
    [layers::cases(), attention::cases(), losses::cases()].into_iter().flatten().collect()
}

/// An input that is kept in f32.
fn full(rows: usize, columns: usize) -> Shape {
    Shape { rows, columns, precision: Precision::Full }
}

/// An input as most operations leave it behind.
fn compact(rows: usize, columns: usize) -> Shape {
    Shape { rows, columns, precision: Precision::Compact }
}
