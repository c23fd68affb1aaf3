//! GPT-J (Wang and Komatsuzaki, 2021), as transformers' `GPTJForCausalLM` computes it: attention
//! and the feed-forward part of a layer read the same norm and are added together, some channels of
//! each head have rotary positions, and the output layer has a bias.
//!
//! GPT-J pairs neighbouring channels, and the engine turns half-split pairs. The two are the same
//! where the rows of the query and key matrices stand in another order, in which they are read and
//! from which they are written ([`Family::rows_of_file`]).

use engine::ops::attention::{Heads, Rotary};
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::params::NamedSegment;
use engine::{Layout, Role, Segment, Tape, Var};
use serde_json::{Value, json};

use super::facts::{self, Activations};
use super::segments::{layer_norm, linear, plain_heads};
use super::{Architecture, Family, ModelConfig};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only, spelling};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::keys::{Keys, decimal};
use crate::kv_cache::{KvCache, attend};

/// The family.
pub(super) struct GptJ;

/// transformers' base of the wavelengths, which no configuration changes.
const ROPE_THETA: f32 = 10_000.0;

/// transformers' default of the channels of a head that have positions.
const ROTARY_DIM: usize = 64;

impl Family for GptJ {
    fn name(&self) -> &'static str {
        "gptj"
    }

    fn title(&self) -> &'static str {
        "GPT-J"
    }

    fn language_model_class(&self) -> &'static str {
        "GPTJForCausalLM"
    }

    fn classifier_class(&self) -> &'static str {
        "GPTJForSequenceClassification"
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig {
            rope_theta: ROPE_THETA,
            rotary_dim: Some(ROTARY_DIM),
            bos_token_id: Some(50_256),
            eos_token_ids: vec![50_256],
            ..ModelConfig::unstated(Architecture::GPTJ)
        }
    }

    /// Half of each head has positions, and ends are in the small vocabulary.
    fn tiny(&self) -> ModelConfig {
        ModelConfig {
            head_dim: 8,
            num_heads: 2,
            num_kv_heads: 2,
            rotary_dim: Some(4),
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            ..self.defaults().with_tiny_sizes()
        }
    }

    /// A padding token's row is one like any other.
    fn has_padding_row(&self) -> bool {
        false
    }

    fn has_rotary_dim(&self) -> bool {
        true
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        config.require_plain_heads()?;
        let wrong = |key, problem| Err(ModelError::Config { key, problem });
        if config.rotary_dim.is_none() {
            let problem = "is missing; GPT-J needs it, the channels of a head with positions";
            return wrong("rotary_dim", problem.to_owned());
        }
        Ok(())
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
            max_positions: keys.or("n_positions", 2048)?,
            norm_epsilon: keys.or("layer_norm_epsilon", defaults.norm_epsilon)?,
            rotary_dim: Some(keys.or_if_absent("rotary_dim", ROTARY_DIM)?),
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
            "rotary_dim": config.rotary_dim,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": decimal(config.norm_epsilon),
            "embd_pdrop": decimal(config.embedding_dropout),
            "attn_pdrop": decimal(config.attention_dropout),
            "resid_pdrop": decimal(config.residual_dropout),
        })
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        let body = Body::new(config, layout);
        let mut part = |name: &str, rows, columns, role| {
            layout.add(format!("lm_head.{name}"), rows, columns, role)
        };
        let weight = match config.tie_word_embeddings {
            true => body.embedding.tokens,
            false => part("weight", config.vocab_size, config.hidden_size, Role::Matrix),
        };
        let bias = Some(part("bias", 1, config.vocab_size, Role::Bias));
        Box::new(GptJDecoder { body, output: Linear { weight, bias } })
    }

    fn backbone(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Backbone> {
        Box::new(Body::new(config, layout))
    }

    /// Files have the pairs of queries and keys as neighbours.
    fn rows_of_file(&self, config: &ModelConfig, segment: &NamedSegment) -> Option<Vec<usize>> {
        let is_turned = [QUERIES, KEYS].iter().any(|name| segment.name.ends_with(name));
        is_turned.then(|| interleaved(config))
    }

    /// A layer keeps one norm, and the residual stream once.
    fn activations(&self, config: &ModelConfig) -> Activations {
        let mut activations = facts::activations(config);
        let (hidden, layers) = (config.hidden_size, config.num_layers);
        activations.kept.full -= layers * (hidden + 2);
        activations.kept.compact -= layers * hidden;
        activations
    }
}

