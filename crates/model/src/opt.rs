//! OPT (Zhang et al., arXiv 2205.01068) with norms before its layers, as transformers'
//! `OPTForCausalLM` computes it.

use engine::ops::attention::Heads;
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::{Layout, Role, Tape, Var};

use crate::batch::{Batch, Cache, attend};
use crate::config::ModelConfig;
use crate::model::Decoder;
use crate::segments::{joined, layer_norm, linear, without_rows};

/// Rows of the position table before that of the first token; no token uses them.
const UNUSED_POSITIONS: usize = 2;

/// Where the parameters lie, and the forward pass.
pub struct Opt {
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

impl Opt {
    /// Adds all parameters to the layout, under their Hugging Face names.
    pub fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
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
            heads: Heads {
                num_heads: config.num_heads,
                num_kv_heads: config.num_heads,
                head_dim: config.head_dim,
                rope_theta: None,
                causal: true,
                dropout: config.attention_dropout,
            },
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
            qkv: joined(layout, &qkv, hidden, hidden),
            attention_output: linear(layout, &name("self_attn.out_proj"), hidden, hidden),
            attention_norm: layer_norm(layout, &name("self_attn_layer_norm"), config),
            up: linear(layout, &name("fc1"), intermediate, hidden),
            down: linear(layout, &name("fc2"), hidden, intermediate),
            mlp_norm: layer_norm(layout, &name("final_layer_norm"), config),
        }
    }
}

impl Decoder for Opt {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        mut cache: Option<&mut Cache>,
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

    fn output(&self) -> Linear {
        self.output
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}
