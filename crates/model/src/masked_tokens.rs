//! The special tokens that a masked model needs.

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
