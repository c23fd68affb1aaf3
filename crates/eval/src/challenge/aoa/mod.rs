//! Whether a model learns words in the order in which children do: the age-of-acquisition task of
//! the pipelines of 2025 and 2026 (after Chang and Bergen, "Word Acquisition in Neural Language
//! Models", TACL 2022).
//!
//! [`AoaData`] are the words, [`surprisals`] measures them with each checkpoint of a training, and
//! [`AoaScore`] correlates the ages of words: of children when half of them say a word, of a model
//! when its surprisal has fallen half-way from chance to the least. [`surprisal_file`] and
//! [`score_file`] make the pipelines' files.
//!
//! The task of the pipeline of 2023, [`age_of_acquisition`](crate::age_of_acquisition), is another:
//! it predicts ages from the surprisals of one model.

mod data;
mod fit;
mod output;
mod score;
mod surprisals;

pub use data::{AoaData, ChildCurve, WordContexts};
pub use output::{score_file, surprisal_file};
pub use score::{AoaScore, MeasuredCheckpoint, WordAge, child_age};
pub use surprisals::{Surprisals, surprisals};
