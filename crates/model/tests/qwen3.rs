//! What folders of Qwen3 may state; what it computes is compared with transformers in
//! `train/tests/pytorch.rs`.

use std::path::Path;
use std::sync::Arc;

use engine::cpu::Cpu;
use engine::{Device, Role};
use model::{Architecture, Model, ModelConfig, ModelError, hugging_face};
use serde_json::{Map, Value, json};

fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

fn tiny() -> ModelConfig {
    ModelConfig::tiny(Architecture::QWEN3)
}

fn changed(change: impl FnOnce(&mut Map<String, Value>)) -> Result<ModelConfig, ModelError> {
    let mut object = hugging_face::config_to_json(&tiny());
    change(object.as_object_mut().unwrap());
    hugging_face::bytes::config(object.to_string().as_bytes())
}

fn with(key: &str, value: Value) -> Result<ModelConfig, ModelError> {
    changed(|object| drop(object.insert(key.to_owned(), value)))
}

#[test]
fn layers_that_see_a_window_are_refused() {
    let message = with("use_sliding_window", json!(true)).unwrap_err().to_string();
    assert!(message.contains("`use_sliding_window` is true; babyllama knows false"), "{message}");
    for types in [json!(["full_attention", "sliding_attention"]), json!(["full_attention"])] {
        let message = with("layer_types", types).unwrap_err().to_string();
        let known = "babyllama knows \"full_attention\" for each of 2 layers";
        assert!(message.contains("`layer_types` is [") && message.contains(known), "{message}");
    }
    // Published folders have these beside, and they change nothing.
    for (key, value) in [
        ("sliding_window", json!(4096)),
        ("sliding_window", Value::Null),
        ("max_window_layers", json!(28)),
        ("layer_types", json!(["full_attention", "full_attention"])),
        ("layer_types", Value::Null),
    ] {
        assert_eq!(with(key, value).unwrap(), tiny(), "{key}");
    }
    let llama = hugging_face::config_to_json(&ModelConfig::tiny(Architecture::LLAMA));
    let mut llama = llama.as_object().unwrap().clone();
    llama.insert("sliding_window".to_owned(), json!(4096));
    let llama = Value::Object(llama).to_string();
    let message = hugging_face::bytes::config(llama.as_bytes()).unwrap_err().to_string();
    assert!(message.contains("`sliding_window` is 4096"), "{message}");
}

/// The defaults are those of transformers' `Qwen3Config`.
#[test]
fn absent_keys_have_the_defaults_of_transformers() {
    let without =
        |keys: &[&str]| changed(|object| keys.iter().for_each(|key| drop(object.remove(*key))));
    let config = without(&["head_dim", "rms_norm_eps", "rope_theta", "max_position_embeddings"]);
    let config = config.unwrap();
    assert_eq!((config.head_dim, config.norm_epsilon), (128, 1e-6));
    assert_eq!((config.rope_theta, config.max_positions), (10_000.0, 32_768));
    let config = without(&["bos_token_id", "eos_token_id", "pad_token_id"]).unwrap();
    assert_eq!((config.bos_token_id, config.pad_token_id), (None, None));
    assert_eq!(config.eos_token_ids, [0; 0]);
    // 32 heads of keys and values, which four heads of queries cannot share; null is one each.
    let message = without(&["num_key_value_heads"]).unwrap_err().to_string();
    assert!(message.contains("num_heads is 4, which num_kv_heads = 32"), "{message}");
    assert_eq!(with("num_key_value_heads", Value::Null).unwrap().num_kv_heads, 4);
    let message = with("head_dim", Value::Null).unwrap_err().to_string();
    assert!(message.contains("`head_dim` is missing"), "{message}");
    let message = with("head_dim", json!(5)).unwrap_err().to_string();
    assert!(message.contains("head_dim is 5; rotary positions need an even number"), "{message}");
}

#[test]
fn the_gains_of_heads_are_tensors_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::new(tiny(), &device(), 1).unwrap();
    let layout = model.parameters().layout();
    let gains = layout.segments().iter().filter(|named| named.name.contains("self_attn.q_norm"));
    let found: Vec<_> = gains.map(|named| (named.role, named.segment.columns)).collect();
    assert_eq!(found, [(Role::NormGain, 6); 2]);
    hugging_face::save(&model, folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["architectures"], json!(["Qwen3ForCausalLM"]));
    assert_eq!(config["model_type"], json!("qwen3"));
    // The weights of a LLaMA of the same sizes lack them.
    let llama = ModelConfig { architecture: Architecture::LLAMA, ..tiny() };
    let other = tempfile::tempdir().unwrap();
    hugging_face::save(&Model::new(llama, &device(), 1).unwrap(), other.path()).unwrap();
    let weights = |folder: &Path| folder.join("model.safetensors");
    std::fs::copy(weights(other.path()), weights(folder.path())).unwrap();
    let message = hugging_face::load(folder.path(), &device()).err().unwrap().to_string();
    let name = "`model.layers.0.self_attn.q_norm.weight` of shape [6] is missing";
    assert!(message.contains(name), "{message}");
}
