//! What teachers say of a batch, wherever it comes from: from running them, or from a cache of what
//! they said before.

pub mod cache;
mod cached;
mod hidden;
mod online;
mod resident;
mod sampled;
mod teacher;

use std::sync::Arc;

use engine::ops::distillation_loss::{TeacherSamples, TeacherSignal};
use engine::ops::language_model_loss::Projection;
use engine::ops::linear::LinearView;
use engine::{Device, Tensor, Var};

pub use self::cached::{Cached, Teaching};
pub use self::online::Online;
pub use self::teacher::Teacher;

use self::cache::{Purpose, Store};
use self::hidden::Hidden;
use self::sampled::Sampled;
use crate::data::{MicroBatch, TextKind, TokenSource};
use crate::error::TrainError;
use crate::settings::{DistillSettings, SignalKind, TrainSettings};

/// Says what the teachers say.
pub trait TeacherSignals {
    /// The signal of every token of a micro-batch.
    ///
    /// # Errors
    /// When a cache or a teacher cannot be read, or a cache not written.
    fn read(&mut self, micro_batch: &MicroBatch) -> Result<Signal<'_>, TrainError>;

    /// The cache of a text's signals, if they are kept.
    fn cache(&self, _text: TextKind) -> Option<&Store> {
        None
    }
}

/// What the teachers say of a micro-batch.
pub enum Signal<'a> {
    /// Final hidden states with what turns them into logits, one for each teacher.
    States(Vec<TeacherState<'a>>),
    /// Tokens drawn from their distribution.
    Samples(TeacherSamples<'a>),
}

/// What one teacher says.
pub struct TeacherState<'a> {
    states: States<'a>,
    output: LinearView<'a>,
    share: f32,
    /// Tokens of the micro-batch; there may be more states.
    rows: usize,
}

enum States<'a> {
    Computed(Var),
    Kept(&'a Tensor),
}

impl Signal<'_> {
    /// Lends the signal to whoever computes the loss.
    pub fn lend<R>(&self, to: impl FnOnce(TeacherSignal<'_>) -> R) -> R {
        match self {
            Signal::States(states) => {
                let projections: Vec<_> = states.iter().map(TeacherState::projection).collect();
                to(TeacherSignal::States(&projections))
            }
            Signal::Samples(samples) => to(TeacherSignal::Samples(*samples)),
        }
    }
}

impl TeacherState<'_> {
    fn projection(&self) -> Projection<'_> {
        let states = match &self.states {
            States::Computed(states) => states.value(),
            States::Kept(states) => states,
        };
        let hidden = states.view().row_range(0..self.rows);
        Projection::new(hidden, self.output, self.share)
    }
}

/// How a student listens, and to whom.
pub struct Distillation {
    pub settings: DistillSettings,
    /// In the order of the settings.
    pub teachers: Vec<Teacher>,
    /// Where caches lie, each in a folder that says whose it is, when the settings name none.
    pub caches: std::path::PathBuf,
    /// Seed of the tokens that are drawn from the teachers. Students that share it can share a
    /// cache.
    pub sample_seed: u64,
}

/// Who listens, to what.
pub struct Audience<'a> {
    pub device: &'a Arc<dyn Device>,
    pub vocab_size: usize,
    pub settings: &'a TrainSettings,
    pub training: &'a dyn TokenSource,
    pub validation: Option<&'a dyn TokenSource>,
}

/// The signals that the settings ask for.
///
/// # Errors
/// When a teacher does not fit the student or cannot be read, or a cache cannot be used.
pub fn open(
    distillation: &Distillation,
    audience: &Audience<'_>,
) -> Result<Box<dyn TeacherSignals>, TrainError> {
    check(distillation, audience)?;
    match distillation.settings.signal {
        SignalKind::Online => {
            let load =
                |teacher: &Teacher| Ok((teacher.name.clone(), teacher.load(audience.device)?));
            let models =
                distillation.teachers.iter().map(load).collect::<Result<Vec<_>, TrainError>>()?;
            let length = audience.settings.sequence_length;
            Ok(Box::new(Online::new(models, &distillation.settings, audience.vocab_size, length)?))
        }
        SignalKind::Hidden => {
            let form = Hidden::new(distillation, audience);
            Ok(Box::new(Cached::open(form, distillation, audience, Purpose::Use)?))
        }
        SignalKind::Sampled => {
            let form = Sampled::new(distillation, audience);
            Ok(Box::new(Cached::open(form, distillation, audience, Purpose::Use)?))
        }
    }
}

/// The signals that the settings ask for, from a cache whose missing parts are made up: for
/// measurements of students, without a word of their teachers, of whom the output matrices must be
/// there and nothing else.
///
/// # Errors
/// As [`open`].
///
/// # Panics
/// When nothing is kept of the signal.
pub fn rehearse(
    distillation: &Distillation,
    audience: &Audience<'_>,
) -> Result<Box<dyn TeacherSignals>, TrainError> {
    check(distillation, audience)?;
    match distillation.settings.signal {
        SignalKind::Online => panic!("teachers that read each batch cannot be made up"),
        SignalKind::Hidden => {
            let form = Hidden::new(distillation, audience);
            Ok(Box::new(Cached::rehearse(form, distillation, audience)?))
        }
        SignalKind::Sampled => {
            let form = Sampled::new(distillation, audience);
            Ok(Box::new(Cached::rehearse(form, distillation, audience)?))
        }
    }
}

/// The cache of the settings, to be made whole; `None` when they keep nothing.
///
/// # Errors
/// As [`open`], and when another process is writing it.
pub fn open_to_teach(
    distillation: &Distillation,
    audience: &Audience<'_>,
) -> Result<Option<Box<dyn Teaching>>, TrainError> {
    check(distillation, audience)?;
    Ok(match distillation.settings.signal {
        SignalKind::Online => None,
        SignalKind::Hidden => {
            let form = Hidden::new(distillation, audience);
            Some(Box::new(Cached::open(form, distillation, audience, Purpose::Repair)?))
        }
        SignalKind::Sampled => {
            let form = Sampled::new(distillation, audience);
            Some(Box::new(Cached::open(form, distillation, audience, Purpose::Repair)?))
        }
    })
}

fn check(distillation: &Distillation, audience: &Audience<'_>) -> Result<(), TrainError> {
    let (settings, length) = (&distillation.settings, audience.settings.sequence_length);
    let named =
        distillation.teachers.iter().map(|teacher| (teacher.name.as_str(), teacher.config()));
    teacher::check(named, audience.vocab_size, length)?;
    crate::settings::check_distillation(settings, audience.settings, distillation.teachers.len())
}

#[cfg(test)]
pub(crate) mod tests;
