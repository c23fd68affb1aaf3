//! What a model looks like: the architecture part of a recipe's `[models.NAME]` table.

use serde::{Deserialize, Serialize};

/// Which family of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    Gpt2,
    Llama,
    Opt,
    Roberta,
}

impl Architecture {
    /// Whether its models predict the next token. The others predict hidden tokens from both sides.
    pub fn is_causal(self) -> bool {
        self != Architecture::Roberta
    }
}

/// A model's shape. Fields that a recipe leaves out take the family's Hugging Face default.
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
    /// Longest sequence. LLaMA only records the number; the others learn one vector per position,
    /// of which OPT's and RoBERTa's files hold a few more that no token uses.
    pub max_positions: usize,
    pub norm_epsilon: f32,
    pub rope_theta: f32,
    pub tie_word_embeddings: bool,
    pub embedding_dropout: f32,
    pub attention_dropout: f32,
    pub residual_dropout: f32,
    /// Of the head that RoBERTa gets as a classifier; `residual_dropout` where it is not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier_dropout: Option<f32>,
    /// Standard deviation of the initial weights.
    pub initializer_range: f32,
    pub bos_token_id: u32,
    pub eos_token_id: u32,
    /// Row of the embedding that starts at zero and learns nothing (not in GPT-2). RoBERTa counts
    /// positions from it.
    pub pad_token_id: Option<u32>,
}

