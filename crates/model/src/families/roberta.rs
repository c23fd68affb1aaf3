//! RoBERTa (Liu et al., arXiv 1907.11692), as transformers' `RobertaForMaskedLM` computes it: every
//! token sees its whole sequence, norms stand after the sums, and the states pass through one more
//! layer before they meet the output matrix.
//!
//! A text is one of first token types only. Padding tokens, which a packed batch never needs, are
//! tokens like any other.

use engine::ops::attention::Heads;
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::{Layout, Role, Tape, Var};
use serde_json::{Value, json};

use super::segments::{fused, layer_norm, linear, plain_heads, without_rows};
use super::{Architecture, Family, MatrixProduct, ModelConfig, facts};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::head::{Head, one_row_each};
use crate::keys::{Keys, decimal};
use crate::kv_cache::KvCache;

/// The family.
pub(super) struct Roberta;

impl Family for Roberta {
    fn name(&self) -> &'static str {
        "roberta"
    }

    fn title(&self) -> &'static str {
        "RoBERTa"
    }

    fn language_model_class(&self) -> &'static str {
        "RobertaForMaskedLM"
    }

    fn classifier_class(&self) -> &'static str {
        "RobertaForSequenceClassification"
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig {
            norm_epsilon: 1e-12,
            tie_word_embeddings: true,
            embedding_dropout: 0.1,
            attention_dropout: 0.1,
            residual_dropout: 0.1,
            bos_token_id: Some(0),
            pad_token_id: Some(1),
            ..ModelConfig::unstated(Architecture::ROBERTA)
        }
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        config.require_plain_heads()?;
        // Also bounds the position table.
        if config.pad_token_id.is_none_or(|id| id as usize > ModelConfig::LARGEST_SIZE) {
            return Err(ModelError::Config {
                key: "pad_token_id",
                problem: "is missing or too large; RoBERTa counts positions from it".to_owned(),
            });
        }
        Ok(())
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        CONFIG_KEYS
    }

    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
        let defaults = self.defaults();
        let hidden_size: usize = keys.required("hidden_size")?;
        let num_heads: usize = keys.required("num_attention_heads")?;
        let positions: usize = keys.or("max_position_embeddings", 512)?;
        let dropout = keys.or("hidden_dropout_prob", defaults.residual_dropout)?;
        let attention_dropout =
            keys.or("attention_probs_dropout_prob", defaults.attention_dropout)?;
        let shared = defaults.with_shared_keys(keys)?;
        Ok(ModelConfig {
            vocab_size: keys.required("vocab_size")?,
            hidden_size,
            intermediate_size: keys.required("intermediate_size")?,
            num_layers: keys.required("num_hidden_layers")?,
            num_heads,
            num_kv_heads: num_heads,
            head_dim: hidden_size / num_heads.max(1),
            max_positions: positions.saturating_sub(unused_positions(&shared)),
            norm_epsilon: keys.or("layer_norm_eps", shared.norm_epsilon)?,
            embedding_dropout: dropout,
            attention_dropout,
            residual_dropout: dropout,
            classifier_dropout: keys.optional("classifier_dropout")?,
            ..shared
        })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        json!({
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "max_position_embeddings": config.max_positions + unused_positions(config),
            "type_vocab_size": 1,
            "hidden_act": "gelu",
            "layer_norm_eps": decimal(config.norm_epsilon),
            "hidden_dropout_prob": decimal(config.residual_dropout),
            "attention_probs_dropout_prob": decimal(config.attention_dropout),
        })
    }

    fn can_untie(&self) -> bool {
        false
    }

    fn output_name(&self, _config: &ModelConfig) -> &'static str {
        "lm_head.decoder.weight"
    }

    /// The output layer's bias is that of its decoder where a file has both. Files converted from
    /// TensorFlow have its names of a norm's weights.
    fn names_in_files(&self, name: &str) -> Vec<String> {
        let other = match name {
            "lm_head.bias" => "lm_head.decoder.bias".to_owned(),
            _ => name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta"),
        };
        let mut names = vec![other, name.to_owned()];
        names.dedup();
        names
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(RobertaDecoder::new(config, layout))
    }

    fn backbone(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Backbone> {
        Box::new(Encoder::new(config, layout))
    }

    fn head(&self, config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Box<dyn Head> {
        Box::new(FirstTokenHead::new(config, num_labels, layout))
    }

    /// Not only the embedding's row of the padding token is 0, but that of the positions too,
    /// which count from the padding token's id.
    fn padding_row(&self, config: &ModelConfig, role: Role) -> Option<usize> {
        let has_row = matches!(role, Role::Embedding | Role::Positions);
        config.pad_token_id.filter(|_| has_row).map(|id| id as usize)
    }

    /// With the layer before the output layer.
    fn products(&self, config: &ModelConfig) -> Vec<MatrixProduct> {
        let (name, size) = ("lm_head.dense", config.hidden_size);
        let dense = MatrixProduct { name, inputs: size, outputs: size, count: 1 };
        facts::products(config).into_iter().chain([dense]).collect()
    }
}

static CONFIG_KEYS: &[ConfigKey] = &[
    followed("hidden_size"),
    followed("intermediate_size"),
    followed("num_hidden_layers"),
    followed("num_attention_heads"),
    followed("max_position_embeddings"),
    followed("layer_norm_eps"),
    followed("hidden_dropout_prob"),
    followed("attention_probs_dropout_prob"),
    followed("classifier_dropout"),
    only("hidden_act", &["\"gelu\"", "\"gelu_python\""]),
    only("is_decoder", &["false"]),
    only("position_embedding_type", &["\"absolute\""]),
    only("tie_word_embeddings", &["true"]),
    // Of the token types only the first is ever used.
    no_effect("type_vocab_size"),
];

/// Rows of the position table before that of the first token: those up to the padding token's id.
fn unused_positions(config: &ModelConfig) -> usize {
    config.pad_token_id.map_or(0, |id| id as usize + 1)
}

/// Where the parameters are in the flat vector, and the forward pass.
struct RobertaDecoder {
    encoder: Encoder,
    head: MaskedHead,
}

/// From tokens to states: a model without its output layer.
struct Encoder {
    embedding: Embedding,
    embedding_norm: Norm,
    blocks: Vec<Block>,
    heads: Heads,
    embedding_dropout: f32,
    residual_dropout: f32,
}

struct Block {
    /// Queries, keys and values: neighbours read as one matrix.
    qkv: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    mlp_norm: Norm,
}

/// From the encoder's states to those that the output layer reads.
struct MaskedHead {
    dense: Linear,
    norm: Norm,
    output: Linear,
}

impl RobertaDecoder {
    fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let encoder = Encoder::new(config, layout);
        let head = MaskedHead {
            dense: linear(layout, "lm_head.dense", config.hidden_size, config.hidden_size),
            norm: layer_norm(layout, "lm_head.layer_norm", config),
            output: Linear {
                weight: encoder.embedding.tokens,
                bias: Some(layout.add("lm_head.bias", 1, config.vocab_size, Role::Bias)),
            },
        };
        Self { encoder, head }
    }
}

