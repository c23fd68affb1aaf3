//! Averages of the weights along a training.

use engine::Tensor;
use model::Model;

use crate::phases::Phases;
use crate::settings::{AverageKind, AverageSettings};

/// The averages of a training, of which there is one at a time.
pub struct WeightAverage {
    spans: Vec<Span>,
    /// A flat vector over all parameters; all 0 as long as nothing was added.
    values: Tensor,
}

/// Neighbouring phases with the same average, which begins anew with the first of them.
struct Span {
    settings: AverageSettings,
    /// Steps of the training before it.
    start: u64,
    /// Steps of the training up to its end.
    end: u64,
    /// Of the training, the last step before the epochs that are averaged.
    begins_after: u64,
}

impl WeightAverage {
    /// The name of its vector in checkpoints.
    pub const STATE: &str = "average";

    /// The averages of some phases before anything was added; none where no phase has one.
    pub fn new(model: &Model, phases: &Phases) -> Option<Self> {
        let mut spans: Vec<Span> = Vec::new();
        for phase in phases.all() {
            let Some(settings) = phase.settings.average else { continue };
            match spans.last_mut() {
                Some(last) if last.end == phase.first_step && last.settings == settings => {
                    last.end = phase.end();
                }
                _ => {
                    let (start, end) = (phase.first_step, phase.end());
                    spans.push(Span { settings, start, end, begins_after: start });
                }
            }
        }
        for span in spans.iter_mut().filter(|of| of.settings.kind == AverageKind::LastEpochs) {
            let epochs = usize::try_from(span.settings.epochs).unwrap_or(usize::MAX);
            let ends = phases.epoch_ends().filter(|&end| end > span.start && end <= span.end);
            span.begins_after = ends.rev().take(epochs).last().map_or(span.start, |end| end - 1);
        }
        let length = model.parameters().layout().length();
        let values = || Tensor::zeros(model.device(), 1, length);
        (!spans.is_empty()).then(|| Self { values: values(), spans })
    }

    /// The average as a flat vector, as a checkpoint stores it.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// The average as a flat vector, to be restored.
    pub fn values_mut(&mut self) -> &mut Tensor {
        &mut self.values
    }

    /// Whether there is an average to which something was added by the time that `done` steps are
    /// done.
    pub fn has_begun(&self, phases: &Phases, done: u64) -> bool {
        self.span(done).is_some_and(|span| span.count(phases, done) > 0)
    }

    /// Adds the weights after `done` steps, if they are among those that are averaged.
    pub fn add(&mut self, model: &Model, phases: &Phases, done: u64) {
        let Some(span) = self.span(done) else { return };
        let by_step = span.settings.kind == AverageKind::EmaSteps;
        if !by_step && !phases.is_epoch_end(done) || done <= span.begins_after {
            return;
        }
        let share = match (span.count(phases, done), span.settings.kind) {
            (1, _) => 1.0,
            (_, AverageKind::EmaSteps | AverageKind::EmaEpochs) => 1.0 - span.settings.decay,
            (count, AverageKind::LastEpochs) => 1.0 / count as f64,
        };
        model.device().blend(model.parameters().values(), share as f32, &mut self.values);
    }

    /// The average that the weights after `done` steps may be part of.
    fn span(&self, done: u64) -> Option<&Span> {
        self.spans.iter().find(|span| span.start < done && done <= span.end)
    }
}

impl Span {
    /// How many weights were added by the time that `done` steps are done.
    fn count(&self, phases: &Phases, done: u64) -> u64 {
        match self.settings.kind {
            AverageKind::EmaSteps => done - self.start,
            AverageKind::EmaEpochs | AverageKind::LastEpochs => {
                let ends = phases.epoch_ends().take_while(|&end| end <= done);
                ends.filter(|&end| end > self.begins_after).count() as u64
            }
        }
    }
}
