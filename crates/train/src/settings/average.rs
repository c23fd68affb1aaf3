//! Settings of averaged weights.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{SettingError, require, rules};

/// An average of the weights along the training. It is evaluated beside the last weights, and
/// becomes the model where its held-out loss is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct AverageSettings {
    /// What is averaged.
    pub kind: AverageKind,
    /// Share of the average so far in `ema_steps` and `ema_epochs`; the new weights have the rest.
    #[serde(default = "AverageSettings::default_decay")]
    pub decay: f64,
    /// Epochs at the end of the training of which `last_epochs` is the mean.
    #[serde(default = "AverageSettings::default_epochs")]
    pub epochs: u64,
}

/// What is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AverageKind {
    /// Exponential moving average of the weights after every step.
    EmaSteps,
    /// Exponential moving average of the weights after every epoch.
    EmaEpochs,
    /// Mean of the weights after each of the last epochs.
    LastEpochs,
}

impl AverageSettings {
    /// An average of a kind with the defaults.
    pub fn new(kind: AverageKind) -> Self {
        Self { kind, decay: Self::default_decay(), epochs: Self::default_epochs() }
    }

    fn default_decay() -> f64 {
        0.999
    }

    fn default_epochs() -> u64 {
        3
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        rules::decay("average.decay", self.decay)?;
        let rule = "it must be between 1 and a million";
        require((1..=1_000_000).contains(&self.epochs), "average.epochs", &self.epochs, rule)
    }
}
