//! LTG-BERT against numbers of its authors' code for weights that a formula fills, so that no file
//! is needed; `train/tests/pytorch.rs` has more, with random weights.

use std::sync::Arc;

use engine::cpu::Cpu;
use engine::params::NamedSegment;
use engine::{Device, Parameters, Role, Tape};
use model::{
    Architecture, Batch, Model, ModelConfig, PositionHeads, hugging_face, write_safetensors,
};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

const IDS: [u32; 10] = [1, 5, 3, 7, 2, 9, 4, 4, 10, 6];

fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

fn config(position_heads: Option<PositionHeads>) -> ModelConfig {
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
        position_heads,
        norm_epsilon: 1e-5,
        ..ModelConfig::tiny(Architecture::LTG_BERT)
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

fn filled(config: &ModelConfig) -> Model {
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
fn answers(model: &Model) -> (f64, Vec<f32>, Vec<f32>) {
    let batch = Batch::from_sequences([IDS]);
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
fn assert_near(found: &[f32], expected: &[f64], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((*found as f64 - expected).abs() < tolerance, "{found} instead of {expected}");
    }
}

#[test]
fn loss_logits_and_gradients_are_those_of_both_lines_of_code() {
    for (heads, first, last, loss, norm, table) in [
        (
            PositionHeads::Halves,
            [-0.16423, 0.02394, -0.22315],
            [-0.27966, 0.07256, -0.20337],
            2.330715,
            3.196304,
            [0.0023841, 0.0035556],
        ),
        (
            PositionHeads::Interleaved,
            [-0.16854, 0.02933, -0.22945],
            [-0.28468, 0.07490, -0.20295],
            2.318852,
            3.035678,
            [0.0006462, 0.0008842],
        ),
    ] {
        let model = filled(&config(Some(heads)));
        let (found, logits, gradient) = answers(&model);
        assert!((found - loss).abs() < 2e-5, "{found} instead of {loss}");
        assert_near(&logits, &first, 2e-5);
        assert_near(&logits[9 * 11..], &last, 2e-5);
        let square: f64 = gradient.iter().map(|&value| (value as f64).powi(2)).sum();
        assert!((square.sqrt() - norm).abs() < 5e-5, "{} instead of {norm}", square.sqrt());
        let layout = model.parameters().layout();
        let is_table = |named: &&NamedSegment| named.name == "embedding.relative_embedding";
        let offset = layout.segments().iter().find(is_table).unwrap().segment.offset;
        assert_near(&gradient[offset + 3 * 8 + 1..], &table, 1e-6);
    }
}

#[test]
fn a_folder_that_states_no_line_is_computed_as_the_baselines() {
    let logits = |heads| answers(&filled(&config(heads))).1;
    assert_eq!(logits(None), logits(Some(PositionHeads::Halves)));
    let model = filled(&config(None));
    let other = model.with_position_heads(PositionHeads::Interleaved).unwrap();
    assert_eq!(answers(&other).1, logits(Some(PositionHeads::Interleaved)));
    assert_eq!(other.config().position_heads, Some(PositionHeads::Interleaved));
}

/// A published folder: its `config.json`, and its tensors with the tied matrix twice and a buffer.
fn published(model: &Model, change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    hugging_face::save(model, folder.path()).unwrap();
    let mut config = json!({
        "architectures": ["LtgBertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "auto_map": {"AutoModelForMaskedLM": "modeling_ltgbert.LtgBertForMaskedLM"},
        "classifier_dropout": null,
        "hidden_dropout_prob": 0.2,
        "hidden_size": 8,
        "intermediate_size": 12,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 16,
        "model_type": "bert",
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "output_all_encoded_layers": true,
        "pad_token_id": 3,
        "position_bucket_size": 4,
        "torch_dtype": "float32",
        "vocab_size": 11,
    });
    change(&mut config);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let embedding = file.tensor("embedding.word_embedding.weight").unwrap();
    let buffer = [0; 16 * 16 * 8];
    let buffer = TensorView::new(Dtype::I64, vec![16, 16], &buffer).unwrap();
    let more = [
        ("classifier.nonlinearity.5.weight".to_owned(), embedding),
        ("transformer.layers.0.attention.position_indices".to_owned(), buffer.clone()),
        ("transformer.layers.1.attention.position_indices".to_owned(), buffer),
    ];
    write_safetensors(&path, file.tensors().into_iter().chain(more), None).unwrap();
    folder
}

#[test]
fn a_published_folder_is_read_and_written_again() {
    let model = filled(&config(Some(PositionHeads::Halves)));
    for model_type in ["bert", "norbert", "ltgbert"] {
        let folder = published(&model, |config| config["model_type"] = json!(model_type));
        assert_eq!(hugging_face::remarks(folder.path()).unwrap(), [""; 0]);
        let read = hugging_face::load_any(folder.path(), &device()).unwrap();
        let config = read.config();
        assert_eq!((config.position_heads, config.pad_token_id), (None, Some(3)));
        assert_eq!((config.residual_dropout, config.attention_dropout), (0.2, 0.1));
        assert_eq!(answers(&model).1.len(), 110);
        assert_eq!(read.parameters().values().to_vec(), model.parameters().values().to_vec());
        let again = tempfile::tempdir().unwrap();
        hugging_face::save(&read, again.path()).unwrap();
        let text = std::fs::read_to_string(again.path().join("config.json")).unwrap();
        assert!(text.contains("\"LtgBertForMaskedLM\"") && text.contains("\"ltgbert\""), "{text}");
        let again = hugging_face::load_any(again.path(), &device()).unwrap();
        assert_eq!(again.config(), read.config());
        assert_eq!(again.parameters().values().to_vec(), model.parameters().values().to_vec());
    }
}

#[test]
fn the_line_of_code_can_be_stated() {
    let model = filled(&config(None));
    let state = |value: &str| {
        let folder = published(&model, |config| config["position_heads"] = json!(value));
        hugging_face::load_any_config(folder.path())
    };
    let found = state("interleaved").unwrap().position_heads;
    assert_eq!(found, Some(PositionHeads::Interleaved));
    let message = state("thirds").unwrap_err().to_string();
    assert!(message.contains("`position_heads`") && message.contains("`halves`"), "{message}");
}

#[test]
fn damaged_and_foreign_folders_are_named() {
    let model = filled(&config(None));
    let message = |change: &dyn Fn(&mut Value)| {
        let folder = published(&model, change);
        hugging_face::load_any(folder.path(), &device()).err().unwrap().to_string()
    };
    let without = |key: &str| {
        let key = key.to_owned();
        message(&move |config| drop(config.as_object_mut().unwrap().remove(&key)))
    };
    // A plain BERT has no buckets.
    let plain = without("position_bucket_size");
    assert!(plain.contains("`model_type` is \"bert\"; babyllama knows"), "{plain}");
    assert!(without("intermediate_size").contains("`intermediate_size` is missing"));
    let tables = message(&|config| config["position_bucket_size"] = json!(5));
    let part = "`embedding.relative_embedding` has shape [7, 8]";
    assert!(tables.contains(part) && tables.contains("[9, 8]"), "{tables}");
    let none = message(&|config| config["position_bucket_size"] = json!(1));
    assert!(none.contains("position_buckets is 1; it must be from 2"), "{none}");
    let untied = message(&|config| config["tie_word_embeddings"] = json!(false));
    assert!(untied.contains("`tie_word_embeddings` is false"), "{untied}");

    let folder = published(&model, |_| ());
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let kept = |(name, _): &(String, TensorView)| name != "embedding.relative_embedding";
    write_safetensors(&path, file.tensors().into_iter().filter(kept), None).unwrap();
    let missing = hugging_face::load_any(folder.path(), &device()).err().unwrap().to_string();
    let part = "`embedding.relative_embedding` of shape [7, 8] is missing";
    assert!(missing.contains(part), "{missing}");
}

#[test]
fn only_what_asks_for_it_gets_a_masked_model() {
    let folder = published(&filled(&config(None)), |_| ());
    let message = hugging_face::load(folder.path(), &device()).err().unwrap().to_string();
    assert!(message.contains("a masked language model"), "{message}");
}
