//! Settings of the objective of encoder-decoders.

use documented::DocumentedFields;
use model::ModelConfig;
use serde::{Deserialize, Serialize};

use super::{SettingError, TrainSettings, rules};

/// What an encoder-decoder is trained to predict: spans that are hidden from its encoder (span
/// corruption, Raffel et al., arXiv 1910.10683, section 3.1.4). For `architecture = "t5"` alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct SpanSettings {
    /// Share of a sequence's tokens that are hidden, at least one and all but one at most.
    pub share: f64,
    /// Mean number of tokens of a hidden span.
    pub span: f64,
}

impl Default for SpanSettings {
    fn default() -> Self {
        Self { share: 0.15, span: 3.0 }
    }
}

impl SpanSettings {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let between = |key: &str, value: f64, smallest: f64, largest: f64| {
            let rule = format!("it must be between {smallest} and {largest}");
            let holds = (smallest..=largest).contains(&value);
            super::require(holds, &format!("spans.{key}"), &rules::shown(value), rule)
        };
        between("share", self.share, 0.01, 0.99)?;
        between("span", self.span, 1.0, 64.0)
    }

    /// How many tokens of a sequence are hidden, and in how many spans.
    pub fn counts(&self, length: usize) -> [usize; 2] {
        if length < 2 {
            return [0, 0];
        }
        let tokens = ((length as f64 * self.share).round() as usize).clamp(1, length - 1);
        let spans = (tokens as f64 / self.span).round() as usize;
        [tokens, spans.clamp(1, tokens.min(length - tokens))]
    }
}

impl TrainSettings {
    /// Floating-point operations of a forward pass for each token of the text. Of an
    /// encoder-decoder, whose halves read parts of the text, sentinels and ends stand for the rest.
    pub fn forward_flops_per_token(&self, config: &ModelConfig) -> f64 {
        let length = self.sequence_length;
        if !config.architecture.is_encoder_decoder() {
            return config.forward_flops_per_token(length);
        }
        let [hidden, spans] = self.spans.unwrap_or_default().counts(length);
        let (source, target) = (length - hidden + spans + 1, hidden + spans + 1);
        config.forward_flops_of_halves(source, target) / length as f64
    }
}

#[cfg(test)]
mod tests {
    use model::Architecture;

    use super::*;

    #[test]
    fn a_token_of_the_text_passes_one_half_and_sentinels_the_other() {
        let config = ModelConfig::tiny(Architecture::T5);
        let settings = TrainSettings { sequence_length: 100, ..TrainSettings::default() };
        // 15 tokens in 5 spans: 85 others, 5 sentinels and the end; 15, 5 sentinels and the end.
        let expected = config.forward_flops_of_halves(91, 21) / 100.0;
        assert_eq!(settings.forward_flops_per_token(&config), expected);
        let causal = ModelConfig::tiny(Architecture::LLAMA);
        let whole = causal.forward_flops_per_token(100);
        assert_eq!(settings.forward_flops_per_token(&causal), whole);
    }
}
