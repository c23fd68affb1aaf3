//! LLaMA (Touvron et al., arXiv 2302.13971), as transformers' `LlamaForCausalLM` computes it.

use engine::ops::attention::{Heads, Rotary};
use engine::ops::embed::Embedding;
use engine::ops::experts::{Expert, ExpertActivation};
use engine::ops::head_norm::HeadNorm;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::{Layout, Role, Segment, Tape, Var};
use serde_json::{Value, json};

use super::experts::FeedForward;
use super::segments::rms_norm;
use super::{Architecture, Family, ModelConfig};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::keys::{Keys, decimal};
use crate::kv_cache::{KvCache, attend};

/// The family.
pub(super) struct Llama;

impl Family for Llama {
    fn name(&self) -> &'static str {
        "llama"
    }

    fn title(&self) -> &'static str {
        "LLaMA"
    }

    fn language_model_class(&self) -> &'static str {
        "LlamaForCausalLM"
    }

    fn classifier_class(&self) -> &'static str {
        "LlamaForSequenceClassification"
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig { norm_epsilon: 1e-6, ..ModelConfig::unstated(Architecture::LLAMA) }
    }

    fn has_rope_theta(&self) -> bool {
        true
    }

    fn intermediate_size(&self, _hidden_size: usize) -> Result<usize, &'static str> {
        Err("for LLaMA it is usually 8/3 of hidden_size")
    }

    fn has_embedding_dropout(&self) -> bool {
        false
    }

    fn has_residual_dropout(&self) -> bool {
        false
    }

    /// With grouped heads.
    fn tiny(&self) -> ModelConfig {
        ModelConfig { num_kv_heads: 2, ..self.defaults().with_tiny_sizes() }
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        if !config.head_dim.is_multiple_of(2) {
            return Err(ModelError::Config {
                key: "head_dim",
                problem: format!("is {}; rotary positions need an even number", config.head_dim),
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
        Ok(ModelConfig {
            vocab_size: keys.required("vocab_size")?,
            hidden_size,
            intermediate_size: keys.required("intermediate_size")?,
            num_layers: keys.required("num_hidden_layers")?,
            num_heads,
            num_kv_heads: keys.or("num_key_value_heads", num_heads)?,
            head_dim: keys.or("head_dim", hidden_size / num_heads.max(1))?,
            max_positions: keys.or("max_position_embeddings", 2048)?,
            norm_epsilon: keys.or("rms_norm_eps", defaults.norm_epsilon)?,
            rope_theta: rope_theta(keys)?.unwrap_or(defaults.rope_theta),
            attention_dropout: keys.or("attention_dropout", defaults.attention_dropout)?,
            ..defaults.with_shared_keys(keys)?
        })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        json!({
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "num_key_value_heads": config.num_kv_heads,
            "head_dim": config.head_dim,
            "max_position_embeddings": config.max_positions,
            "hidden_act": "silu",
            "rms_norm_eps": decimal(config.norm_epsilon),
            "rope_theta": decimal(config.rope_theta),
            "attention_bias": false,
            "attention_dropout": decimal(config.attention_dropout),
            "mlp_bias": false,
        })
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(LlamaDecoder::new(config, false, layout))
    }

    fn is_gated(&self, _config: &ModelConfig) -> bool {
        true
    }
}

pub(super) static CONFIG_KEYS: &[ConfigKey] = &[
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
    // Objects, of which `rope_theta` below reads all keys.
    followed("rope_parameters"),
    followed("rope_scaling"),
    only("partial_rotary_factor", &["1"]),
    only("hidden_act", &["\"silu\"", "\"swish\""]),
    only("attention_bias", &["false"]),
    only("mlp_bias", &["false"]),
    // The same sums, in pieces.
    no_effect("pretraining_tp"),
    no_effect("max_sequence_length"),
    no_effect("original_max_position_embeddings"),
];

/// The keys of `rope_parameters` and `rope_scaling`.
static ROPE_KEYS: &[ConfigKey] = &[
    followed("rope_theta"),
    only("rope_type", &["\"default\""]),
    only("type", &["\"default\""]),
    only("factor", &["1"]),
    only("partial_rotary_factor", &["1"]),
    no_effect("original_max_position_embeddings"),
];

/// The base of the rotary positions in all the ways in which transformers' versions spell it: under
/// `rope_theta`, or within `rope_parameters` (5.x) or `rope_scaling` (4.x), of which the latter
/// counts when it is there and not empty.
pub(super) fn rope_theta(keys: &Keys<'_>) -> Result<Option<f32>, ModelError> {
    let scaling = keys.nested("rope_scaling")?;
    let is_scaled = scaling.names().next().is_some();
    let (key, rope) = match is_scaled {
        true => ("rope_scaling", scaling),
        false => ("rope_parameters", keys.nested("rope_parameters")?),
    };
    rope.check(ROPE_KEYS).map_err(|error| error.within(key))?;
    // What else is there states a scaling, even where no type does, or a table for each kind of
    // layer.
    let known = |name: &&str| ROPE_KEYS.iter().any(|key| key.name == *name);
    if let Some(other) = rope.names().find(|name| !known(name)) {
        rope.only(other, &[]).map_err(|error| error.within(key))?;
    }
    match rope.optional("rope_theta")? {
        Some(base) => Ok(Some(base)),
        None => keys.optional("rope_theta"),
    }
}

/// Where the parameters are in the flat vector, and the forward pass: LLaMA's, and that of families
/// that differ from it in the norm of heads or in experts alone.
pub(super) struct LlamaDecoder {
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: Norm,
    output: Linear,
    heads: Heads,
}

struct Block {
    input_norm: Norm,
    /// Queries, keys and values: neighbours read as one matrix.
    qkv: Linear,
    /// Norm of the heads of queries and keys, where the family has it.
    head_norm: Option<HeadNorm>,
    attention_output: Linear,
    mlp_norm: Norm,
    /// The first product of the feed-forward part is gate and up: neighbours read as one matrix.
    feed_forward: FeedForward,
}

impl LlamaDecoder {
    pub(super) fn new(config: &ModelConfig, has_head_norm: bool, layout: &mut Layout) -> Self {
        let heads = Heads {
            num_heads: config.num_heads,
            num_kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
            rotary: Some(Rotary { theta: config.rope_theta, channels: config.head_dim }),
            causal: true,
            dropout: config.attention_dropout,
        };
        let tokens = layout.add(
            "model.embed_tokens.weight",
            config.vocab_size,
            config.hidden_size,
            Role::Embedding,
        );
        let embedding =
            Embedding { tokens, positions: None, shared: None, padding: config.pad_token_id };
        let blocks = (0..config.num_layers)
            .map(|index| Block::new(config, &heads, has_head_norm, index, layout))
            .collect();
        let norm = rms_norm(layout, "model.norm", config);
        let output = match config.tie_word_embeddings {
            true => tokens,
            false => {
                layout.add("lm_head.weight", config.vocab_size, config.hidden_size, Role::Matrix)
            }
        };
        Self { embedding, blocks, norm, output: output.into(), heads }
    }
}

impl Block {
    fn new(
        config: &ModelConfig,
        heads: &Heads,
        has_head_norm: bool,
        index: usize,
        layout: &mut Layout,
    ) -> Self {
        let prefix = format!("model.layers.{index}");
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let mut weight = |name: &str, rows, columns| {
            layout.add(format!("{prefix}.{name}.weight"), rows, columns, Role::Matrix)
        };
        let q = weight("self_attn.q_proj", heads.query_columns(), hidden);
        let k = weight("self_attn.k_proj", heads.key_columns(), hidden);
        let v = weight("self_attn.v_proj", heads.key_columns(), hidden);
        let out = weight("self_attn.o_proj", hidden, heads.query_columns());
        let linear = |weight| Linear { weight, bias: None };
        let mut expert = |name: &str| {
            let gate = weight(&format!("{name}.gate_proj"), intermediate, hidden);
            let up = weight(&format!("{name}.up_proj"), intermediate, hidden);
            let down = weight(&format!("{name}.down_proj"), hidden, intermediate);
            Expert { up: linear(Segment::stack(&[gate, up])), down: linear(down) }
        };
        let activation = ExpertActivation::Swiglu;
        let feed_forward = match config.experts_of_layer(index) {
            None => FeedForward::Dense { weights: expert("mlp"), activation },
            Some(settings) => FeedForward::Sparse {
                experts: (0..settings.num_experts)
                    .map(|number| expert(&format!("mlp.experts.{number}")))
                    .collect(),
                router: weight("mlp.gate", settings.num_experts, hidden),
                activation,
                settings: settings.clone(),
            },
        };
        Self {
            qkv: linear(Segment::stack(&[q, k, v])),
            attention_output: linear(out),
            head_norm: has_head_norm.then(|| head_norm(layout, &prefix, config)),
            feed_forward,
            input_norm: rms_norm(layout, &format!("{prefix}.input_layernorm"), config),
            mlp_norm: rms_norm(layout, &format!("{prefix}.post_attention_layernorm"), config),
        }
    }
}

/// The gains of queries and keys are neighbours, which one operation reads.
fn head_norm(layout: &mut Layout, prefix: &str, config: &ModelConfig) -> HeadNorm {
    let gains = ["q_norm", "k_norm"].map(|part| {
        let name = format!("{prefix}.self_attn.{part}.weight");
        layout.add(name, 1, config.head_dim, Role::NormGain)
    });
    HeadNorm { gains: Segment::stack(&gains), epsilon: config.norm_epsilon }
}

impl Backbone for LlamaDecoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        mut cache: Option<&mut KvCache>,
    ) -> Var {
        let mut x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        for (layer, block) in self.blocks.iter().enumerate() {
            let h = tape.norm(&x, &block.input_norm);
            let mut qkv = tape.linear(&h, &block.qkv);
            if let Some(norm) = &block.head_norm {
                qkv = tape.head_norm(qkv, norm, &self.heads);
            }
            let h = attend(tape, qkv, batch, &self.heads, layer, cache.as_deref_mut());
            x = tape.linear_add(&h, &block.attention_output, x, 0.0);
            let h = tape.norm(&x, &block.mlp_norm);
            x = block.feed_forward.add(tape, h, x, batch, 0.0);
        }
        tape.norm(&x, &self.norm)
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}

impl Decoder for LlamaDecoder {
    fn output(&self) -> Linear {
        self.output
    }
}
