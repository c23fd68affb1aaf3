//! How the pipelines of 2025 and 2026 ask models for probabilities.

use model::Architecture;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::scoring::Scorer;

/// How models are asked, by the names of the pipelines' option `--backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeBackend {
    /// Each token is predicted from those before it.
    Causal,
    /// Each token is hidden and predicted from all others, at its own place.
    Mlm,
    /// Each token is hidden and predicted from all others, at the token before it.
    Mntp,
    /// An encoder reads the text with a token hidden, and the decoder predicts it.
    EncDecMask,
}

impl ChallengeBackend {
    /// All back ends.
    pub const ALL: [Self; 4] = [Self::Causal, Self::Mlm, Self::Mntp, Self::EncDecMask];

    /// The name in commands and in names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Causal => "causal",
            Self::Mlm => "mlm",
            Self::Mntp => "mntp",
            Self::EncDecMask => "enc_dec_mask",
        }
    }

    /// Whether it asks encoder-decoders.
    pub fn is_encoder_decoder(self) -> bool {
        matches!(self, Self::EncDecMask)
    }

    /// Refuses models that cannot be asked in this way.
    ///
    /// # Errors
    /// When there is such a model.
    pub fn check(self, scorer: &Scorer<'_>) -> Result<(), EvalError> {
        let is_asked = |family: Architecture| match self {
            Self::Causal => family.is_causal(),
            Self::Mlm => !family.is_causal() && !family.is_encoder_decoder(),
            Self::Mntp => !family.is_encoder_decoder(),
            Self::EncDecMask => family.is_encoder_decoder(),
        };
        let mut families = scorer.models().iter().map(|model| model.config().architecture);
        match families.find(|&family| !is_asked(family)) {
            Some(family) => {
                Err(EvalError::OtherBackend { backend: self.name(), family: family.name() })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_names_of_the_pipelines_option() {
        for backend in ChallengeBackend::ALL {
            assert_eq!(serde_json::json!(backend), backend.name());
        }
    }
}
