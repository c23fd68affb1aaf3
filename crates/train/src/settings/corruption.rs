//! Settings of inputs that differ from the text, and of steps that predict masked tokens.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{SettingError, rules};

/// Input tokens that are replaced in training; what is predicted stays the text. Against
/// overfitting, where a text is read many times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct CorruptionSettings {
    /// Share of the tokens in whose place the model reads random ones.
    pub replace: f64,
    /// Share of the tokens in whose place the model reads the mask token (that of the tokenizer, or
    /// where it has none, the token that begins a text).
    pub mask: f64,
    /// Whether every sequence draws its shares between 0 and these.
    pub varies: bool,
}

impl Default for CorruptionSettings {
    fn default() -> Self {
        Self { replace: 0.0, mask: 0.0, varies: false }
    }
}

impl CorruptionSettings {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        rules::share("corruption.replace", self.replace)?;
        rules::share("corruption.mask", self.mask)?;
        let both = self.replace + self.mask;
        let rule = "replace and mask together may be at most 1";
        super::require(both <= 1.0, "corruption", &rules::shown(both), rule)
    }
}

/// Steps that predict masked tokens with attention in both directions, each at the token before it
/// (GPT-BERT, Charpentier and Samuel, arXiv 2410.24159); the other steps predict the next token as
/// ever. The model is a causal one all the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct HybridSettings {
    /// Share of the steps that predict masked tokens.
    pub steps: f64,
    /// Share of the tokens that are masked in such a step.
    pub mask: f64,
}

impl Default for HybridSettings {
    fn default() -> Self {
        Self { steps: 0.5, mask: 0.15 }
    }
}

impl HybridSettings {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        rules::share("hybrid.steps", self.steps)?;
        let (smallest, largest) = (0.01, 0.99);
        let rule = "it must be between 0.01 and 0.99";
        let holds = (smallest..=largest).contains(&self.mask);
        super::require(holds, "hybrid.mask", &rules::shown(self.mask), rule)
    }
}
