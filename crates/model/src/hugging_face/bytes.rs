//! The parsers of a model folder's files on bytes alone, for tests and fuzzers.

use std::path::Path;

use super::{GenerationConfig, config, generation, weight_files};
use crate::ModelConfig;
use crate::error::ModelError;
use crate::keys::Keys;

/// A language model's `config.json`.
///
/// # Errors
/// When it is damaged, or describes something that is not followed.
pub fn config(bytes: &[u8]) -> Result<ModelConfig, ModelError> {
    config::language_model(Keys::parse(Path::new("config.json"), bytes)?)
}

/// A `generation_config.json` beside this configuration.
///
/// # Errors
/// When it is damaged, or states something that is not followed.
pub fn generation(bytes: &[u8], config: &ModelConfig) -> Result<GenerationConfig, ModelError> {
    generation::parse(&Keys::parse(Path::new(generation::FILE), bytes)?, config)
}

/// The header of a safetensors file. Returns the names of its tensors.
///
/// # Errors
/// When it is damaged, or a tensor is outside the file.
pub fn header(bytes: &[u8]) -> Result<Vec<String>, ModelError> {
    let (_, metadata) = weight_files::header(Path::new("model.safetensors"), bytes)?;
    Ok(metadata.offset_keys())
}

/// An index of weights. Returns the names of the files.
///
/// # Errors
/// When it is damaged, or names anything but files beside it.
pub fn index(bytes: &[u8]) -> Result<Vec<String>, ModelError> {
    let path = Path::new("model.safetensors.index.json");
    Ok(weight_files::shard_names(path, bytes)?.into_iter().collect())
}
