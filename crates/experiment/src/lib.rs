//! Experiments: recipes and everything they stand for, as a library.
//!
//! A [`Recipe`] describes corpus, tokenizer, models and evaluation. [`run`] does all of it in a
//! folder, stage by stage, and skips what is done; [`evaluation`] scores models on every available
//! benchmark; [`finetuning`] trains classifiers; [`reporting`] gathers results for a page;
//! [`estimate`] predicts what a recipe takes. Nothing here prints, reads arguments, installs signal
//! handlers or exits: progress goes to an [`Observer`], which can also ask to stop.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use experiment::{Silent, recipe, run};
//!
//! let recipe = recipe::load(Path::new("recipes/quickstart.toml"), &[])?;
//! let outcome = run::run(recipe, &run::RunSettings::on_cpu("runs/quickstart"), &Silent)?;
//! println!("{}", outcome.table.to_text());
//! # Ok::<(), experiment::ExperimentError>(())
//! ```

#![warn(missing_docs)]

pub mod encode;
pub mod error;
pub mod estimate;
pub mod evaluation;
pub mod failures;
pub mod files;
pub mod finetuning;
mod held_out;
pub mod identity;
pub mod lock;
pub mod machine;
pub mod observer;
pub mod outputs;
pub mod over_seeds;
mod position_heads;
pub mod reading;
pub mod recipe;
mod remarks;
pub mod reporting;
pub mod run;
pub mod scored_items;
pub mod stage;
mod teacher_folders;
pub mod tokenizers;
pub mod training;
pub mod training_log;
pub mod verify;

pub use error::{ExperimentError, Result};
pub use failures::Failures;
pub use observer::{Event, Observer, Silent};
pub use recipe::Recipe;
