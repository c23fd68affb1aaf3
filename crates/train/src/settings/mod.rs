//! Settings of training: the `[models.NAME.train]` table of a recipe, and in `distill.rs` that of
//! distillation.

mod average;
mod buckets;
mod challenge;
mod corruption;
mod decay;
mod distill;
mod error;
mod masked;
pub(crate) mod named;
mod phase;
pub(crate) mod rules;
mod sam;
mod spans;

use std::collections::BTreeMap;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

pub use self::average::{AverageKind, AverageSettings};
pub use self::buckets::BucketSettings;
pub use self::challenge::ChallengeTrack;
pub(crate) use self::challenge::checkpoint_name;
pub use self::corruption::{CorruptionSettings, HybridSettings};
pub use self::decay::DecaySchedule;
pub use self::distill::{
    Codec, DistillSettings, Divergence, Ensemble, KlNormalisation, SignalKind, check_distillation,
};
pub use self::masked::MaskedSettings;
pub use self::named::Named;
pub use self::spans::SpanSettings;

pub use self::error::SettingError;
pub use self::phase::PhaseSettings;
pub(crate) use self::rules::require;
pub use self::sam::{SamDropout, SamSettings};
use crate::optimizers::{OptimizerKind, OptimizerSettings, ParameterGroup};

