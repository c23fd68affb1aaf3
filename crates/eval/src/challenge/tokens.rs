//! What the pipelines need of a model's tokenizer.

use crate::error::EvalError;

/// A token of a text, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedToken {
    /// The token.
    pub id: u32,
    /// Characters of the text up to the token's end; 0 for special tokens that are put around it.
    pub end: usize,
}

/// The ids of a tokenizer's special tokens, where it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// What begins a text (`bos_token`), and what a decoder predicts.
    pub begin: Option<u32>,
    /// What stands for a hidden token: `mask_token`, or else the first sentinel of T5.
    pub mask: Option<u32>,
    /// What stands before what an encoder-decoder reads (`cls_token`).
    pub classifier: Option<u32>,
    /// What stands behind what an encoder-decoder reads (`eos_token`).
    pub end: Option<u32>,
}

/// A tokenizer as the pipelines call it.
pub trait ChallengeTokenizer {
    /// The tokens of a text, without special tokens around it.
    ///
    /// # Errors
    /// When the text cannot be encoded.
    fn encode(&self, text: &str) -> Result<Vec<u32>, EvalError>;

    /// The tokens of a text, with the special tokens that the tokenizer itself puts around texts
    /// (`tokenizer(text)` of transformers).
    ///
    /// # Errors
    /// When the text cannot be encoded.
    fn encode_placed(&self, text: &str) -> Result<Vec<PlacedToken>, EvalError>;

    /// How many tokens the vocabulary has, without tokens that were added to it (`vocab_size` of
    /// transformers).
    fn vocab_size(&self) -> usize;

    /// The text of a token, special ones spelled out.
    fn decode(&self, id: u32) -> String;

    /// The special tokens.
    fn special_tokens(&self) -> SpecialTokens;
}
