//! What a training run can be told: the `[models.NAME.train]` and `[models.NAME.distill]` tables of
//! a recipe.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::ops::distillation_loss;
use serde::{Deserialize, Serialize};

use crate::error::{TrainError, require};
use crate::optimizers::{OptimizerKind, OptimizerSettings, ParameterGroup};

/// How one model is trained. Defaults follow transformers' `TrainingArguments` where it has the
/// same knob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Passes over the training tokens.
    pub epochs: f64,
    /// Train for this many optimizer steps instead of `epochs`, however many epochs that is; 0
    /// means by epochs.
    pub max_steps: u64,
    /// Sequences per optimizer step.
    pub batch_size: usize,
    /// Sequences per forward and backward pass; 0 means the whole batch, or on a GPU as much of it
    /// as fits into the memory. Changes memory, not the result.
    pub micro_batch_size: usize,
    /// Tokens per sequence.
    pub sequence_length: usize,
    /// Whether every epoch cuts the stream at a new random offset (0 to `sequence_length - 1`).
    pub random_offset: bool,
    /// Offsets of which every epoch draws one, such as `[0, 64]`; empty means always 0. Unlike
    /// `random_offset` it leaves few enough sequences for the teachers' signals to be kept.
    pub chunk_offsets: Vec<usize>,
    /// Order in which an epoch visits the sequences.
    pub order: DataOrder,
    /// What turns gradients into updates; see [`OPTIMIZERS`](crate::optimizers::OPTIMIZERS).
    pub optimizer: OptimizerKind,
    pub learning_rate: f64,
    pub schedule: ScheduleKind,
    /// Steps during which the learning rate rises linearly from zero.
    pub warmup_steps: u64,
    /// Warm-up as a share of all steps; used only when `warmup_steps` is 0.
    pub warmup_ratio: f64,
    pub weight_decay: f64,
    /// Whether normalisation gains are decayed too, as transformers before 4.39 did for LLaMA.
    pub decay_norms: bool,
    pub adam_beta1: f64,
    pub adam_beta2: f64,
    pub adam_epsilon: f64,
    /// Global gradient norm above which gradients are scaled down; 0 turns clipping off.
    pub max_grad_norm: f64,
    /// Held-out sequences per evaluation, a fixed subset drawn once; 0 means all.
    pub evaluation_sequences: usize,
    /// What the best checkpoint is best at.
    pub select_by: Selection,
    /// Steps between checkpoints besides the one at each epoch's end; 0 means epochs only.
    pub checkpoint_steps: u64,
    /// Seed of initialisation, data order and dropout; unset means the recipe's seed mixed with the
    /// model's name.
    pub seed: Option<u64>,
    /// Numbers of the optimizer that no other optimizer has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub optimizer_options: BTreeMap<String, f64>,
    /// Segments with an optimizer, learning rate or weight decay of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            epochs: 3.0,
            max_steps: 0,
            batch_size: 32,
            micro_batch_size: 0,
            sequence_length: 128,
            random_offset: false,
            chunk_offsets: Vec::new(),
            order: DataOrder::Shuffled,
            optimizer: OptimizerKind::default(),
            learning_rate: 3e-4,
            schedule: ScheduleKind::Cosine,
            warmup_steps: 0,
            warmup_ratio: 0.0,
            weight_decay: 0.0,
            decay_norms: false,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            evaluation_sequences: 0,
            select_by: Selection::CrossEntropy,
            checkpoint_steps: 0,
            seed: None,
            optimizer_options: BTreeMap::new(),
            groups: Vec::new(),
        }
    }
}

impl From<&TrainSettings> for OptimizerSettings {
    fn from(settings: &TrainSettings) -> Self {
        Self {
            optimizer: settings.optimizer,
            optimizer_options: settings.optimizer_options.clone(),
            weight_decay: settings.weight_decay,
            decay_norms: settings.decay_norms,
            beta1: settings.adam_beta1,
            beta2: settings.adam_beta2,
            epsilon: settings.adam_epsilon,
            max_grad_norm: settings.max_grad_norm,
            groups: settings.groups.clone(),
        }
    }
}

/// Order of the sequences within an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataOrder {
    /// A new permutation every epoch, a pure function of (seed, epoch).
    Shuffled,
    /// As they lie in the file; for comparisons with other programs.
    File,
}

/// The held-out number whose lowest value marks the checkpoint to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Cross-entropy of the next token.
    CrossEntropy,
    /// The training objective: for a student the mixture with the divergence, as in the authors'
    /// code.
    Objective,
}

/// Shape of the learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Half a cosine down to zero.
    Cosine,
    /// A straight line down to zero.
    Linear,
    /// The same rate throughout, without warm-up, as transformers' schedule of that name.
    Constant,
    /// The same rate after warm-up.
    ConstantWithWarmup,
}

/// Refuses settings that mean nothing.
pub fn check(settings: &TrainSettings) -> Result<(), TrainError> {
    let rate = settings.learning_rate;
    require(
        settings.sequence_length >= 2,
        "sequence_length",
        &settings.sequence_length,
        "it must be at least 2",
    )?;
    require(settings.batch_size >= 1, "batch_size", &settings.batch_size, "it must be at least 1")?;
    let (offsets, length) = (format!("{:?}", settings.chunk_offsets), settings.sequence_length);
    let rise = settings.chunk_offsets.windows(2).all(|pair| pair[0] < pair[1]);
    let fit = settings.chunk_offsets.iter().all(|&offset| offset < length);
    require(
        rise && fit,
        "chunk_offsets",
        &offsets,
        "offsets must rise and stay below sequence_length",
    )?;
    let alone = !settings.random_offset || settings.chunk_offsets.is_empty();
    require(
        alone,
        "chunk_offsets",
        &offsets,
        "with random_offset = true there is nothing to choose from",
    )?;
    let epochs = settings.epochs;
    require(
        epochs > 0.0 && epochs <= 1e6,
        "epochs",
        &epochs,
        "it must be above 0 and at most a million",
    )?;
    require(
        rate >= 0.0 && rate.is_finite(),
        "learning_rate",
        &rate,
        "it must be a number from 0 up",
    )?;
    let ratio = settings.warmup_ratio;
    require((0.0..=1.0).contains(&ratio), "warmup_ratio", &ratio, "it must lie between 0 and 1")?;
    OptimizerSettings::from(settings).check()
}