/// How one model is trained. Defaults follow transformers' `TrainingArguments` where it has the
/// same knob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
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
    /// as fits into the memory. Changes memory, and the result by rounding alone.
    pub micro_batch_size: usize,
    /// Tokens per sequence.
    pub sequence_length: usize,
    /// Whether every epoch cuts the stream at a new random offset (0 to `sequence_length - 1`).
    pub random_offset: bool,
    /// Offsets of which every epoch draws one, such as `[0, 64]`; empty means always 0. Unlike
    /// `random_offset` it leaves few enough sequences for a teacher cache.
    pub chunk_offsets: Vec<usize>,
    /// Order in which an epoch visits the sequences: `shuffled`; `documents`, which cuts them anew
    /// from documents in a new order; or that of the `file`, for comparisons with other programs.
    pub order: DataOrder,
    /// What turns gradients into updates; see [`OPTIMIZERS`](crate::optimizers::OPTIMIZERS).
    pub optimizer: OptimizerKind,
    /// The highest learning rate of the schedule.
    pub learning_rate: f64,
    /// The learning rate over the steps.
    pub schedule: ScheduleKind,
    /// Steps during which the learning rate rises linearly from zero.
    pub warmup_steps: u64,
    /// Warm-up as a share of all steps; used only when `warmup_steps` is 0.
    pub warmup_ratio: f64,
    /// With `schedule = "warmup_stable_decay"`: the share of all steps, the last ones, in which the
    /// learning rate falls to zero; left out, 0.2.
    #[serde(skip_serializing_if = "is_default_cooldown_share")]
    pub cooldown_share: f64,
    /// How the learning rate falls in the last `cooldown_share` of the steps: `linear` (left out,
    /// this), or `one_minus_square_root`, which falls faster at first.
    #[serde(skip_serializing_if = "is_default")]
    pub cooldown: Cooldown,
    /// With `schedule = "cosine_with_min_lr"`: the lowest learning rate as a share of the highest;
    /// left out, 0.1.
    #[serde(skip_serializing_if = "is_default_min_ratio")]
    pub min_learning_rate_ratio: f64,
    /// With `schedule = "cyclic"`: epochs of a cycle, in which the learning rate falls as half a
    /// cosine; left out, 1.
    #[serde(skip_serializing_if = "is_default_cycle")]
    pub cycle_epochs: f64,
    /// Weight decay of matrices and embeddings.
    pub weight_decay: f64,
    /// Weight decay as the memory of the weights, in place of `weight_decay`: the epochs `tau`
    /// after which an update has faded to a third, `weight_decay = 1 / (learning_rate * tau * steps
    /// per epoch)`. It stays good when batch, length or learning rate change. Left out,
    /// `weight_decay` holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay_epochs: Option<f64>,
    /// How weight decay changes with the learning rate: `constant` (left out, this), or `opposite`,
    /// `weight_decay * (1 - learning rate / highest learning rate)`, which rises as the learning
    /// rate falls.
    #[serde(skip_serializing_if = "is_default")]
    pub weight_decay_schedule: DecaySchedule,
    /// Whether only those weights decay that the update moves towards zero anyway; left out, false.
    #[serde(skip_serializing_if = "is_default")]
    pub cautious_decay: bool,
    /// Whether normalisation gains are decayed too, as transformers before 4.39 did for LLaMA.
    pub decay_norms: bool,
    /// Decay of the average of gradients.
    pub adam_beta1: f64,
    /// Decay of the average of squared gradients.
    pub adam_beta2: f64,
    /// Keeps the denominator above zero.
    pub adam_epsilon: f64,
    /// Global gradient norm above which gradients are scaled down; 0 turns clipping off.
    pub max_grad_norm: f64,
    /// Held-out sequences per evaluation, a fixed subset drawn once where there are more; 0 means
    /// all.
    pub evaluation_sequences: usize,
    /// The held-out number that chooses the best weights.
    pub select_by: Selection,
    /// Steps between checkpoints besides the one at each epoch's end; 0 means epochs only.
    pub checkpoint_steps: u64,
    /// Minutes between checkpoints besides those at epochs' ends: what a kill costs at most; 0
    /// means none by time. Changes no result.
    pub checkpoint_minutes: f64,
    /// Seed of initialisation, data order and dropout; unset means the recipe's seed mixed with the
    /// model's name.
    pub seed: Option<u64>,
    /// Numbers of the optimizer that no other optimizer has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub optimizer_options: BTreeMap<String, f64>,
    /// Segments with an optimizer, learning rate or weight decay of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
    /// The files of the corpus that are trained on, by name without extension; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Whether every sequence of an epoch is cut at a random offset of its own, as the authors'
    /// code does.
    #[serde(skip_serializing_if = "is_default")]
    pub offset_per_sequence: bool,
    /// Whether every step reads the sequences of the first.
    #[serde(skip_serializing_if = "is_default")]
    pub same_batch: bool,
    /// What is minimised.
    #[serde(skip_serializing_if = "is_default")]
    pub objective: Objective,
    /// Whether the model's dropout acts, and the jitter of its experts.
    #[serde(skip_serializing_if = "is_true")]
    pub dropout: bool,
    /// Input tokens that differ from the text; left out, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corruption: Option<CorruptionSettings>,
    /// Steps that predict masked tokens; left out, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hybrid: Option<HybridSettings>,
    /// How the tokens of a masked model are hidden; left out, a share of 0.15 in spans of 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked: Option<MaskedSettings>,
    /// How the spans of an encoder-decoder's texts are hidden; left out, a share of 0.15 in spans
    /// of 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanSettings>,
    /// Sharpness-aware minimisation; left out, plain gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sam: Option<SamSettings>,
    /// An average of the weights, which becomes the model where its held-out loss is the lowest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageSettings>,
    /// Epochs after which the weights are kept for good, as teachers `NAME@EPOCH`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<u64>,
    /// Keep the weights for good where the BabyLM challenge wants checkpoints, by the words seen:
    /// in `snapshots/chck_1M` and so on. Left out, nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge_checkpoints: Option<ChallengeTrack>,
    /// Phases of rising difficulty in place of `phases`; left out, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<BucketSettings>,
    /// Parts of the training in which settings differ, one after the other; empty means one part
    /// of `epochs` or `max_steps`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseSettings>,
}

/// The cooldown's share of all steps where none is stated.
pub(crate) const COOLDOWN_SHARE: f64 = 0.2;

/// The lowest learning rate as a share of the highest where none is stated.
pub(crate) const MIN_LEARNING_RATE_RATIO: f64 = 0.1;

