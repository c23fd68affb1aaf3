//! What a trial trains: a model of a recipe, or a classifier for a task.

mod finetuning;
mod training;

use std::collections::BTreeMap;
use std::path::Path;

use experiment::Observer;
use indexmap::IndexMap;
use toml::Value;
use train::EvaluationRecord;

use crate::error::Result;

pub use finetuning::FinetuneTarget;
pub use training::TrainingTarget;

/// The settings of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// By their keys below the model.
    pub settings: IndexMap<String, Value>,
    /// Seed of initialisation, data order and dropout.
    pub seed: u64,
}

/// What a finished trial came to, beside its reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// By name: `held_out_loss`, `test_loss`, `score`, and minimal pairs by their place.
    pub scores: BTreeMap<String, f64>,
    /// Time of the training steps.
    pub seconds: f64,
}

/// What a trial trains.
pub trait Target: Sync {
    /// Checks what all trials read, before the first.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    fn check_inputs(&self) -> Result<()>;

    /// Checks a trial's settings without training.
    ///
    /// # Errors
    /// When they cannot be used.
    fn check(&self, assignment: &Assignment) -> Result<()>;

    /// Epochs of a trial from its first step to its last; `None` where the settings state steps,
    /// which come to epochs only with the tokens of the text.
    ///
    /// # Errors
    /// When the settings cannot be used.
    fn epochs(&self, assignment: &Assignment) -> Result<Option<f64>>;

    /// Makes what all trials share, and what this one needs of that kind. Returns what the text is
    /// known by, which is the same for all trials of a study.
    ///
    /// # Errors
    /// When it cannot be made, another worker makes it, or the observer asked to stop.
    fn prepare(&self, assignment: &Assignment, observer: &dyn Observer) -> Result<Option<String>>;

    /// Trains in a folder, or goes on there, and reports every evaluation to the observer.
    ///
    /// # Errors
    /// When the training fails, another worker has the folder, or the observer asked to stop.
    fn execute(
        &self,
        assignment: &Assignment,
        folder: &Path,
        observer: &dyn Observer,
    ) -> Result<Measured>;

    /// The evaluations of a trial that its folder has, in the order of their steps; none where they
    /// cannot be read, or a trial that is continued reports them all again.
    fn evaluations(&self, folder: &Path) -> Vec<EvaluationRecord>;

    /// Removes what could only continue a trial that will not be continued.
    fn forget(&self, folder: &Path);

    /// The folder of a finished trial's model, if there is one.
    fn model(&self, folder: &Path) -> Option<std::path::PathBuf>;
}
