//! Switch Transformers (Fedus et al., arXiv 2101.03961) as decoders: models whose feed-forward
//! parts are experts, of which each token passes through one. The body, which is all the rest, is
//! GPT-2's or LLaMA's.
//!
//! With the body of LLaMA it is what transformers' `Qwen2MoeForCausalLM` computes with one expert
//! per token and no shared expert, as long as no expert runs out of capacity. With that of GPT-2
//! transformers has no class for it, so that the folder's layout is this program's own.

use std::sync::LazyLock;

use engine::Layout;
use engine::params::NamedSegment;
use serde_json::{Map, Value, json};

use super::experts::{self, Experts};
use super::facts::{self, Activations, MatrixProduct};
use super::gpt2::{self, Gpt2, Gpt2Decoder};
use super::llama::{self, Llama, LlamaDecoder};
use super::{Architecture, Family, ModelConfig};
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::keys::Keys;

/// The family with the body of GPT-2.
pub(super) struct SwitchGpt2;

/// The family with the body of LLaMA.
pub(super) struct SwitchLlama;

/// How the names of a GPT-2 body's routers end.
pub(super) const ROUTER: &str = "mlp.router.classifier.weight";

impl Family for SwitchGpt2 {
    fn name(&self) -> &'static str {
        "switch"
    }

    fn title(&self) -> &'static str {
        "Switch (GPT-2 body)"
    }

    fn model_type(&self) -> &'static str {
        "babyllama_switch"
    }

    /// A name of our own: transformers has none.
    fn language_model_class(&self) -> &'static str {
        "BabyllamaSwitchForCausalLM"
    }

    fn classifier_class(&self) -> &'static str {
        "BabyllamaSwitchForSequenceClassification"
    }

    fn is_in_transformers(&self) -> bool {
        false
    }

    fn defaults(&self) -> ModelConfig {
        let architecture = Architecture::SWITCH_GPT2;
        ModelConfig { architecture, experts: Some(Experts::default()), ..Gpt2.defaults() }
    }

    fn tiny(&self) -> ModelConfig {
        tiny(Gpt2.tiny(), Architecture::SWITCH_GPT2)
    }

    fn has_padding_row(&self) -> bool {
        Gpt2.has_padding_row()
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        Gpt2.validate(config)?;
        config.require_experts()?.validate(config.sparse_layers())
    }

    fn has_experts(&self) -> bool {
        true
    }

    /// Transformers' Switch Transformers have experts in the second of every `step` layers.
    fn is_sparse(&self, layer: usize, step: usize) -> bool {
        step == 1 || (step > 0 && layer % step == 1)
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        static KEYS: LazyLock<Vec<ConfigKey>> =
            LazyLock::new(|| [gpt2::CONFIG_KEYS, experts::CONFIG_KEYS].concat());
        &KEYS
    }

    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
        let (architecture, experts) = (Architecture::SWITCH_GPT2, Some(Experts::read(keys)?));
        Ok(ModelConfig { architecture, experts, ..Gpt2.read_config(keys)? })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        let mut object = object(Gpt2.write_config(config));
        config.experts.iter().for_each(|experts| experts.write(&mut object));
        Value::Object(object)
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(Gpt2Decoder::new(config, layout))
    }

    /// A router starts as any other matrix: with a deviation of 1, as in encoder-decoder models
    /// whose embeddings are as large, its softmax would be nearly one-hot.
    fn initial_deviation(&self, config: &ModelConfig, segment: &NamedSegment) -> f32 {
        Gpt2.initial_deviation(config, segment)
    }

    /// Experts as GPT-2's matrices; routers are `[experts, hidden]`.
    fn is_transposed(&self, segment: &NamedSegment) -> bool {
        Gpt2.is_transposed(segment) && !segment.name.ends_with(ROUTER)
    }

    fn idle_weights(&self, config: &ModelConfig) -> usize {
        idle_experts(config) * 2 * config.hidden_size * config.intermediate_size
    }

    fn idle_parameters(&self, config: &ModelConfig) -> usize {
        let biases = idle_experts(config) * (config.hidden_size + config.intermediate_size);
        self.idle_weights(config) + biases
    }

    fn products(&self, config: &ModelConfig) -> Vec<MatrixProduct> {
        products(config)
    }

    fn activations(&self, config: &ModelConfig) -> Activations {
        activations(config)
    }
}

