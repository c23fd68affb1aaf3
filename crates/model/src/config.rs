//! What a model looks like: the architecture part of a recipe's `[models.NAME]` table.

use serde::{Deserialize, Serialize};

/// Which family of decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    Gpt2,
    Llama,
}

/// A decoder's shape. Fields that a recipe leaves out take the family's Hugging Face default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    pub architecture: Architecture,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_layers: usize,
    pub num_heads: usize,
    /// Heads of keys and values; LLaMA's grouped attention when fewer than `num_heads`.
    pub num_kv_heads: usize,
    /// Channels of one head.
    pub head_dim: usize,
    /// Longest sequence. GPT-2 learns one vector per position; LLaMA only records the number.
    pub max_positions: usize,
    pub norm_epsilon: f32,
    pub rope_theta: f32,
    pub tie_word_embeddings: bool,
    pub embedding_dropout: f32,
    pub attention_dropout: f32,
    pub residual_dropout: f32,
    /// Standard deviation of the initial weights.
    pub initializer_range: f32,
    pub bos_token_id: u32,
    pub eos_token_id: u32,
    /// Row of the embedding that starts at zero and learns nothing (LLaMA).
    pub pad_token_id: Option<u32>,
}