impl ModelConfig {
    /// Checks what the model code relies on.
    pub fn validate(&self) -> Result<(), crate::ModelError> {
        let fail = |what: String| Err(crate::ModelError::Config { what });
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_layers", self.num_layers),
            ("num_heads", self.num_heads),
            ("num_kv_heads", self.num_kv_heads),
            ("head_dim", self.head_dim),
            ("max_positions", self.max_positions),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return fail(format!("{name} is 0; it must be at least 1"));
        }
        // Beyond any model of this program's kind, and far below where a product of two sizes
        // overflows.
        const LARGEST: usize = 1 << 24;
        if let Some((name, size)) = sizes.iter().find(|(_, size)| *size > LARGEST) {
            return fail(format!("{name} is {size}; it must be at most {LARGEST}"));
        }
        // Layers multiply all the others.
        const MOST_LAYERS: usize = 1 << 10;
        if self.num_layers > MOST_LAYERS {
            return fail(format!(
                "num_layers is {}; it must be at most {MOST_LAYERS}",
                self.num_layers
            ));
        }
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            return fail(format!(
                "num_heads ({}) is no multiple of num_kv_heads ({})",
                self.num_heads, self.num_kv_heads
            ));
        }
        if self.architecture == Architecture::Llama && !self.head_dim.is_multiple_of(2) {
            return fail(format!(
                "head_dim is {}; rotary positions need an even number",
                self.head_dim
            ));
        }
        if self.architecture != Architecture::Llama {
            if self.num_heads * self.head_dim != self.hidden_size {
                return fail(format!(
                    "hidden_size ({}) is no multiple of num_heads ({})",
                    self.hidden_size, self.num_heads
                ));
            }
            if self.num_kv_heads != self.num_heads {
                return fail("num_kv_heads differs from num_heads, which only LLaMA has".into());
            }
        }
        if self.architecture == Architecture::Roberta
            && self.pad_token_id.is_none_or(|id| id as usize > LARGEST)
        {
            return fail(
                "pad_token_id is missing or too large; RoBERTa counts positions from it".into(),
            );
        }
        let has_padding = self.architecture != Architecture::Gpt2;
        if let Some(id) =
            self.pad_token_id.filter(|&id| has_padding && id as usize >= self.vocab_size)
        {
            return fail(format!(
                "pad_token_id is {id}, outside the vocabulary of {}",
                self.vocab_size
            ));
        }
        for (name, share) in [
            ("embedding_dropout", self.embedding_dropout),
            ("attention_dropout", self.attention_dropout),
            ("residual_dropout", self.residual_dropout),
            ("classifier_dropout", self.classifier_dropout.unwrap_or(0.0)),
        ] {
            if !(0.0..1.0).contains(&share) {
                return fail(format!("{name} is {share}; it must be at least 0 and below 1"));
            }
        }
        Ok(())
    }

    /// Refuses a model that does not predict the next token.
    pub fn require_causal(&self) -> Result<(), crate::ModelError> {
        if self.architecture.is_causal() { Ok(()) } else { Err(crate::ModelError::Masked) }
    }

    /// Checks that token ids lie in the vocabulary and that there are not more of them than
    /// positions.
    pub(crate) fn check_sequence(&self, ids: &[u32]) -> Result<(), crate::ModelError> {
        let (vocab_size, max_positions) = (self.vocab_size, self.max_positions);
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(crate::ModelError::TokenOutside { id, vocab_size });
        }
        if ids.len() > max_positions {
            return Err(crate::ModelError::TooLong { tokens: ids.len(), max_positions });
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A LLaMA of the given sizes with BabyLlama's settings.
    pub(crate) fn llama(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        kv_heads: usize,
    ) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::Llama,
            vocab_size: 16_000,
            hidden_size: hidden,
            intermediate_size: intermediate,
            num_layers: layers,
            num_heads: heads,
            num_kv_heads: kv_heads,
            head_dim: hidden / heads,
            max_positions: 256,
            norm_epsilon: 1e-6,
            rope_theta: 10_000.0,
            tie_word_embeddings: false,
            embedding_dropout: 0.0,
            attention_dropout: 0.0,
            residual_dropout: 0.0,
            classifier_dropout: None,
            initializer_range: 0.02,
            bos_token_id: 1,
            eos_token_id: 2,
            pad_token_id: Some(0),
        }
    }

    /// A GPT-2 of the given sizes with tied embeddings.
    pub(crate) fn gpt2(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        positions: usize,
    ) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::Gpt2,
            max_positions: positions,
            norm_epsilon: 1e-5,
            tie_word_embeddings: true,
            pad_token_id: None,
            ..llama(hidden, intermediate, layers, heads, heads)
        }
    }

    /// An OPT of the given sizes.
    pub(crate) fn opt(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        positions: usize,
    ) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::Opt,
            bos_token_id: 2,
            pad_token_id: Some(1),
            ..gpt2(hidden, intermediate, layers, heads, positions)
        }
    }

    /// A RoBERTa of the given sizes.
    pub(crate) fn roberta(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        positions: usize,
    ) -> ModelConfig {
        let architecture = Architecture::Roberta;
        ModelConfig {
            architecture,
            bos_token_id: 0,
            ..opt(hidden, intermediate, layers, heads, positions)
        }
    }

    #[test]
    fn impossible_shapes_are_refused_by_name() {
        let message = |config: ModelConfig| config.validate().unwrap_err().to_string();
        assert!(message(llama(0, 1, 1, 1, 1)).contains("hidden_size is 0"));
        assert!(
            message(llama(64, 1 << 30, 1, 4, 4))
                .contains("intermediate_size is 1073741824; it must be at most")
        );
        assert!(
            message(llama(64, 1, 5000, 4, 4))
                .contains("num_layers is 5000; it must be at most 1024")
        );
        assert!(message(llama(64, 1, 1, 4, 3)).contains("no multiple of num_kv_heads (3)"));
        assert!(message(gpt2(65, 1, 1, 4, 8)).contains("no multiple of num_heads (4)"));
        assert!(
            message(ModelConfig { attention_dropout: 1.0, ..gpt2(64, 1, 1, 4, 8) })
                .contains("attention_dropout is 1")
        );
        assert!(message(opt(65, 1, 1, 4, 8)).contains("no multiple of num_heads (4)"));
        assert!(
            message(ModelConfig { pad_token_id: None, ..roberta(64, 1, 1, 4, 8) })
                .contains("pad_token_id")
        );
        assert!(
            message(ModelConfig { pad_token_id: Some(16_000), ..opt(64, 1, 1, 4, 8) })
                .contains("16000, outside")
        );
    }
}
