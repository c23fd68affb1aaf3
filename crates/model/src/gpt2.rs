//! GPT-2 (Radford et al., 2019), as transformers' `GPT2LMHeadModel` computes it.

use engine::ops::attention::Heads;
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::{Layout, Role, Tape, Var};

use crate::batch::{Batch, Cache, attend};
use crate::config::ModelConfig;
use crate::model::Decoder;
use crate::segments::{layer_norm, linear};

/// Where the parameters lie, and the forward pass.
pub struct Gpt2 {
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
    up: Linear,
    down: Linear,
}

impl Gpt2 {
    /// Adds all parameters to the layout, under their Hugging Face names. Products are stored
    /// `[out, in]`, the transpose of the files' `Conv1D`.
    pub fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
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
            heads: Heads {
                num_heads: config.num_heads,
                num_kv_heads: config.num_heads,
                head_dim: config.head_dim,
                rope_theta: None,
                causal: true,
                dropout: config.attention_dropout,
            },
            embedding_dropout: config.embedding_dropout,
            residual_dropout: config.residual_dropout,
        }
    }
}

impl Block {
    fn new(config: &ModelConfig, index: usize, layout: &mut Layout) -> Self {
        let prefix = format!("transformer.h.{index}");
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let attention_norm = layer_norm(layout, &format!("{prefix}.ln_1"), config);
        let mut linear =
            |name: &str, rows, columns| linear(layout, &format!("{prefix}.{name}"), rows, columns);
        let qkv = linear("attn.c_attn", 3 * hidden, hidden);
        let attention_output = linear("attn.c_proj", hidden, hidden);
        let up = linear("mlp.c_fc", intermediate, hidden);
        let down = linear("mlp.c_proj", hidden, intermediate);
        let mlp_norm = layer_norm(layout, &format!("{prefix}.ln_2"), config);
        Self { attention_norm, qkv, attention_output, mlp_norm, up, down }
    }
}

impl Decoder for Gpt2 {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        mut cache: Option<&mut Cache>,
    ) -> Var {
        let x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        let mut x = tape.dropout(x, self.embedding_dropout);
        for (layer, block) in self.blocks.iter().enumerate() {
            let h = tape.norm(&x, &block.attention_norm);
            let qkv = tape.linear(&h, &block.qkv);
            let h = attend(tape, qkv, batch, &self.heads, layer, cache.as_deref_mut());
            x = tape.linear_add(&h, &block.attention_output, x, self.residual_dropout);
            let h = tape.norm(&x, &block.mlp_norm);
            let h = tape.linear(&h, &block.up);
            let h = tape.gelu(h);
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
