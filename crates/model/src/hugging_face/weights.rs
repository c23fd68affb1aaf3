//! `model.safetensors`: tensors under their Hugging Face names, straight into and out of the flat
//! vector.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::params::NamedSegment;
use engine::{Device, Parameters, Role};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};

use crate::error::ModelError;
use crate::write_safetensors::write_safetensors;
use crate::{Architecture, ModelConfig};

/// The shape in the file.
fn file_shape(architecture: Architecture, named: &NamedSegment) -> Vec<usize> {
    let (rows, columns) = (named.segment.rows, named.segment.columns);
    match named.role {
        role if role.is_vector() => vec![columns],
        _ if architecture.is_transposed(named) => vec![columns, rows],
        _ => vec![rows, columns],
    }
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}

/// One segment as safetensors' writer asks for it; the values are fetched when they are written.
struct Outgoing<'a> {
    device: &'a dyn Device,
    values: engine::View<'a>,
    shape: Vec<usize>,
    transposed: bool,
}

impl View for Outgoing<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let (rows, columns) = (self.values.rows, self.values.columns);
        let mut values = vec![0.0f32; rows * columns];
        self.device.read(self.values, &mut values);
        if self.transposed {
            values = transpose(&values, rows, columns);
        }
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        self.values.rows * self.values.columns * size_of::<f32>()
    }
}

/// Writes all weights to one file.
pub(super) fn write(
    architecture: Architecture,
    parameters: &Parameters,
    path: &Path,
) -> Result<(), ModelError> {
    let segments = parameters.layout().segments().iter();
    let tensors = segments.map(|named| (named, parameters.view(named.segment)));
    write_segments(architecture, parameters.device(), tensors, path)
}

/// Writes segments, given with their values, to one file.
pub(super) fn write_segments<'a>(
    architecture: Architecture,
    device: &Arc<dyn Device>,
    segments: impl Iterator<Item = (&'a NamedSegment, engine::View<'a>)>,
    path: &Path,
) -> Result<(), ModelError> {
    let tensors = segments.map(|(named, values)| {
        let (shape, transposed) =
            (file_shape(architecture, named), architecture.is_transposed(named));
        (named.name.clone(), Outgoing { device: &**device, values, shape, transposed })
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    write_safetensors(path, tensors, Some(metadata))
        .map_err(|cause| ModelError::Io { path: path.to_owned(), cause })
}

/// Reads all weights from a folder.
pub(super) fn read_folder(
    folder: &Path,
    architecture: Architecture,
    parameters: &mut Parameters,
) -> Result<(), ModelError> {
    read_files(&files(folder)?, architecture, parameters)
}

/// The files of a folder's weights: one, or the shards that an index lists.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = folder.join("model.safetensors.index.json");
    if index.is_file() {
        let shards: Vec<_> = shard_names(&index)?.iter().map(|name| folder.join(name)).collect();
        if shards.is_empty() {
            return Err(ModelError::NotAModel {
                path: folder.to_owned(),
                missing: "weights in its index",
            });
        }
        return Ok(shards);
    }
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth"] {
        if folder.join(name).exists() {
            return Err(ModelError::Pickle { path: folder.join(name) });
        }
    }
    Err(ModelError::NotAModel { path: folder.to_owned(), missing: "model.safetensors" })
}

/// Reads one segment's values from a folder, and nothing else: the files are mapped, so that only
/// its bytes are touched.
pub(super) fn read_segment(
    folder: &Path,
    config: &ModelConfig,
    named: &NamedSegment,
) -> Result<Vec<f32>, ModelError> {
    let files = files(folder)?;
    for path in &files {
        let io = |cause| ModelError::Io { path: path.clone(), cause };
        let file = File::open(path).map_err(io)?;
        // Safety: the bytes must not change under the map. Weights are replaced by renaming, never
        // written in place; that no other program rewrites the file is the user's to see to, as
        // always with memory maps.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        if let Some(tensor) = find(&parse(path, &map)?, &named.name) {
            return values_of(path, config.architecture, named, &tensor);
        }
    }
    let expected = file_shape(config.architecture, named);
    Err(ModelError::MissingTensor { path: files[0].clone(), name: named.name.clone(), expected })
}

/// Reads all weights from one file.
pub(super) fn read_file(
    path: &Path,
    architecture: Architecture,
    parameters: &mut Parameters,
) -> Result<(), ModelError> {
    read_files(&[path.to_owned()], architecture, parameters)
}

fn shard_names(index: &Path) -> Result<BTreeSet<String>, ModelError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let text = std::fs::read_to_string(index)
        .map_err(|cause| ModelError::Io { path: index.to_owned(), cause })?;
    let parsed: Index = serde_json::from_str(&text)
        .map_err(|cause| ModelError::Json { path: index.to_owned(), cause })?;
    Ok(parsed.weight_map.into_values().collect())
}

