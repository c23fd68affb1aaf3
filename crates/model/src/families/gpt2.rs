//! GPT-2 (Radford et al., 2019), as transformers' `GPT2LMHeadModel` computes it.

use engine::ops::attention::Heads;
use engine::ops::embed::Embedding;
use engine::ops::experts::{Expert, ExpertActivation};
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::params::NamedSegment;
use engine::{Layout, Role, Tape, Var};
use serde_json::{Value, json};

use super::experts::FeedForward;
use super::segments::{layer_norm, linear, plain_heads};
use super::switch::ROUTER;
use super::{Architecture, Family, ModelConfig};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only, spelling};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::keys::{Keys, decimal};
use crate::kv_cache::{KvCache, attend};

/// The family.
pub(super) struct Gpt2;

impl Family for Gpt2 {
    fn name(&self) -> &'static str {
        "gpt2"
    }

    fn title(&self) -> &'static str {
        "GPT-2"
    }

    fn language_model_class(&self) -> &'static str {
        "GPT2LMHeadModel"
    }

    fn classifier_class(&self) -> &'static str {
        "GPT2ForSequenceClassification"
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig {
            norm_epsilon: 1e-5,
            tie_word_embeddings: true,
            embedding_dropout: 0.1,
            attention_dropout: 0.1,
            residual_dropout: 0.1,
            bos_token_id: Some(50_256),
            eos_token_ids: vec![50_256],
            ..ModelConfig::unstated(Architecture::GPT2)
        }
    }

    /// With ends that are in the small vocabulary.
    fn tiny(&self) -> ModelConfig {
        ModelConfig {
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            ..self.defaults().with_tiny_sizes()
        }
    }

    /// A padding token's row is one like any other.
    fn has_padding_row(&self) -> bool {
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
        let hidden_size: usize = keys.required("n_embd")?;
        let num_heads: usize = keys.required("n_head")?;
        Ok(ModelConfig {
            vocab_size: keys.required("vocab_size")?,
            hidden_size,
            intermediate_size: keys.or("n_inner", hidden_size.saturating_mul(4))?,
            num_layers: keys.required("n_layer")?,
            num_heads,
            num_kv_heads: num_heads,
            head_dim: hidden_size / num_heads.max(1),
            max_positions: keys.required("n_positions")?,
            norm_epsilon: keys.or("layer_norm_epsilon", defaults.norm_epsilon)?,
            embedding_dropout: keys.or("embd_pdrop", defaults.embedding_dropout)?,
            attention_dropout: keys.or("attn_pdrop", defaults.attention_dropout)?,
            residual_dropout: keys.or("resid_pdrop", defaults.residual_dropout)?,
            ..defaults.with_shared_keys(keys)?
        })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        json!({
            "vocab_size": config.vocab_size,
            "n_embd": config.hidden_size,
            "n_inner": config.intermediate_size,
            "n_layer": config.num_layers,
            "n_head": config.num_heads,
            "n_positions": config.max_positions,
            "n_ctx": config.max_positions,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": decimal(config.norm_epsilon),
            "embd_pdrop": decimal(config.embedding_dropout),
            "attn_pdrop": decimal(config.attention_dropout),
            "resid_pdrop": decimal(config.residual_dropout),
        })
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(Gpt2Decoder::new(config, layout))
    }

    /// What is added to the residual stream is scaled down by the square root of the number of
    /// such sums, two a layer.
    fn initial_deviation(&self, config: &ModelConfig, segment: &NamedSegment) -> f32 {
        if segment.name.ends_with(RESIDUAL_PROJECTION) {
            config.initializer_range / (2.0 * config.num_layers as f32).sqrt()
        } else {
            config.initializer_range
        }
    }

    /// The matrices of the layers are transformers' `Conv1D`, stored `[in, out]`.
    fn is_transposed(&self, segment: &NamedSegment) -> bool {
        segment.role == Role::Matrix && segment.name.starts_with(LAYERS)
    }
}

pub(super) static CONFIG_KEYS: &[ConfigKey] = &[
    followed("n_embd"),
    followed("n_inner"),
    followed("n_layer"),
    followed("n_head"),
    followed("n_positions"),
    followed("layer_norm_epsilon"),
    followed("embd_pdrop"),
    followed("attn_pdrop"),
    followed("resid_pdrop"),
    spelling("hidden_size", "n_embd"),
    spelling("num_hidden_layers", "n_layer"),
    spelling("num_attention_heads", "n_head"),
    spelling("max_position_embeddings", "n_positions"),
    // One function, written in different ways.
    only(
        "activation_function",
        &[
            "\"gelu_new\"",
            "\"gelu_pytorch_tanh\"",
            "\"gelu_python_tanh\"",
            "\"gelu_fast\"",
            "\"gelu_accurate\"",
        ],
    ),
    only("scale_attn_weights", &["true"]),
    only("scale_attn_by_inverse_layer_idx", &["false"]),
    // In f32 nothing but another order of the same products.
    no_effect("reorder_and_upcast_attn"),
    no_effect("n_ctx"),
    no_effect("summary_type"),
    no_effect("summary_use_proj"),
    no_effect("summary_activation"),
    no_effect("summary_proj_to_labels"),
    no_effect("summary_first_dropout"),
    no_effect("predict_special_tokens"),
];