static CONFIG_KEYS: &[ConfigKey] = &[
    followed("n_embd"),
    followed("n_inner"),
    followed("n_layer"),
    followed("n_head"),
    followed("n_positions"),
    followed("rotary_dim"),
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
    // Published files have these; no model of transformers reads them.
    no_effect("rotary"),
    no_effect("scale_attn_weights"),
    no_effect("n_ctx"),
    no_effect("summary_type"),
    no_effect("summary_use_proj"),
    no_effect("summary_activation"),
    no_effect("summary_proj_to_labels"),
    no_effect("summary_first_dropout"),
];

/// How the names of the matrices end whose rows files have in another order.
const QUERIES: &str = ".attn.q_proj.weight";
const KEYS: &str = ".attn.k_proj.weight";

/// For each row of a file's query or key matrix, the row here: of a head's first `rotary_dim`
/// channels, those with even numbers are the first half and those with odd ones the second.
fn interleaved(config: &ModelConfig) -> Vec<usize> {
    let (width, turned) = (config.head_dim, config.rotary_dim.unwrap_or(0));
    let of_head = move |channel: usize| match channel {
        kept if kept >= turned => kept,
        even if even.is_multiple_of(2) => even / 2,
        odd => turned / 2 + odd / 2,
    };
    (0..config.num_heads)
        .flat_map(|head| (0..width).map(move |channel| head * width + of_head(channel)))
        .collect()
}

/// From tokens to states: where the parameters are in the flat vector, and the forward pass.
struct Body {
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: Norm,
    heads: Heads,
    embedding_dropout: f32,
    residual_dropout: f32,
}

struct Block {
    norm: Norm,
    /// Queries, keys and values: neighbours read as one matrix.
    qkv: Linear,
    attention_output: Linear,
    up: Linear,
    down: Linear,
}

impl Body {
    fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let tokens = layout.add(
            "transformer.wte.weight",
            config.vocab_size,
            config.hidden_size,
            Role::Embedding,
        );
        let rotary =
            config.rotary_dim.map(|channels| Rotary { theta: config.rope_theta, channels });
        Self {
            embedding: Embedding { tokens, positions: None, shared: None, padding: None },
            blocks: (0..config.num_layers).map(|index| Block::new(config, index, layout)).collect(),
            norm: layer_norm(layout, "transformer.ln_f", config),
            heads: Heads { rotary, ..plain_heads(config, true) },
            embedding_dropout: config.embedding_dropout,
            residual_dropout: config.residual_dropout,
        }
    }
}

impl Block {
    fn new(config: &ModelConfig, index: usize, layout: &mut Layout) -> Self {
        let name = |part: &str| format!("transformer.h.{index}.{part}");
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let norm = layer_norm(layout, &name("ln_1"), config);
        let [q, k, v, out] = ["q", "k", "v", "out"].map(|part| {
            let name = name(&format!("attn.{part}_proj.weight"));
            layout.add(name, hidden, hidden, Role::Matrix)
        });
        Self {
            norm,
            qkv: Segment::stack(&[q, k, v]).into(),
            attention_output: out.into(),
            up: linear(layout, &name("mlp.fc_in"), intermediate, hidden),
            down: linear(layout, &name("mlp.fc_out"), hidden, intermediate),
        }
    }
}

impl Backbone for Body {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        mut cache: Option<&mut KvCache>,
    ) -> Var {
        let x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        let mut x = tape.dropout(x, self.embedding_dropout);
        for (layer, block) in self.blocks.iter().enumerate() {
            let normed = tape.norm(&x, &block.norm);
            let qkv = tape.linear(&normed, &block.qkv);
            let h = attend(tape, qkv, batch, &self.heads, layer, cache.as_deref_mut());
            x = tape.linear_add(&h, &block.attention_output, x, self.residual_dropout);
            let h = tape.linear(&normed, &block.up);
            let h = tape.gelu(h);
            x = tape.linear_add(&h, &block.down, x, self.residual_dropout);
        }
        tape.norm(&x, &self.norm)
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}

/// A language model.
struct GptJDecoder {
    body: Body,
    output: Linear,
}

impl Backbone for GptJDecoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        self.body.hidden_states(tape, batch, cache)
    }

    fn heads(&self) -> Heads {
        self.body.heads
    }
}

impl Decoder for GptJDecoder {
    fn output(&self) -> Linear {
        self.output
    }
}
