//! Settings of a phase of training.

use std::collections::BTreeMap;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{
    AverageSettings, Cooldown, CorruptionSettings, DataOrder, DecaySchedule, HybridSettings,
    Objective, SamSettings, ScheduleKind, SettingError, TrainSettings, check_one, is_default,
    require,
};
use crate::optimizers::OptimizerKind;

/// The most phases of a training.
const MOST_PHASES: usize = 1000;

/// A part of the training in which some settings differ: `[[models.NAME.train.phases]]` of a
/// recipe. A key that is left out has the value of `[models.NAME.train]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct PhaseSettings {
    /// The phase's name in messages; left out, its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Passes over the phase's text. One of `epochs` and `max_steps` is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// Steps, however many epochs that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// The files of the corpus that are read, by name without extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// Sequences per optimizer step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Order in which an epoch visits the sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<DataOrder>,
    /// Whether every step reads the sequences of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_batch: Option<bool>,
    /// What is minimised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// Whether the model's dropout acts, and the jitter of its experts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<bool>,
    /// Input tokens that differ from the text; `{}` turns it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corruption: Option<CorruptionSettings>,
    /// Steps that predict masked tokens; `{ steps = 0 }` turns it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hybrid: Option<HybridSettings>,
    /// Sharpness-aware minimisation; `{ rho = 0 }` turns it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sam: Option<SamSettings>,
    /// An average of the weights, which begins with the phase, or with the first of neighbouring
    /// phases with the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageSettings>,
    /// The optimizer. Where this or another key of the optimizer is set, or `reset_optimizer`, it
    /// begins without memory of the phases before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<OptimizerKind>,
    /// Numbers of that optimizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimizer_options: Option<BTreeMap<String, f64>>,
    /// Decay of the average of gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam_beta1: Option<f64>,
    /// Decay of the average of squared gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam_beta2: Option<f64>,
    /// Keeps the denominator above zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam_epsilon: Option<f64>,
    /// Whether the optimizer begins without memory of the phases before.
    #[serde(skip_serializing_if = "is_default")]
    pub reset_optimizer: bool,
    /// Weight decay of matrices and embeddings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Weight decay of matrices and embeddings, as the memory of the weights in epochs of the
    /// phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay_epochs: Option<f64>,
    /// How weight decay changes with the learning rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay_schedule: Option<DecaySchedule>,
    /// Global gradient norm above which gradients are scaled down; 0 turns clipping off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_grad_norm: Option<f64>,
    /// The highest learning rate of the phase. A phase that sets this or another key of the
    /// schedule has a schedule of its own over its own steps; the other phases share one schedule
    /// over all their steps together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// The learning rate over the phase's steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleKind>,
    /// Share of the phase's steps in which `warmup_stable_decay` falls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_share: Option<f64>,
    /// How the learning rate falls in the last `cooldown_share` of the phase's steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Cooldown>,
    /// The lowest rate of `cosine_with_min_lr` as a share of the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_learning_rate_ratio: Option<f64>,
    /// Epochs of a cycle of `cyclic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle_epochs: Option<f64>,
    /// Steps during which the learning rate rises linearly from zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,
    /// Warm-up as a share of the phase's steps; used only when `warmup_steps` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_ratio: Option<f64>,
}

impl PhaseSettings {
    /// The settings of the phase: those of the whole training where it sets none.
    pub fn resolve(&self, train: &TrainSettings) -> TrainSettings {
        let mut settings = TrainSettings { phases: Vec::new(), ..train.clone() };
        let same_optimizer = self.optimizer.is_none_or(|kind| kind == train.optimizer);
        if !same_optimizer {
            settings.optimizer_options = BTreeMap::new();
        }
        // The number that the phase does not state must not count.
        settings.max_steps = self.max_steps.unwrap_or(0);
        set(&mut settings.epochs, &self.epochs);
        set(&mut settings.sources, &self.sources);
        set(&mut settings.batch_size, &self.batch_size);
        set(&mut settings.order, &self.order);
        set(&mut settings.same_batch, &self.same_batch);
        set(&mut settings.objective, &self.objective);
        set(&mut settings.dropout, &self.dropout);
        settings.corruption = self.corruption.or(settings.corruption);
        settings.hybrid = self.hybrid.or(settings.hybrid);
        settings.sam = self.sam.or(settings.sam);
        settings.average = self.average.or(settings.average);
        set(&mut settings.optimizer, &self.optimizer);
        set(&mut settings.optimizer_options, &self.optimizer_options);
        set(&mut settings.adam_beta1, &self.adam_beta1);
        set(&mut settings.adam_beta2, &self.adam_beta2);
        set(&mut settings.adam_epsilon, &self.adam_epsilon);
        match (self.weight_decay, self.weight_decay_epochs) {
            (None, None) => {}
            (decay, epochs) => {
                settings.weight_decay = decay.unwrap_or(0.0);
                settings.weight_decay_epochs = epochs;
            }
        }
        set(&mut settings.weight_decay_schedule, &self.weight_decay_schedule);
        set(&mut settings.max_grad_norm, &self.max_grad_norm);
        set(&mut settings.learning_rate, &self.learning_rate);
        set(&mut settings.schedule, &self.schedule);
        set(&mut settings.cooldown_share, &self.cooldown_share);
        set(&mut settings.cooldown, &self.cooldown);
        set(&mut settings.min_learning_rate_ratio, &self.min_learning_rate_ratio);
        set(&mut settings.cycle_epochs, &self.cycle_epochs);
        set(&mut settings.warmup_steps, &self.warmup_steps);
        set(&mut settings.warmup_ratio, &self.warmup_ratio);
        settings.micro_batch_size = settings.micro_batch_size.min(settings.batch_size);
        settings
    }

