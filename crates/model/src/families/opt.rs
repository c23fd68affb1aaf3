//! OPT (Zhang et al., arXiv 2205.01068) with norms before its layers, as transformers'
//! `OPTForCausalLM` computes it.

use engine::ops::attention::Heads;
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::{Layout, Role, Tape, Var};
use serde_json::{Value, json};

use super::segments::{fused, layer_norm, linear, plain_heads, without_rows};
use super::{Architecture, Family, ModelConfig};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::keys::{Keys, decimal};
use crate::kv_cache::{KvCache, attend};

/// The family.
pub(super) struct Opt;

impl Family for Opt {
    fn name(&self) -> &'static str {
        "opt"
    }

    fn title(&self) -> &'static str {
        "OPT"
    }

    fn language_model_class(&self) -> &'static str {
        "OPTForCausalLM"
    }

    fn classifier_class(&self) -> &'static str {
        "OPTForSequenceClassification"
    }

    fn is_made_by_recipes(&self) -> bool {
        false
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig {
            norm_epsilon: 1e-5,
            tie_word_embeddings: true,
            residual_dropout: 0.1,
            bos_token_id: Some(2),
            pad_token_id: Some(1),
            ..ModelConfig::unstated(Architecture::OPT)
        }
    }

    fn has_embedding_dropout(&self) -> bool {
        false
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        config.require_plain_heads()
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        CONFIG_KEYS
    }

    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
        let defaults = self.defaults();
        let hidden_size: usize = keys.required("hidden_size")?;
        keys.only("word_embed_proj_dim", &[json!(hidden_size)])?;
        let num_heads: usize = keys.required("num_attention_heads")?;
        Ok(ModelConfig {
            vocab_size: keys.required("vocab_size")?,
            hidden_size,
            intermediate_size: keys.required("ffn_dim")?,
            num_layers: keys.required("num_hidden_layers")?,
            num_heads,
            num_kv_heads: num_heads,
            head_dim: hidden_size / num_heads.max(1),
            max_positions: keys.or("max_position_embeddings", 2048)?,
            // Not among the keys: every OPT has PyTorch's default.
            norm_epsilon: defaults.norm_epsilon,
            attention_dropout: keys.or("attention_dropout", defaults.attention_dropout)?,
            residual_dropout: keys.or("dropout", defaults.residual_dropout)?,
            initializer_range: keys.or("init_std", defaults.initializer_range)?,
            ..defaults.with_shared_keys(keys)?
        })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        json!({
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "word_embed_proj_dim": config.hidden_size,
            "ffn_dim": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "max_position_embeddings": config.max_positions,
            "activation_function": "relu",
            "do_layer_norm_before": true,
            "enable_bias": true,
            "dropout": decimal(config.residual_dropout),
            "attention_dropout": decimal(config.attention_dropout),
            "layerdrop": 0.0,
            "init_std": decimal(config.initializer_range),
        })
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(OptDecoder::new(config, layout))
    }

    /// Positions follow the attention mask.
    fn counts_left_padding(&self) -> bool {
        false
    }
}

static CONFIG_KEYS: &[ConfigKey] = &[
    followed("hidden_size"),
    followed("ffn_dim"),
    followed("num_hidden_layers"),
    followed("num_attention_heads"),
    followed("max_position_embeddings"),
    // Must be the hidden size.
    followed("word_embed_proj_dim"),
    followed("dropout"),
    followed("attention_dropout"),
    followed("init_std"),
    only("activation_function", &["\"relu\""]),
    only("do_layer_norm_before", &["true"]),
    only("_remove_final_layer_norm", &["false"]),
    only("enable_bias", &["true"]),
    only("layer_norm_elementwise_affine", &["true"]),
    only("layerdrop", &["0"]),
    // Older files have it; no model reads it.
    no_effect("activation_dropout"),
];

/// Rows of the position table before that of the first token; no token uses them.
const UNUSED_POSITIONS: usize = 2;

/// Where the parameters are in the flat vector, and the forward pass.
struct OptDecoder {
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: Norm,
    output: Linear,
    heads: Heads,
    residual_dropout: f32,
}

struct Block {
    attention_norm: Norm,
    /// Queries, keys and values: neighbours read as one matrix.
    qkv: Linear,
    attention_output: Linear,
    mlp_norm: Norm,
    up: Linear,
    down: Linear,
}

impl OptDecoder {
    fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        let tokens = layout.add(
            "model.decoder.embed_tokens.weight",
            config.vocab_size,
            hidden,
            Role::Embedding,
        );
        let rows = config.max_positions + UNUSED_POSITIONS;
        let positions =
            layout.add("model.decoder.embed_positions.weight", rows, hidden, Role::Positions);
        let blocks =
            (0..config.num_layers).map(|index| Block::new(config, index, layout)).collect();
        let norm = layer_norm(layout, "model.decoder.final_layer_norm", config);
        let output = match config.tie_word_embeddings {
            true => tokens,
            false => layout.add("lm_head.weight", config.vocab_size, hidden, Role::Matrix),
        };
        let positions = Some(without_rows(positions, UNUSED_POSITIONS));
        Self {
            embedding: Embedding { tokens, positions, shared: None, padding: config.pad_token_id },
            blocks,
            norm,
            output: output.into(),
            heads: plain_heads(config, true),
            residual_dropout: config.residual_dropout,
        }
    }
}

impl Block {
    fn new(config: &ModelConfig, index: usize, layout: &mut Layout) -> Self {
        let name = |part: &str| format!("model.decoder.layers.{index}.{part}");
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let qkv = ["q", "k", "v"].map(|part| name(&format!("self_attn.{part}_proj")));
        Self {
            qkv: fused(layout, &qkv, hidden, hidden),
            attention_output: linear(layout, &name("self_attn.out_proj"), hidden, hidden),
            attention_norm: layer_norm(layout, &name("self_attn_layer_norm"), config),
            up: linear(layout, &name("fc1"), intermediate, hidden),
            down: linear(layout, &name("fc2"), hidden, intermediate),
            mlp_norm: layer_norm(layout, &name("final_layer_norm"), config),
        }
    }
}

impl Backbone for OptDecoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        mut cache: Option<&mut KvCache>,
    ) -> Var {
        let mut x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        for (layer, block) in self.blocks.iter().enumerate() {
            let h = tape.norm(&x, &block.attention_norm);
            let qkv = tape.linear(&h, &block.qkv);
            let h = attend(tape, qkv, batch, &self.heads, layer, cache.as_deref_mut());
            x = tape.linear_add(&h, &block.attention_output, x, self.residual_dropout);
            let h = tape.norm(&x, &block.mlp_norm);
            let h = tape.linear(&h, &block.up);
            let h = tape.relu(h);
            x = tape.linear_add(&h, &block.down, x, self.residual_dropout);
        }
        tape.norm(&x, &self.norm)
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}

impl Decoder for OptDecoder {
    fn output(&self) -> Linear {
        self.output
    }
}
