//! What tests of the challenge's tasks share.

use corpus::Tokenizer;
use corpus::tokenizer::Role;
use eval::EvalError;
use eval::challenge::{ChallengeTokenizer, PlacedToken, SpecialTokens};

/// A tokenizer of a folder.
pub(crate) struct OfFolder(pub(crate) Tokenizer);

fn failed(cause: impl std::fmt::Display) -> EvalError {
    EvalError::Encoding { cause: cause.to_string() }
}

impl ChallengeTokenizer for OfFolder {
    fn encode(&self, text: &str) -> Result<Vec<u32>, EvalError> {
        self.0.encode(text).map_err(failed)
    }

    fn encode_placed(&self, text: &str) -> Result<Vec<PlacedToken>, EvalError> {
        let tokens = self.0.encode_placed(text).map_err(failed)?;
        Ok(tokens.iter().map(|token| PlacedToken { id: token.id, end: token.end }).collect())
    }

    fn vocab_size(&self) -> usize {
        self.0.own_vocab_size()
    }

    fn decode(&self, id: u32) -> String {
        self.0.decode(&[id])
    }

    fn special_tokens(&self) -> SpecialTokens {
        SpecialTokens {
            mask: self.0.role_id(Role::Mask),
            classifier: self.0.role_id(Role::Classifier),
            end: self.0.role_id(Role::End),
            begin: self.0.role_id(Role::Begin),
        }
    }
}
