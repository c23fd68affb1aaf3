//! The optimizer: clipping and AdamW over the flat vectors.

use std::ops::Range;

use engine::ops::optimizer::{AdamwStep, AdamwVariant};
use engine::{Parameters, Role, Tensor};

use crate::settings::{OptimizerKind, TrainSettings};

/// AdamW's state and rules for one model.
pub struct Optimizer {
    pub(crate) first_moment: Tensor,
    pub(crate) second_moment: Tensor,
    /// Ranges of the flat vector, and whether they are decayed.
    groups: Vec<(Range<usize>, bool)>,
    template: AdamwStep,
    max_grad_norm: f64,
}

impl Optimizer {
    pub fn new(parameters: &Parameters, settings: &TrainSettings) -> Self {
        let (device, length) = (parameters.device(), parameters.layout().length());
        let template = AdamwStep {
            step: 0,
            learning_rate: 0.0,
            beta1: settings.adam_beta1,
            beta2: settings.adam_beta2,
            epsilon: settings.adam_epsilon,
            weight_decay: settings.weight_decay,
            gradient_scale: 1.0,
            variant: match settings.optimizer {
                OptimizerKind::Adamw => AdamwVariant::Torch,
                OptimizerKind::AdamwHf => AdamwVariant::Transformers,
            },
        };
        Self {
            first_moment: Tensor::zeros(device, 1, length),
            second_moment: Tensor::zeros(device, 1, length),
            groups: groups(parameters, settings.decay_norms),
            template,
            max_grad_norm: settings.max_grad_norm,
        }
    }

    /// The l2 norm of the whole gradient.
    pub fn gradient_norm(&self, gradients: &Parameters) -> f64 {
        gradients.device().sum_of_squares(gradients.values()).sqrt()
    }

    /// Update number `step` (1 for the first) with a gradient of the given norm, clipped as torch's `clip_grad_norm_`.
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Parameters,
        step: u64,
        learning_rate: f64,
        gradient_norm: f64,
    ) {
        let clips = self.max_grad_norm > 0.0;
        let gradient_scale = if clips { (self.max_grad_norm / (gradient_norm + 1e-6)).min(1.0) } else { 1.0 };
        let device = parameters.device().clone();
        for (range, decayed) in &self.groups {
            let weight_decay = if *decayed { self.template.weight_decay } else { 0.0 };
            let step = AdamwStep { step, learning_rate, gradient_scale, weight_decay, ..self.template };
            let (m, v) = (&mut self.first_moment, &mut self.second_moment);
            device.adamw(parameters.values_mut(), gradients.values(), m, v, range.clone(), step);
        }
    }
}

/// Neighbouring segments with the same rule as one range. Biases are never decayed, gains only when asked.
fn groups(parameters: &Parameters, decay_norms: bool) -> Vec<(Range<usize>, bool)> {
    let mut groups: Vec<(Range<usize>, bool)> = Vec::new();
    for named in parameters.layout().segments() {
        let decayed = match named.role {
            Role::Weight => true,
            Role::NormGain => decay_norms,
            Role::Bias => false,
        };
        let end = named.segment.offset + named.segment.length();
        match groups.last_mut() {
            Some((range, same)) if *same == decayed => range.end = end,
            _ => groups.push((named.segment.offset..end, decayed)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::cpu::Cpu;
    use engine::{Device, Layout};

    use super::*;

    fn parameters() -> Parameters {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let mut layout = Layout::default();
        layout.add("weight", 2, 2, Role::Weight);
        layout.add("gain", 1, 2, Role::NormGain);
        layout.add("bias", 1, 2, Role::Bias);
        layout.add("other", 1, 3, Role::Weight);
        Parameters::zeros(&device, Arc::new(layout))
    }

    #[test]
    fn decay_reaches_weights_and_gains_only_when_asked() {
        let parameters = parameters();
        assert_eq!(groups(&parameters, false), [(0..4, true), (4..8, false), (8..11, true)]);
        assert_eq!(groups(&parameters, true), [(0..6, true), (6..8, false), (8..11, true)]);
    }

    #[test]
    fn the_first_step_of_a_warmup_moves_nothing_but_the_moments() {
        let mut values = parameters();
        let mut gradients = parameters();
        let device = values.device().clone();
        device.fill(gradients.values_mut().view_mut(), 2.0);
        let mut optimizer = Optimizer::new(&values, &TrainSettings::default());
        let norm = optimizer.gradient_norm(&gradients);
        assert!((norm - 44f64.sqrt()).abs() < 1e-9);
        optimizer.update(&mut values, &gradients, 1, 0.0, norm);
        assert_eq!(values.values().to_vec(), [0.0; 11]);
        let clipped = 2.0 / (norm + 1e-6);
        assert!(optimizer.first_moment.to_vec().iter().all(|m| (*m as f64 - 0.1 * clipped).abs() < 1e-7));
    }

    /// `tools/golden/schedules.py`: `torch.optim.AdamW` itself, and the formula of `transformers.AdamW` in double precision.
    #[test]
    fn both_variants_match_the_fixtures() {
        let text = include_str!("../tests/fixtures/optimizers.json");
        let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
        let numbers = |value: &serde_json::Value| -> Vec<f32> { serde_json::from_value(value.clone()).unwrap() };
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        for (kind, name) in [(OptimizerKind::Adamw, "adamw"), (OptimizerKind::AdamwHf, "adamw_hf")] {
            let mut layout = Layout::default();
            layout.add("weight", 1, 12, Role::Weight);
            let mut parameters = Parameters::zeros(&device, Arc::new(layout.clone()));
            device.write(parameters.values_mut().view_mut(), &numbers(&fixture["start"]));
            let settings = TrainSettings {
                optimizer: kind,
                weight_decay: fixture["weight_decay"].as_f64().unwrap(),
                max_grad_norm: 0.0,
                ..TrainSettings::default()
            };
            let mut optimizer = Optimizer::new(&parameters, &settings);
            for (index, rate) in numbers(&fixture["learning_rates"]).iter().enumerate() {
                let mut gradients = Parameters::zeros(&device, Arc::new(layout.clone()));
                device.write(gradients.values_mut().view_mut(), &numbers(&fixture["gradients"][index]));
                optimizer.update(&mut parameters, &gradients, index as u64 + 1, *rate as f64, 1.0);
                let expected = numbers(&fixture[name]["parameters"][index]);
                for (found, expected) in parameters.values().to_vec().iter().zip(&expected) {
                    assert!((found - expected).abs() < 2e-6, "{name}, step {index}: {found} instead of {expected}");
                }
            }
        }
    }
}
