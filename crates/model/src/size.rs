//! How large a model is and how much work a token takes, from its layout alone.

use engine::Layout;

use crate::families::ModelConfig;
use crate::model::decoder_with_layout;

impl ModelConfig {
    /// The names, shapes and roles of all parameters of a language model.
    pub fn layout(&self) -> Layout {
        decoder_with_layout(self).1
    }

    /// Number of parameters; shared input and output embeddings count once.
    pub fn parameter_count(&self) -> usize {
        self.layout().length()
    }

    /// Number of parameters that one token passes: of several experts those of one.
    pub fn active_parameter_count(&self) -> usize {
        self.parameter_count() - self.architecture.idle_parameters(self)
    }

    /// Multiplications and additions of one token's forward pass in a sequence of the given length,
    /// in floating-point operations: two per weight of every product, the output layer's included,
    /// and the attention's two products over the causal half, or over the whole where every token
    /// sees all. Of an encoder-decoder it is that of a token in both halves, whose decoder has two
    /// attentions a layer.
    pub fn forward_flops_per_token(&self, sequence_length: usize) -> f64 {
        let weights: usize = self
            .layout()
            .segments()
            .iter()
            .filter(|named| named.role.is_product())
            .map(|named| named.segment.length())
            .sum();
        // Of several experts a token has one.
        let weights = weights - self.architecture.idle_weights(self);
        let output = if self.tie_word_embeddings { self.vocab_size * self.hidden_size } else { 0 };
        let seen_twice =
            if self.architecture.is_causal() { sequence_length + 1 } else { 2 * sequence_length };
        let attentions = self.num_layers + 2 * self.decoder_layers();
        let attention = attentions * self.num_heads * self.head_dim * seen_twice;
        2.0 * (weights + output + attention) as f64
    }

    /// Floating-point operations of an encoder-decoder's forward pass over a whole text of which
    /// its encoder reads `source` tokens and its decoder `target`. Keys and values of the
    /// attention between the two are products of the encoder's tokens.
    pub fn forward_flops_of_halves(&self, source: usize, target: usize) -> f64 {
        let width = self.num_heads * self.head_dim;
        let is_gated = self.encoder_decoder.is_some_and(|own| own.is_gated);
        let feed_forward = if is_gated { 3 } else { 2 } * self.intermediate_size;
        let layers = self.num_layers * (4 * width + feed_forward);
        let decoder_layers = self.decoder_layers();
        let of_source = self.hidden_size * (layers + 2 * decoder_layers * width);
        let within = 2 * self.num_layers * width * source;
        // What a token of both halves takes, but for the attention.
        let attentions = (self.num_layers + 2 * decoder_layers) * width * 2;
        let all = self.forward_flops_per_token(1) - 2.0 * attentions as f64;
        let beyond = decoder_layers * width * (target + 1 + 2 * source);
        let source_flops = 2.0 * (of_source + within) as f64;
        let target_flops = all - 2.0 * of_source as f64 + 2.0 * beyond as f64;
        source as f64 * source_flops + target as f64 * target_flops
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::config::tests::{gpt2, gptj, llama, ltg_bert, opt, roberta};
    use crate::{Architecture, ElcVariant};

    #[test]
    fn parameter_counts_are_those_of_the_papers_models() {
        let tied = |config| ModelConfig { tie_word_embeddings: true, ..config };
        let qwen3 = ModelConfig {
            architecture: Architecture::QWEN3,
            vocab_size: 151_936,
            head_dim: 128,
            ..llama(1024, 3072, 28, 16, 8)
        };
        // The base sizes of the BabyLM baselines.
        let ltg_bert = ModelConfig { vocab_size: 16_384, ..ltg_bert(768, 2048, 12, 12, 512) };
        let elc_bert = ModelConfig {
            architecture: Architecture::ELC_BERT,
            elc_variant: Some(ElcVariant::Base),
            ..ltg_bert.clone()
        };
        let gpt_bert = ModelConfig {
            architecture: Architecture::GPT_BERT,
            intermediate_size: 2560,
            ..ltg_bert.clone()
        };
        for (config, expected) in [
            (llama(512, 1024, 16, 8, 8), 58_343_936),
            (llama(1024, 3072, 24, 8, 8), 359_973_888),
            (gpt2(1536, 6144, 24, 16, 128), 704_732_160),
            (gpt2(1536, 6144, 24, 16, 256), 704_928_768),
            (gpt2(1536, 3072, 24, 16, 256), 478_362_624),
            (llama(960, 2560, 32, 15, 5), 345_355_200),
            (llama(256, 1024, 8, 8, 8), 16_584_960),
            (gpt2(256, 1024, 8, 16, 128), 10_447_360),
            (ltg_bert, 98_229_760),
            (elc_bert, 98_229_838),
            (gpt_bert, 119_454_532),
            (gpt2(256, 1024, 8, 16, 256), 10_480_128),
            (tied(llama(768, 2048, 12, 12, 12)), 97_241_856),
            (gpt2(768, 3072, 12, 12, 256), 97_540_608),
            (tied(gptj(768, 3072, 12, 12, 64)), 97_304_704),
            (gptj(768, 3072, 12, 12, 64), 109_592_704),
            // Qwen3-0.6B.
            (tied(qwen3), 596_049_920),
            (ModelConfig { vocab_size: 50_272, ..opt(768, 3072, 12, 12, 2048) }, 125_239_296),
            // transformers counts a second token type if its file has one.
            (ModelConfig { vocab_size: 50_265, ..roberta(768, 3072, 12, 12, 512) }, 124_697_433),
        ] {
            assert_eq!(config.parameter_count(), expected);
            config.validate().unwrap();
        }
    }

    #[test]
    fn halves_of_one_length_take_what_a_token_of_both_takes() {
        let config = ModelConfig::tiny(Architecture::T5);
        let (source, target) = (7, 7);
        let whole = 7.0 * config.forward_flops_per_token(7);
        // The decoder's own attention sees the half of it that is earlier.
        let width = config.num_heads * config.head_dim * config.decoder_layers();
        let unseen = 2.0 * (7 * (2 * 7 - 8) * width) as f64;
        assert_eq!(config.forward_flops_of_halves(source, target), whole - unseen);
        // Of a short target the decoder takes little.
        assert!(config.forward_flops_of_halves(7, 1) < 0.8 * whole);
    }
}
