//! Scoring language models: the log-probability of texts, and minimal pairs in BLiMP's format.

pub mod age_of_acquisition;
pub mod blimp;
pub mod error;
pub mod pairs;
pub mod rules;
pub mod scoring;
pub mod statistics;

pub use blimp::{BlimpResult, TaskResult, score_tasks};
pub use error::EvalError;
pub use pairs::{Pair, Task};
pub use rules::Rules;
pub use scoring::{Request, Scorer};
