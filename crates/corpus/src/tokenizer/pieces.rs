//! Where a long text can be cut so that the tokens of its pieces are the tokens of the whole.

use serde_json::Value;

use crate::pieces::{PIECE_BYTES, cut};

/// Whether cutting a text, as [`cut_between_words`] does, keeps the tokens of a tokenizer with this
/// content.
///
/// A space or line feed between two visible ASCII characters begins a word of GPT-2's pattern,
/// whatever stands before: no alternative goes on past a visible character into white space, and
/// none looks further ahead. What follows is found from there on. The Unicode normal forms work on
/// no more than a base character and its marks, of which there are none here. And no added token
/// may reach across, so none may have white space in it or take some from beside it. Nor may a
/// space be put before a text, for it would be put before each piece.
pub(super) fn can_cut_between_words(content: &Value) -> bool {
    let pre_tokenizer = &content["pre_tokenizer"];
    let by_pattern = pre_tokenizer["type"] == "ByteLevel"
        && pre_tokenizer["use_regex"] != false
        && pre_tokenizer["add_prefix_space"] == false;
    let normal_form = match &content["normalizer"] {
        Value::Null => true,
        normalizer => matches!(normalizer["type"].as_str(), Some("NFC" | "NFD" | "NFKC" | "NFKD")),
    };
    let within_a_word = |token: &Value| {
        let alone = ["lstrip", "rstrip", "single_word"].iter().all(|key| token[key] == false);
        alone && token["content"].as_str().is_some_and(|text| !text.contains(char::is_whitespace))
    };
    by_pattern
        && normal_form
        && content["added_tokens"].as_array().is_none_or(|tokens| tokens.iter().all(within_a_word))
}

/// Cuts a text into pieces of about [`PIECE_BYTES`], each but the first one beginning with a space
/// or line feed that stands between two visible ASCII characters.
pub(super) fn cut_between_words(text: &str) -> Vec<&str> {
    cut(text, PIECE_BYTES, between_words)
}

fn between_words(bytes: &[u8], at: usize) -> bool {
    let visible = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_graphic);
    matches!(bytes[at], b' ' | b'\n') && visible(at - 1) && visible(at + 1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::small;
    use super::super::{identity, test_texts};
    use super::*;

    #[test]
    fn cuts_stand_between_visible_characters_only() {
        let text = "ab\ncd\n\nef \ngh\n ij  k\u{E9}\nlm\n\u{301}no 's\tt\n";
        assert_eq!(
            cut(text, 0, between_words),
            ["ab", "\ncd\n\nef \ngh\n ij  k\u{E9}\nlm\n\u{301}no", " 's\tt\n"]
        );
        assert_eq!(
            cut(text, 3, between_words),
            ["ab\ncd\n\nef \ngh\n ij  k\u{E9}\nlm\n\u{301}no", " 's\tt\n"]
        );
        assert_eq!(cut("", 0, between_words), [""]);
        assert_eq!(cut("\nx\n", 0, between_words), ["\nx\n"]);
    }

    /// The library encodes whole and pieces, so that this is about the cuts alone.
    #[test]
    fn pieces_have_the_tokens_of_the_whole() {
        let tokenizer = small();
        assert!(tokenizer.cuts_between_words);
        let mut all_pieces = 0;
        for text in test_texts::texts() {
            let pieces = cut(&text, 0, between_words);
            all_pieces += pieces.len();
            let joined: Vec<u32> =
                pieces.iter().flat_map(|piece| tokenizer.encode_by_library(piece)).collect();
            assert_eq!(joined, tokenizer.encode_by_library(&text), "{pieces:?}");
        }
        assert!(all_pieces > 2 * test_texts::texts().len(), "{all_pieces} pieces");
    }

    #[test]
    fn other_tokenizers_are_not_cut() {
        let content = identity::content(&small().inner).unwrap();
        assert!(can_cut_between_words(&content));
        let with = |pointer: &str, value: Value| {
            let mut changed = content.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            can_cut_between_words(&changed)
        };
        assert!(with("/normalizer", Value::Null));
        assert!(!with("/normalizer/type", "Lowercase".into()));
        assert!(!with("/pre_tokenizer", Value::Null));
        assert!(!with("/pre_tokenizer/use_regex", false.into()));
        assert!(!with("/pre_tokenizer/add_prefix_space", true.into()));
        assert!(!with("/added_tokens/0/rstrip", true.into()));
        assert!(!with("/added_tokens/0/content", "\n".into()));
        assert!(!with("/added_tokens/0/content", "end of text".into()));
    }
}