/// Epochs of a cycle where none are stated.
const CYCLE_EPOCHS: f64 = 1.0;

// Keys that were added later are left out at their defaults, so that older runs keep their
// identity.

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_default_cooldown_share(share: &f64) -> bool {
    *share == COOLDOWN_SHARE
}

pub(crate) fn is_default_min_ratio(ratio: &f64) -> bool {
    *ratio == MIN_LEARNING_RATE_RATIO
}

fn is_default_cycle(epochs: &f64) -> bool {
    *epochs == CYCLE_EPOCHS
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
            cooldown_share: COOLDOWN_SHARE,
            cooldown: Cooldown::default(),
            min_learning_rate_ratio: MIN_LEARNING_RATE_RATIO,
            cycle_epochs: CYCLE_EPOCHS,
            weight_decay: 0.0,
            weight_decay_epochs: None,
            weight_decay_schedule: DecaySchedule::default(),
            cautious_decay: false,
            decay_norms: false,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            evaluation_sequences: 1024,
            select_by: Selection::CrossEntropy,
            checkpoint_steps: 0,
            checkpoint_minutes: 10.0,
            seed: None,
            optimizer_options: BTreeMap::new(),
            groups: Vec::new(),
            sources: Vec::new(),
            offset_per_sequence: false,
            same_batch: false,
            objective: Objective::NextToken,
            dropout: true,
            corruption: None,
            hybrid: None,
            masked: None,
            spans: None,
            sam: None,
            average: None,
            snapshots: Vec::new(),
            challenge_checkpoints: None,
            buckets: None,
            phases: Vec::new(),
        }
    }
}

fn is_true(value: &bool) -> bool {
    *value
}

impl TrainSettings {
    /// The settings of each phase in turn; of a training without phases, these alone.
    pub fn resolved_phases(&self) -> Vec<Self> {
        match self.phases.is_empty() {
            true => vec![self.clone()],
            false => self.phases.iter().map(|phase| phase.resolve(self)).collect(),
        }
    }

    /// Whether there are phases, written out or as buckets.
    pub fn has_phases(&self) -> bool {
        !self.phases.is_empty() || self.buckets.is_some()
    }

    /// Whether there is an average of the weights in any phase.
    pub fn has_average(&self) -> bool {
        self.resolved_phases().iter().any(|phase| phase.average.is_some())
    }
}

impl From<&TrainSettings> for OptimizerSettings {
    fn from(settings: &TrainSettings) -> Self {
        Self {
            optimizer: settings.optimizer,
            optimizer_options: settings.optimizer_options.clone(),
            weight_decay: settings.weight_decay,
            decay_schedule: settings.weight_decay_schedule,
            highest_learning_rate: settings.learning_rate,
            cautious_decay: settings.cautious_decay,
            decay_norms: settings.decay_norms,
            decay_biases: false,
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
    /// A new permutation every epoch, of sequences that are cut anew from the documents in a new
    /// order.
    Documents,
    /// The order of the file; for comparisons with other programs.
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
    /// None: the weights after the last step are the model, averaged where the settings have an
    /// average.
    Last,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The cross-entropy of the next token; for a student, its mixture with the divergence from its
    /// teachers.
    #[default]
    NextToken,
    /// The negative of that cross-entropy: gradient ascent post-training (Yoon et al., arXiv
    /// 2306.07052). Teachers are not read.
    Ascent,
}

/// Shape of the learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Half a cosine down to zero.
    Cosine,
    /// Half a cosine down to a share of the highest rate.
    CosineWithMinLr,
    /// A straight line down to zero.
    Linear,
    /// A constant rate without warm-up, as transformers' schedule of that name.
    Constant,
    /// A constant rate after warm-up.
    ConstantWithWarmup,
    /// A constant rate after warm-up, and in the last steps down to zero.
    WarmupStableDecay,
    /// Half a cosine down to zero in each cycle of some epochs, which begins at the highest rate.
    Cyclic,
}

/// How the learning rate falls at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cooldown {
    /// A straight line.
    #[default]
    Linear,
    /// `1 - sqrt(progress)`.
    OneMinusSquareRoot,
}

