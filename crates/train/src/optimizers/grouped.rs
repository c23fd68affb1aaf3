//! The optimizers of one model with their state, and the clipping of gradients.

use engine::{Parameters, Tensor, ViewMut};

use super::groups::{Assigned, assign, assign_after};
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
        let groups = assign(parameters.layout(), &settings);
        let OptimizerSettings { max_grad_norm, cautious_decay, .. } = settings;
        let OptimizerSettings { decay_schedule, highest_learning_rate, .. } = settings;
        let state = Vec::new();
        let mut optimizer = Self {
            state,
            groups,
            max_grad_norm,
            cautious_decay,
            decay_schedule,
            highest_learning_rate,
        };
        optimizer.fit_state(parameters);
        optimizer
    }

    /// Goes on with other settings after `updates` updates. An optimizer keeps its state of the
    /// parameters that it has updated; those that another optimizer updated, or the same with
    /// other numbers, begin with a state of zero and step 1. Returns how many parameters those
    /// are.
    pub fn go_on(
        &mut self,
        parameters: &Parameters,
        settings: impl Into<OptimizerSettings>,
        updates: u64,
    ) -> usize {
        let settings = settings.into();
        self.groups = assign_after(parameters.layout(), &settings, &self.groups, updates);
        self.max_grad_norm = settings.max_grad_norm;
        self.cautious_decay = settings.cautious_decay;
        self.decay_schedule = settings.decay_schedule;
        self.highest_learning_rate = settings.highest_learning_rate;
        self.fit_state(parameters);
        let new = self.groups.iter().filter(|group| group.begun_after == updates);
        let ranges: Vec<_> = new.flat_map(|group| group.ranges.clone()).collect();
        for (_, tensor) in &mut self.state {
            for range in &ranges {
                let part = ViewMut::block(tensor, range.start, 1, range.len());
                parameters.device().fill(part, 0.0);
            }
        }
        ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Keeps the state tensors that the optimizers use, and adds those that are not there.
    fn fit_state(&mut self, parameters: &Parameters) {
        let names = self.groups.iter().flat_map(|group| group.rule.optimizer.state());
        let names: Vec<&'static str> = names.copied().collect();
        self.state.retain(|(name, _)| names.contains(name));
        for name in names {
            if !self.state.iter().any(|(known, _)| *known == name) {
                let length = parameters.layout().length();
                self.state.push((name, Tensor::zeros(parameters.device(), 1, length)));
            }
        }
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

    /// Update number `step` (1 for the first since [`new`](Self::new)) with a gradient of the given
    /// norm, clipped as torch's `clip_grad_norm_`.
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
        for Assigned { rule, begun_after, segments, ranges } in &self.groups {
            let update = GroupUpdate {
                segments,
                ranges,
                step: step - begun_after,
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
    use engine::{Device, Layout, Role};

    use super::*;
    use crate::optimizers::OptimizerKind;
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

    fn copy(of: &Parameters) -> Parameters {
        let mut copy = parameters();
        *copy.values_mut() = of.values().clone();
        copy
    }

    #[test]
    fn another_optimizer_begins_anew_and_the_same_goes_on() {
        let settings = |optimizer: &str| TrainSettings {
            optimizer: OptimizerKind::named(optimizer).unwrap(),
            ..TrainSettings::default()
        };
        let (mut values, mut gradients) = (parameters(), parameters());
        let device = values.device().clone();
        let all: Vec<f32> = (0..11).map(|at| 1.0 + at as f32).collect();
        device.write(gradients.values_mut().view_mut(), &all);
        for (before, after, anew) in [
            ("muon", "adamw", 7),
            ("normuon", "muon", 7),
            ("lion", "adamw", 11),
            ("lion", "lion", 0),
        ] {
            let mut optimizer = GroupedOptimizer::new(&values, &settings(before));
            let mut plain = GroupedOptimizer::new(&values, &settings("adamw"));
            for step in 1..=3 {
                optimizer.update(&mut values, &gradients, step, 0.01, 1.0);
                plain.update(&mut parameters(), &gradients, step, 0.01, 1.0);
            }
            let found = optimizer.go_on(&values, &settings(after), 3);
            assert_eq!(found, anew, "{before} {after}");
            // The same updates as those of an optimizer that has just begun, and for the gains and
            // biases that have AdamW before and after, as those of one that goes on.
            let mut fresh = GroupedOptimizer::new(&values, &settings(after));
            let [mut found, mut expected, mut on] = [0; 3].map(|_| copy(&values));
            optimizer.update(&mut found, &gradients, 4, 0.01, 1.0);
            fresh.update(&mut expected, &gradients, 1, 0.01, 1.0);
            plain.update(&mut on, &gradients, 4, 0.01, 1.0);
            let [found, expected, on] = [found, expected, on].map(|of| of.values().to_vec());
            match anew {
                11 => assert_eq!(found, expected),
                7 => {
                    assert_eq!((&found[..4], &found[8..]), (&expected[..4], &expected[8..]));
                    assert_eq!(found[4..8], on[4..8]);
                }
                _ => {}
            }
            let names: Vec<&str> = optimizer.state().map(|(name, _)| name).collect();
            let kept: Vec<&str> = fresh.state().map(|(name, _)| name).collect();
            assert_eq!(names, kept);
        }
    }

    #[test]
    fn numbers_of_an_optimizer_are_part_of_it() {
        let values = parameters();
        let other = TrainSettings { adam_beta2: 0.98, ..TrainSettings::default() };
        let mut optimizer = GroupedOptimizer::new(&values, &other);
        assert_eq!(optimizer.go_on(&values, &TrainSettings::default(), 5), 11);
        let decay = TrainSettings { weight_decay: 0.5, max_grad_norm: 0.0, ..Default::default() };
        assert_eq!(optimizer.go_on(&values, &decay, 7), 0);
    }
}