fn read_files(
    paths: &[PathBuf],
    architecture: Architecture,
    parameters: &mut Parameters,
) -> Result<(), ModelError> {
    let layout = parameters.layout().clone();
    let mut missing: Vec<&NamedSegment> = layout.segments().iter().collect();
    for path in paths {
        let bytes =
            std::fs::read(path).map_err(|cause| ModelError::Io { path: path.clone(), cause })?;
        let file = parse(path, &bytes)?;
        let mut still_missing = Vec::new();
        for named in missing {
            match find(&file, &named.name) {
                Some(tensor) => {
                    let values = values_of(path, architecture, named, &tensor)?;
                    let device = parameters.device().clone();
                    device.write(parameters.view_mut(named.segment), &values);
                }
                None => still_missing.push(named),
            }
        }
        missing = still_missing;
    }
    match missing.first() {
        None => Ok(()),
        Some(named) => Err(ModelError::MissingTensor {
            path: paths[0].clone(),
            name: named.name.clone(),
            expected: file_shape(architecture, named),
        }),
    }
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, ModelError> {
    // A zip archive or a pickle stream: what torch.save writes, whatever the file is called.
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80, 0x02]) {
        return Err(ModelError::Pickle { path: path.to_owned() });
    }
    SafeTensors::deserialize(bytes)
        .map_err(|cause| ModelError::Safetensors { path: path.to_owned(), cause })
}

/// A tensor by its name, or by the name without the leading `transformer.` or `model.` that base
/// models leave out.
fn find<'a>(file: &SafeTensors<'a>, name: &str) -> Option<TensorView<'a>> {
    let short = name.split_once('.').map_or(name, |(_, rest)| rest);
    file.tensor(name).or_else(|_| file.tensor(short)).ok()
}

