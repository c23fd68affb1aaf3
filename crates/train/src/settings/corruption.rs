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
    /// Whether every sequence draws its shares between 0 and `replace` and `mask`.
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
    /// The share `mask` at the end of the training, towards which it changes evenly from `mask` at
    /// the beginning; left out, it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_end: Option<f64>,
    /// Tokens are masked in spans of 1 to this many tokens, each length equally often; left out,
    /// 1.
    #[serde(skip_serializing_if = "is_one")]
    pub longest_span: usize,
    /// Share of the masked spans in whose place the model reads random tokens; left out, 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub replace: f64,
    /// Share of the masked spans that the model reads as they are; in place of the others it reads
    /// the mask token. Left out, 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub keep: f64,
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Default for HybridSettings {
    fn default() -> Self {
        let (mask_end, longest_span) = (None, 1);
        Self { steps: 0.5, mask: 0.15, mask_end, longest_span, replace: 0.0, keep: 0.0 }
    }
}

/// The largest value of `longest_span`.
const LONGEST_SPAN: usize = 9;

impl HybridSettings {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        rules::share("hybrid.steps", self.steps)?;
        for (key, share) in [("hybrid.mask", Some(self.mask)), ("hybrid.mask_end", self.mask_end)] {
            let share = share.unwrap_or(self.mask);
            let rule = "it must be between 0.01 and 0.99";
            super::require((0.01..=0.99).contains(&share), key, &rules::shown(share), rule)?;
        }
        let span = self.longest_span;
        let rule = format!("it must be from 1 to {LONGEST_SPAN}");
        super::require((1..=LONGEST_SPAN).contains(&span), "hybrid.longest_span", &span, rule)?;
        rules::share("hybrid.replace", self.replace)?;
        rules::share("hybrid.keep", self.keep)?;
        let both = self.replace + self.keep;
        let rule = "replace and keep together may be at most 1";
        super::require(both <= 1.0, "hybrid", &rules::shown(both), rule)
    }

    /// The share of the tokens that are masked where so much of the training is done, from 0 to 1.
    pub fn mask_at(&self, done: f64) -> f64 {
        self.mask + done * (self.mask_end.unwrap_or(self.mask) - self.mask)
    }
}
