//! Settings of the objective of masked models.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{SettingError, rules};

/// What a masked model is trained to predict: hidden tokens, at their own places (BERT, Devlin et
/// al., arXiv 1810.04805), in spans as LTG-BERT has them (Samuel et al., arXiv 2303.09859). For
/// `architecture = "ltg-bert"` and `"elc-bert"` alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct MaskedSettings {
    /// Share of the tokens that are hidden and predicted, at least one of a sequence.
    pub share: f64,
    /// Share of the hidden spans in whose place the model reads random tokens.
    pub replace: f64,
    /// Share of the hidden spans that the model reads as they are; in place of the others it reads
    /// the mask token.
    pub keep: f64,
    /// Mean number of tokens of a hidden span; 1 hides single tokens.
    pub span: f64,
}

impl Default for MaskedSettings {
    fn default() -> Self {
        Self { share: 0.15, replace: 0.1, keep: 0.1, span: 3.0 }
    }
}

impl MaskedSettings {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let between = |key: &str, value: f64, smallest: f64, largest: f64| {
            let rule = format!("it must be between {smallest} and {largest}");
            let holds = (smallest..=largest).contains(&value);
            super::require(holds, &format!("masked.{key}"), &rules::shown(value), rule)
        };
        between("share", self.share, 0.01, 0.99)?;
        rules::share("masked.replace", self.replace)?;
        rules::share("masked.keep", self.keep)?;
        let both = self.replace + self.keep;
        let rule = "replace and keep together may be at most 1";
        super::require(both <= 1.0, "masked", &rules::shown(both), rule)?;
        between("span", self.span, 1.0, 8.0)
    }
}
