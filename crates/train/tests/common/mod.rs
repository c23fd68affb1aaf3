//! What the tests against PyTorch share: fixtures, and how their tensors are compared.

// Each test file compiles this for itself and uses its part.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::params::NamedSegment;
use engine::{Device, Layout, Tensor};
use model::ModelConfig;
use safetensors::SafeTensors;
use train::finetune::Example;

pub(crate) struct Fixture(Vec<u8>);

impl Fixture {
    /// A file below `crates`.
    pub(crate) fn open(path: &str) -> Self {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        Self(std::fs::read(crates.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    /// What transformers computed from a model fixture.
    pub(crate) fn expected(model: &str) -> Self {
        Self::open(&format!("model/tests/fixtures/{model}/expected.safetensors"))
    }

    fn words(&self, name: &str) -> (Vec<usize>, Vec<[u8; 4]>) {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = tensors.tensor(name).unwrap_or_else(|_| panic!("no tensor {name}"));
        (tensor.shape().to_vec(), tensor.data().as_chunks::<4>().0.to_vec())
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).1.into_iter().map(f32::from_le_bytes).collect()
    }

    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        self.words(name).1.into_iter().map(u32::from_le_bytes).collect()
    }

    pub(crate) fn tensor(&self, device: &Arc<dyn Device>, name: &str) -> Tensor {
        let shape = self.words(name).0;
        Tensor::from_slice(device, shape[0], shape[1], &self.floats(name))
    }
}

/// The batches under a prefix: in the file all sequences are concatenated.
pub(crate) fn batches(expected: &Fixture, prefix: &str) -> Vec<Vec<Example>> {
    let numbers = |name: &str| expected.ids(&format!("{prefix}{name}")).into_iter();
    let mut ids = numbers("ids");
    let mut examples = numbers("lengths").zip(numbers("labels")).map(|(length, label)| Example {
        ids: ids.by_ref().take(length as usize).collect(),
        label,
    });
    numbers("sizes").map(|size| examples.by_ref().take(size as usize).collect()).collect()
}

/// The folder of a model fixture.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("model/tests/fixtures").join(name)
}

#[track_caller]
pub(crate) fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f32, |top, value| top.max(value.abs()));
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= tolerance * scale,
            "{what}, value {index}: {f} instead of {e} (largest {scale})"
        );
    }
}

/// A segment's values in the orientation and the order of the file.
fn as_in_file(config: &ModelConfig, named: &NamedSegment, vector: &[f32]) -> Vec<f32> {
    let (architecture, segment) = (config.architecture, named.segment);
    let values = &vector[segment.offset..segment.offset + segment.length()];
    if let Some(order) = architecture.rows_of_file(config, named) {
        let row = |row: &usize| &values[row * segment.columns..][..segment.columns];
        return order.iter().flat_map(row).copied().collect();
    }
    if !architecture.is_transposed(named) {
        return values.to_vec();
    }
    (0..segment.columns)
        .flat_map(|column| (0..segment.rows).map(move |row| values[row * segment.columns + column]))
        .collect()
}

/// Compares every segment of a flat vector with the tensor `prefix.NAME`.
pub(crate) fn compare_segments(
    config: &ModelConfig,
    layout: &Layout,
    vector: &[f32],
    expected: &Fixture,
    prefix: &str,
    tolerance: f32,
) {
    for named in layout.segments() {
        let name = format!("{prefix}.{}", named.name);
        // A key's bias shifts all scores of a query alike, and that of a pooling all scores of a
        // sequence, so its gradient is 0 but for rounding, which AdamW blows up to whole steps:
        // nothing to compare.
        if ["k_proj.bias", "key.bias", "pooler.w.bias"].iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let (mut found, mut wanted) = (as_in_file(config, named, vector), expected.floats(&name));
        // Of RoBERTa's token types only the first is ours.
        if name.ends_with("token_type_embeddings.weight") {
            wanted.truncate(found.len());
        }
        if name.starts_with("final") && name.ends_with("c_attn.bias") {
            let keys = found.len() / 3..found.len() / 3 * 2;
            found.drain(keys.clone());
            wanted.drain(keys);
        }
        assert_close(&name, &found, &wanted, tolerance);
    }
}
