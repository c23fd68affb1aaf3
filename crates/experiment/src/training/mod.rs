//! Training one model: the one place where a training run is assembled from its parts.

pub mod single;

use std::path::{Path, PathBuf};

use corpus::Tokenizer;
use corpus::tokenizer::Role;
use report::format::short;
use train::run::{SNAPSHOTS, snapshot};
use train::settings::ChallengeTrack;
use train::{Outcome, TrainSettings, TrainingRun, best};

use crate::error::{ExperimentError, Result};
use crate::files;
use crate::observer::Observer;
use crate::tokenizers::hidden_tokens;
use crate::training_log::{TrainingLog, TrainingSummary};

/// One model's training with what an experiment adds to it: metrics, a summary, and the tokenizer
/// beside the weights.
pub struct Training<'a> {
    name: &'a str,
    tokenizer: Option<&'a Tokenizer>,
    run: TrainingRun<'a>,
}

/// The token that stands for hidden ones in training: the tokenizer's mask token, or where it has
/// none, the one that begins a text, which no training text has.
fn mask_token(tokenizer: &Tokenizer) -> Option<u32> {
    tokenizer.role_id(Role::Mask).or(tokenizer.role_id(Role::Begin))
}

impl<'a> Training<'a> {
    /// A training with the name that it has in events, and the tokenizer that goes into the folders
    /// `final` and `best`, where there are such, and into those of snapshots. What the run has as
    /// tokens for hidden ones is replaced by those of the tokenizer.
    pub fn new(name: &'a str, tokenizer: Option<&'a Tokenizer>, mut run: TrainingRun<'a>) -> Self {
        let family = run.model.config().architecture;
        run.mask_token = tokenizer.and_then(mask_token);
        run.hidden_tokens = tokenizer.and_then(|of| hidden_tokens(of, family).ok());
        Self { name, tokenizer, run }
    }

    /// Trains to the end, or goes on after the last checkpoint. Returns the precision and what
    /// computed the products, such as `f32, AVX-512`.
    ///
    /// # Errors
    /// When training fails, and [`ExperimentError::Interrupted`] when the observer asked to stop.
    pub fn execute(self, observer: &dyn Observer) -> Result<String> {
        let Self { name, tokenizer, run } = self;
        let (folder, settings) = (run.folder, run.settings);
        let length = settings.sequence_length;
        if let Some(tokenizer) = tokenizer.filter(|_| run.validation.is_some()) {
            // Until the end, the best weights so far are what commands take out of a run.
            best::add(folder, |place| -> Result<()> { Ok(tokenizer.save_folder(place, length)?) })?;
        }
        let words_per_token =
            run.words.map(|words| words as f64 / run.training.len().max(1) as f64);
        let mut log = TrainingLog::new(name, folder, observer);
        let precision = run.model.device().arithmetic().to_string();
        let products = match run.execute(&mut log)? {
            Outcome::Finished { products, .. } => {
                log.finish();
                products
            }
            Outcome::Interrupted { .. } => return Err(ExperimentError::Interrupted),
        };
        if let Some(tokenizer) = tokenizer {
            for place in kept(folder, settings)?.into_iter().chain([folder.join("final")]) {
                tokenizer.save_folder(&place, length)?;
            }
        }
        let summary = TrainingSummary::of_metrics(folder, settings.select_by)?;
        files::write_json(&folder.join(TrainingSummary::FILE), &summary)?;
        if let Some((track, per_token)) = settings.challenge_checkpoints.zip(words_per_token) {
            let seen = short(summary.tokens as f64 * per_token);
            let reached = match reached(folder, track).pop() {
                Some(last) => format!("the last checkpoint of the challenge is {last}"),
                None => "no checkpoint of the challenge is reached".to_owned(),
            };
            observer.note(format_args!("{name}: {reached}; the model has seen {seen} words"));
        }
        Ok(match products.starts_with(&precision) {
            true => products,
            false => format!("{precision}, {products}"),
        })
    }
}

/// The folders of weights that a training has kept beside its last.
fn kept(folder: &Path, settings: &TrainSettings) -> Result<Vec<PathBuf>> {
    let of_epochs = settings.snapshots.iter().map(|&epoch| snapshot(folder, epoch));
    let mut all: Vec<PathBuf> = of_epochs.collect();
    if let Some(track) = settings.challenge_checkpoints {
        let snapshots = folder.join(SNAPSHOTS);
        // It is an output of the training also where the text ends before the first checkpoint.
        files::make_folder(&snapshots)?;
        all.extend(reached(folder, track).iter().map(|name| snapshots.join(name)));
    }
    Ok(all)
}

/// The names of the challenge's checkpoints that a training has kept, in the order of the track.
fn reached(folder: &Path, track: ChallengeTrack) -> Vec<String> {
    let mut names = track.checkpoints();
    names.retain(|name| folder.join(SNAPSHOTS).join(name).is_dir());
    names
}
