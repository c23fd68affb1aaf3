//! Teachers on disk: frozen models that are loaded only when they have to speak.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use model::{Model, ModelConfig, ModelError, OutputLayer, hugging_face};

use crate::error::TrainError;

/// A Hugging Face folder with a name.
#[derive(Clone, Debug)]
pub struct Teacher {
    pub name: String,
    folder: PathBuf,
    config: ModelConfig,
}

impl Teacher {
    /// Reads a folder's configuration; the weights are left where they are.
    pub fn open(name: impl Into<String>, folder: &Path) -> Result<Self, ModelError> {
        let config = hugging_face::load_config(folder)?;
        Ok(Self { name: name.into(), folder: folder.to_owned(), config })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn load(&self, device: &Arc<dyn Device>) -> Result<Model, ModelError> {
        hugging_face::load(&self.folder, device)
    }

    /// What turns its final states into logits.
    pub fn load_output(&self, device: &Arc<dyn Device>) -> Result<OutputLayer, ModelError> {
        hugging_face::load_output(&self.folder, device)
    }

    /// A hash of everything that its answers follow from.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        hugging_face::fingerprint(&self.folder)
    }
}

/// Checks teachers against a student of the given vocabulary, reading sequences of the given
/// length. That the token ids mean the same is for the caller to compare, who knows the tokenizers.
pub(super) fn check<'a>(
    teachers: impl Iterator<Item = (&'a str, &'a ModelConfig)>,
    vocab_size: usize,
    sequence_length: usize,
) -> Result<(), TrainError> {
    for (name, config) in teachers {
        if config.vocab_size != vocab_size {
            return Err(TrainError::TeacherVocabulary {
                teacher: name.to_owned(),
                teacher_size: config.vocab_size,
                student_size: vocab_size,
            });
        }
        if config.max_positions < sequence_length {
            let (model, max_positions) = (format!("teacher {name}"), config.max_positions);
            return Err(TrainError::TooManyPositions { sequence_length, model, max_positions });
        }
    }
    Ok(())
}