impl Encoder {
    fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        let mut table = |part: &str, rows, role| {
            layout.add(format!("roberta.embeddings.{part}"), rows, hidden, role)
        };
        let unused = unused_positions(config);
        let tokens = table("word_embeddings.weight", config.vocab_size, Role::Embedding);
        let rows = unused + config.max_positions;
        let positions = table("position_embeddings.weight", rows, Role::Positions);
        let token_type = table("token_type_embeddings.weight", 1, Role::TokenTypes);
        Self {
            embedding: Embedding {
                tokens,
                positions: Some(without_rows(positions, unused)),
                shared: Some(token_type),
                padding: config.pad_token_id,
            },
            embedding_norm: layer_norm(layout, "roberta.embeddings.LayerNorm", config),
            blocks: (0..config.num_layers).map(|index| Block::new(config, index, layout)).collect(),
            heads: plain_heads(config, false),
            embedding_dropout: config.embedding_dropout,
            residual_dropout: config.residual_dropout,
        }
    }

    fn states(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        let x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        let x = tape.norm(&x, &self.embedding_norm);
        let mut x = tape.dropout(x, self.embedding_dropout);
        for block in &self.blocks {
            let qkv = tape.linear(&x, &block.qkv);
            let h = tape.attention(qkv, &batch.spans, &batch.positions, &self.heads);
            let sum = tape.linear_add(&h, &block.attention_output, x, self.residual_dropout);
            x = tape.norm(&sum, &block.attention_norm);
            let h = tape.linear(&x, &block.up);
            let h = tape.exact_gelu(h);
            let sum = tape.linear_add(&h, &block.down, x, self.residual_dropout);
            x = tape.norm(&sum, &block.mlp_norm);
        }
        x
    }
}

impl Block {
    fn new(config: &ModelConfig, index: usize, layout: &mut Layout) -> Self {
        let name = |part: &str| format!("roberta.encoder.layer.{index}.{part}");
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let qkv = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        Self {
            qkv: fused(layout, &qkv, hidden, hidden),
            attention_output: linear(layout, &name("attention.output.dense"), hidden, hidden),
            attention_norm: layer_norm(layout, &name("attention.output.LayerNorm"), config),
            up: linear(layout, &name("intermediate.dense"), intermediate, hidden),
            down: linear(layout, &name("output.dense"), hidden, intermediate),
            mlp_norm: layer_norm(layout, &name("output.LayerNorm"), config),
        }
    }
}

impl Backbone for RobertaDecoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        let x = self.encoder.hidden_states(tape, batch, cache);
        let x = tape.linear(&x, &self.head.dense);
        let x = tape.exact_gelu(x);
        tape.norm(&x, &self.head.norm)
    }

    fn heads(&self) -> Heads {
        self.encoder.heads
    }
}

impl Decoder for RobertaDecoder {
    fn output(&self) -> Linear {
        self.head.output
    }
}

impl Backbone for Encoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        assert!(cache.is_none(), "a masked model reads whole texts");
        self.states(tape, batch)
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}

/// The classification head on the first token, which stands for the sequence
/// (`RobertaClassificationHead`): dropout, a product, tanh, dropout, and the output matrix.
struct FirstTokenHead {
    dense: Linear,
    /// `[labels, hidden]`, with a bias.
    out_proj: Linear,
    dropout: f32,
}

impl FirstTokenHead {
    fn new(config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        Self {
            dense: linear(layout, "classifier.dense", hidden, hidden),
            out_proj: linear(layout, "classifier.out_proj", num_labels, hidden),
            dropout: config.classifier_dropout.unwrap_or(config.residual_dropout),
        }
    }
}

impl Head for FirstTokenHead {
    fn features(&self, tape: &mut Tape<'_>, states: &Var, batch: &Batch) -> Var {
        let first = tape.gather_rows(states, &one_row_each(batch, |rows| rows.start));
        let x = tape.dropout_of_sequences(first, self.dropout);
        let x = tape.linear(&x, &self.dense);
        let x = tape.tanh(x);
        tape.dropout_of_sequences(x, self.dropout)
    }

    fn output(&self) -> Linear {
        self.out_proj
    }
}
