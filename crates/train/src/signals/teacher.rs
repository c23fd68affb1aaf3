//! Teachers in model folders: frozen models, loaded when they are first needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::hash;
use engine::Device;
use model::{Model, ModelConfig, ModelError, OutputLayer, hugging_face};

use crate::error::TrainError;

/// A model folder with a name.
#[derive(Clone, Debug)]
pub struct Teacher {
    /// The name in messages and manifests.
    pub name: String,
    folder: PathBuf,
    config: ModelConfig,
    /// How many rows of the vocabulary are used, where the others are padding.
    rows: Option<usize>,
}

impl Teacher {
    /// Reads a folder's configuration, not the weights.
    ///
    /// # Errors
    /// When there is no configuration that can be read.
    pub fn open(name: impl Into<String>, folder: &Path) -> Result<Self, ModelError> {
        let config = hugging_face::load_config(folder)?;
        Ok(Self { name: name.into(), folder: folder.to_owned(), config, rows: None })
    }

    /// This teacher with the first `rows` rows of its vocabulary: the others pad it to a multiple,
    /// and no tokenizer's id leads to them.
    pub fn without_padding(self, rows: usize) -> Self {
        match rows < self.config.vocab_size {
            true => Self { config: self.config.with_vocabulary(rows), rows: Some(rows), ..self },
            false => self,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The model with its weights.
    ///
    /// # Errors
    /// When the weights cannot be read or do not fit the configuration.
    pub fn load(&self, device: &Arc<dyn Device>) -> Result<Model, ModelError> {
        let model = hugging_face::load(&self.folder, device)?;
        match self.rows {
            Some(rows) => model.with_first_rows(rows),
            None => Ok(model),
        }
    }

    /// What turns its final states into logits.
    pub fn load_output(&self, device: &Arc<dyn Device>) -> Result<OutputLayer, ModelError> {
        let output = hugging_face::load_output(&self.folder, device)?;
        Ok(match self.rows {
            Some(rows) => output.with_first_rows(rows),
            None => output,
        })
    }

    /// A hash of everything that its outputs follow from.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let folder = hugging_face::fingerprint(&self.folder)?;
        Ok(match self.rows {
            Some(rows) => hash::of_bytes(format!("{folder}, first {rows} rows").as_bytes()),
            None => folder,
        })
    }
}

/// Checks teachers against a student of the given vocabulary, reading sequences of the given
/// length. Whether token ids mean the same is for the caller to compare, who has the tokenizers.
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