/// Refuses settings outside their range.
///
/// # Errors
/// Names the first such setting, its value and the rule.
pub fn check(settings: &TrainSettings) -> Result<(), SettingError> {
    check_one(settings)?;
    phase::check_phases(settings)?;
    buckets::check(settings)?;
    settings.snapshots.iter().enumerate().try_for_each(|(index, &epoch)| {
        let by_epochs = !settings.has_phases() && settings.max_steps == 0;
        let ends = epoch > 0 && (!by_epochs || epoch as f64 <= settings.epochs);
        require_epoch_end(ends, index, epoch)
    })
}

/// Refuses a snapshot after an epoch that does not end. `index` is its place among the snapshots.
///
/// # Errors
/// Unless the epoch ends.
pub fn require_epoch_end(ends: bool, index: usize, epoch: u64) -> Result<(), SettingError> {
    let rule = "no epoch of that number ends in this training";
    require(ends, &format!("snapshots[{index}]"), &epoch, rule)
}

/// Refuses settings of one phase outside their range.
fn check_one(settings: &TrainSettings) -> Result<(), SettingError> {
    rules::epochs(settings.epochs)?;
    rules::batch(settings.batch_size, settings.sequence_length)?;
    let fits = settings.micro_batch_size <= settings.batch_size;
    let rule = "it must be at most batch_size";
    require(fits, "micro_batch_size", &settings.micro_batch_size, rule)?;
    check_offsets(settings)?;
    rules::number("learning_rate", settings.learning_rate)?;
    rules::share("warmup_ratio", settings.warmup_ratio)?;
    rules::share("cooldown_share", settings.cooldown_share)?;
    rules::share("min_learning_rate_ratio", settings.min_learning_rate_ratio)?;
    rules::positive("cycle_epochs", settings.cycle_epochs)?;
    decay::check(settings)?;
    rules::number("checkpoint_minutes", settings.checkpoint_minutes)?;
    settings.corruption.iter().try_for_each(CorruptionSettings::check)?;
    settings.hybrid.iter().try_for_each(HybridSettings::check)?;
    settings.masked.iter().try_for_each(MaskedSettings::check)?;
    settings.spans.iter().try_for_each(SpanSettings::check)?;
    settings.sam.iter().try_for_each(SamSettings::check)?;
    settings.average.iter().try_for_each(AverageSettings::check)?;
    // Recipes are TOML, whose integers end there.
    let holds = settings.seed.is_none_or(|seed| i64::try_from(seed).is_ok());
    let rule = "it must be at most 9223372036854775807";
    require(holds, "seed", &settings.seed.unwrap_or_default(), rule)?;
    OptimizerSettings::from(settings).check()
}

fn check_offsets(settings: &TrainSettings) -> Result<(), SettingError> {
    let (offsets, length) = (format!("{:?}", settings.chunk_offsets), settings.sequence_length);
    let rise = settings.chunk_offsets.windows(2).all(|pair| pair[0] < pair[1]);
    let fit = settings.chunk_offsets.iter().all(|&offset| offset < length);
    let rule = "offsets must rise and stay below sequence_length";
    require(rise && fit, "chunk_offsets", &offsets, rule)?;
    let alone = !settings.random_offset || settings.chunk_offsets.is_empty();
    let rule = "with random_offset = true any offset is drawn; remove one of the two";
    require(alone, "chunk_offsets", &offsets, rule)?;
    let alone = !settings.random_offset && settings.chunk_offsets.is_empty();
    let rule = "it takes the place of random_offset and chunk_offsets; remove one of the two";
    require(alone || !settings.offset_per_sequence, "offset_per_sequence", &true, rule)
}
