//! `model.safetensors`: tensors under their Hugging Face names, straight into and out of the flat
//! vector.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use engine::params::NamedSegment;
use engine::{Device, Layout, Parameters, Role, Tensor};
use safetensors::tensor::{Dtype, View};

use super::weight_files::{Names, Stored, WeightFiles};
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

/// The rows of a matrix in another order: row `i` of the result is row `order[i]`.
fn with_rows(values: &[f32], order: &[usize]) -> Vec<f32> {
    let columns = values.len() / order.len();
    order.iter().flat_map(|&row| &values[row * columns..][..columns]).copied().collect()
}

/// The order that takes back another one.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &row)| inverse[row] = place);
    inverse
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}

/// One segment in the form that safetensors' writer takes; the values are fetched when they are
/// written.
struct Outgoing<'a> {
    device: &'a dyn Device,
    values: engine::View<'a>,
    shape: Vec<usize>,
    transposed: bool,
    /// The order of the file's rows, where it is another one.
    order: Option<Vec<usize>>,
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
        if let Some(order) = &self.order {
            values = with_rows(&values, order);
        }
        if self.transposed {
            values = transpose(&values, rows, columns);
        }
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        self.values.rows * self.values.columns * size_of::<f32>()
    }
}

/// Writes all weights to one file, and the empty tensors of the family.
pub(super) fn write(
    config: &ModelConfig,
    parameters: &Parameters,
    path: &Path,
) -> Result<(), ModelError> {
    let device = parameters.device();
    let empty = config.architecture.empty_tensors(config);
    let longest = empty.iter().map(|(_, [rows, columns])| rows * columns).max().unwrap_or(0);
    let zeros = Tensor::zeros(device, 1, longest);
    let empty = empty.into_iter().map(|(name, shape)| {
        let values = engine::View::block(&zeros, 0, shape[0], shape[1]);
        let shape = shape.to_vec();
        (name, Outgoing { device: &**device, values, shape, transposed: false, order: None })
    });
    let segments = parameters.layout().segments().iter();
    let segments = segments.map(|named| (named, parameters.view(named.segment)));
    write_tensors(outgoing(config, device, segments).chain(empty), path)
}

/// Writes segments, given with their values, to one file.
pub(super) fn write_segments<'a>(
    config: &'a ModelConfig,
    device: &'a Arc<dyn Device>,
    segments: impl Iterator<Item = (&'a NamedSegment, engine::View<'a>)>,
    path: &Path,
) -> Result<(), ModelError> {
    write_tensors(outgoing(config, device, segments), path)
}

/// Segments as files hold them.
fn outgoing<'a>(
    config: &'a ModelConfig,
    device: &'a Arc<dyn Device>,
    segments: impl Iterator<Item = (&'a NamedSegment, engine::View<'a>)>,
) -> impl Iterator<Item = (String, Outgoing<'a>)> {
    let architecture = config.architecture;
    segments.map(move |(named, values)| {
        let outgoing = Outgoing {
            device: &**device,
            values,
            shape: file_shape(architecture, named),
            transposed: architecture.is_transposed(named),
            order: architecture.rows_of_file(config, named),
        };
        (named.name.clone(), outgoing)
    })
}

fn write_tensors<'a>(
    tensors: impl Iterator<Item = (String, Outgoing<'a>)>,
    path: &Path,
) -> Result<(), ModelError> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    write_safetensors(path, tensors, Some(metadata))
        .map_err(|cause| ModelError::Io { path: path.to_owned(), cause })
}

/// Checks that the files have every tensor of a layout in its shape and in a type that can be read:
/// before there is memory for it.
pub(super) fn check(files: &WeightFiles, layout: &Layout, names: &Names) -> Result<(), ModelError> {
    layout.segments().iter().try_for_each(|named| find(files, names, named).map(drop))
}

/// Reads all weights.
pub(super) fn read(
    files: &WeightFiles,
    names: &Names,
    parameters: &mut Parameters,
) -> Result<(), ModelError> {
    let layout = parameters.layout().clone();
    let device = parameters.device().clone();
    for named in layout.segments() {
        let values = read_segment(files, names, named)?;
        device.write(parameters.view_mut(named.segment), &values);
    }
    Ok(())
}

/// Reads one segment's values. All are finite.
pub(super) fn read_segment(
    files: &WeightFiles,
    names: &Names,
    named: &NamedSegment,
) -> Result<Vec<f32>, ModelError> {
    let tensor = find(files, names, named)?;
    let bytes = tensor.data;
    let (bytes2, bytes4) = (bytes.as_chunks::<2>().0, bytes.as_chunks::<4>().0);
    let mut values: Vec<f32> = match tensor.dtype {
        Dtype::F16 => {
            bytes2.iter().map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect()
        }
        Dtype::BF16 => {
            bytes2.iter().map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect()
        }
        _ => bytes4.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    };
    values.truncate(named.segment.length());
    if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
        let (path, name) = (tensor.path.to_owned(), named.name.clone());
        return Err(ModelError::NotFinite { path, name, value });
    }
    let architecture = names.config.architecture;
    if architecture.is_transposed(named) {
        values = transpose(&values, named.segment.columns, named.segment.rows);
    }
    match architecture.rows_of_file(&names.config, named) {
        Some(order) => Ok(with_rows(&values, &inverse(&order))),
        None => Ok(values),
    }
}

/// The tensor of a segment, in a shape and a type that can be read.
fn find<'a>(
    files: &'a WeightFiles,
    names: &Names,
    named: &NamedSegment,
) -> Result<Stored<'a>, ModelError> {
    let expected = file_shape(names.config.architecture, named);
    let name = named.name.clone();
    let Some(tensor) = files.find(names, named) else {
        return Err(ModelError::MissingTensor { path: files.path(), name, expected });
    };
    let path = tensor.path.to_owned();
    // Of the token types only the first is ever used; the others may be there or not.
    let columns = named.segment.columns;
    let has_more_rows = named.role == Role::TokenTypes
        && matches!(tensor.shape, [rows, width] if *rows > 1 && *width == columns);
    if tensor.shape != expected && !has_more_rows {
        return Err(ModelError::Shape { path, name, expected, found: tensor.shape.to_vec() });
    }
    match tensor.dtype {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(tensor),
        other => Err(ModelError::DataType { path, name, found: format!("{other:?}") }),
    }
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;
    use safetensors::tensor::{SafeTensors, TensorView};

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
        write(wider.config(), wider.parameters(), &path).unwrap();
        assert!(
            message().contains("`model.embed_tokens.weight` has shape [50, 32]"),
            "{}",
            message()
        );
        assert!(message().contains("[50, 16]"), "{}", message());
        let shorter = Model::new(small(gpt2(16, 24, 1, 2, 8)), &device(), 1).unwrap();
        write(shorter.config(), shorter.parameters(), &path).unwrap();
        assert!(
            message().contains("`model.embed_tokens.weight` of shape [50, 16] is missing"),
            "{}",
            message()
        );
    }
}
