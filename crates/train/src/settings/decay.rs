//! Weight decay as the memory of the weights: how long a past update counts.
//!
//! With learning rate `lr` and decoupled decay `wd` a step keeps `1 - lr * wd` of the weights, so
//! that they are an average of the updates of about the last `1 / (lr * wd)` steps (Wang and
//! Aitchison, arXiv 2405.13698). In epochs that is `tau = 1 / (lr * wd * steps per epoch)`, which
//! stays good when batch, length or learning rate change.

use serde::{Deserialize, Serialize};

use super::{ScheduleKind, SettingError, TrainSettings, require, rules};

/// How weight decay changes with the learning rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecaySchedule {
    /// Weight decay is constant; what a step takes from the weights is the decay times the
    /// learning rate.
    #[default]
    Constant,
    /// `weight_decay * (1 - learning rate / highest learning rate)`: none at the highest rate, all
    /// of it where the rate is 0.
    Opposite,
}

impl DecaySchedule {
    /// What multiplies the weight decay at a learning rate.
    pub(crate) fn factor(self, learning_rate: f64, highest: f64) -> f64 {
        match self {
            Self::Opposite if highest > 0.0 => (1.0 - learning_rate / highest).max(0.0),
            _ => 1.0,
        }
    }
}

impl TrainSettings {
    /// The memory of the weights in epochs of `steps_per_epoch` steps, at the highest learning
    /// rate; none where nothing decays.
    pub fn decay_epochs(&self, steps_per_epoch: f64) -> Option<f64> {
        let lost = self.learning_rate * self.weight_decay * steps_per_epoch;
        self.weight_decay_epochs.or_else(|| (lost > 0.0).then(|| 1.0 / lost))
    }

    /// These settings with the weight decay that `weight_decay_epochs` stands for where an epoch
    /// has `steps_per_epoch` steps.
    ///
    /// # Errors
    /// When the memory is shorter than a step.
    pub fn with_weight_decay(&self, steps_per_epoch: u64) -> Result<Self, SettingError> {
        let Some(epochs) = self.weight_decay_epochs else { return Ok(self.clone()) };
        let steps = epochs * steps_per_epoch as f64;
        let shown = format!("{} ({steps:.2} steps)", rules::shown(epochs));
        let rule = format!(
            "it must be more than one step, or each would forget all before it; an epoch has \
             {steps_per_epoch} steps here, so take more than {}",
            rules::shown(1.0 / steps_per_epoch as f64)
        );
        require(steps > 1.0, "weight_decay_epochs", &shown, rule)?;
        let weight_decay = 1.0 / (self.learning_rate * steps);
        Ok(Self { weight_decay, weight_decay_epochs: None, ..self.clone() })
    }
}

