//! Settings of distillation: the `[models.NAME.distill]` table of a recipe.

use std::path::PathBuf;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

pub use engine::ops::distillation_loss::{Divergence, Ensemble};

use super::{DataOrder, SettingError, TrainSettings, is_default, named, require, rules};

/// How a student is distilled from its teachers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct DistillSettings {
    /// Names of models of the same recipe, or Hugging Face folders.
    pub teachers: Vec<String>,
    /// One positive number per teacher, whose sum does not matter; left out, all count alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// Whether the teachers' weights are fitted: those of the mixture of their distributions that
    /// predicts the held-out text best. With `ensemble = "mean_probs"`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fit_weights: bool,
    /// Divides the logits of teachers and student in the divergence.
    #[serde(default = "DistillSettings::default_temperature")]
    pub temperature: f64,
    /// The temperature at the end of the training, which it reaches in a straight line; left out,
    /// it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_end: Option<f64>,
    /// Weight of the cross-entropy; the divergence weighs `1 - alpha`.
    #[serde(default = "DistillSettings::default_alpha")]
    pub alpha: f64,
    /// The weight `alpha` at the end of the training, which it reaches in a straight line; left
    /// out, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_end: Option<f64>,
    /// How many students are trained one after the other, each with the one before as its only
    /// teacher: models `NAME-g1` and so on, of which the last has the student's name. `teachers`
    /// are those of the first; left out, 1.
    #[serde(default, skip_serializing)]
    pub generations: u32,
    /// What the sum of the divergences is divided by: the positions (`token`), as in the papers, or
    /// the sequences (`batchmean`), as in the authors' code, which makes it as many times larger as
    /// a sequence has tokens.
    #[serde(default)]
    pub kl: KlNormalisation,
    /// How several teachers become one distribution: by the mean of their logits, that of their
    /// probabilities, or not at all (`sum_kl`: a divergence from each, by the teachers' weights).
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
            fit_weights: false,
            temperature: Self::default_temperature(),
            temperature_end: None,
            alpha: Self::default_alpha(),
            alpha_end: None,
            generations: 0,
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

    /// The settings of a step after this share of the training: with the temperature and alpha that
    /// hold there.
    pub fn at(&self, progress: f64) -> Self {
        let between = |start: f64, end: Option<f64>| match end {
            Some(end) => start + (end - start) * progress,
            None => start,
        };
        Self {
            temperature: between(self.temperature, self.temperature_end),
            alpha: between(self.alpha, self.alpha_end),
            ..self.clone()
        }
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
    let refuse = |setting: &str, value: &dyn std::fmt::Debug, rule: &str| {
        let (setting, value, rule) =
            (setting.to_owned(), format!("{value:?}"), rule.to_owned().into());
        Err(SettingError { setting, value, rule })
    };
    temperature("temperature", distill.temperature)?;
    temperature("temperature_end", distill.temperature_end.unwrap_or(1.0))?;
    rules::share("alpha", distill.alpha)?;
    rules::share("alpha_end", distill.alpha_end.unwrap_or(0.0))?;
    if distill.fit_weights {
        let rule = "weights are given or fitted; remove one of the two";
        require(distill.weights.is_none(), "fit_weights", &true, rule)?;
        let rule = "samples are drawn with weights that are known; take signal = \"hidden\"";
        require(distill.signal != SignalKind::Sampled, "fit_weights", &true, rule)?;
        let rule = "it fits the shares of a mixture; set ensemble = \"mean_probs\"";
        require(distill.ensemble == Ensemble::MeanProbs, "fit_weights", &true, rule)?;
    }
    if let Some(weights) = &distill.weights {
        if weights.len() != teachers {
            let rule = match teachers {
                1 => "there must be one for each teacher, of which there is 1".to_owned(),
                count => format!("there must be one for each teacher, of which there are {count}"),
            };
            return refuse("weights", weights, &rule);
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
    if train.offset_per_sequence {
        return refuse("signal", &signal, OFFSET_PER_SEQUENCE_RULE);
    }
    let phases = train.resolved_phases();
    if phases.iter().any(|phase| phase.order == DataOrder::Documents) {
        return refuse("signal", &signal, DOCUMENTS_RULE);
    }
    let mut corruption = phases.iter().filter_map(|phase| phase.corruption);
    if corruption.any(|of| of.replace + of.mask > 0.0) {
        return refuse("signal", &signal, CORRUPTION_RULE);
    }
    if distill.signal == SignalKind::Sampled {
        if distill.temperature_end.is_some() {
            return refuse("signal", &signal, TEMPERATURE_END_RULE);
        }
        if distill.samples == 0 || distill.samples > 65_536 {
            return refuse("samples", &distill.samples, "it must be at least 1 and at most 65536");
        }
        if distill.divergence != Divergence::ForwardKl {
            return refuse("signal", &signal, SAMPLED_RULE);
        }
    }
    Ok(())
}

fn temperature(setting: &str, value: f64) -> Result<(), SettingError> {
    let rule = "it must be between 0.001 and 1000";
    require((1e-3..=1e3).contains(&value), setting, &rules::shown(value), rule)
}

/// Why teacher outputs of random offsets are not cached.
const RANDOM_OFFSET_RULE: &str = "random_offset = true cuts other sequences every epoch, so that \
 no block of a cache is read twice; take a few fixed offsets with chunk_offsets, such as [0, 64], \
 or signal = \"online\"";

/// Why teacher outputs of offsets for each sequence are not cached.
const OFFSET_PER_SEQUENCE_RULE: &str = "offset_per_sequence = true cuts other sequences every \
 epoch, so that no block of a cache is read twice; take a few fixed offsets with chunk_offsets, \
 such as [0, 64], or signal = \"online\"";

/// Why teacher outputs of documents in a new order are not cached.
const DOCUMENTS_RULE: &str = "order = \"documents\" cuts other sequences every epoch, so that no \
 block of a cache is read twice; take order = \"shuffled\", or signal = \"online\"";

/// Why teacher outputs of changed inputs are not cached.
const CORRUPTION_RULE: &str = "corruption changes the inputs in every step, so that a cache of \
 what teachers computed of the text does not fit them; take signal = \"online\", or no corruption";

/// Why a temperature that changes needs more than samples.
const TEMPERATURE_END_RULE: &str = "samples are drawn at one temperature; remove temperature_end, \
 or take signal = \"hidden\"";

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
    /// Hidden states as computed: the same bits as without a cache.
    #[default]
    F32,
    /// Hidden states rounded to 8 bits of mantissa: half the disk.
    Bf16,
}
