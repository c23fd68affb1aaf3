//! The models of the Language Technology Group in Oslo, which share attention by bucketed
//! distances, norms without parameters and the layer before the output: LTG-BERT and, after it,
//! ELC-BERT and GPT-BERT.

mod bert;
mod elc_bert;
mod gpt_bert;
mod parts;

use engine::params::NamedSegment;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Activations, Architecture, MatrixProduct, ModelConfig, facts};
use crate::error::ModelError;
use crate::keys::{Keys, decimal};

pub(super) use bert::LtgBert;
pub(super) use elc_bert::ElcBert;
pub use elc_bert::ElcVariant;
pub(super) use gpt_bert::GptBert;
pub use gpt_bert::GptBertNames;

/// How the projected table of distances is cut into the heads' queries and keys. Weights do not
/// show which of the two a model was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionHeads {
    /// The queries of all heads, then the keys of all heads: the code of the BabyLM baselines.
    Halves,
    /// Head by head: the code of the BNC models and NorBERT.
    Interleaved,
}

/// What the families' defaults share.
fn defaults(architecture: Architecture) -> ModelConfig {
    ModelConfig {
        norm_epsilon: 1e-7,
        max_positions: 0,
        position_buckets: Some(32),
        tie_word_embeddings: true,
        embedding_dropout: 0.1,
        attention_dropout: 0.1,
        residual_dropout: 0.1,
        bos_token_id: None,
        eos_token_ids: Vec::new(),
        pad_token_id: Some(4),
        ..ModelConfig::unstated(architecture)
    }
}

/// A tiny configuration with buckets of several distances.
fn tiny(defaults: ModelConfig) -> ModelConfig {
    ModelConfig {
        position_buckets: Some(4),
        bos_token_id: Some(1),
        eos_token_ids: vec![2],
        ..defaults.with_tiny_sizes()
    }
}

/// The standard deviation of the initial weights, which are cut at twice of it.
fn initializer_range(hidden_size: usize) -> f32 {
    (2.0 / (5.0 * hidden_size.max(1) as f32)).sqrt()
}

/// The standard deviation of a segment's initial weights: those of both matrices of a feed-forward
/// part, which are under `LAYERS.i.`, shrink from layer to layer.
fn initial_deviation(config: &ModelConfig, segment: &NamedSegment, layers: &str) -> f32 {
    let layer = segment.name.split_once(layers).and_then(|(_, rest)| {
        let (layer, part) = rest.split_once('.')?;
        part.starts_with("mlp.").then(|| layer.parse::<usize>().ok())?
    });
    let scale = layer.map_or(1.0, |layer| (2.0 * (1 + layer) as f32).sqrt().recip());
    config.initializer_range * scale
}

/// Checks what `config.json` of these families cannot state: an output layer with a matrix of its
/// own, and another dropout of the embedding than of the layers.
fn validate(config: &ModelConfig) -> Result<(), ModelError> {
    let (family, share) = (config.architecture.title(), config.residual_dropout);
    let wrong = |key, problem| Err(ModelError::Config { key, problem });
    if !config.tie_word_embeddings {
        let problem =
            format!("is false; {family}'s output layer always has the embedding's matrix");
        return wrong("tie_word_embeddings", problem);
    }
    if config.embedding_dropout != share {
        let found = config.embedding_dropout;
        let problem = format!("is {found}; {family} has one dropout, residual_dropout = {share}");
        return wrong("embedding_dropout", problem);
    }
    config.require_plain_heads()
}

/// The configuration that the keys of these families state, over a family's defaults.
fn read_config(defaults: ModelConfig, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
    let hidden_size: usize = keys.required("hidden_size")?;
    let num_heads: usize = keys.required("num_attention_heads")?;
    let dropout = keys.or("hidden_dropout_prob", defaults.residual_dropout)?;
    let initializer_range = initializer_range(hidden_size);
    let shared = ModelConfig { initializer_range, ..defaults }.with_shared_keys(keys)?;
    Ok(ModelConfig {
        vocab_size: keys.required("vocab_size")?,
        hidden_size,
        intermediate_size: keys.required("intermediate_size")?,
        num_layers: keys.required("num_hidden_layers")?,
        num_heads,
        num_kv_heads: num_heads,
        head_dim: hidden_size / num_heads.max(1),
        max_positions: keys.or("max_position_embeddings", 512)?,
        position_buckets: Some(keys.or("position_bucket_size", 32)?),
        norm_epsilon: keys.or("layer_norm_eps", shared.norm_epsilon)?,
        embedding_dropout: dropout,
        attention_dropout: keys.or("attention_probs_dropout_prob", shared.attention_dropout)?,
        residual_dropout: dropout,
        classifier_dropout: keys.optional("classifier_dropout")?,
        ..shared
    })
}

/// The keys that all of them write.
fn write_config(config: &ModelConfig) -> Value {
    json!({
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "max_position_embeddings": config.max_positions,
        "position_bucket_size": config.position_buckets,
        "layer_norm_eps": decimal(config.norm_epsilon),
        "hidden_dropout_prob": decimal(config.residual_dropout),
        "attention_probs_dropout_prob": decimal(config.attention_dropout),
    })
}

/// The table of a family's keys: those that all of them know, and its own.
macro_rules! config_keys {
    ($($own:expr),* $(,)?) => {
        &[
            followed("hidden_size"),
            followed("intermediate_size"),
            followed("num_hidden_layers"),
            followed("num_attention_heads"),
            followed("max_position_embeddings"),
            followed("position_bucket_size"),
            followed("layer_norm_eps"),
            followed("hidden_dropout_prob"),
            followed("attention_probs_dropout_prob"),
            followed("classifier_dropout"),
            only("tie_word_embeddings", &["true"]),
            no_effect("auto_map"),
            no_effect("output_all_encoded_layers"),
            $($own),*
        ]
    };
}
use config_keys;

/// The products of all layers, with the one before the output layer.
fn products(config: &ModelConfig) -> Vec<MatrixProduct> {
    let (name, size) = ("classifier.dense", config.hidden_size);
    let dense = MatrixProduct { name, inputs: size, outputs: size, count: 1 };
    facts::products(config).into_iter().chain([dense]).collect()
}

/// Two more norms in a layer, which keep their inputs and their statistics.
fn activations(config: &ModelConfig) -> Activations {
    let mut activations = facts::activations(config);
    activations.kept.full += 4 * config.num_layers;
    activations.kept.compact += config.num_layers * (config.hidden_size + config.intermediate_size);
    activations
}
