//! The state of a training between two steps: everything that changes from step to step, which is
//! what a checkpoint holds.

use engine::Tensor;

use crate::average::WeightAverage;
use crate::checkpoint::Resumable;
use crate::phases::{Phase, Phases};
use crate::step::Trainer;

/// Model, optimizer and average, with the phases that they go through.
pub struct TrainingState {
    /// The model with its optimizer.
    pub trainer: Trainer,
    /// The training's phases.
    pub phases: Phases,
    average: Option<WeightAverage>,
    /// The place of the phase that the trainer is set to.
    phase: usize,
}

impl TrainingState {
    /// The state before the first step. The trainer must be set to the first phase.
    pub fn new(trainer: Trainer, phases: Phases) -> Self {
        let average = WeightAverage::new(&trainer.model, &phases);
        Self { trainer, phases, average, phase: 0 }
    }

    /// Sets the trainer to the phase of the step after `done` finished ones. Where that is another
    /// than before, returns it with the number of parameters whose optimizer begins anew.
    pub fn enter(&mut self, done: u64) -> Option<(&Phase, usize)> {
        let place = self.phases.place(done);
        if place == self.phase {
            return None;
        }
        self.phase = place;
        let phase = &self.phases.all()[place];
        let begins_anew = self.trainer.enter_phase(&phase.settings, phase.optimizer_steps);
        Some((phase, begins_anew))
    }

    /// Adds the weights after `done` steps to the average, where there is one.
    pub fn add_to_average(&mut self, done: u64) {
        if let Some(average) = &mut self.average {
            average.add(&self.trainer.model, &self.phases, done);
        }
    }

    /// Whether there is an average that has begun by the time that `done` steps are done.
    pub fn has_average(&self, done: u64) -> bool {
        self.average.as_ref().is_some_and(|average| average.has_begun(&self.phases, done))
    }

    /// Exchanges the weights of the model with their average, if there is one.
    pub fn swap_average(&mut self) {
        if let Some(average) = &mut self.average {
            let weights = self.trainer.model.parameters_mut().values_mut();
            std::mem::swap(weights, average.values_mut());
        }
    }
}

impl Resumable for TrainingState {
    fn prepare(&mut self, step: u64) {
        // A checkpoint at the end of a phase has the optimizer of that phase, which may have begun
        // in any phase up to it.
        self.phase = self.phases.place(step.saturating_sub(1));
        for phase in &self.phases.all()[..=self.phase] {
            self.trainer.enter_phase(&phase.settings, phase.optimizer_steps);
        }
    }

    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        let parameters = ("parameters", self.trainer.model.parameters().values());
        let average = self.average.iter().map(|of| (WeightAverage::STATE, of.values()));
        std::iter::once(parameters).chain(self.trainer.optimizer.state()).chain(average).collect()
    }

    fn tensors_mut(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        let parameters = ("parameters", self.trainer.model.parameters_mut().values_mut());
        let average = self.average.iter_mut().map(|of| (WeightAverage::STATE, of.values_mut()));
        let optimizer = self.trainer.optimizer.state_mut();
        std::iter::once(parameters).chain(optimizer).chain(average).collect()
    }
}
