//! The optimizers of one model with their state, and the clipping of gradients.

use engine::{Parameters, Tensor};

use super::groups::{Assigned, assign};
use super::{GroupUpdate, OptimizerSettings};

/// Optimizers over the parameter groups of one model, with their state tensors.
pub struct GroupedOptimizer {
    /// Flat vectors over all parameters, by name.
    state: Vec<(&'static str, Tensor)>,
    groups: Vec<Assigned>,
    max_grad_norm: f64,
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
        Self { state, groups, max_grad_norm: settings.max_grad_norm }
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
        for Assigned { rule, segments, ranges } in &self.groups {
            let update = GroupUpdate {
                segments,
                ranges,
                step,
                learning_rate: learning_rate * rule.learning_rate_factor,
                weight_decay: rule.weight_decay,
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

    /// `tools/golden/schedules.py`: `torch.optim.AdamW` itself, and the formula of
    /// `transformers.AdamW` in double precision.
    #[test]
    fn both_variants_match_the_fixtures() {
        let text = include_str!("../../tests/fixtures/optimizers.json");
        let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
        let numbers = |value: &serde_json::Value| -> Vec<f32> {
            serde_json::from_value(value.clone()).unwrap()
        };
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        for name in ["adamw", "adamw_hf"] {
            let mut layout = Layout::default();
            layout.add("weight", 1, 12, Role::Matrix);
            let mut parameters = Parameters::zeros(&device, Arc::new(layout.clone()));
            device.write(parameters.values_mut().view_mut(), &numbers(&fixture["start"]));
            let settings = TrainSettings {
                optimizer: OptimizerKind::named(name).unwrap(),
                weight_decay: fixture["weight_decay"].as_f64().unwrap(),
                max_grad_norm: 0.0,
                ..TrainSettings::default()
            };
            let mut optimizer = GroupedOptimizer::new(&parameters, &settings);
            for (index, rate) in numbers(&fixture["learning_rates"]).iter().enumerate() {
                let mut gradients = Parameters::zeros(&device, Arc::new(layout.clone()));
                device.write(
                    gradients.values_mut().view_mut(),
                    &numbers(&fixture["gradients"][index]),
                );
                optimizer.update(&mut parameters, &gradients, index as u64 + 1, *rate as f64, 1.0);
                let expected = numbers(&fixture[name]["parameters"][index]);
                for (found, expected) in parameters.values().to_vec().iter().zip(&expected) {
                    assert!(
                        (found - expected).abs() < 2e-6,
                        "{name}, step {index}: {found} instead of {expected}"
                    );
                }
            }
        }
    }
}
