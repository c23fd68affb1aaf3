//! Weights that a training keeps for good: after epochs, as teachers, and where the BabyLM
//! challenge asks for checkpoints.

use std::path::{Path, PathBuf};

use model::hugging_face;

use super::TrainingLoop;
use crate::error::TrainError;
use crate::phases::Phases;
use crate::settings::{self, TrainSettings, checkpoint_name};

/// Refuses snapshots of epochs that do not end.
pub(super) fn check_snapshots(settings: &TrainSettings, phases: &Phases) -> Result<(), TrainError> {
    for (index, &epoch) in settings.snapshots.iter().enumerate() {
        let is_it = |done: u64| phases.of(done - 1).epoch(done) == epoch as f64;
        settings::require_epoch_end(phases.epoch_ends().any(is_it), index, epoch)?;
    }
    Ok(())
}

/// The folder of the weights that are kept for good, in the folder of a run.
pub const SNAPSHOTS: &str = "snapshots";

/// Where a run in a folder keeps the weights after an epoch.
pub fn snapshot(folder: &Path, epoch: u64) -> PathBuf {
    folder.join(SNAPSHOTS).join(format!("epoch-{epoch}"))
}

impl TrainingLoop<'_> {
    /// Keeps the weights, if the settings have a snapshot of this epoch.
    pub(super) fn keep_snapshot(&mut self) -> Result<(), TrainError> {
        let epoch = self.epoch();
        match self.settings.snapshots.iter().find(|&&wanted| wanted as f64 == epoch) {
            None => Ok(()),
            Some(&epoch) => {
                let place = snapshot(&self.folder, epoch);
                Ok(hugging_face::save(&self.state.trainer.model, &place)?)
            }
        }
    }

    /// Keeps the weights where the words seen have reached a checkpoint of the challenge.
    pub(super) fn keep_challenge_checkpoints(&mut self) -> Result<(), TrainError> {
        let Some((track, words)) = self.settings.challenge_checkpoints.zip(self.words) else {
            return Ok(());
        };
        let words_per_token = words as f64 / self.training.len().max(1) as f64;
        let seen = |steps: u64| self.state.phases.tokens(steps) as f64 * words_per_token;
        let step = self.progress.step;
        let is_end = step == self.total_steps;
        for millions in track.reached(seen(step.saturating_sub(1)), seen(step), is_end) {
            let place = self.folder.join(SNAPSHOTS).join(checkpoint_name(millions));
            hugging_face::save(&self.state.trainer.model, &place)?;
        }
        Ok(())
    }
}
