//! Teacher outputs of a batch: from running the teachers, or from a cache of what they computed
//! before.

pub mod cache;
pub mod fit;
mod online;
mod teacher;
mod teacher_weights;

use std::path::PathBuf;
use std::sync::Arc;

use engine::Device;
use engine::ops::distillation_loss::{TeacherSamples, TeacherSignal};
use engine::ops::language_model_loss::Projection;

pub use self::online::Online;
pub use self::teacher::Teacher;

use self::cache::{CachedSignals, Hidden, Opening, Sampled, Store, TeacherCache};
use crate::data::{MicroBatch, Origin, TextKind, TokenSource};
use crate::error::TrainError;
use crate::settings::{DistillSettings, SignalKind, TrainSettings};

/// A source of teacher outputs.
pub trait TeacherSignals {
    /// The teacher outputs of every token of a micro-batch. They stay in memory until the next
    /// call. `next` is what that call will probably be for, so that its part of a cache can be read
    /// meanwhile.
    ///
    /// # Errors
    /// When a cache or a teacher cannot be read, or a cache not written.
    fn read(
        &mut self,
        micro_batch: &MicroBatch,
        next: Option<&Origin>,
    ) -> Result<TeacherOutputs<'_>, TrainError>;

    /// Whether the training text's teacher outputs stay in the device's memory once they were read.
    fn stays_on_device(&self) -> bool {
        false
    }

    /// The cache of a text's teacher outputs, if there is one.
    fn cache(&self, _text: TextKind) -> Option<&Store> {
        None
    }
}

/// The teacher outputs of a micro-batch.
pub enum TeacherOutputs<'a> {
    /// Final hidden states with the output layer, for each teacher.
    States(Vec<Projection<'a>>),
    /// Tokens drawn from the teachers' distribution.
    Samples(TeacherSamples<'a>),
}

impl TeacherOutputs<'_> {
    /// The outputs in the form that the distillation loss takes.
    pub fn as_signal(&self) -> TeacherSignal<'_> {
        match self {
            TeacherOutputs::States(projections) => TeacherSignal::States(projections),
            TeacherOutputs::Samples(samples) => TeacherSignal::Samples(*samples),
        }
    }
}

/// Settings and teachers of a distillation.
pub struct Distillation {
    /// The `[models.NAME.distill]` table.
    pub settings: DistillSettings,
    /// The teachers, in the order of the settings.
    pub teachers: Vec<Teacher>,
    /// The folder of caches, each in a folder named after its contents, where the settings name
    /// none.
    pub caches: PathBuf,
    /// Seed of the tokens that are drawn from the teachers. Students that share it can share a
    /// cache.
    pub sample_seed: u64,
}

/// The student and the texts that teacher outputs are for.
pub struct DistillInputs<'a> {
    /// Where the student and the teachers run.
    pub device: &'a Arc<dyn Device>,
    /// The student's.
    pub vocab_size: usize,
    /// How the student is trained.
    pub settings: &'a TrainSettings,
    /// The training text.
    pub training: &'a dyn TokenSource,
    /// The held-out text.
    pub validation: Option<&'a dyn TokenSource>,
}

/// What a training step needs of a distillation.
pub struct DistillState {
    /// Weights and kind of the objective.
    pub settings: DistillSettings,
    /// The source of teacher outputs.
    pub signals: Box<dyn TeacherSignals>,
}

/// The source of teacher outputs of the settings' signal.
///
/// # Errors
/// When a teacher does not fit the student or cannot be read, or a cache cannot be used.
pub fn open(
    distillation: &Distillation,
    inputs: &DistillInputs<'_>,
) -> Result<Box<dyn TeacherSignals>, TrainError> {
    if let Some(cache) = open_as(distillation, inputs, Opening::Train)? {
        return Ok(cache);
    }
    let load = |teacher: &Teacher| Ok((teacher.name.clone(), teacher.load(inputs.device)?));
    let models = distillation.teachers.iter().map(load).collect::<Result<Vec<_>, TrainError>>()?;
    let length = inputs.settings.sequence_length;
    Ok(Box::new(Online::new(models, &distillation.settings, inputs.vocab_size, length)?))
}

/// The cache of the settings, to be completed; `None` for a signal without a cache.
///
/// # Errors
/// As [`open`], and when another process is writing it.
pub fn open_cache(
    distillation: &Distillation,
    inputs: &DistillInputs<'_>,
) -> Result<Option<Box<dyn TeacherCache>>, TrainError> {
    open_as(distillation, inputs, Opening::Complete)
}

/// A cache whose missing blocks are filled with random values, for measurements of students: of the
/// teachers only the output layers are read. `None` for a signal without a cache.
///
/// # Errors
/// As [`open`].
pub fn open_synthetic(
    distillation: &Distillation,
    inputs: &DistillInputs<'_>,
) -> Result<Option<Box<dyn TeacherSignals>>, TrainError> {
    Ok(open_as(distillation, inputs, Opening::Synthetic)?.map(|cache| cache as _))
}

fn open_as(
    distillation: &Distillation,
    inputs: &DistillInputs<'_>,
    opening: Opening,
) -> Result<Option<Box<dyn TeacherCache>>, TrainError> {
    check(distillation, inputs)?;
    Ok(match distillation.settings.signal {
        SignalKind::Online => None,
        SignalKind::Hidden => {
            let format = Hidden::new(distillation, inputs);
            Some(Box::new(CachedSignals::open(format, distillation, inputs, opening)?))
        }
        SignalKind::Sampled => {
            let format = Sampled::new(distillation, inputs);
            Some(Box::new(CachedSignals::open(format, distillation, inputs, opening)?))
        }
    })
}

/// Checks settings and teachers against the student, before any teacher is loaded.
///
/// # Errors
/// When a teacher does not fit the student, or a setting the others.
pub(crate) fn check(
    distillation: &Distillation,
    inputs: &DistillInputs<'_>,
) -> Result<(), TrainError> {
    let (settings, length) = (&distillation.settings, inputs.settings.sequence_length);
    let named =
        distillation.teachers.iter().map(|teacher| (teacher.name.as_str(), teacher.config()));
    teacher::check(named, inputs.vocab_size, length)?;
    let teachers = distillation.teachers.len();
    Ok(crate::settings::check_distillation(settings, inputs.settings, teachers)?)
}

#[cfg(test)]
pub(crate) mod tests;
