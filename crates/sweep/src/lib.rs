//! Sweeps: searches for the settings that train the best model, in a store that any number of
//! workers share and that Optuna can open.
//!
//! A [`Draft`](sweep::Draft) is read from a recipe and makes the studies of the store; any number
//! of [`worker`]s then train their trials. What a worker does next ([`schedule`]) and what a
//! sampler proposes ([`sampler`]) follow from the rows of the store alone. [`confirm`] trains the
//! best again with fresh seeds; [`overview`], [`export`], [`report`](mod@report) and [`check`]
//! read.

#![warn(missing_docs)]

pub mod best;
pub mod check;
pub mod confirm;
pub mod definition;
pub mod distribution;
pub mod edit;
pub mod error;
pub mod export;
#[cfg(test)]
mod fixtures;
pub mod importance;
pub mod luck;
pub mod overview;
pub mod parts;
pub mod recipe;
pub mod report;
pub mod sampler;
pub mod schedule;
pub mod space;
pub mod stopping;
pub mod store;
pub mod sweep;
pub mod target;
pub mod trial;
pub mod wandb;
pub mod worker;

pub use error::{Result, SweepError};