    /// Whether the phase has a learning-rate schedule of its own.
    pub fn has_own_schedule(&self) -> bool {
        self.learning_rate.is_some()
            || self.schedule.is_some()
            || self.cooldown_share.is_some()
            || self.cooldown.is_some()
            || self.min_learning_rate_ratio.is_some()
            || self.cycle_epochs.is_some()
            || self.warmup_steps.is_some()
            || self.warmup_ratio.is_some()
    }

    /// Whether the optimizer begins anew.
    pub fn resets_optimizer(&self) -> bool {
        self.reset_optimizer
            || self.optimizer.is_some()
            || self.optimizer_options.is_some()
            || self.adam_beta1.is_some()
            || self.adam_beta2.is_some()
            || self.adam_epsilon.is_some()
    }
}

fn set<T: Clone>(target: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        *target = value.clone();
    }
}

/// Refuses phases outside their range, each by its place.
pub(super) fn check_phases(settings: &TrainSettings) -> Result<(), SettingError> {
    let count = settings.phases.len();
    require(count <= MOST_PHASES, "phases", &count, "there may be at most 1000")?;
    let alone = settings.max_steps == 0 || settings.phases.is_empty();
    let rule = "phases state their own epochs or steps; leave it out";
    require(alone, "max_steps", &settings.max_steps, rule)?;
    for (index, phase) in settings.phases.iter().enumerate() {
        let place = |error: SettingError| error.within(&format!("phases[{index}]"));
        check_phase(phase, settings).map_err(place)?;
    }
    Ok(())
}

fn check_phase(phase: &PhaseSettings, settings: &TrainSettings) -> Result<(), SettingError> {
    let rule = "a phase states either epochs or max_steps";
    let steps = phase.max_steps.unwrap_or(0);
    let least = "a phase has one step at least; to leave it out, remove it";
    require(phase.max_steps != Some(0), "max_steps", &0, least)?;
    match phase.epochs {
        None => require(steps > 0, "epochs", &"left out", rule)?,
        Some(_) => require(steps == 0, "max_steps", &steps, rule)?,
    }
    if let Some(name) = &phase.name {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
        let good = (1..=100).contains(&name.len()) && name.chars().all(fits);
        let rule = "it may have up to 100 letters, digits, spaces and -_.";
        require(good, "name", &format!("{name:?}"), rule)?;
    }
    check_one(&phase.resolve(settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn train(phases: &str) -> TrainSettings {
        serde_json::from_str(&format!("{{\"phases\": {phases}}}")).unwrap()
    }

    #[test]
    fn a_phase_changes_what_it_sets_and_keeps_the_rest() {
        let train = TrainSettings {
            batch_size: 8,
            micro_batch_size: 4,
            weight_decay: 0.5,
            ..train(r#"[{"max_steps": 15, "batch_size": 1, "objective": "ascent"}]"#)
        };
        let found = train.phases[0].resolve(&train);
        assert_eq!((found.max_steps, found.batch_size, found.micro_batch_size), (15, 1, 1));
        assert_eq!((found.objective, found.weight_decay), (Objective::Ascent, 0.5));
        assert!(found.phases.is_empty());
        let by_epochs = self::train(r#"[{"epochs": 2.0}]"#);
        assert_eq!(by_epochs.phases[0].resolve(&by_epochs).epochs, 2.0);
    }

    #[test]
    fn keys_of_schedule_and_optimizer_begin_anew() {
        let phase = |text: &str| serde_json::from_str::<PhaseSettings>(text).unwrap();
        assert!(phase(r#"{"warmup_steps": 5}"#).has_own_schedule());
        assert!(!phase(r#"{"weight_decay": 5}"#).has_own_schedule());
        assert!(phase(r#"{"adam_beta2": 0.98}"#).resets_optimizer());
        assert!(phase(r#"{"reset_optimizer": true}"#).resets_optimizer());
        assert!(!phase(r#"{"learning_rate": 1e-4}"#).resets_optimizer());
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_place() {
        let message = |text: &str| settings::check(&train(text)).unwrap_err().to_string();
        for (phases, expected) in [
            ("[{}]", "`phases[0].epochs` is left out; a phase states either epochs or max_steps"),
            (r#"[{"epochs": 1.0, "max_steps": 3}]"#, "`phases[0].max_steps` is 3; a phase"),
            (r#"[{"max_steps": 0}]"#, "`phases[0].max_steps` is 0; a phase has one step at least"),
            (r#"[{"epochs": 1.0}, {"epochs": -1.0}]"#, "`phases[1].epochs` is -1; it must"),
            (r#"[{"max_steps": 1, "sam": {"rho": -1}}]"#, "`phases[0].sam.rho` is -1; it must"),
            (r#"[{"max_steps": 1, "name": "a\nb"}]"#, r#"`phases[0].name` is "a\nb"; it may"#),
        ] {
            let found = message(phases);
            assert!(found.contains(expected), "{found}");
        }
        let both = TrainSettings { max_steps: 4, ..train(r#"[{"epochs": 1.0}]"#) };
        let found = settings::check(&both).unwrap_err().to_string();
        assert!(found.contains("`max_steps` is 4; phases state their own"), "{found}");
    }
}
