//! A trial that fine-tunes a model for a task.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use eval::classification::find_task;
use experiment::finetuning::jobs::{Jobs, select_tasks};
use experiment::finetuning::subject::FinetuneSubject;
use experiment::finetuning::tuner::Tuner;
use experiment::recipe::FinetuneRecipe;
use experiment::{ExperimentError, Observer, Silent, files};
use train::EvaluationRecord;

use super::{Assignment, Measured, Target};
use crate::error::{Result, refuse};

/// Fine-tunes a model for a task.
pub struct FinetuneTarget {
    /// The recipe of what does not vary: its name, or a file.
    pub base: String,
    /// Values of that recipe which are others in all trials.
    pub set: Vec<String>,
    /// The model's folder.
    pub model: PathBuf,
    /// The task's name.
    pub task: String,
    /// Holds the tasks' files.
    pub data: PathBuf,
    /// Where classifiers are trained.
    pub device: Arc<dyn Device>,
}

impl FinetuneTarget {
    /// The recipe of a trial. A task has no early stopping unless the space has it: it would end
    /// trials by a rule of its own, beside the sweep's. The pipelines of 2025 and 2026 have none:
    /// the best evaluation's weights count, as in their recipes.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn recipe(&self, assignment: &Assignment) -> Result<FinetuneRecipe> {
        let of_task = |text: String| format!("{}.{text}", self.task);
        let stops = FinetuneRecipe::load(&self.base, &self.set)?.rules.score_texts();
        let mut overrides: Vec<String> =
            stops.then(|| of_task("patience=0".to_owned())).into_iter().collect();
        overrides.extend(self.set.iter().cloned());
        let settings = assignment.settings.iter();
        overrides.extend(settings.map(|(key, value)| of_task(format!("{key}={value}"))));
        Ok(FinetuneRecipe::load(&self.base, &overrides)?)
    }
}

impl Target for FinetuneTarget {
    fn check_inputs(&self) -> Result<()> {
        let recipe = FinetuneRecipe::load(&self.base, &self.set)?;
        let rules = recipe.rules;
        let tasks = select_tasks(std::slice::from_ref(&self.task), rules)?;
        Jobs::read(&self.data, &tasks, rules, true)?.require_any(&self.data)?;
        FinetuneSubject::open(self.task.clone(), &self.model, rules, &Silent)?;
        Ok(())
    }

    fn check(&self, assignment: &Assignment) -> Result<()> {
        self.recipe(assignment).map(drop)
    }

    fn epochs(&self, assignment: &Assignment) -> Result<Option<f64>> {
        let recipe = self.recipe(assignment)?;
        match find_task(&self.task) {
            Some(task) => Ok(Some(recipe.settings(task).epochs)),
            None => refuse(format_args!("there is no task `{}`", self.task)),
        }
    }

    fn prepare(&self, _: &Assignment, _: &dyn Observer) -> Result<Option<String>> {
        Ok(None)
    }

    fn execute(
        &self,
        assignment: &Assignment,
        folder: &Path,
        observer: &dyn Observer,
    ) -> Result<Measured> {
        let recipe = self.recipe(assignment)?;
        let rules = recipe.rules;
        let tasks = select_tasks(std::slice::from_ref(&self.task), rules)?;
        let found = Jobs::read(&self.data, &tasks, rules, true)?;
        let found = found.require_any(&self.data)?;
        let Some(job) = found.jobs.first() else {
            return refuse(format_args!("{} has no files of `{}`", self.data.display(), self.task));
        };
        let name = self.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let subject = FinetuneSubject::open(name, &self.model, rules, observer)?;
        let device = self.device.clone();
        let tuner = Tuner { recipe: &recipe, max_steps: None, keep: false, device, observer };
        files::make_folder(folder)?;
        let results = tuner.finetune_task(&subject, job, Some(assignment.seed), folder)?;
        let Some(result) = results.first() else {
            return Err(ExperimentError::Interrupted.into());
        };
        let scores = [("score".to_owned(), result.score.score)];
        Ok(Measured { scores: scores.into(), seconds: result.course.seconds })
    }

    fn evaluations(&self, _: &Path) -> Vec<EvaluationRecord> {
        Vec::new()
    }

    fn forget(&self, _: &Path) {}

    fn model(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}
