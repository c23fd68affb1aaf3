//! Averages of the weights along a training.

use engine::Tensor;
use model::Model;

use crate::phases::Phases;
use crate::settings::{AverageKind, AverageSettings};

/// The average so far.
pub struct WeightAverage {
    settings: AverageSettings,
    /// A flat vector over all parameters; all 0 as long as nothing was added.
    values: Tensor,
    /// Of the training, the last step before the epochs that are averaged.
    begins_after: u64,
}

impl WeightAverage {
    /// The name of its vector in checkpoints.
    pub const STATE: &str = "average";

    /// An average to which nothing was added.
    pub fn new(settings: AverageSettings, model: &Model, phases: &Phases) -> Self {
        let length = model.parameters().layout().length();
        let values = Tensor::zeros(model.device(), 1, length);
        let begins_after = match settings.kind {
            AverageKind::EmaSteps | AverageKind::EmaEpochs => 0,
            AverageKind::LastEpochs => {
                let epochs = usize::try_from(settings.epochs).unwrap_or(usize::MAX);
                let first = phases.epoch_ends().rev().take(epochs).last();
                first.map_or(0, |end| end - 1)
            }
        };
        Self { settings, values, begins_after }
    }

    /// Its vector, as a checkpoint stores it.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// Its vector, to be restored.
    pub fn values_mut(&mut self) -> &mut Tensor {
        &mut self.values
    }

    /// Whether anything was added by the time that `done` steps are done.
    pub fn has_begun(&self, phases: &Phases, done: u64) -> bool {
        self.count(phases, done) > 0
    }

    /// Adds the weights after `done` steps, if they are among those that are averaged.
    pub fn add(&mut self, model: &Model, phases: &Phases, done: u64) {
        let by_step = self.settings.kind == AverageKind::EmaSteps;
        if !by_step && !phases.is_epoch_end(done) || done <= self.begins_after {
            return;
        }
        let share = match (self.count(phases, done), self.settings.kind) {
            (1, _) => 1.0,
            (_, AverageKind::EmaSteps | AverageKind::EmaEpochs) => 1.0 - self.settings.decay,
            (count, AverageKind::LastEpochs) => 1.0 / count as f64,
        };
        model.device().blend(model.parameters().values(), share as f32, &mut self.values);
    }

    /// How many weights were added by the time that `done` steps are done.
    fn count(&self, phases: &Phases, done: u64) -> u64 {
        match self.settings.kind {
            AverageKind::EmaSteps => done,
            AverageKind::EmaEpochs | AverageKind::LastEpochs => {
                let ends = phases.epoch_ends().take_while(|&end| end <= done);
                ends.filter(|&end| end > self.begins_after).count() as u64
            }
        }
    }
}
