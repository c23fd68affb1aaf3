//! Models whose weights a formula fills, so that no file is needed, and what is compared of them.

#![allow(dead_code, reason = "no test needs all of it")]

use std::path::Path;
use std::sync::Arc;

use engine::cpu::Cpu;
use engine::params::NamedSegment;
use engine::{Device, Parameters, Role, Tape};
use model::{Batch, Model, ModelConfig, hugging_face, write_safetensors};
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::Value;

pub(crate) const IDS: [u32; 10] = [1, 5, 3, 7, 2, 9, 4, 4, 10, 6];

pub(crate) fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

/// The sizes of the models that the numbers are of.
pub(crate) fn sizes(config: ModelConfig) -> ModelConfig {
    ModelConfig {
        vocab_size: 11,
        hidden_size: 8,
        intermediate_size: 12,
        num_layers: 2,
        num_heads: 2,
        num_kv_heads: 2,
        head_dim: 4,
        max_positions: 16,
        position_buckets: Some(4),
        norm_epsilon: 1e-5,
        ..config
    }
}

/// The value of a tensor's element, by the tensor's place among the sorted names.
fn value(tensor: usize, element: usize, named: &NamedSegment) -> f32 {
    let (base, size) = match named.role {
        Role::NormGain => (1.0, 0.1),
        Role::Bias => (0.0, 0.1),
        _ => (0.0, 0.25),
    };
    (base + size * (1.0 + 0.37 * element as f64 + 1.91 * tensor as f64).sin()) as f32
}

pub(crate) fn filled(config: &ModelConfig) -> Model {
    let mut model = Model::zeros(config.clone(), &device()).unwrap();
    let layout = model.parameters().layout().clone();
    let mut segments: Vec<_> = layout.segments().iter().collect();
    segments.sort_by(|a, b| a.name.cmp(&b.name));
    for (tensor, named) in segments.into_iter().enumerate() {
        let count = named.segment.length();
        let values: Vec<f32> = (0..count).map(|element| value(tensor, element, named)).collect();
        device().write(model.parameters_mut().view_mut(named.segment), &values);
    }
    model
}

/// The mean loss against the ids rotated left by one, the logits, and the gradient.
pub(crate) fn answers(model: &Model, bidirectional: bool) -> (f64, Vec<f32>, Vec<f32>) {
    let batch = Batch { bidirectional, ..Batch::from_sequences([IDS]) };
    let mut gradients = Parameters::zeros(model.device(), model.parameters().layout().clone());
    let mut tape = Tape::training(model.parameters(), &mut gradients, None);
    let hidden = model.decoder().hidden_states(&mut tape, &batch, None);
    let mut targets = IDS;
    targets.rotate_left(1);
    let sum = tape.language_model_loss(&hidden, model.decoder().output(), &targets, 0.1);
    let mut logits = vec![0.0; 10 * 11];
    model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
    tape.backward();
    (sum / 10.0, logits, gradients.values().to_vec())
}

#[track_caller]
pub(crate) fn assert_near(found: &[f32], expected: &[f64], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((*found as f64 - expected).abs() < tolerance, "{found} instead of {expected}");
    }
}

/// Numbers of the authors' code, of the ids read in both directions.
pub(crate) struct Golden {
    /// The first three values of the first token.
    pub(crate) first: [f64; 3],
    /// The first three values of the last token.
    pub(crate) last: [f64; 3],
    pub(crate) loss: f64,
    /// Of the gradient of all weights.
    pub(crate) norm: f64,
    /// The gradient of the table of distances, row 3, from the second column on.
    pub(crate) distances: [f64; 2],
}

#[track_caller]
pub(crate) fn assert_golden(model: &Model, golden: &Golden) {
    let (found, logits, gradient) = answers(model, true);
    let loss = golden.loss;
    assert!((found - loss).abs() < 2e-5, "{found} instead of {loss}");
    assert_near(&logits, &golden.first, 2e-5);
    assert_near(&logits[9 * 11..], &golden.last, 2e-5);
    let norm = gradient.iter().map(|&value| (value as f64).powi(2)).sum::<f64>().sqrt();
    assert!((norm - golden.norm).abs() < 5e-5, "{norm} instead of {}", golden.norm);
    let layout = model.parameters().layout();
    let is_table = |named: &&NamedSegment| named.name.ends_with("embedding.relative_embedding");
    let offset = layout.segments().iter().find(is_table).unwrap().segment.offset;
    assert_near(&gradient[offset + 3 * 8 + 1..], &golden.distances, 1e-6);
}

/// A folder with a model's tensors and this `config.json`.
pub(crate) fn folder(model: &Model, config: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    hugging_face::save(model, folder.path()).unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

/// Writes the tensors of a folder anew, as `change` makes them of those that are there.
pub(crate) fn change_tensors<'a>(
    folder: &Path,
    bytes: &'a mut Vec<u8>,
    change: impl FnOnce(Vec<(String, TensorView<'a>)>) -> Vec<(String, TensorView<'a>)>,
) {
    let path = folder.join("model.safetensors");
    *bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(bytes).unwrap();
    write_safetensors(&path, change(file.tensors()), None).unwrap();
}

pub(crate) fn load_error(folder: &Path) -> String {
    hugging_face::load_any(folder, &device()).err().unwrap().to_string()
}