/// Refuses a decay that would never be, and a memory that is none or contradicts other settings.
pub(super) fn check(settings: &TrainSettings) -> Result<(), SettingError> {
    let falls = match settings.schedule {
        ScheduleKind::Constant | ScheduleKind::ConstantWithWarmup => false,
        ScheduleKind::WarmupStableDecay => settings.cooldown_share > 0.0,
        ScheduleKind::CosineWithMinLr => settings.min_learning_rate_ratio < 1.0,
        ScheduleKind::Cosine | ScheduleKind::Linear | ScheduleKind::Cyclic => true,
    };
    let is_opposite = settings.weight_decay_schedule == DecaySchedule::Opposite;
    let of_groups = settings.groups.iter().filter_map(|group| group.weight_decay);
    let has_decay = settings.weight_decay > 0.0
        || settings.weight_decay_epochs.is_some()
        || of_groups.fold(0.0, f64::max) > 0.0;
    let rule = "with a learning rate that never falls nothing would decay; set it to \
                \"constant\", or take another schedule or a cooldown";
    let never = is_opposite && has_decay && !falls;
    require(!never, "weight_decay_schedule", &"\"opposite\"", rule)?;
    let Some(epochs) = settings.weight_decay_epochs else { return Ok(()) };
    let (key, shown) = ("weight_decay_epochs", rules::shown(epochs));
    rules::positive(key, epochs)?;
    let alone = settings.weight_decay == 0.0;
    let rule = "weight_decay is set too; remove one of the two, or set that to 0";
    require(alone, key, &shown, rule)?;
    let moves = settings.learning_rate > 0.0;
    require(moves, key, &shown, "with learning_rate = 0 there is no such decay")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    #[test]
    fn a_memory_in_epochs_is_a_decay_and_back() {
        // BabyLlama-2: 7e-4, 5, 860 steps an epoch.
        let settings =
            TrainSettings { learning_rate: 7e-4, weight_decay: 5.0, ..TrainSettings::default() };
        let tau = settings.decay_epochs(860.0).unwrap();
        assert!((tau - 0.332).abs() < 1e-3, "{tau}");
        let by_memory =
            TrainSettings { weight_decay: 0.0, weight_decay_epochs: Some(tau), ..settings.clone() };
        assert_eq!(by_memory.decay_epochs(1.0), Some(tau));
        let found = by_memory.with_weight_decay(860).unwrap();
        assert!((found.weight_decay - 5.0).abs() < 1e-12 && found.weight_decay_epochs.is_none());
        // Half the steps, twice the decay: the memory stays.
        assert!((by_memory.with_weight_decay(430).unwrap().weight_decay - 10.0).abs() < 1e-12);
        assert_eq!(settings.with_weight_decay(860).unwrap(), settings);
        assert_eq!(TrainSettings::default().decay_epochs(860.0), None);
        let message = by_memory.with_weight_decay(2).unwrap_err().to_string();
        assert!(message.contains("(0.66 steps); it must be more than one step"), "{message}");
    }

    #[test]
    fn a_memory_contradicts_a_decay() {
        let settings = |learning_rate, weight_decay, tau| TrainSettings {
            learning_rate,
            weight_decay,
            weight_decay_epochs: Some(tau),
            ..TrainSettings::default()
        };
        let message = |settings: TrainSettings| settings::check(&settings).unwrap_err().to_string();
        assert!(settings::check(&settings(1e-3, 0.0, 0.3)).is_ok());
        let found = message(settings(1e-3, 0.1, 0.3));
        assert!(found.contains("`weight_decay_epochs` is 0.3; weight_decay is set too"), "{found}");
        let found = message(settings(0.0, 0.0, 0.3));
        assert!(found.contains("with learning_rate = 0 there is no such decay"), "{found}");
        let opposite = TrainSettings {
            weight_decay_schedule: DecaySchedule::Opposite,
            schedule: ScheduleKind::ConstantWithWarmup,
            ..settings(1e-3, 0.0, 0.3)
        };
        let found = message(opposite.clone());
        assert!(found.contains("`weight_decay_schedule` is \"opposite\"; with a"), "{found}");
        // Where nothing is to decay, nothing is missed.
        let none = TrainSettings { weight_decay_epochs: None, ..opposite.clone() };
        assert!(settings::check(&none).is_ok());
        let phase = |keys: &str| {
            let phases = format!(
                r#"[{{"max_steps": 1}}, {{"max_steps": 1, "schedule": "constant", {keys}}}]"#
            );
            let phases = serde_json::from_str(&phases).unwrap();
            let schedule = ScheduleKind::Linear;
            TrainSettings { phases, schedule, ..opposite.clone() }
        };
        assert!(settings::check(&phase(r#""weight_decay": 0"#)).is_ok());
        assert!(settings::check(&phase(r#""weight_decay_schedule": "constant""#)).is_ok());
        let found = message(phase(r#""weight_decay": 1"#));
        assert!(found.contains("`phases[1].weight_decay_schedule` is \"opposite\""), "{found}");
        let schedule = ScheduleKind::WarmupStableDecay;
        let stable = TrainSettings { schedule, ..opposite };
        assert!(settings::check(&stable).is_ok());
        let found = message(TrainSettings { cooldown_share: 0.0, ..stable });
        assert!(found.contains("with a learning rate that never falls"), "{found}");
        for tau in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(message(settings(1e-3, 0.0, tau)).contains("must be between"), "{tau}");
        }
    }

    #[test]
    fn opposite_decay_rises_as_the_rate_falls() {
        let factors = |schedule: DecaySchedule| {
            [0.0, 0.25, 1.0].map(|share| schedule.factor(2e-3 * share, 2e-3))
        };
        assert_eq!(factors(DecaySchedule::Constant), [1.0; 3]);
        assert_eq!(factors(DecaySchedule::Opposite), [1.0, 0.75, 0.0]);
        assert_eq!(DecaySchedule::Opposite.factor(0.0, 0.0), 1.0);
    }
}
