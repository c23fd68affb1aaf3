//! Qwen3 (arXiv 2505.09388), as transformers' `Qwen3ForCausalLM` (4.51.3 and later) computes it: a
//! LLaMA that normalises every head of queries and keys before it turns them (QK-norm).

use engine::Layout;
use serde_json::{Value, json};

use super::facts::{self, Activations};
use super::llama::{Llama, LlamaDecoder, rope_theta};
use super::{Architecture, Family, ModelConfig};
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::keys::Keys;

/// The family.
pub(super) struct Qwen3;

impl Family for Qwen3 {
    fn name(&self) -> &'static str {
        "qwen3"
    }

    fn title(&self) -> &'static str {
        "Qwen3"
    }

    fn language_model_class(&self) -> &'static str {
        "Qwen3ForCausalLM"
    }

    fn classifier_class(&self) -> &'static str {
        "Qwen3ForSequenceClassification"
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig {
            norm_epsilon: 1e-6,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            ..ModelConfig::unstated(Architecture::QWEN3)
        }
    }

    fn intermediate_size(&self, _hidden_size: usize) -> Result<usize, &'static str> {
        Err("for Qwen3 it is usually 3 times hidden_size")
    }

    fn has_rope_theta(&self) -> bool {
        true
    }

    fn has_embedding_dropout(&self) -> bool {
        false
    }

    fn has_residual_dropout(&self) -> bool {
        false
    }

    /// With grouped heads, which together are wider than the states.
    fn tiny(&self) -> ModelConfig {
        ModelConfig {
            num_kv_heads: 2,
            head_dim: 6,
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            ..self.defaults().with_tiny_sizes()
        }
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        Llama.validate(config)
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        CONFIG_KEYS
    }

    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
        let defaults = self.defaults();
        let num_heads: usize = keys.required("num_attention_heads")?;
        let num_layers: usize = keys.required("num_hidden_layers")?;
        check_layer_types(keys, num_layers)?;
        let is_grouped = keys.names().any(|name| name == "num_key_value_heads");
        let num_kv_heads = if is_grouped { num_heads } else { KV_HEADS };
        Ok(ModelConfig {
            vocab_size: keys.required("vocab_size")?,
            hidden_size: keys.required("hidden_size")?,
            intermediate_size: keys.required("intermediate_size")?,
            num_layers,
            num_heads,
            num_kv_heads: keys.or("num_key_value_heads", num_kv_heads)?,
            head_dim: keys.or_if_absent("head_dim", HEAD_DIM)?,
            max_positions: keys.or("max_position_embeddings", 32_768)?,
            norm_epsilon: keys.or("rms_norm_eps", defaults.norm_epsilon)?,
            rope_theta: rope_theta(keys)?.unwrap_or(defaults.rope_theta),
            attention_dropout: keys.or("attention_dropout", defaults.attention_dropout)?,
            ..defaults.with_shared_keys(keys)?
        })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        let mut keys = Llama.write_config(config);
        if let Some(keys) = keys.as_object_mut() {
            keys.remove("mlp_bias");
        }
        keys["use_sliding_window"] = json!(false);
        keys["sliding_window"] = Value::Null;
        keys["max_window_layers"] = json!(config.num_layers);
        keys
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(LlamaDecoder::new(config, true, layout))
    }

    fn is_gated(&self, _config: &ModelConfig) -> bool {
        true
    }

    /// The norm of heads keeps its input, and a number for each head.
    fn activations(&self, config: &ModelConfig) -> Activations {
        let mut activations = facts::activations(config);
        activations.kept.full += config.num_layers * (config.num_heads + config.num_kv_heads);
        activations.kept.compact += config.num_layers * facts::qkv_columns(config);
        activations
    }
}

static CONFIG_KEYS: &[ConfigKey] = &[
    followed("hidden_size"),
    followed("intermediate_size"),
    followed("num_hidden_layers"),
    followed("num_attention_heads"),
    followed("num_key_value_heads"),
    followed("head_dim"),
    followed("max_position_embeddings"),
    followed("rms_norm_eps"),
    followed("rope_theta"),
    followed("attention_dropout"),
    // Objects, of which `rope_theta` reads all keys.
    followed("rope_parameters"),
    followed("rope_scaling"),
    // One for each layer, of which one is known.
    followed("layer_types"),
    only("partial_rotary_factor", &["1"]),
    only("hidden_act", &["\"silu\"", "\"swish\""]),
    only("attention_bias", &["false"]),
    only("use_sliding_window", &["false"]),
    // Followed by transformers where `use_sliding_window` is true.
    no_effect("sliding_window"),
    no_effect("max_window_layers"),
];

/// transformers' default of the heads of keys and values.
const KV_HEADS: usize = 32;

/// transformers' default of the channels of a head.
const HEAD_DIM: usize = 128;

/// Refuses layers whose tokens see a part of the text only.
fn check_layer_types(keys: &Keys<'_>, num_layers: usize) -> Result<(), ModelError> {
    let Some(types) = keys.optional::<Vec<String>>("layer_types")? else { return Ok(()) };
    match types.len() == num_layers && types.iter().all(|kind| kind == "full_attention") {
        true => Ok(()),
        false => {
            let known = format!("\"full_attention\" for each of {num_layers} layers");
            Err(keys.unsupported("layer_types", json!(types).to_string(), known))
        }
    }
}
