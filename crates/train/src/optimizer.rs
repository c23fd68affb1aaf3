//! The optimizer: clipping and AdamW over the flat vectors.

use std::ops::Range;

use engine::ops::optimizer::{AdamwStep, AdamwVariant};
use engine::{Parameters, Role, Tensor};

use crate::error::TrainError;
use crate::settings::{OptimizerKind, TrainSettings, require};

/// What AdamW is told, by whatever settings it is part of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerSettings {
    pub kind: OptimizerKind,
    pub weight_decay: f64,
    /// Whether normalisation gains are decayed too.
    pub decay_norms: bool,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Global gradient norm above which gradients are scaled down; 0 turns clipping off.
    pub max_grad_norm: f64,
}

impl From<&TrainSettings> for OptimizerSettings {
    fn from(settings: &TrainSettings) -> Self {
        Self {
            kind: settings.optimizer,
            weight_decay: settings.weight_decay,
            decay_norms: settings.decay_norms,
            beta1: settings.adam_beta1,
            beta2: settings.adam_beta2,
            epsilon: settings.adam_epsilon,
            max_grad_norm: settings.max_grad_norm,
        }
    }
}

impl OptimizerSettings {
    /// Refuses settings that mean nothing.
    pub fn check(&self) -> Result<(), TrainError> {
        let share = |value: f64| (0.0..1.0).contains(&value);
        require(
            self.weight_decay >= 0.0,
            "weight_decay",
            &self.weight_decay,
            "it must be 0 or more",
        )?;
        require(share(self.beta1), "adam_beta1", &self.beta1, "it must be at least 0 and below 1")?;
        require(share(self.beta2), "adam_beta2", &self.beta2, "it must be at least 0 and below 1")?;
        require(self.epsilon > 0.0, "adam_epsilon", &self.epsilon, "it must be above 0")?;
        require(
            self.max_grad_norm >= 0.0,
            "max_grad_norm",
            &self.max_grad_norm,
            "it must be 0 or more",
        )
    }
}

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
    /// An optimizer with moments of zero.
    pub fn new(parameters: &Parameters, settings: impl Into<OptimizerSettings>) -> Self {
        let settings = settings.into();
        let (device, length) = (parameters.device(), parameters.layout().length());
        let template = AdamwStep {
            step: 0,
            learning_rate: 0.0,
            beta1: settings.beta1,
            beta2: settings.beta2,
            epsilon: settings.epsilon,
            weight_decay: settings.weight_decay,
            gradient_scale: 1.0,
            variant: match settings.kind {
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
        let device = parameters.device().clone();
        for (range, decayed) in &self.groups {
            let weight_decay = if *decayed { self.template.weight_decay } else { 0.0 };
            let step =
                AdamwStep { step, learning_rate, gradient_scale, weight_decay, ..self.template };
            let (m, v) = (&mut self.first_moment, &mut self.second_moment);
            device.adamw(parameters.values_mut(), gradients.values(), m, v, range.clone(), step);
        }
    }
}

/// Neighbouring segments with the same rule as one range. Biases are never decayed, gains only when
/// asked.
fn groups(parameters: &Parameters, decay_norms: bool) -> Vec<(Range<usize>, bool)> {
    let mut groups: Vec<(Range<usize>, bool)> = Vec::new();
    for named in parameters.layout().segments() {
        let decayed = match named.role {
            Role::Embedding | Role::Positions | Role::TokenTypes | Role::Matrix => true,
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
        layout.add("weight", 2, 2, Role::Matrix);
        layout.add("gain", 1, 2, Role::NormGain);
        layout.add("bias", 1, 2, Role::Bias);
        layout.add("other", 1, 3, Role::Matrix);
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
        assert!(
            optimizer
                .first_moment
                .to_vec()
                .iter()
                .all(|m| (*m as f64 - 0.1 * clipped).abs() < 1e-7)
        );
    }

    /// `tools/golden/schedules.py`: `torch.optim.AdamW` itself, and the formula of
    /// `transformers.AdamW` in double precision.
    #[test]
    fn both_variants_match_the_fixtures() {
        let text = include_str!("../tests/fixtures/optimizers.json");
        let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
        let numbers = |value: &serde_json::Value| -> Vec<f32> {
            serde_json::from_value(value.clone()).unwrap()
        };
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        for (kind, name) in [(OptimizerKind::Adamw, "adamw"), (OptimizerKind::AdamwHf, "adamw_hf")]
        {
            let mut layout = Layout::default();
            layout.add("weight", 1, 12, Role::Matrix);
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
