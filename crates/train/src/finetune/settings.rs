//! Settings of fine-tuning. The defaults are those of the evaluation pipeline of 2024.

use std::collections::BTreeMap;

use model::{HeadKind, PooledToken, Pooling};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::optimizers::{OptimizerKind, OptimizerSettings};
use crate::settings::{
    DecaySchedule, MIN_LEARNING_RATE_RATIO, ScheduleKind, SettingError, is_default,
    is_default_min_ratio, require, rules,
};

/// How a classifier is fine-tuned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinetuneSettings {
    /// The highest learning rate of the schedule.
    pub learning_rate: f64,
    /// The learning rate over the steps.
    pub schedule: ScheduleKind,
    /// Steps during which the learning rate rises linearly from zero; `constant` has none.
    pub warmup_steps: u64,
    /// Warm-up as a share of all steps, rounded down; used only when `warmup_steps` is 0.
    #[serde(skip_serializing_if = "is_default")]
    pub warmup_ratio: f64,
    /// The lowest rate of `cosine_with_min_lr` as a share of the highest.
    #[serde(skip_serializing_if = "is_default_min_ratio")]
    pub min_learning_rate_ratio: f64,
    /// Weight decay of matrices and embeddings.
    pub weight_decay: f64,
    /// Whether normalisation gains are decayed too, as transformers before 4.39 did for LLaMA.
    pub decay_norms: bool,
    /// Whether biases are decayed too.
    #[serde(skip_serializing_if = "is_default")]
    pub decay_biases: bool,
    /// What turns gradients into updates.
    pub optimizer: OptimizerKind,
    /// Decay of the average of gradients.
    pub adam_beta1: f64,
    /// Decay of the average of squared gradients.
    pub adam_beta2: f64,
    /// Keeps the denominator above zero.
    pub adam_epsilon: f64,
    /// Global gradient norm above which gradients are scaled down; 0 turns clipping off.
    pub max_grad_norm: f64,
    /// Examples per optimizer step; an epoch's last batch holds what is left.
    pub batch_size: usize,
    /// Whether an epoch leaves out the examples that fill no whole batch; fewer than a batch are
    /// one.
    #[serde(skip_serializing_if = "is_default")]
    pub drop_last: bool,
    /// Tokens that are read of an example at most, special ones included; fewer where the model
    /// has fewer positions.
    #[serde(skip_serializing_if = "is_default_max_length")]
    pub max_length: usize,
    /// The head of the classifier.
    #[serde(skip_serializing_if = "is_default")]
    pub head: ClassifierHead,
    /// Dropout before the last layer of a head of two layers.
    #[serde(skip_serializing_if = "is_default_head_dropout")]
    pub head_dropout: f32,
    /// Passes over the training examples, at most where there is early stopping.
    pub epochs: f64,
    /// Train for this many optimizer steps instead of `epochs`, however many epochs that is; 0
    /// means by epochs.
    pub max_steps: u64,
    /// Steps between evaluations; 0 means one at every epoch's end.
    pub evaluate_every: u64,
    /// Evaluations in a row without an improvement after which training stops; the weights of the
    /// best one are then kept. `None`, which files write as 0, is no early stopping, and the final
    /// weights are kept.
    #[serde(with = "zero_is_none")]
    pub patience: Option<u32>,
    /// What an evaluation must be better by than the best before it to count as an improvement.
    pub early_stopping_threshold: f64,
    /// Seed of the examples' order and of dropout. The head's first weights should follow
    /// from it too.
    pub seed: u64,
    /// Numbers of the optimizer that no other optimizer has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub optimizer_options: BTreeMap<String, f64>,
}

/// The head of a classifier in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassifierHead {
    /// That of transformers' class of the model's family.
    #[default]
    Family,
    /// Two layers on the state of the first token.
    PerceptronFirstToken,
    /// Two layers on the state of the last token.
    PerceptronLastToken,
}

// Keys that were added later are left out at their defaults, so that older results stay valid.

fn is_default_max_length(length: &usize) -> bool {
    *length == MAX_LENGTH
}

fn is_default_head_dropout(dropout: &f32) -> bool {
    *dropout == HEAD_DROPOUT
}

/// Tokens that the pipelines of 2023 and 2024 read of an example at most.
const MAX_LENGTH: usize = 128;

/// Dropout in the head of the pipelines of 2025 and 2026.
const HEAD_DROPOUT: f32 = 0.1;

