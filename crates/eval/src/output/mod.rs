//! The forms in which scores leave the program.

pub mod predictions;
pub mod submission;
