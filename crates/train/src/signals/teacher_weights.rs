//! The teachers' weights in memory.

use std::sync::Arc;

use engine::Device;
use engine::ops::linear::LinearView;
use model::{Model, OutputLayer};

use super::Teacher;
use crate::error::TrainError;

/// The part of the teachers' weights that is in memory.
pub(super) enum TeacherWeights {
    /// All weights, as long as blocks of a cache are missing.
    Models(Vec<Model>),
    /// The output layers.
    Outputs(Vec<OutputLayer>),
    /// Nothing.
    None,
}

impl TeacherWeights {
    /// All weights of all teachers.
    pub(super) fn load(teachers: &[Teacher], device: &Arc<dyn Device>) -> Result<Self, TrainError> {
        let load = |teacher: &Teacher| Ok(teacher.load(device)?);
        Ok(Self::Models(teachers.iter().map(load).collect::<Result<_, TrainError>>()?))
    }

    /// The output layers of all teachers.
    pub(super) fn load_outputs(
        teachers: &[Teacher],
        device: &Arc<dyn Device>,
    ) -> Result<Self, TrainError> {
        let load = |teacher: &Teacher| Ok(teacher.load_output(device)?);
        Ok(Self::Outputs(teachers.iter().map(load).collect::<Result<_, TrainError>>()?))
    }

    /// The whole teachers; none where not all of their weights are in memory.
    pub(super) fn models(&self) -> &[Model] {
        match self {
            TeacherWeights::Models(models) => models,
            TeacherWeights::Outputs(_) | TeacherWeights::None => &[],
        }
    }

    /// The output layers of the teachers; none where they are not in memory.
    pub(super) fn output_layers(&self) -> Vec<LinearView<'_>> {
        match self {
            TeacherWeights::Models(models) => models.iter().map(Model::output).collect(),
            TeacherWeights::Outputs(outputs) => outputs.iter().map(OutputLayer::view).collect(),
            TeacherWeights::None => Vec::new(),
        }
    }
}
