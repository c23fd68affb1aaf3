//! How sure a score is, and whether two models differ.
//!
//! | question | answer | when it applies |
//! | --- | --- | --- |
//! | How would this score vary with other items? | [`bootstrap`] | one model; tens of items a task or more |
//! | The same, as the pipelines print it | [`standard_error`], [`pooled_standard_error`] | means of items only |
//! | Do two models differ on these items? | [`Paired::permutation`] | any score; the null hypothesis is that the two models could be exchanged item by item |
//! | By how much? | [`Paired::bootstrap`] | any score; for an interval of the difference |
//! | The same for right and wrong answers, exactly | [`McNemar`] | answers of one task, or pooled; ignores how tasks are averaged |
//! | All of it, for two files of answers | [`compare`] | the two hold the same items |
//! | Do two quantities go together? | [`Correlation`] | pairs of numbers, about normal for its probability |
//! | Would another seed give the same? | [`Spread`] | one score from each of several trainings |
//!
//! Items measure only the luck of the test's questions. Training again with another seed often
//! moves a score by more: a difference between two trainings is a difference between two methods
//! only where it is large beside [`Spread`].
//!
//! Random numbers are a pure function of (seed, resample, task, item), so results do not depend on
//! threads.

mod bootstrap;
mod comparison;
mod correlation;
mod error;
mod items;
mod mcnemar;
mod paired;
mod seeds;
mod standard_error;

pub use bootstrap::{Bootstrap, Interval, Resampling, bootstrap};
pub use comparison::{Comparison, Difference, compare};
pub use correlation::Correlation;
pub(crate) use correlation::pearson;
pub use error::StatisticsError;
pub use items::{Items, Measure, macro_score};
pub use mcnemar::McNemar;
pub use paired::{Paired, PairedBootstrap, Permutation};
pub use seeds::{Spread, student_t_quantile};
pub use standard_error::{pooled_standard_error, standard_error};
