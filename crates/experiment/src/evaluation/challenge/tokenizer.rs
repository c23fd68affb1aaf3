//! A model folder's tokenizer as the pipelines call it.

use corpus::Tokenizer;
use corpus::tokenizer::{Role, sentinel};
use eval::EvalError;
use eval::challenge::{ChallengeTokenizer, PlacedToken, SpecialTokens};

/// The tokenizer, with the special tokens that transformers puts around texts.
pub(super) struct FolderTokenizer(pub(super) Tokenizer);

impl FolderTokenizer {
    /// Whether a special token stands before every text, so that something predicts the first
    /// token.
    pub(super) fn begins_texts(&self) -> bool {
        let around = self.0.tokens_around(false);
        around.is_ok_and(|[before, ..]| !before.is_empty())
    }
}

fn encoding(cause: corpus::CorpusError) -> EvalError {
    EvalError::Encoding { cause: cause.to_string() }
}

impl ChallengeTokenizer for FolderTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>, EvalError> {
        self.0.encode(text).map_err(encoding)
    }

    fn vocab_size(&self) -> usize {
        self.0.own_vocab_size()
    }

    fn decode(&self, id: u32) -> String {
        self.0.decode(&[id])
    }

    fn encode_placed(&self, text: &str) -> Result<Vec<PlacedToken>, EvalError> {
        let placed = self.0.encode_placed(text).map_err(encoding)?;
        Ok(placed.iter().map(|token| PlacedToken { id: token.id, end: token.end }).collect())
    }

    fn special_tokens(&self) -> SpecialTokens {
        let mask = self.0.role_id(Role::Mask);
        SpecialTokens {
            begin: self.0.role_id(Role::Begin),
            mask: mask.or_else(|| self.0.token_id(&sentinel(0))),
            classifier: self.0.role_id(Role::Classifier),
            end: self.0.role_id(Role::End),
        }
    }
}
