//! Settings of distillation: the `[models.NAME.distill]` table of a recipe.

use std::path::PathBuf;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

pub use engine::ops::distillation_loss::{Divergence, Ensemble};

use super::{SettingError, TrainSettings, named, require, rules};

/// How a student is distilled from its teachers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct DistillSettings {
    /// Names of models of the same recipe, or Hugging Face folders.
    pub teachers: Vec<String>,
    /// One positive number per teacher, whose sum does not matter; left out, all count alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// Divides the logits of teachers and student in the divergence.
    #[serde(default = "DistillSettings::default_temperature")]
    pub temperature: f64,
    /// Weight of the cross-entropy; the divergence weighs `1 - alpha`.
    #[serde(default = "DistillSettings::default_alpha")]
    pub alpha: f64,
    /// What the sum of the divergences is divided by.
    #[serde(default)]
    pub kl: KlNormalisation,
    /// How several teachers become one distribution.
    #[serde(default, with = "named")]
    pub ensemble: Ensemble,
    /// The distance between the teachers' distribution and the student's.
    #[serde(default, with = "named")]
    pub divergence: Divergence,
    /// Where teacher outputs come from.
    #[serde(default)]
    pub signal: SignalKind,
    /// The number format of cached hidden states (`hidden`).
    #[serde(default)]
    pub codec: Codec,
    /// Tokens that `sampled` draws at each position.
    #[serde(default = "DistillSettings::default_samples")]
    pub samples: usize,
    /// The folder of the teacher cache (`hidden` and `sampled`); left out, one in the run's folder
    /// that is named after its contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl DistillSettings {
    /// The defaults for some teachers.
    pub fn new(teachers: Vec<String>) -> Self {
        Self {
            teachers,
            weights: None,
            temperature: Self::default_temperature(),
            alpha: Self::default_alpha(),
            kl: KlNormalisation::default(),
            ensemble: Ensemble::default(),
            divergence: Divergence::default(),
            signal: SignalKind::default(),
            codec: Codec::default(),
            samples: Self::default_samples(),
            cache: None,
        }
    }

    fn default_temperature() -> f64 {
        2.0
    }

    fn default_alpha() -> f64 {
        0.5
    }

    fn default_samples() -> usize {
        64
    }

    /// The teachers' weights as shares of one, for `count` teachers.
    pub fn shares(&self, count: usize) -> Vec<f32> {
        match &self.weights {
            None => vec![1.0 / count as f32; count],
            Some(weights) => {
                let sum: f64 = weights.iter().sum();
                weights.iter().map(|weight| (weight / sum) as f32).collect()
            }
        }
    }
}

/// Refuses settings of distillation outside their range, or that do not fit how the student is
/// trained.
///
/// # Errors
/// When a setting is outside its range, weights are not as many as teachers, or the signal cannot
/// be cached or is not enough for the divergence.
pub fn check_distillation(
    distill: &DistillSettings,
    train: &TrainSettings,
    teachers: usize,
) -> Result<(), SettingError> {
    let refuse = |setting: &str, value: &dyn std::fmt::Debug, rule| {
        Err(SettingError { setting: setting.to_owned(), value: format!("{value:?}"), rule })
    };
    let temperature = distill.temperature;
    let rule = "it must be between 0.001 and 1000";
    require((1e-3..=1e3).contains(&temperature), "temperature", &rules::shown(temperature), rule)?;
    rules::share("alpha", distill.alpha)?;
    if let Some(weights) = &distill.weights {
        if weights.len() != teachers {
            return refuse("weights", weights, "there must be one for each teacher");
        }
        if !weights.iter().all(|&weight| rules::positive("weights", weight).is_ok()) {
            return refuse("weights", weights, "each must be between 1e-30 and 1e30");
        }
    }
    if let Some(cache) = distill.cache.as_ref().filter(|cache| cache.as_os_str().is_empty()) {
        return refuse("cache", cache, "it must name a folder");
    }
    let signal = match distill.signal {
        SignalKind::Online => return Ok(()),
        SignalKind::Hidden => "hidden",
        SignalKind::Sampled => "sampled",
    };
    if train.random_offset {
        return refuse("signal", &signal, RANDOM_OFFSET_RULE);
    }
    if distill.signal == SignalKind::Sampled {
        if distill.samples == 0 || distill.samples > 65_536 {
            return refuse("samples", &distill.samples, "it must be at least 1 and at most 65536");
        }
        if distill.divergence != Divergence::ForwardKl {
            return refuse("signal", &signal, SAMPLED_RULE);
        }
    }
    Ok(())
}

/// Why teacher outputs of random offsets are not cached.
const RANDOM_OFFSET_RULE: &str = "random_offset = true cuts other sequences every epoch, so that \
 no block of a cache is read twice; take a few fixed offsets with chunk_offsets, such as [0, 64], \
 or signal = \"online\"";

/// Why samples are not enough for other divergences.
const SAMPLED_RULE: &str = "samples estimate forward_kl without bias, but no other divergence, \
 which needs the teachers' probability of every token; take signal = \"hidden\" or divergence = \
 \"forward_kl\"";

/// What the sum of the Kullback-Leibler divergences over all positions is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlNormalisation {
    /// The number of positions, as the papers write it.
    #[default]
    Token,
    /// The number of sequences, as the authors' code does (`KLDivLoss(reduction="batchmean")`).
    Batchmean,
}

/// Where teacher outputs come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// The teachers run on every batch.
    #[default]
    Online,
    /// A teacher cache of their final hidden states: the teachers run on each sequence once.
    Hidden,
    /// A teacher cache of tokens drawn from their distribution (arXiv 2503.16870): little disk and
    /// no product with the teachers' output matrices, for a noisier gradient of the same mean.
    Sampled,
}

/// The number format of cached hidden states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// As computed: the same bits as without a cache.
    #[default]
    F32,
    /// Rounded to 8 bits of mantissa: half the disk.
    Bf16,
}
