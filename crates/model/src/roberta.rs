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

use crate::batch::{Batch, Cache};
use crate::config::ModelConfig;
use crate::model::Decoder;
use crate::segments::{joined, layer_norm, linear, without_rows};

/// Rows of the position table before that of the first token: those up to the padding token's id.
pub(crate) fn unused_positions(pad_token_id: u32) -> usize {
    pad_token_id as usize + 1
}

/// Where the parameters lie, and the forward pass.
pub struct Roberta {
    encoder: Encoder,
    head: MaskedHead,
}

/// From tokens to states: what is left of a model without its output layer.
pub(crate) struct Encoder {
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

/// From states to what the output matrix turns into logits.
struct MaskedHead {
    dense: Linear,
    norm: Norm,
    output: Linear,
}

impl Roberta {
    /// Adds all parameters to the layout, under their Hugging Face names.
    ///
    /// # Panics
    /// When the configuration has no padding token; [`ModelConfig::validate`] refuses that.
    pub fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
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
    /// Adds the encoder's parameters to the layout, under their Hugging Face names.
    pub(crate) fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        let mut table = |part: &str, rows, role| {
            layout.add(format!("roberta.embeddings.{part}"), rows, hidden, role)
        };
        let unused = unused_positions(config.pad_token_id.expect("RoBERTa has a padding token"));
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
            heads: Heads {
                num_heads: config.num_heads,
                num_kv_heads: config.num_heads,
                head_dim: config.head_dim,
                rope_theta: None,
                causal: false,
                dropout: config.attention_dropout,
            },
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
            qkv: joined(layout, &qkv, hidden, hidden),
            attention_output: linear(layout, &name("attention.output.dense"), hidden, hidden),
            attention_norm: layer_norm(layout, &name("attention.output.LayerNorm"), config),
            up: linear(layout, &name("intermediate.dense"), intermediate, hidden),
            down: linear(layout, &name("output.dense"), hidden, intermediate),
            mlp_norm: layer_norm(layout, &name("output.LayerNorm"), config),
        }
    }
}

impl Decoder for Roberta {
    /// # Panics
    /// When there is a cache: tokens that see later ones cannot be read one after the other.
    fn hidden_states(&self, tape: &mut Tape<'_>, batch: &Batch, cache: Option<&mut Cache>) -> Var {
        let x = self.encoder.hidden_states(tape, batch, cache);
        let x = tape.linear(&x, &self.head.dense);
        let x = tape.exact_gelu(x);
        tape.norm(&x, &self.head.norm)
    }

    fn output(&self) -> Linear {
        self.head.output
    }

    fn heads(&self) -> Heads {
        self.encoder.heads
    }
}

impl Decoder for Encoder {
    /// # Panics
    /// When there is a cache: tokens that see later ones cannot be read one after the other.
    fn hidden_states(&self, tape: &mut Tape<'_>, batch: &Batch, cache: Option<&mut Cache>) -> Var {
        assert!(cache.is_none(), "a masked model reads whole texts");
        self.states(tape, batch)
    }

    /// The embedding, which for want of an output layer nobody asks for.
    fn output(&self) -> Linear {
        self.embedding.tokens.into()
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}
