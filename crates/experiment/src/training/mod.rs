//! Training one model: the one place where a training run is assembled from its parts.

pub mod single;

use std::path::Path;

use corpus::Tokenizer;
use corpus::tokenizer::Role;
use model::{HiddenTokens, Model};
use train::run::snapshot;
use train::{Distillation, Listener, Outcome, Run, TokenSource, TrainSettings, best};

use crate::error::{ExperimentError, Result};
use crate::files;
use crate::observer::Observer;
use crate::training_log::{TrainingLog, TrainingSummary};

/// A model and everything that its training takes.
pub struct Training<'a> {
    /// Names the model in events.
    pub name: &'a str,
    /// Gets metrics, checkpoints and the weights, in `best` and `final`.
    pub folder: &'a Path,
    /// How to train.
    pub settings: &'a TrainSettings,
    /// Everything random follows from it.
    pub seed: u64,
    /// The model to begin with.
    pub model: Model,
    /// Its teachers, if any.
    pub distill: Option<Distillation>,
    /// The training text.
    pub tokens: &'a dyn TokenSource,
    /// The held-out text.
    pub validation: Option<&'a dyn TokenSource>,
    /// Goes into the folders `final` and `best`, where there are such, and into those of snapshots.
    pub tokenizer: Option<&'a Tokenizer>,
    /// The token that stands for hidden ones, where settings ask for such.
    pub mask_token: Option<u32>,
    /// The special tokens of a masked model or an encoder-decoder, if the tokenizer has them.
    pub hidden_tokens: Option<HiddenTokens>,
    /// Hash of everything else that the result follows from: texts, start weights, teachers.
    pub inputs_fingerprint: String,
}

/// The token that stands for hidden ones in training: the tokenizer's mask token, or where it has
/// none, the one that begins a text, which no training text has.
pub fn mask_token(tokenizer: &Tokenizer) -> Option<u32> {
    let id = |role| tokenizer.role(role).map(|(_, id)| id);
    id(Role::Mask).or(id(Role::Begin))
}

impl Training<'_> {
    /// Trains to the end, or goes on after the last checkpoint. Returns the precision and what
    /// computed the products, such as `f32, AVX-512`.
    ///
    /// # Errors
    /// When training fails, and [`ExperimentError::Interrupted`] when the observer asked to stop.
    pub fn execute(self, observer: &dyn Observer) -> Result<String> {
        let (folder, tokenizer) = (self.folder, self.tokenizer);
        let (name, length) = (self.name, self.settings.sequence_length);
        let (select_by, snapshots) = (self.settings.select_by, &self.settings.snapshots);
        if let Some(tokenizer) = tokenizer.filter(|_| self.validation.is_some()) {
            // Until the end, the best weights so far are what commands take out of a run.
            best::add(folder, |place| -> Result<()> { Ok(tokenizer.save_folder(place, length)?) })?;
        }
        let mut log = TrainingLog::new(name, folder, observer);
        let precision = self.model.device().arithmetic().to_string();
        let products = match self.execute_with(&mut log)? {
            Outcome::Finished { products, .. } => {
                log.finish();
                products
            }
            Outcome::Interrupted { .. } => return Err(ExperimentError::Interrupted),
        };
        if let Some(tokenizer) = tokenizer {
            let snapshots = snapshots.iter().map(|&epoch| snapshot(folder, epoch));
            for place in snapshots.chain([folder.join("final")]) {
                tokenizer.save_folder(&place, length)?;
            }
        }
        let summary = TrainingSummary::of_metrics(folder, select_by)?;
        files::write_json(&folder.join(TrainingSummary::FILE), &summary)?;
        Ok(match products.starts_with(&precision) {
            true => products,
            false => format!("{precision}, {products}"),
        })
    }

    /// The same with a listener of the caller's own, without metrics and tokenizer.
    ///
    /// # Errors
    /// When training fails.
    pub fn execute_with(self, listener: &mut dyn Listener) -> Result<Outcome> {
        let run = Run {
            folder: self.folder,
            settings: self.settings,
            seed: self.seed,
            model: self.model,
            distill: self.distill,
            training: self.tokens,
            validation: self.validation,
            mask_token: self.mask_token,
            hidden_tokens: self.hidden_tokens,
            inputs_fingerprint: self.inputs_fingerprint,
        };
        Ok(run.execute(listener)?)
    }
}
