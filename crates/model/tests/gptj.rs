//! GPT-J against numbers of transformers for weights that a formula fills, so that no file is
//! needed; `train/tests/pytorch.rs` has more, with random weights.

use std::sync::Arc;

use engine::cpu::Cpu;
use engine::{Device, Parameters, Role, Tape};
use model::{Architecture, Batch, Model, ModelConfig, hugging_face, write_safetensors};
use safetensors::tensor::{Dtype, TensorView};

fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

fn config(is_tied: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 11,
        hidden_size: 16,
        intermediate_size: 64,
        num_layers: 2,
        num_heads: 2,
        num_kv_heads: 2,
        head_dim: 8,
        max_positions: 16,
        rotary_dim: Some(4),
        norm_epsilon: 1e-4,
        tie_word_embeddings: is_tied,
        ..ModelConfig::tiny(Architecture::GPTJ)
    }
}

/// A folder whose tensors are filled by a formula of their place among the sorted names.
fn filled(config: &ModelConfig) -> Model {
    let folder = tempfile::tempdir().unwrap();
    hugging_face::save_config(config, folder.path()).unwrap();
    let layout = config.layout();
    let mut segments: Vec<_> = layout.segments().iter().collect();
    segments.sort_by(|a, b| a.name.cmp(&b.name));
    let fill = |k: usize, named: &engine::params::NamedSegment| -> Vec<u8> {
        let (base, size) = match named.role {
            Role::NormGain => (1.0, 0.1),
            Role::Bias => (0.0, 0.1),
            _ => (0.0, 0.25),
        };
        let value = |i: usize| base + size * (1.0 + 0.37 * i as f64 + 1.91 * k as f64).sin();
        (0..named.segment.length()).flat_map(|i| (value(i) as f32).to_le_bytes()).collect()
    };
    let bytes: Vec<_> = segments.iter().enumerate().map(|(k, named)| fill(k, named)).collect();
    let tensors = segments.iter().zip(&bytes).map(|(named, bytes)| {
        let (rows, columns) = (named.segment.rows, named.segment.columns);
        let shape = if named.role.is_vector() { vec![columns] } else { vec![rows, columns] };
        (named.name.clone(), TensorView::new(Dtype::F32, shape, bytes).unwrap())
    });
    write_safetensors(&folder.path().join("model.safetensors"), tensors, None).unwrap();
    hugging_face::load(folder.path(), &device()).unwrap()
}

/// The mean loss of the next tokens, the logits, and the gradient.
fn answers(model: &Model) -> (f64, Vec<f32>, Vec<f32>) {
    let batch = Batch::from_sequences([[1, 5, 3, 7, 2, 9, 4, 4]]);
    let layout = model.parameters().layout().clone();
    let mut gradients = Parameters::zeros(model.device(), layout);
    let mut tape = Tape::training(model.parameters(), &mut gradients, None);
    let hidden = model.decoder().hidden_states(&mut tape, &batch, None);
    let (output, targets) = (model.decoder().output(), batch.next_tokens());
    let sum = tape.language_model_loss(&hidden, output, &targets, 1.0 / 7.0);
    let mut logits = vec![0.0; 8 * 11];
    model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
    tape.backward();
    (sum / 7.0, logits, gradients.values().to_vec())
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((*found as f64 - expected).abs() < tolerance, "{found} instead of {expected}");
    }
}

fn norm(gradient: &[f32]) -> f64 {
    gradient.iter().map(|&value| value as f64 * value as f64).sum::<f64>().sqrt()
}

#[test]
fn loss_logits_and_gradients_are_those_of_transformers() {
    let model = filled(&config(false));
    let (loss, logits, gradient) = answers(&model);
    assert!((loss - 2.287637).abs() < 1e-5, "{loss}");
    assert_near(&logits[7 * 11..], &[-0.66466, -0.47675, -0.22713, 0.05164], 2e-5);
    assert_near(&logits[2 * 11..], &[-0.71732, -0.52075, -0.25673, 0.04031], 2e-5);
    assert!((norm(&gradient) - 1.687137).abs() < 1e-5, "{}", norm(&gradient));
    let layout = model.parameters().layout().clone();
    let find = |name: &str| layout.segments().iter().find(|named| named.name == name).unwrap();
    let queries = find("transformer.h.0.attn.q_proj.weight").segment;
    let first = [0.00916659, 0.00519565, 0.00071925];
    assert_near(&gradient[queries.offset..], &first, 1e-6);
}