impl Default for FinetuneSettings {
    fn default() -> Self {
        Self {
            learning_rate: 5e-5,
            schedule: ScheduleKind::Linear,
            warmup_steps: 0,
            warmup_ratio: 0.0,
            min_learning_rate_ratio: MIN_LEARNING_RATE_RATIO,
            weight_decay: 0.0,
            decay_norms: false,
            decay_biases: false,
            optimizer: OptimizerKind::default(),
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            batch_size: 64,
            drop_last: false,
            max_length: MAX_LENGTH,
            head: ClassifierHead::default(),
            head_dropout: HEAD_DROPOUT,
            epochs: 10.0,
            max_steps: 0,
            evaluate_every: 0,
            patience: Some(3),
            early_stopping_threshold: 0.001,
            seed: 12,
            optimizer_options: BTreeMap::new(),
        }
    }
}

impl From<&FinetuneSettings> for OptimizerSettings {
    fn from(settings: &FinetuneSettings) -> Self {
        Self {
            optimizer: settings.optimizer,
            optimizer_options: settings.optimizer_options.clone(),
            weight_decay: settings.weight_decay,
            decay_schedule: DecaySchedule::Constant,
            highest_learning_rate: settings.learning_rate,
            cautious_decay: false,
            decay_norms: settings.decay_norms,
            decay_biases: settings.decay_biases,
            beta1: settings.adam_beta1,
            beta2: settings.adam_beta2,
            epsilon: settings.adam_epsilon,
            max_grad_norm: settings.max_grad_norm,
            groups: Vec::new(),
        }
    }
}

impl FinetuneSettings {
    /// Refuses settings outside their range.
    ///
    /// # Errors
    /// Names the first setting that is out of its range, its value and the rule.
    pub fn check(&self) -> Result<(), SettingError> {
        rules::count("batch_size", self.batch_size)?;
        rules::epochs(self.epochs)?;
        rules::number("learning_rate", self.learning_rate)?;
        rules::share("warmup_ratio", self.warmup_ratio)?;
        rules::share("min_learning_rate_ratio", self.min_learning_rate_ratio)?;
        rules::count("max_length", self.max_length)?;
        let is_share = (0.0..1.0).contains(&self.head_dropout);
        let rule = "it must be at least 0 and below 1";
        require(is_share, "head_dropout", &self.head_dropout, rule)?;
        rules::number("early_stopping_threshold", self.early_stopping_threshold)?;
        OptimizerSettings::from(self).check()
    }

    /// The head that the classifier is to have.
    pub fn head_kind(&self) -> HeadKind {
        let of = |token| HeadKind::Perceptron(Pooling { token, dropout: self.head_dropout });
        match self.head {
            ClassifierHead::Family => HeadKind::Family,
            ClassifierHead::PerceptronFirstToken => of(PooledToken::First),
            ClassifierHead::PerceptronLastToken => of(PooledToken::Last),
        }
    }
}

/// TOML has no null, and a patience of 0 would stop at the first evaluation.
mod zero_is_none {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<u32>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.unwrap_or(0).serialize(serializer)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<Option<u32>, D::Error> {
        Ok(Option::deserialize(deserializer)?.filter(|&patience| patience > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FinetuneSettings, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn files_say_what_differs_from_the_defaults() {
        let found = parse(r#"{"epochs": 3, "schedule": "cosine", "patience": 0}"#).unwrap();
        let schedule = ScheduleKind::Cosine;
        assert_eq!(
            found,
            FinetuneSettings {
                epochs: 3.0,
                schedule,
                patience: None,
                ..FinetuneSettings::default()
            }
        );
        assert_eq!(parse("{}").unwrap(), FinetuneSettings::default());
        for patience in [None, Some(1), Some(1000)] {
            let settings = FinetuneSettings { patience, ..FinetuneSettings::default() };
            assert_eq!(parse(&serde_json::to_string(&settings).unwrap()).unwrap(), settings);
        }
        assert!(
            parse(r#"{"epoch": 3}"#).unwrap_err().to_string().contains("unknown field `epoch`")
        );
    }

    #[test]
    fn settings_that_mean_nothing_are_named() {
        let message = |change: &dyn Fn(&mut FinetuneSettings)| {
            let mut settings = FinetuneSettings::default();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert!(FinetuneSettings::default().check().is_ok());
        assert!(message(&|settings| settings.batch_size = 0).contains("`batch_size` is 0"));
        assert!(message(&|settings| settings.epochs = -1.0).contains("`epochs` is -1"));
        assert!(
            message(&|settings| settings.learning_rate = f64::NAN)
                .contains("`learning_rate` is NaN")
        );
        assert!(message(&|settings| settings.adam_beta2 = 1.0).contains("`adam_beta2` is 1"));
        assert!(
            message(&|settings| settings.early_stopping_threshold = f64::NAN)
                .contains("threshold` is NaN")
        );
    }
}
