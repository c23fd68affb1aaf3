//! A trial that trains a model of a recipe and scores it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use experiment::evaluation::{LoadedModel, loss};
use experiment::recipe::ModelSection;
use experiment::run::{self, RunSettings, scores};
use experiment::training_log::{TrainingSummary, evaluations};
use experiment::{ExperimentError, Observer, Recipe, files, recipe};
use model::hugging_face;
use train::EvaluationRecord;

use super::{Assignment, Measured, Target};
use crate::error::{Result, SweepError};
use crate::recipe::overrides_of;

/// Trains a model of a recipe.
pub struct TrainingTarget {
    /// The recipe that varies, a file.
    pub base: PathBuf,
    /// The model that varies.
    pub model: String,
    /// Text, tokenizer, tokens, teachers and their outputs, which all trials share.
    pub shared: PathBuf,
    /// Text for a test loss: a folder.
    pub test: Option<PathBuf>,
    /// Where models are trained.
    pub device: Arc<dyn Device>,
}

impl TrainingTarget {
    fn recipe(&self, assignment: &Assignment) -> Result<Recipe> {
        let overrides = overrides_of(&self.model, &assignment.settings);
        let mut recipe = recipe::load(&self.base, &overrides)?;
        if let Some(section) = recipe.models.get_mut(&self.model) {
            section.train.seed = Some(assignment.seed);
        }
        Ok(recipe)
    }

    fn settings(&self, folder: &Path) -> RunSettings {
        RunSettings {
            prepared: Some(self.shared.join("prepared")),
            caches: Some(self.shared.join("teachers")),
            device: self.device.clone(),
            replace: true,
            ..RunSettings::on_cpu(folder)
        }
    }

    fn weights(&self, folder: &Path) -> PathBuf {
        folder.join("models").join(&self.model).join("final")
    }

    /// Refuses a model that has no test loss, which is of the next token.
    fn check_predicts_next(&self, section: &ModelSection) -> Result<()> {
        let family = section.architecture().map_err(ExperimentError::from)?;
        match family.is_causal() {
            true => Ok(()),
            false => Err(SweepError::NoTestLoss { model: self.model.clone(), kind: family.kind() }),
        }
    }

    /// The loss on the test text, cut into the sequences of the training.
    fn test_loss(&self, recipe: &Recipe, folder: &Path, observer: &dyn Observer) -> Result<f64> {
        let section = recipe.models.get(&self.model);
        let text = loss::HeldoutText {
            data: self.test.as_deref().unwrap_or(Path::new("")),
            raw_tokens: false,
            clean: recipe.corpus.clean,
            sequence_length: section.map_or(128, |section| section.train.sequence_length),
        };
        let path = self.weights(folder);
        let model = hugging_face::load(&path, &self.device).map_err(ExperimentError::from)?;
        Ok(loss::measure(&[LoadedModel { path, model }], text, observer)?.loss)
    }
}

impl Target for TrainingTarget {
    fn check_inputs(&self) -> Result<()> {
        // A recipe that is stored has been read with its inputs once; here they may have gone.
        recipe::load_with_inputs(&self.base, &[])?;
        match &self.test {
            None => Ok(()),
            Some(folder) => match corpus::texts::open_corpus(folder) {
                Ok(_) => Ok(()),
                Err(error) => Err(ExperimentError::from(error).into()),
            },
        }
    }

    fn check(&self, assignment: &Assignment) -> Result<()> {
        let recipe = self.recipe(assignment)?;
        match &self.test {
            None => Ok(()),
            Some(_) => self.check_predicts_next(&recipe.models[&self.model]),
        }
    }

    fn epochs(&self, assignment: &Assignment) -> Result<Option<f64>> {
        let recipe = self.recipe(assignment)?;
        let train = &recipe.models[&self.model].train;
        Ok(match (train.buckets, train.phases.is_empty()) {
            (Some(buckets), _) => Some(buckets.total_epochs()),
            (None, true) => (train.max_steps == 0).then_some(train.epochs),
            (None, false) => train.phases.iter().map(|phase| phase.epochs).sum(),
        })
    }

    fn prepare(&self, assignment: &Assignment, observer: &dyn Observer) -> Result<Option<String>> {
        let recipe = self.recipe(assignment)?;
        let settings = RunSettings { caches: None, ..self.settings(&self.shared) };
        Ok(Some(run::prepare(recipe, &self.model, &settings, observer)?))
    }

    fn execute(
        &self,
        assignment: &Assignment,
        folder: &Path,
        observer: &dyn Observer,
    ) -> Result<Measured> {
        let recipe = run::alone(self.recipe(assignment)?, &self.model, &self.shared);
        run::run(recipe.clone(), &self.settings(folder), observer)?;
        let found = scores::of_model(folder, &self.model)?;
        let place = folder.join("models").join(&self.model).join(TrainingSummary::FILE);
        let summary: TrainingSummary = files::read_json(&place)?;
        let mut measured = Measured { scores: found.pairs, seconds: summary.seconds };
        let held_out = found.held_out_loss.map(|loss| ("held_out_loss".to_owned(), loss));
        measured.scores.extend(held_out);
        if self.test.is_some() {
            let loss = self.test_loss(&recipe, folder, observer)?;
            measured.scores.insert("test_loss".to_owned(), loss);
        }
        Ok(measured)
    }

    fn evaluations(&self, folder: &Path) -> Vec<EvaluationRecord> {
        evaluations(&folder.join("models").join(&self.model)).unwrap_or_default()
    }

    fn forget(&self, folder: &Path) {
        for name in ["checkpoints", "best", "snapshots"] {
            // What stays takes room and harms nothing.
            let _ = files::remove(&folder.join("models").join(&self.model).join(name));
        }
    }

    fn model(&self, folder: &Path) -> Option<PathBuf> {
        let place = self.weights(folder);
        place.join("model.safetensors").is_file().then_some(place)
    }
}