/// How the names of a layer's segments begin.
const LAYERS: &str = "transformer.h.";

/// How the names of the matrices end whose product is added to the residual stream.
const RESIDUAL_PROJECTION: &str = "c_proj.weight";

/// Where the parameters are in the flat vector, and the forward pass.
pub(super) struct Gpt2Decoder {
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: Norm,
    output: Linear,
    heads: Heads,
    embedding_dropout: f32,
    residual_dropout: f32,
}

struct Block {
    attention_norm: Norm,
    qkv: Linear,
    attention_output: Linear,
    mlp_norm: Norm,
    feed_forward: FeedForward,
}

impl Gpt2Decoder {
    pub(super) fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        let tokens =
            layout.add("transformer.wte.weight", config.vocab_size, hidden, Role::Embedding);
        let positions =
            layout.add("transformer.wpe.weight", config.max_positions, hidden, Role::Positions);
        let blocks =
            (0..config.num_layers).map(|index| Block::new(config, index, layout)).collect();
        let norm = layer_norm(layout, "transformer.ln_f", config);
        let output = match config.tie_word_embeddings {
            true => tokens,
            false => layout.add("lm_head.weight", config.vocab_size, hidden, Role::Matrix),
        };
        Self {
            embedding: Embedding {
                tokens,
                positions: Some(positions),
                shared: None,
                padding: None,
            },
            blocks,
            norm,
            output: output.into(),
            heads: plain_heads(config, true),
            embedding_dropout: config.embedding_dropout,
            residual_dropout: config.residual_dropout,
        }
    }
}

impl Block {
    fn new(config: &ModelConfig, index: usize, layout: &mut Layout) -> Self {
        let prefix = format!("{LAYERS}{index}");
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let attention_norm = layer_norm(layout, &format!("{prefix}.ln_1"), config);
        let mut linear =
            |name: &str, rows, columns| linear(layout, &format!("{prefix}.{name}"), rows, columns);
        let qkv = linear("attn.c_attn", 3 * hidden, hidden);
        let attention_output = linear("attn.c_proj", hidden, hidden);
        let mut expert = |name: &str| Expert {
            up: linear(&format!("{name}.c_fc"), intermediate, hidden),
            down: linear(&format!("{name}.c_proj"), hidden, intermediate),
        };
        let activation = ExpertActivation::Gelu;
        let feed_forward = match config.experts_of_layer(index) {
            None => FeedForward::Dense { weights: expert("mlp"), activation },
            Some(settings) => FeedForward::Sparse {
                experts: (0..settings.num_experts)
                    .map(|number| expert(&format!("mlp.experts.expert_{number}")))
                    .collect(),
                router: layout.add(
                    format!("{prefix}.{ROUTER}"),
                    settings.num_experts,
                    hidden,
                    Role::Matrix,
                ),
                activation,
                settings: settings.clone(),
            },
        };
        let mlp_norm = layer_norm(layout, &format!("{prefix}.ln_2"), config);
        // Queries, keys and values are matrices of their own to what treats matrices one by one.
        layout.divide(qkv.weight, 3);
        Self { attention_norm, qkv, attention_output, mlp_norm, feed_forward }
    }
}

impl Backbone for Gpt2Decoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        mut cache: Option<&mut KvCache>,
    ) -> Var {
        let x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        let mut x = tape.dropout(x, self.embedding_dropout);
        for (layer, block) in self.blocks.iter().enumerate() {
            let h = tape.norm(&x, &block.attention_norm);
            let qkv = tape.linear(&h, &block.qkv);
            let h = attend(tape, qkv, batch, &self.heads, layer, cache.as_deref_mut());
            x = tape.linear_add(&h, &block.attention_output, x, self.residual_dropout);
            let h = tape.norm(&x, &block.mlp_norm);
            x = block.feed_forward.add(tape, h, x, batch, self.residual_dropout);
        }
        tape.norm(&x, &self.norm)
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}

impl Decoder for Gpt2Decoder {
    fn output(&self) -> Linear {
        self.output
    }
}
