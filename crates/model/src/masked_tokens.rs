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
    /// Stands for what is hidden: the mask token, or the first sentinel where there is none.
    pub hidden: u32,
    /// Ends every text.
    pub end: u32,
}

/// The tokens with which an encoder-decoder is trained on hidden spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelTokens {
    /// Ends what the encoder reads and what the decoder predicts.
    pub end: u32,
    /// Stand for the hidden spans of a text, the first for the first.
    pub sentinels: Vec<u32>,
}

/// What stands for hidden parts of texts, by the kind of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HiddenTokens {
    /// Tokens of masked models.
    Masked(MaskedTokens),
    /// Tokens of encoder-decoders.
    Spans(SentinelTokens),
}

impl HiddenTokens {
    /// All of them.
    pub fn ids(&self) -> Vec<u32> {
        match self {
            Self::Masked(tokens) => tokens.ids().to_vec(),
            Self::Spans(tokens) => [&[tokens.end], &tokens.sentinels[..]].concat(),
        }
    }
}

impl From<MaskedTokens> for HiddenTokens {
    fn from(tokens: MaskedTokens) -> Self {
        Self::Masked(tokens)
    }
}
