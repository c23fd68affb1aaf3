//! Sweeps: searches for the settings that train the best model, in a store that any number of
//! workers share and that Optuna can open.

#![warn(missing_docs)]

pub mod distribution;
#[cfg(test)]
mod fixtures;
pub mod luck;
pub mod sampler;
pub mod space;
pub mod stopping;
pub mod wandb;
