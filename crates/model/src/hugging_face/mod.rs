//! Folders in Hugging Face's layout, in and out: `config.json`, `generation_config.json`,
//! `model.safetensors` (or shards with an index). The tokenizer's files beside them are `corpus`'s
//! business.

pub mod bytes;
mod classifier;
mod config;
pub(crate) mod generation;
mod remarks;
#[cfg(test)]
mod tests;
mod weight_files;
mod weights;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{atomic_file, input_file};
use engine::params::NamedSegment;
use engine::{Device, Layout, Segment, Tensor};

use crate::{Model, ModelConfig, ModelError, OutputLayer};

pub use classifier::{load_classifier, save_classifier};
pub use generation::{GenerationConfig, load_generation};
pub use remarks::remarks;
use weight_files::{Names, WeightFiles};

/// Reads a folder's configuration alone.
///
/// # Errors
/// When the folder holds a model that does not predict the next token, which can neither teach nor
/// write; also when it is damaged.
pub fn load_config(folder: &Path) -> Result<ModelConfig, ModelError> {
    let config = load_any_config(folder)?;
    match config.architecture.is_causal() {
        true => Ok(config),
        false => {
            let (path, kind) = (config_path(folder)?, config.architecture.kind());
            Err(ModelError::NotCausalFolder { path, kind })
        }
    }
}

/// Reads a folder's configuration alone, a masked model's too.
///
/// # Errors
/// When the folder holds no model, or is damaged.
pub fn load_any_config(folder: &Path) -> Result<ModelConfig, ModelError> {
    let config = config::parse(&config_path(folder)?)?;
    if weight_files::paths(folder).is_err() || !config.tie_word_embeddings {
        return Ok(config);
    }
    let files = WeightFiles::open(folder)?;
    with_own_head(of_tensors(config, &files)?, &files)
}

/// The configuration as the names of the tensors show it.
fn of_tensors(config: ModelConfig, files: &WeightFiles) -> Result<ModelConfig, ModelError> {
    let has = |name: &str| files.get(name).is_some();
    let family = config.architecture;
    let found = family.of_tensors(config, &has);
    found.map_err(|problem| ModelError::ElcVariant { path: files.path(), problem })
}

/// The configuration as the weights have it: where `config.json` states that a model shares its
/// output layer with the embedding, but its files have another matrix for it, transformers (since
/// 5.0) uses both.
fn with_own_head(config: ModelConfig, files: &WeightFiles) -> Result<ModelConfig, ModelError> {
    let Some(head) = files.other_head(&config) else { return Ok(config) };
    let family = config.architecture;
    let untied = ModelConfig { tie_word_embeddings: false, ..config };
    match family.can_untie() {
        true => Ok(untied),
        false => Err(ModelError::OtherHead {
            path: head.path.to_owned(),
            name: family.output_name(&untied).to_owned(),
            family: family.title(),
        }),
    }
}

fn config_path(folder: &Path) -> Result<PathBuf, ModelError> {
    let config = folder.join("config.json");
    if config.is_file() {
        return Ok(config);
    }
    let path = folder.to_owned();
    Err(match model_below(folder) {
        Some(model) => ModelError::ModelBelow { path, model },
        None => ModelError::NotAModel { path, missing: "config.json" },
    })
}

/// Where the folder of a training keeps its model, or the folder of a run the first of its models.
fn model_below(folder: &Path) -> Option<PathBuf> {
    let of_training = |folder: &Path| {
        let mut kept = ["final", "best"].into_iter().map(|name| folder.join(name));
        kept.find(|folder| folder.join("config.json").is_file())
    };
    let of_run = || {
        let trainings = std::fs::read_dir(folder.join("models")).ok()?;
        let trainings = trainings.filter_map(|training| Some(training.ok()?.path()));
        trainings.filter_map(|training| of_training(&training)).min()
    };
    of_training(folder).or_else(of_run)
}

/// Reads a model that predicts the next token from a folder.
///
/// # Errors
/// When the folder holds a model that does not predict the next token, or is damaged.
pub fn load(folder: &Path, device: &Arc<dyn Device>) -> Result<Model, ModelError> {
    read(folder, load_config(folder)?, device)
}

/// Reads a model of any kind from a folder, for callers that ask
/// [`Family::is_causal`](crate::Family::is_causal).
///
/// # Errors
/// When the folder is damaged.
pub fn load_any(folder: &Path, device: &Arc<dyn Device>) -> Result<Model, ModelError> {
    read(folder, load_any_config(folder)?, device)
}

fn read(folder: &Path, config: ModelConfig, device: &Arc<dyn Device>) -> Result<Model, ModelError> {
    let (files, names) = (WeightFiles::open(folder)?, Names::of_language_model(&config));
    weights::check(&files, &config.layout(), &names)?;
    let mut model = Model::zeros(config, device)?;
    weights::read(&files, &names, model.parameters_mut())?;
    Ok(model)
}

/// Checks that a model's folder has the weights of its configuration, by their headers alone;
/// returns the configuration.
///
/// # Errors
/// When a file is missing, cut off, or has other tensors.
pub fn check_weights(folder: &Path) -> Result<ModelConfig, ModelError> {
    let config = load_any_config(folder)?;
    let (files, names) = (WeightFiles::open(folder)?, Names::of_language_model(&config));
    weights::check(&files, &config.layout(), &names)?;
    Ok(config)
}

/// Reads a folder's output layer alone; its matrix is the token embeddings where the two are tied.
///
/// # Errors
/// When the folder holds a model that does not predict the next token, or is damaged.
pub fn load_output(folder: &Path, device: &Arc<dyn Device>) -> Result<OutputLayer, ModelError> {
    read_output(folder, &load_config(folder)?, device)
}