impl Family for SwitchLlama {
    fn name(&self) -> &'static str {
        "switch_llama"
    }

    fn title(&self) -> &'static str {
        "Switch (LLaMA body)"
    }

    fn has_rope_theta(&self) -> bool {
        true
    }

    fn model_type(&self) -> &'static str {
        "qwen2_moe"
    }

    fn language_model_class(&self) -> &'static str {
        "Qwen2MoeForCausalLM"
    }

    fn classifier_class(&self) -> &'static str {
        "Qwen2MoeForSequenceClassification"
    }

    /// Recipes name it as `switch` with the body of LLaMA.
    fn is_made_by_recipes(&self) -> bool {
        false
    }

    fn defaults(&self) -> ModelConfig {
        let architecture = Architecture::SWITCH_LLAMA;
        ModelConfig { architecture, experts: Some(Experts::default()), ..Llama.defaults() }
    }

    fn intermediate_size(&self, hidden_size: usize) -> Result<usize, &'static str> {
        Llama.intermediate_size(hidden_size)
    }

    fn has_embedding_dropout(&self) -> bool {
        Llama.has_embedding_dropout()
    }

    fn has_residual_dropout(&self) -> bool {
        Llama.has_residual_dropout()
    }

    fn tiny(&self) -> ModelConfig {
        tiny(Llama.tiny(), Architecture::SWITCH_LLAMA)
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        Llama.validate(config)?;
        // Older versions of the class know no other width of the heads.
        if config.num_heads * config.head_dim != config.hidden_size {
            let (hidden, heads) = (config.hidden_size, config.num_heads);
            let problem = format!("is {}; it must be {hidden} / {heads}", config.head_dim);
            return Err(ModelError::Config { key: "head_dim", problem });
        }
        config.require_experts()?.validate(config.sparse_layers())
    }

    fn has_experts(&self) -> bool {
        true
    }

    /// `Qwen2MoeForCausalLM` has experts in the last of every `step` layers.
    fn is_sparse(&self, layer: usize, step: usize) -> bool {
        step > 0 && (layer + 1).is_multiple_of(step)
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        static KEYS: LazyLock<Vec<ConfigKey>> = LazyLock::new(|| {
            let of_body = llama::CONFIG_KEYS.iter().copied();
            let of_body = of_body.filter(|key| !NOT_QWEN2_MOE.contains(&key.name));
            of_body.chain(experts::CONFIG_KEYS.iter().chain(QWEN2_MOE).copied()).collect()
        });
        &KEYS
    }

    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
        // Left out, each of them has a default that the forward pass does not follow.
        for key in NEEDED {
            if keys.names().all(|name| name != key) {
                return Err(ModelError::MissingKey { path: keys.path.to_owned(), key });
            }
        }
        let layers: Vec<String> = keys.or("layer_types", Vec::new())?;
        if let Some(other) = layers.iter().find(|kind| *kind != "full_attention") {
            let known = json!("full_attention").to_string();
            return Err(keys.unsupported("layer_types", json!(other).to_string(), known));
        }
        let (architecture, experts) = (Architecture::SWITCH_LLAMA, Experts::read(keys)?);
        let dense: usize = keys.required("intermediate_size")?;
        let sparse: usize = keys.required("moe_intermediate_size")?;
        let config = ModelConfig {
            architecture,
            intermediate_size: sparse,
            experts: Some(experts),
            ..Llama.read_config(keys)?
        };
        if dense != sparse && config.sparse_layers() < config.num_layers {
            let problem = format!("is {dense} and moe_intermediate_size {sparse}; they must agree");
            return Err(ModelError::Config { key: "intermediate_size", problem }.of_file(keys.path));
        }
        Ok(config)
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        let mut object = object(Llama.write_config(config));
        NOT_QWEN2_MOE.iter().for_each(|key| drop(object.remove(*key)));
        config.experts.iter().for_each(|experts| experts.write(&mut object));
        let own = [
            ("moe_intermediate_size", json!(config.intermediate_size)),
            ("shared_expert_intermediate_size", json!(0)),
            ("num_experts_per_tok", json!(1)),
            ("norm_topk_prob", json!(false)),
            ("qkv_bias", json!(false)),
            ("mlp_only_layers", json!([])),
            ("use_sliding_window", json!(false)),
        ];
        object.extend(own.map(|(key, value)| (key.to_owned(), value)));
        Value::Object(object)
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(LlamaDecoder::new(config, false, layout))
    }

    fn is_gated(&self, config: &ModelConfig) -> bool {
        Llama.is_gated(config)
    }

    /// The shared expert, which is empty.
    fn empty_tensors(&self, config: &ModelConfig) -> Vec<(String, [usize; 2])> {
        let hidden = config.hidden_size;
        let of_layer = |layer: usize| {
            let prefix = format!("model.layers.{layer}.mlp.shared_expert");
            let tensor = |name: &str, shape| (format!("{prefix}{name}.weight"), shape);
            [
                tensor(".gate_proj", [0, hidden]),
                tensor(".up_proj", [0, hidden]),
                tensor(".down_proj", [hidden, 0]),
                tensor("_gate", [1, hidden]),
            ]
        };
        let sparse = |layer: &usize| config.experts_of_layer(*layer).is_some();
        (0..config.num_layers).filter(sparse).flat_map(of_layer).collect()
    }

    fn idle_weights(&self, config: &ModelConfig) -> usize {
        idle_experts(config) * 3 * config.hidden_size * config.intermediate_size
    }

    fn products(&self, config: &ModelConfig) -> Vec<MatrixProduct> {
        products(config)
    }

    fn activations(&self, config: &ModelConfig) -> Activations {
        activations(config)
    }
}

