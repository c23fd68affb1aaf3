//! The optimizers of one model with their state, and the clipping of gradients.

use engine::{Layout, Parameters, Tensor};

use super::groups::{Assigned, assign};
use super::{GroupUpdate, OptimizerSettings};
use crate::settings::DecaySchedule;

/// Optimizers over the parameter groups of one model, with their state tensors.
pub struct GroupedOptimizer {
    /// Flat vectors over all parameters, by name.
    state: Vec<(&'static str, Tensor)>,
    groups: Vec<Assigned>,
    max_grad_norm: f64,
    cautious_decay: bool,
    decay_schedule: DecaySchedule,
    highest_learning_rate: f64,
}

impl GroupedOptimizer {
    /// Optimizers with a state of zero.
    pub fn new(parameters: &Parameters, settings: impl Into<OptimizerSettings>) -> Self {
        let settings = settings.into();
        let (device, length) = (parameters.device(), parameters.layout().length());
        let groups = assign(parameters.layout(), &settings);
        let mut state: Vec<(&'static str, Tensor)> = Vec::new();
        for name in groups.iter().flat_map(|group| group.rule.optimizer.state()) {
            if !state.iter().any(|(known, _)| known == name) {
                state.push((name, Tensor::zeros(device, 1, length)));
            }
        }
        let OptimizerSettings { max_grad_norm, cautious_decay, .. } = settings;
        let OptimizerSettings { decay_schedule, highest_learning_rate, .. } = settings;
        Self { state, groups, max_grad_norm, cautious_decay, decay_schedule, highest_learning_rate }
    }

    /// Goes on with other settings of the same optimizers, which keep their state.
    pub fn set_groups(&mut self, layout: &Layout, settings: impl Into<OptimizerSettings>) {
        let settings = settings.into();
        self.groups = assign(layout, &settings);
        self.max_grad_norm = settings.max_grad_norm;
        self.cautious_decay = settings.cautious_decay;
        self.decay_schedule = settings.decay_schedule;
        self.highest_learning_rate = settings.highest_learning_rate;
    }

    /// The state tensors with their names.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        self.state.iter().map(|(name, tensor)| (*name, tensor))
    }

    /// The state tensors with their names, to be restored.
    pub fn state_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Tensor)> {
        self.state.iter_mut().map(|(name, tensor)| (*name, tensor))
    }

    /// The l2 norm of the whole gradient.
    pub fn gradient_norm(&self, gradients: &Parameters) -> f64 {
        gradients.device().sum_of_squares(gradients.values()).sqrt()
    }

    /// Update number `step` (1 for the first) with a gradient of the given norm, clipped as torch's
    /// `clip_grad_norm_`.
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Parameters,
        step: u64,
        learning_rate: f64,
        gradient_norm: f64,
    ) {
        let clips = self.max_grad_norm > 0.0;
        let gradient_scale =
            if clips { (self.max_grad_norm / (gradient_norm + 1e-6)).min(1.0) } else { 1.0 };
        let decay = self.decay_schedule.factor(learning_rate, self.highest_learning_rate);
        for Assigned { rule, segments, ranges } in &self.groups {
            let update = GroupUpdate {
                segments,
                ranges,
                step,
                learning_rate: learning_rate * rule.learning_rate_factor,
                weight_decay: rule.weight_decay * decay,
                cautious_decay: self.cautious_decay,
                gradient_scale,
                hyperparameters: &rule.hyperparameters,
            };
            let mut state = tensors(&mut self.state, rule.optimizer.state());
            rule.optimizer.update(&update, parameters, gradients, &mut state);
        }
    }
}

/// The tensors of some names, in the order of the names.
fn tensors<'a>(
    state: &'a mut [(&'static str, Tensor)],
    names: &[&'static str],
) -> Vec<&'a mut Tensor> {
    let mut found: Vec<(usize, &mut Tensor)> = state
        .iter_mut()
        .filter_map(|(name, tensor)| Some((names.iter().position(|n| n == name)?, tensor)))
        .collect();
    found.sort_unstable_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, tensor)| tensor).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::cpu::Cpu;
    use engine::{Device, Role};

    use super::*;
    use crate::settings::TrainSettings;

    fn parameters() -> Parameters {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let mut layout = Layout::default();
        layout.add("weight", 2, 2, Role::Matrix);
        layout.add("gain", 1, 2, Role::NormGain);
        layout.add("bias", 1, 2, Role::Bias);
        layout.add("other", 1, 3, Role::Matrix);
        Parameters::zeros(&device, Arc::new(layout))
    }

    #[test]
    fn the_first_step_of_a_warmup_moves_nothing_but_the_moments() {
        let mut values = parameters();
        let mut gradients = parameters();
        let device = values.device().clone();
        device.fill(gradients.values_mut().view_mut(), 2.0);
        let mut optimizer = GroupedOptimizer::new(&values, &TrainSettings::default());
        let norm = optimizer.gradient_norm(&gradients);
        assert!((norm - 44f64.sqrt()).abs() < 1e-9);
        optimizer.update(&mut values, &gradients, 1, 0.0, norm);
        assert_eq!(values.values().to_vec(), [0.0; 11]);
        let clipped = 2.0 / (norm + 1e-6);
        let (name, first_moment) = optimizer.state().next().unwrap();
        assert_eq!(name, "first_moment");
        assert!(first_moment.to_vec().iter().all(|m| (*m as f64 - 0.1 * clipped).abs() < 1e-7));
    }
}