fn read_output(
    folder: &Path,
    config: &ModelConfig,
    device: &Arc<dyn Device>,
) -> Result<OutputLayer, ModelError> {
    let (files, names) = (WeightFiles::open(folder)?, Names::of_language_model(config));
    let read = |named: &NamedSegment| {
        let values = weights::read_segment(&files, &names, named)?;
        Ok(Tensor::from_slice(device, named.segment.rows, named.segment.columns, &values))
    };
    let (weight, bias) = output_segments(config)?;
    Ok(OutputLayer { weight: read(&weight)?, bias: bias.as_ref().map(read).transpose()? })
}

/// The named segments of a model's output layer: its matrix and its bias, if it has one.
fn output_segments(
    config: &ModelConfig,
) -> Result<(NamedSegment, Option<NamedSegment>), ModelError> {
    let mut layout = Layout::default();
    let output = config.architecture.decoder(config, &mut layout).output();
    let find = |segment: Segment| {
        let found = layout.segments().iter().find(|named| named.segment == segment);
        found.cloned().ok_or(ModelError::NoOutputLayer)
    };
    Ok((find(output.weight)?, output.bias.map(find).transpose()?))
}

/// Writes a model's configuration, and of its weights the output layer alone, into a folder, which
/// is made when it does not exist: enough for [`load_output`].
///
/// # Errors
/// When a file cannot be written.
pub fn save_output(
    config: &ModelConfig,
    output: &OutputLayer,
    folder: &Path,
) -> Result<(), ModelError> {
    save_config(config, folder)?;
    let (weight, bias) = output_segments(config)?;
    let device = output.weight.device();
    let bias = bias.as_ref().zip(output.bias.as_ref()).map(|(named, bias)| (named, bias.view()));
    let tensors = [(&weight, output.weight.view())].into_iter().chain(bias);
    weights::write_segments(config, device, tensors, &weights_path(folder))
}

/// BLAKE3, in hexadecimal, of a folder's configuration and weights: everything that a model's
/// answers follow from.
///
/// # Errors
/// When the folder holds no model, or cannot be read.
pub fn fingerprint(folder: &Path) -> Result<String, ModelError> {
    fingerprint_seen(folder, |_| ())
}

/// The hash of a folder's configuration and weights, as [`fingerprint`]; `see` gets, now and then,
/// how many bytes of weights are read.
///
/// # Errors
/// As [`fingerprint`].
pub fn fingerprint_seen(folder: &Path, mut see: impl FnMut(u64)) -> Result<String, ModelError> {
    /// Bytes between two reports.
    const PIECE: u64 = 64 << 20;
    let mut hasher = blake3::Hasher::new();
    hasher.update(config::to_json(&load_any_config(folder)?).to_string().as_bytes());
    let before = hasher.count();
    for path in weight_files::paths(folder)? {
        let failed = |cause| ModelError::Io { path: path.clone(), cause };
        let mut file = input_file::open_regular(&path).map_err(failed)?;
        loop {
            let read = hasher.count();
            hasher.update_reader(file.by_ref().take(PIECE)).map_err(failed)?;
            if hasher.count() == read {
                break;
            }
            see(hasher.count() - before);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Bytes of a folder's files of weights; 0 where there are none.
pub fn weight_bytes(folder: &Path) -> u64 {
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    weight_files::paths(folder).map_or(0, |paths| paths.iter().map(size).sum())
}

/// A configuration as `config.json` holds it.
pub fn config_to_json(config: &ModelConfig) -> serde_json::Value {
    config::to_json(config)
}

/// Writes a model's configuration and weights into a folder, which is made when it does not exist.
/// Each file is written beside and renamed into place.
///
/// # Errors
/// When a file cannot be written.
pub fn save(model: &Model, folder: &Path) -> Result<(), ModelError> {
    save_config(model.config(), folder)?;
    write_weights(model, &weights_path(folder))
}

/// Writes a model's configuration alone into a folder, which is made when it does not exist.
///
/// # Errors
/// When a file cannot be written.
pub fn save_config(config: &ModelConfig, folder: &Path) -> Result<(), ModelError> {
    make_folder(folder)?;
    write_json(&folder.join("config.json"), &config::to_json(config))?;
    write_json(&folder.join(generation::FILE), &config::generation(config))
}

/// Writes a model's weights to one safetensors file.
///
/// # Errors
/// When it cannot be written.
pub fn write_weights(model: &Model, path: &Path) -> Result<(), ModelError> {
    weights::write(model.config(), model.parameters(), path)
}

/// Reads a model's weights from one safetensors file.
///
/// # Errors
/// When the file cannot be read, is damaged, or is that of a model of another shape.
pub fn read_weights(path: &Path, model: &mut Model) -> Result<(), ModelError> {
    let names = Names::of_language_model(model.config());
    weights::read(&WeightFiles::open_one(path)?, &names, model.parameters_mut())
}

fn weights_path(folder: &Path) -> PathBuf {
    folder.join("model.safetensors")
}

fn make_folder(folder: &Path) -> Result<(), ModelError> {
    std::fs::create_dir_all(folder)
        .map_err(|cause| ModelError::Io { path: folder.to_owned(), cause })
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), ModelError> {
    let mut text = format!("{value:#}");
    text.push('\n');
    atomic_file::write(path, text.as_bytes())
        .map_err(|cause| ModelError::Io { path: path.to_owned(), cause })
}
