//! Tokens with their places in a text, as transformers gives them with `return_offsets_mapping`.

use base::guard;

use super::Tokenizer;
use crate::error::{CorpusError, Result};

/// A token of a text, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedToken {
    /// The token.
    pub id: u32,
    /// Characters of the text up to the token's end, before any normalisation; 0 for the special
    /// tokens that the post-processor puts around texts.
    pub end: usize,
}

impl Tokenizer {
    /// The tokens of a text with the special tokens that the post-processor puts around it: what
    /// transformers gives for `tokenizer(text)`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_placed(&self, text: &str) -> Result<Vec<PlacedToken>> {
        let encode = || self.inner.encode_char_offsets(text, true);
        let failed = |cause| CorpusError::Tokenizer { doing: "encoding a text", cause };
        let encoding = guard::catch(encode).map_err(failed)?;
        let encoding = encoding.map_err(|cause| failed(cause.to_string()))?;
        let places = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(places.map(|(&id, &(_, end))| PlacedToken { id, end }).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::small;
    use super::*;

    fn ends(tokens: &[PlacedToken]) -> Vec<usize> {
        tokens.iter().map(|token| token.end).collect()
    }

    #[test]
    fn tokens_are_those_of_encode_with_their_ends_in_characters() {
        let tokenizer = small();
        for text in ["the cat", "  the\tcat ", "é the", ""] {
            let placed = tokenizer.encode_placed(text).unwrap();
            let ids: Vec<u32> = placed.iter().map(|token| token.id).collect();
            assert_eq!(ids, tokenizer.encode(text).unwrap(), "{text:?}");
            let ends = ends(&placed);
            assert!(ends.is_sorted() && ends.iter().all(|&end| end <= text.chars().count()));
        }
        let placed = tokenizer.encode_placed("the cat").unwrap();
        assert_eq!(placed.last().map(|token| token.end), Some(7));
    }

    #[test]
    fn special_tokens_around_a_text_end_at_its_beginning() {
        let mut value: Value = serde_json::from_str(&small().json).unwrap();
        value["post_processor"] = json!({
            "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1],
            "trim_offsets": true, "add_prefix_space": false,
        });
        let tokenizer = Tokenizer::from_json(value.to_string()).unwrap();
        let placed = tokenizer.encode_placed("the").unwrap();
        assert_eq!((placed[0], placed[placed.len() - 1].id), (PlacedToken { id: 1, end: 0 }, 2));
        assert_eq!(placed[placed.len() - 1].end, 0);
        assert_eq!(placed[placed.len() - 2].end, 3);
    }
}
