//! The special tokens that masked models and encoder-decoders need.

/// The ids of a masked model beside those of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedTokens {
    /// Stands before every text.
    pub start: u32,
    /// Stands for a hidden token.
    pub mask: u32,
    /// Stands behind every text.
    pub end: u32,
}

impl MaskedTokens {
    /// The tokens that stand around every text.
    pub const AROUND: usize = 2;

    /// All of them.
    pub fn ids(&self) -> [u32; 3] {
        [self.start, self.mask, self.end]
    }
}

/// The ids of an encoder-decoder beside those of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderDecoderTokens {
    /// Begins a text, where the tokenizer has such a token.
    pub begin: Option<u32>,
    /// Stands for what is hidden: the first sentinel.
    pub hidden: u32,
    /// Ends every text.
    pub end: u32,
}
