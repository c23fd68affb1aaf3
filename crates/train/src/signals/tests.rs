use model::{Architecture, ModelConfig};

/// A model of two layers for a vocabulary of 61.
pub fn config(architecture: Architecture, hidden_size: usize) -> ModelConfig {
    ModelConfig {
        architecture,
        vocab_size: 61,
        hidden_size,
        intermediate_size: hidden_size + 6,
        num_layers: 2,
        num_heads: 2,
        num_kv_heads: if architecture == Architecture::Llama { 1 } else { 2 },
        head_dim: hidden_size / 2,
        max_positions: 40,
        norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: architecture == Architecture::Gpt2,
        embedding_dropout: 0.0,
        attention_dropout: 0.0,
        residual_dropout: 0.0,
        initializer_range: 0.2,
        bos_token_id: 1,
        eos_token_id: 2,
        pad_token_id: None,
    }
}
