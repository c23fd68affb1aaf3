//! LLaMA (Touvron et al., arXiv 2302.13971), as transformers' `LlamaForCausalLM` computes it.

use engine::ops::attention::Heads;
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::{Layout, Role, Segment, Tape, Var};

use crate::batch::{Batch, Cache, attend};
use crate::config::ModelConfig;
use crate::model::Decoder;

/// Where the parameters lie, and the forward pass.
pub struct Llama {
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
    attention_output: Linear,
    mlp_norm: Norm,
    /// Gate and up: neighbours read as one matrix.
    gate_up: Linear,
    down: Linear,
}

impl Llama {
    /// Adds all parameters to the layout, under their Hugging Face names.
    pub fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let heads = Heads {
            num_heads: config.num_heads,
            num_kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
            rope_theta: Some(config.rope_theta),
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
        let blocks =
            (0..config.num_layers).map(|index| Block::new(config, &heads, index, layout)).collect();
        let norm = rms_norm(layout, "model.norm.weight".into(), config);
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
    fn new(config: &ModelConfig, heads: &Heads, index: usize, layout: &mut Layout) -> Self {
        let prefix = format!("model.layers.{index}");
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let mut weight = |name: &str, rows, columns| {
            layout.add(format!("{prefix}.{name}.weight"), rows, columns, Role::Matrix)
        };
        let q = weight("self_attn.q_proj", heads.query_columns(), hidden);
        let k = weight("self_attn.k_proj", heads.key_columns(), hidden);
        let v = weight("self_attn.v_proj", heads.key_columns(), hidden);
        let out = weight("self_attn.o_proj", hidden, heads.query_columns());
        let gate = weight("mlp.gate_proj", intermediate, hidden);
        let up = weight("mlp.up_proj", intermediate, hidden);
        let down = weight("mlp.down_proj", hidden, intermediate);
        let linear = |weight| Linear { weight, bias: None };
        Self {
            qkv: linear(Segment::join(&[q, k, v])),
            attention_output: linear(out),
            gate_up: linear(Segment::join(&[gate, up])),
            down: linear(down),
            input_norm: rms_norm(layout, format!("{prefix}.input_layernorm.weight"), config),
            mlp_norm: rms_norm(layout, format!("{prefix}.post_attention_layernorm.weight"), config),
        }
    }
}

fn rms_norm(layout: &mut Layout, name: String, config: &ModelConfig) -> Norm {
    let gain = layout.add(name, 1, config.hidden_size, Role::NormGain);
    Norm { gain, bias: None, epsilon: config.norm_epsilon }
}

impl Decoder for Llama {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        mut cache: Option<&mut Cache>,
    ) -> Var {
        let mut x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        for (layer, block) in self.blocks.iter().enumerate() {
            let h = tape.norm(&x, &block.input_norm);
            let qkv = tape.linear(&h, &block.qkv);
            let h = attend(tape, qkv, batch, &self.heads, layer, cache.as_deref_mut());
            x = tape.linear_add(&h, &block.attention_output, x, 0.0);
            let h = tape.norm(&x, &block.mlp_norm);
            let h = tape.linear(&h, &block.gate_up);
            let h = tape.swiglu(h);
            x = tape.linear_add(&h, &block.down, x, 0.0);
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