fn values_of(
    path: &Path,
    architecture: Architecture,
    named: &NamedSegment,
    tensor: &TensorView<'_>,
) -> Result<Vec<f32>, ModelError> {
    let expected = file_shape(architecture, named);
    // Of the token types only the first is ever used; the others may be there or not.
    let columns = named.segment.columns;
    let has_more_rows = named.role == Role::TokenTypes
        && matches!(tensor.shape(), [rows, width] if *rows > 1 && *width == columns);
    if tensor.shape() != expected && !has_more_rows {
        let (name, found) = (named.name.clone(), tensor.shape().to_vec());
        return Err(ModelError::Shape { path: path.to_owned(), name, expected, found });
    }
    let (bytes2, bytes4) = (tensor.data().as_chunks::<2>().0, tensor.data().as_chunks::<4>().0);
    let mut values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => bytes4.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => {
            bytes2.iter().map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect()
        }
        Dtype::BF16 => {
            bytes2.iter().map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect()
        }
        other => {
            let (name, found) = (named.name.clone(), format!("{other:?}"));
            return Err(ModelError::DataType { path: path.to_owned(), name, found });
        }
    };
    values.truncate(named.segment.length());
    let transposed = architecture.is_transposed(named);
    Ok(if transposed { transpose(&values, expected[0], expected[1]) } else { values })
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;

    use super::super::{
        fingerprint, load, load_any, load_any_config, load_config, load_output, read_output, save,
    };
    use super::*;
    use crate::Model;
    use crate::families::config::tests::{gpt2, llama, opt, roberta};

    fn small(config: ModelConfig) -> ModelConfig {
        ModelConfig { vocab_size: 50, ..config }
    }

    fn device() -> Arc<dyn Device> {
        Arc::new(Cpu::new())
    }

    #[test]
    fn a_saved_model_loads_to_the_same_bits() {
        let untied = ModelConfig { tie_word_embeddings: false, ..opt(16, 24, 2, 4, 8) };
        let causal = [gpt2(16, 24, 2, 4, 8), llama(16, 24, 2, 4, 2), opt(16, 24, 2, 4, 8), untied];
        for config in causal.into_iter().chain([roberta(16, 24, 2, 4, 8)]).map(small) {
            let folder = tempfile::tempdir().unwrap();
            let model = Model::new(config, &device(), 3).unwrap();
            save(&model, folder.path()).unwrap();
            let again = load_any(folder.path(), &device()).unwrap();
            assert_eq!(model.config(), again.config());
            assert_eq!(model.parameters().values().to_vec(), again.parameters().values().to_vec());
        }
    }

    #[test]
    fn the_output_layer_is_read_alone() {
        let tied = small(gpt2(16, 24, 2, 4, 8));
        let untied = ModelConfig { tie_word_embeddings: false, ..small(llama(16, 24, 2, 4, 2)) };
        for config in [tied, untied] {
            let folder = tempfile::tempdir().unwrap();
            let model = Model::new(config, &device(), 3).unwrap();
            save(&model, folder.path()).unwrap();
            let output = load_output(folder.path(), &device()).unwrap();
            let segment = model.decoder().output().weight;
            assert_eq!((output.weight.rows(), output.weight.columns()), (50, 16));
            let whole = model.parameters().values().to_vec();
            assert_eq!(
                output.weight.to_vec(),
                whole[segment.offset..segment.offset + segment.length()]
            );
            assert!(output.bias.is_none());
        }
        let folder = tempfile::tempdir().unwrap();
        let mut model = Model::new(small(roberta(16, 24, 1, 4, 8)), &device(), 3).unwrap();
        let bias = model.decoder().output().bias.unwrap();
        device().fill(model.parameters_mut().view_mut(bias), 0.5);
        save(&model, folder.path()).unwrap();
        let config = load_any_config(folder.path()).unwrap();
        let output = read_output(folder.path(), &config, &device()).unwrap();
        assert_eq!(output.bias.unwrap().to_vec(), [0.5; 50]);
        let absent = load_output(tempfile::tempdir().unwrap().path(), &device()).err().unwrap();
        assert!(absent.to_string().contains("config.json"), "{absent}");
    }

    #[test]
    fn a_fingerprint_follows_weights_and_configuration() {
        let saved = |config: ModelConfig, seed| {
            let folder = tempfile::tempdir().unwrap();
            save(&Model::new(config, &device(), seed).unwrap(), folder.path()).unwrap();
            fingerprint(folder.path()).unwrap()
        };
        let config = small(llama(16, 24, 1, 2, 2));
        assert_eq!(saved(config.clone(), 1), saved(config.clone(), 1));
        assert_ne!(saved(config.clone(), 1), saved(config.clone(), 2));
        assert_ne!(
            saved(config.clone(), 1),
            saved(ModelConfig { norm_epsilon: 1e-3, ..config }, 1)
        );
    }

    #[test]
    fn conv1d_weights_lie_transposed_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        save(&Model::new(small(gpt2(16, 24, 1, 4, 8)), &device(), 3).unwrap(), folder.path())
            .unwrap();
        let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("transformer.h.0.attn.c_attn.weight").unwrap().shape(), [16, 48]);
        assert_eq!(file.tensor("transformer.h.0.attn.c_attn.bias").unwrap().shape(), [48]);
    }

    #[test]
    fn only_what_asks_for_it_gets_a_masked_model() {
        let folder = tempfile::tempdir().unwrap();
        save(&Model::new(small(roberta(16, 24, 1, 4, 8)), &device(), 3).unwrap(), folder.path())
            .unwrap();
        let errors =
            [load(folder.path(), &device()).err(), load_output(folder.path(), &device()).err()];
        for error in errors.into_iter().flatten().chain(load_config(folder.path()).err()) {
            let message = error.to_string();
            assert!(
                message.contains("config.json") && message.contains("masked language model"),
                "{message}"
            );
        }
        assert!(load_any(folder.path(), &device()).is_ok());
    }

    const TOKEN_TYPES: &str = "roberta.embeddings.token_type_embeddings.weight";

    #[test]
    fn token_types_beyond_the_first_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::new(small(roberta(16, 24, 1, 4, 8)), &device(), 3).unwrap();
        save(&model, folder.path()).unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let rows =
            |data: &[u8], rows: usize| [data, &vec![7; data.len() * (rows - 1)][..]].concat();
        let write_with = |count: usize| {
            let types = rows(file.tensor(TOKEN_TYPES).unwrap().data(), count);
            let tensors =
                file.tensors().into_iter().map(|(name, tensor)| match name == TOKEN_TYPES {
                    true => (name, TensorView::new(Dtype::F32, vec![count, 16], &types).unwrap()),
                    false => (name, tensor),
                });
            safetensors::serialize_to_file(tensors, None, &path).unwrap();
        };
        write_with(2);
        let again = load_any(folder.path(), &device()).unwrap();
        assert_eq!(again.parameters().values().to_vec(), model.parameters().values().to_vec());
    }

    #[test]
    fn damaged_and_foreign_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let message = || load(folder.path(), &device()).err().expect("an error").to_string();
        assert!(message().contains("config.json"));

        save(&Model::new(small(llama(16, 24, 1, 2, 2)), &device(), 1).unwrap(), folder.path())
            .unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(message().contains("truncated"), "{}", message());
        std::fs::write(&path, b"PK\x03\x04 something").unwrap();
        assert!(message().contains("pickle"), "{}", message());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(folder.path().join("pytorch_model.bin"), b"x").unwrap();
        assert!(message().contains("pickle"), "{}", message());

        let wider = Model::new(small(llama(32, 24, 1, 2, 2)), &device(), 1).unwrap();
        write(Architecture::LLAMA, wider.parameters(), &path).unwrap();
        assert!(
            message().contains("`model.embed_tokens.weight` has shape [50, 32]"),
            "{}",
            message()
        );
        assert!(message().contains("[50, 16]"), "{}", message());
        let shorter = Model::new(small(gpt2(16, 24, 1, 2, 8)), &device(), 1).unwrap();
        write(Architecture::GPT2, shorter.parameters(), &path).unwrap();
        assert!(
            message().contains("`model.embed_tokens.weight` of shape [50, 16] is missing"),
            "{}",
            message()
        );
    }
}
