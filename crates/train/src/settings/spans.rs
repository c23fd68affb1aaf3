//! Settings of the objective of encoder-decoders.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{SettingError, rules};

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
