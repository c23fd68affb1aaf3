//! The forms in which scores leave the program.

pub mod harness;
pub mod predictions;
pub mod submission;