/// Keys of LLaMA that `Qwen2MoeConfig` does not have.
const NOT_QWEN2_MOE: [&str; 3] = ["attention_bias", "mlp_bias", "pretraining_tp"];

/// Keys whose default in `Qwen2MoeConfig` is not what is computed here.
const NEEDED: [&str; 3] = ["num_experts_per_tok", "qkv_bias", "shared_expert_intermediate_size"];

/// The keys of `Qwen2MoeConfig` beyond LLaMA's, from transformers 4.40 to 5.24.
static QWEN2_MOE: &[ConfigKey] = &[
    followed("moe_intermediate_size"),
    followed("layer_types"),
    only("num_experts_per_tok", &["1"]),
    only("norm_topk_prob", &["false"]),
    only("qkv_bias", &["false"]),
    only("shared_expert_intermediate_size", &["0"]),
    only("mlp_only_layers", &["[]"]),
    only("use_sliding_window", &["false"]),
    // Without effect where `use_sliding_window` is false.
    no_effect("sliding_window"),
    no_effect("max_window_layers"),
];

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// Every layer has three experts without a limit.
fn tiny(body: ModelConfig, architecture: Architecture) -> ModelConfig {
    let experts = Experts {
        num_experts: 3,
        capacity: super::experts::Capacity::None,
        router_jitter: 0.0,
        ..Experts::default()
    };
    ModelConfig { architecture, experts: Some(experts), ..body }
}

/// The experts of all layers that a token does not pass.
fn idle_experts(config: &ModelConfig) -> usize {
    let others = config.experts.as_ref().map_or(0, |experts| experts.num_experts.saturating_sub(1));
    config.sparse_layers() * others
}

/// A token's products: those of a dense model, and the routers'.
fn products(config: &ModelConfig) -> Vec<MatrixProduct> {
    let mut products = facts::products(config);
    if let Some(experts) = &config.experts {
        products.push(MatrixProduct {
            name: "router",
            inputs: config.hidden_size,
            outputs: experts.num_experts,
            count: config.sparse_layers(),
        });
    }
    products
}

/// A token's values: those of a dense model, and for every sparse layer also the router's logits,
/// the experts' inputs in their order and their outputs, and the jittered input.
fn activations(config: &ModelConfig) -> Activations {
    let mut activations = facts::activations(config);
    let (hidden, layers) = (config.hidden_size, config.sparse_layers());
    let (logits, copies) = match &config.experts {
        None => (0, 0),
        Some(experts) => (experts.num_experts, if experts.router_jitter > 0.0 { 2 } else { 1 }),
    };
    activations.kept.full += layers * (hidden + logits);
    activations.kept.compact += layers * copies * hidden;
    activations.backward.full += 2 * hidden + logits;
    activations.forward.full += hidden + logits;
    activations.forward.compact += hidden;
    activations
}

#[cfg(test)]
mod tests;
