//! `babyllama bench train` and `bench distill`: a model with random weights, alone or with teachers
//! of random weights.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use engine::{Device, Profiler};
use model::{Model, ModelConfig, OutputLayer, hugging_face};
use train::settings::{Codec, Selection, SignalKind};
use train::signals::{
    self, DistillInputs, DistillState, Distillation, Online, Teacher, TeacherSignals,
};
use train::step::Trainer;
use train::{DistillSettings, TokenSource, TrainSettings};

use super::presets::Subject;
use super::steps::{self, StepReport};
use super::tokens::Batches;
use crate::args::bench::{StepArgs, TeacherSignal};

/// Seed of all random weights.
const SEED: u64 = 1;

/// Measures steps of a model by itself.
pub fn train(
    subject: &Subject,
    args: &StepArgs,
    device: &Arc<dyn Device>,
) -> anyhow::Result<StepReport> {
    let profiler = Arc::new(Profiler::new(device.clone()));
    let device: Arc<dyn Device> = profiler.clone();
    let model = Model::new(subject.config.clone(), &device, SEED)?;
    let trainer = Trainer::new(model, &subject.settings, SEED, None);
    steps::measure(subject, args, &profiler, trainer, Batches::new(args, subject)?)
}

/// Measures steps of a student with the teacher outputs of a signal.
pub fn distill(
    subject: &Subject,
    args: &StepArgs,
    signal: TeacherSignal,
    device: &Arc<dyn Device>,
) -> anyhow::Result<StepReport> {
    let profiler = Arc::new(Profiler::new(device.clone()));
    let device: Arc<dyn Device> = profiler.clone();
    let batches = Batches::new(args, subject)?;
    // Gone with everything in it when the measurement ends.
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (kind, codec) = match signal {
        TeacherSignal::Online => (SignalKind::Online, Codec::F32),
        TeacherSignal::Hidden => (SignalKind::Hidden, Codec::F32),
        TeacherSignal::HiddenBf16 => (SignalKind::Hidden, Codec::Bf16),
        TeacherSignal::Sampled => (SignalKind::Sampled, Codec::F32),
    };
    let distill = subject.distill.clone().context("a student has settings for its teachers")?;
    let distill = DistillSettings { signal: kind, codec, cache: None, ..distill };
    let signals: Box<dyn TeacherSignals> = match signal {
        TeacherSignal::Online => Box::new(online(subject, &distill, &device)?),
        _ => cached(subject, &distill, &device, batches.source(), folder.path())?,
    };
    let model = Model::new(subject.config.clone(), &device, SEED)?;
    let trainer = Trainer::new(
        model,
        &subject.settings,
        SEED,
        Some(DistillState { settings: distill, signals }),
    );
    steps::measure(subject, args, &profiler, trainer, batches)
}

/// Teachers that read each batch.
fn online(
    subject: &Subject,
    distill: &DistillSettings,
    device: &Arc<dyn Device>,
) -> anyhow::Result<Online> {
    let mut models = Vec::new();
    for (seed, (name, config)) in (SEED + 1..).zip(&subject.teachers) {
        models.push((name.clone(), Model::new(config.clone(), device, seed)?));
    }
    Ok(Online::new(models, distill, subject.config.vocab_size, subject.settings.sequence_length)?)
}

/// A complete cache of random teacher outputs: the teachers have an output matrix and nothing else.
fn cached(
    subject: &Subject,
    distill: &DistillSettings,
    device: &Arc<dyn Device>,
    training: &dyn TokenSource,
    folder: &Path,
) -> anyhow::Result<Box<dyn TeacherSignals>> {
    let mut teachers = Vec::new();
    for (index, (name, config)) in subject.teachers.iter().enumerate() {
        let place = folder.join(format!("teacher-{index}"));
        write_output_layer(config, device, &place)
            .with_context(|| format!("cannot write {}", place.display()))?;
        teachers.push(Teacher::open(name, &place)?);
    }
    let distillation = Distillation {
        settings: distill.clone(),
        teachers,
        caches: folder.join("caches"),
        sample_seed: SEED,
    };
    // The measured sequences are all cut at one offset, whatever the recipe does.
    let settings = TrainSettings {
        random_offset: false,
        chunk_offsets: Vec::new(),
        select_by: Selection::CrossEntropy,
        ..subject.settings.clone()
    };
    let vocab_size = subject.config.vocab_size;
    let inputs =
        DistillInputs { device, vocab_size, settings: &settings, training, validation: None };
    signals::open_synthetic(&distillation, &inputs)?.context("the signal has no cache")
}

/// Writes a model's folder whose weights are an output layer of one small value.
fn write_output_layer(
    config: &ModelConfig,
    device: &Arc<dyn Device>,
    folder: &Path,
) -> anyhow::Result<()> {
    let layer = OutputLayer::filled(config, device, 0.01);
    Ok(hugging_face::save_output(config, &layer, folder)?)
}