/// Refuses ways of listening that mean nothing, or that do not go with how the student is trained.
///
/// # Errors
/// When a setting is outside its range, weights are not as many as teachers, or the signal cannot
/// be kept or is not enough for the divergence.
pub fn check_distillation(
    distill: &DistillSettings,
    train: &TrainSettings,
    teachers: usize,
) -> Result<(), TrainError> {
    let refuse = |setting, value: &dyn std::fmt::Debug, rule| {
        Err(TrainError::Setting { setting, value: format!("{value:?}"), rule })
    };
    if let Some(weights) = &distill.weights {
        if weights.len() != teachers {
            return refuse("weights", weights, "there must be one for each teacher");
        }
        if !weights.iter().all(|&weight| weight > 0.0 && weight.is_finite()) {
            return refuse("weights", weights, "each must be larger than 0");
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

/// Why signals are not kept of sequences that never come back.
const RANDOM_OFFSET_RULE: &str = "random_offset = true cuts other sequences every epoch, so that \
 nothing kept is ever read again; take a few fixed cuts with chunk_offsets, such as [0, 64], or \
 signal = \"online\"";

/// Why samples are not enough for other divergences.
const SAMPLED_RULE: &str = "samples estimate forward_kl without bias, but no other divergence, \
 which needs the teachers' probability of every token; take signal = \"hidden\" or divergence = \
 \"forward_kl\"";

/// How a student listens to its teachers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillSettings {
    /// Names of models of the same recipe, or Hugging Face folders.
    pub teachers: Vec<String>,
    /// One positive number per teacher, whose sum does not matter; left out, all count alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    #[serde(default = "DistillSettings::default_temperature")]
    pub temperature: f64,
    /// Weight of the cross-entropy; the divergence weighs `1 - alpha`.
    #[serde(default = "DistillSettings::default_alpha")]
    pub alpha: f64,
    #[serde(default)]
    pub kl: KlNormalisation,
    #[serde(default)]
    pub ensemble: Ensemble,
    #[serde(default)]
    pub divergence: Divergence,
    #[serde(default)]
    pub signal: SignalKind,
    /// How `hidden` keeps the states.
    #[serde(default)]
    pub codec: Codec,
    /// Tokens that `sampled` draws at each position.
    #[serde(default = "DistillSettings::default_samples")]
    pub samples: usize,
    /// The folder of the cache of `hidden` and `sampled`; left out, one in the run's folder that
    /// says whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl DistillSettings {
    /// The settings that a list of teachers alone means.
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

    /// The same settings with everything at its default that does not change the result: where a
    /// cache lies, keys that the signal does not use, and whether exact states are kept or computed
    /// again.
    pub fn deciding(&self) -> Self {
        let mut deciding = Self { cache: None, ..self.clone() };
        if deciding.signal != SignalKind::Sampled {
            deciding.samples = Self::default_samples();
        }
        if deciding.signal != SignalKind::Hidden {
            deciding.codec = Codec::default();
        } else if deciding.codec == Codec::F32 {
            deciding.signal = SignalKind::Online;
        }
        deciding
    }
}

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

/// How several teachers speak as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ensemble {
    /// The distribution of the mean of their logits, as in the papers.
    #[default]
    MeanLogits,
    /// The mean of their distributions.
    MeanProbs,
    /// The mean of the divergences from each of them.
    SumKl,
}

/// How far the student is from its teachers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// `KL(teachers || student)`, as in the papers.
    #[default]
    ForwardKl,
    /// `KL(student || teachers)`.
    ReverseKl,
    /// The mean of both sides' divergences from the middle between them.
    JensenShannon,
}

impl From<Ensemble> for distillation_loss::Ensemble {
    fn from(ensemble: Ensemble) -> Self {
        match ensemble {
            Ensemble::MeanLogits => Self::MeanLogits,
            Ensemble::MeanProbs => Self::MeanProbs,
            Ensemble::SumKl => Self::SumKl,
        }
    }
}

impl From<Divergence> for distillation_loss::Divergence {
    fn from(divergence: Divergence) -> Self {
        match divergence {
            Divergence::ForwardKl => Self::ForwardKl,
            Divergence::ReverseKl => Self::ReverseKl,
            Divergence::JensenShannon => Self::JensenShannon,
        }
    }
}

/// Where the teachers' signals come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// The teachers read every batch anew.
    #[default]
    Online,
    /// Their final hidden states are kept on disk: the teachers read each sequence once.
    Hidden,
    /// Tokens drawn from their distribution are kept on disk (arXiv 2503.16870): little disk and no
    /// product with the teachers' output matrices, for a noisier gradient of the same mean.
    Sampled,
}

/// How hidden states are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// As they are: the same bits as without a cache.
    #[default]
    F32,
    /// Rounded to 8 bits of mantissa: half the disk.
    Bf16,
}