#[test]
fn a_tied_output_layer_has_its_bias_too() {
    let model = filled(&config(true));
    let (loss, logits, gradient) = answers(&model);
    assert!((loss - 3.247189).abs() < 1e-5, "{loss}");
    assert_near(&logits[7 * 11..], &[-0.94824, -1.33916, -1.55586], 2e-5);
    assert!((norm(&gradient) - 2.868654).abs() < 1e-5, "{}", norm(&gradient));
    let bias = model.decoder().output().bias.unwrap();
    let of_bias = &gradient[bias.offset..][..bias.length()];
    assert!(of_bias.iter().all(|&value| value != 0.0));
}

/// In the file the channels of a pair are neighbours; rows without positions stay where they are.
#[test]
fn query_and_key_rows_are_read_and_written_in_the_order_of_files() {
    let config = config(false);
    let model = filled(&config);
    let layout = model.parameters().layout();
    for named in layout.segments() {
        let turned = ["q_proj", "k_proj"].iter().any(|part| named.name.contains(part));
        let order = config.architecture.rows_of_file(&config, named);
        let expected = [0, 2, 1, 3, 4, 5, 6, 7, 8, 10, 9, 11, 12, 13, 14, 15];
        assert_eq!(order.as_deref(), turned.then_some(&expected[..]), "{}", named.name);
    }
    let folder = tempfile::tempdir().unwrap();
    hugging_face::save(&model, folder.path()).unwrap();
    let again = hugging_face::load(folder.path(), &device()).unwrap();
    assert_eq!(again.parameters().values().to_vec(), model.parameters().values().to_vec());
    // The first value of the third row of a file is the second row's here.
    let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("transformer.h.1.attn.k_proj.weight").unwrap();
    let stored = f32::from_le_bytes(tensor.data()[4 * 2 * 16..][..4].try_into().unwrap());
    let find = |name: &str| layout.segments().iter().find(|named| named.name == name).unwrap();
    let keys = find("transformer.h.1.attn.k_proj.weight").segment;
    assert_eq!(stored, model.parameters().values().to_vec()[keys.offset + 16]);
}

#[test]
fn the_number_of_channels_with_positions_is_read_and_checked() {
    let read = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut object = hugging_face::config_to_json(&config(false));
        change(object.as_object_mut().unwrap());
        hugging_face::bytes::config(object.to_string().as_bytes())
    };
    let with = |value: serde_json::Value| {
        read(&|object| drop(object.insert("rotary_dim".into(), value.clone())))
    };
    assert_eq!(with(8.into()).unwrap().rotary_dim, Some(8));
    for (value, problem) in [
        (3.into(), "rotary_dim is 3; channels turn in pairs, so it must be even and at least 2"),
        (0.into(), "rotary_dim is 0; channels turn in pairs"),
        (10.into(), "rotary_dim is 10; it must be at most the 8 channels of a head"),
        (serde_json::Value::Null, "`rotary_dim` is missing"),
    ] {
        let message = with(value).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }
    // transformers' default, wider than these heads.
    let message = read(&|object| drop(object.remove("rotary_dim"))).unwrap_err().to_string();
    assert!(message.contains("rotary_dim is 64; it must be at most the 8"), "{message}");
    let other = ModelConfig { rotary_dim: Some(2), ..ModelConfig::tiny(Architecture::LLAMA) };
    let message = other.validate().unwrap_err().to_string();
    assert!(message.contains("rotary_dim is 2; LLaMA has no such key"), "{message}");
}

/// Older folders have masks beside the weights, which hold none; without the output layer's bias a
/// folder is not whole.
#[test]
fn buffers_are_left_alone_and_a_missing_bias_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = filled(&config(false));
    hugging_face::save(&model, folder.path()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mask = [0; 16];
    let mask = TensorView::new(Dtype::F32, vec![1, 1, 2, 2], &mask).unwrap();
    let buffers = ["transformer.h.0.attn.bias", "transformer.h.0.attn.masked_bias"];
    let beside = buffers.map(|name| (name.to_owned(), mask.clone()));
    let own = || file.tensors().into_iter();
    write_safetensors(&path, own().chain(beside), None).unwrap();
    let again = hugging_face::load(folder.path(), &device()).unwrap();
    assert_eq!(again.parameters().values().to_vec(), model.parameters().values().to_vec());
    assert_eq!(hugging_face::remarks(folder.path()).unwrap(), [""; 0]);
    write_safetensors(&path, own().filter(|(name, _)| name != "lm_head.bias"), None).unwrap();
    let message = hugging_face::load(folder.path(), &device()).err().unwrap().to_string();
    assert!(message.contains("`lm_head.bias` of shape [11] is missing"), "{message}");
}
