//! `babyllama bench train` and `bench distill`: a model with random weights, alone or with teachers of random weights.

use std::sync::Arc;

use engine::Device;
use model::Model;
use train::Teachers;
use train::step::Trainer;

use super::arguments::{StepArgs, TeacherSignal};
use super::presets::Subject;
use super::steps::{self, StepReport};

/// Seed of all random weights.
const SEED: u64 = 1;

/// Measures steps of a model by itself.
pub fn train(subject: &Subject, args: &StepArgs) -> anyhow::Result<StepReport> {
    let profiler = steps::profiled_cpu();
    let device: Arc<dyn Device> = profiler.clone();
    let model = Model::new(subject.config.clone(), &device, SEED)?;
    let trainer = Trainer::new(model, &subject.settings, SEED, None);
    steps::measure(subject, args, &profiler, trainer, None)
}

/// Measures steps of a student with its teachers.
pub fn distill(subject: &Subject, args: &StepArgs, signal: TeacherSignal) -> anyhow::Result<StepReport> {
    let profiler = steps::profiled_cpu();
    let device: Arc<dyn Device> = profiler.clone();
    let model = Model::new(subject.config.clone(), &device, SEED)?;
    let (distill, name) = match signal {
        TeacherSignal::Online => (online(subject, &device)?, "online"),
    };
    let settings = subject.distill.clone();
    let trainer = Trainer::new(model, &subject.settings, SEED, settings.zip(Some(distill)));
    steps::measure(subject, args, &profiler, trainer, Some(name))
}

/// Teachers that read each batch.
fn online(subject: &Subject, device: &Arc<dyn Device>) -> anyhow::Result<Teachers> {
    let mut models = Vec::new();
    for (seed, (name, config)) in (SEED + 1..).zip(&subject.teachers) {
        models.push((name.clone(), Model::new(config.clone(), device, seed)?));
    }
    Ok(Teachers::new(models, subject.config.vocab_size, subject.settings.sequence_length)?)
}
