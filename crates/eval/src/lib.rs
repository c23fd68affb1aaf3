//! Scoring language models: the log-probability of texts, and minimal pairs in BLiMP's format.

pub mod age_of_acquisition;
pub mod blimp;
pub mod classification;
pub mod csv;
pub mod error;
pub mod ewok;
pub mod output;
pub mod pairs;
pub mod results;
pub mod rules;
pub mod scoring;
pub mod statistics;

pub use blimp::score_tasks;
pub use error::EvalError;
pub use ewok::score_ewok;
pub use pairs::{Pair, Task};
pub use results::{Metric, Outcome, Prediction, Suite, SuiteResult, TaskResult};
pub use rules::Rules;
pub use scoring::{MaskedTokens, Request, Scorer, Scores, request};
