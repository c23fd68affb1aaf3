//! Where a long text can be cut so that the tokens of its pieces are the tokens of the whole.

use serde_json::Value;

use crate::pieces::{IsCut, nowhere};

/// Where a text can be cut without changing the tokens of a tokenizer with this content: nowhere
/// unless words are encoded alone, and only before a space where a tokenizer would put one before
/// each piece.
pub(super) fn cuts_of(content: &Value) -> IsCut {
    match (encodes_words_alone(content), &content["pre_tokenizer"]["add_prefix_space"]) {
        (true, Value::Bool(false)) => between_words,
        (true, Value::Bool(true)) => before_a_space,
        _ => nowhere,
    }
}

/// Whether a tokenizer with this content finds the tokens of each word by itself.
///
/// A space or line feed between two characters that are no white space begins a word of GPT-2's
/// pattern: no alternative goes on past another character into white space, and none looks further
/// ahead. What follows is found from there on. The Unicode normal forms leave characters of ASCII
/// as they are, move no mark across one, and join nothing to a space or line feed. And no added
/// token may reach across, so none may have white space in it or take some from beside it.
pub(super) fn encodes_words_alone(content: &Value) -> bool {
    let pre_tokenizer = &content["pre_tokenizer"];
    let by_pattern = pre_tokenizer["type"] == "ByteLevel" && pre_tokenizer["use_regex"] != false;
    let normal_form = match &content["normalizer"] {
        Value::Null => true,
        normalizer => matches!(normalizer["type"].as_str(), Some("NFC" | "NFD" | "NFKC" | "NFKD")),
    };
    let within_a_word = |token: &Value| {
        let alone = ["lstrip", "rstrip", "single_word"].iter().all(|key| token[key] == false);
        alone && token["content"].as_str().is_some_and(|text| !text.contains(may_be_space))
    };
    by_pattern
        && normal_form
        && content["added_tokens"].as_array().is_none_or(|tokens| tokens.iter().all(within_a_word))
}

/// A place for a cut: before a space or line feed between two characters that are no white space.
pub(super) fn between_words(text: &str, at: usize) -> bool {
    let is_word = |letter: Option<char>| letter.is_some_and(|letter| !may_be_space(letter));
    let mut rest = text[at..].chars();
    matches!(rest.next(), Some(' ' | '\n'))
        && is_word(rest.next())
        && is_word(text[..at].chars().next_back())
}

/// A place for a cut: before a space between two characters that are no white space.
pub(super) fn before_a_space(text: &str, at: usize) -> bool {
    text[at..].starts_with(' ') && between_words(text, at)
}

/// White space, control characters, and the characters that have a space in a normal form, such as
/// an accent that stands alone; a test compares with the library.
fn may_be_space(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(letter,
            '\u{A0}'..='\u{BF}' | '\u{2D8}'..='\u{2DD}' | '\u{37A}' | '\u{384}'..='\u{385}'
            | '\u{1FBD}'..='\u{1FFE}' | '\u{2000}'..='\u{206F}' | '\u{3000}'
            | '\u{309B}'..='\u{309C}' | '\u{FC5E}'..='\u{FC63}' | '\u{FDFA}'..='\u{FDFB}'
            | '\u{FE49}'..='\u{FE7F}' | '\u{FFE3}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenizers::NormalizedString;
    use tokenizers::Normalizer;
    use tokenizers::normalizers::unicode::NFKD;

    use super::super::tests::{changed, small};
    use super::super::{Tokenizer, identity, test_texts};
    use super::*;
    use crate::pieces::cut;

    #[test]
    fn cuts_stand_between_words_only() {
        let text = "ab\ncd\n\nef \ngh\n ij  k\u{E9}\nlm\n\u{301}no 's\tt 中\n文\n";
        assert_eq!(
            cut(text, 0, between_words),
            [
                "ab",
                "\ncd\n\nef \ngh\n ij  k\u{E9}",
                "\nlm",
                "\n\u{301}no",
                " 's\tt",
                " 中",
                "\n文\n"
            ]
        );
        assert_eq!(cut("a\nb c\nd e", 0, before_a_space), ["a\nb", " c\nd", " e"]);
        assert_eq!(cut("", 0, between_words), [""]);
        assert_eq!(cut("\nx\n", 0, between_words), ["\nx\n"]);
        assert_eq!(cut("a\n\u{A8}b\u{A8} c", 0, between_words), ["a\n\u{A8}b\u{A8} c"]);
    }

    #[test]
    fn no_normal_form_of_a_word_begins_or_ends_with_white_space() {
        for letter in test_texts::all_characters() {
            let mut form = NormalizedString::from(letter.to_string());
            NFKD.normalize(&mut form).unwrap();
            let has_space = form.get().chars().any(char::is_whitespace);
            assert!(may_be_space(letter) || !has_space, "U+{:04X}", letter as u32);
        }
    }

    /// The library encodes whole and pieces, so that this is about the cuts alone.
    #[test]
    fn pieces_have_the_tokens_of_the_whole() {
        let tokenizers = [
            small(),
            changed(|value| value["normalizer"] = json!(null)),
            changed(|value| value["normalizer"]["type"] = json!("NFD")),
            with_prefix_space(),
        ];
        for tokenizer in tokenizers {
            let mut all_pieces = 0;
            for text in test_texts::texts() {
                let whole = tokenizer.encode_by_library(&text).unwrap();
                for bytes in [0, 2, 3, 7, 64] {
                    let pieces = cut(&text, bytes, tokenizer.is_cut());
                    all_pieces += pieces.len();
                    let joined =
                        pieces.iter().map(|piece| tokenizer.encode_by_library(piece).unwrap());
                    assert_eq!(joined.collect::<Vec<_>>().concat(), whole, "{pieces:?}");
                }
            }
            assert!(all_pieces > 7 * test_texts::texts().len(), "{all_pieces} pieces");
        }
    }

    fn with_prefix_space() -> Tokenizer {
        Tokenizer::with_prefix_space(small().json, Some(true)).unwrap()
    }

    #[test]
    fn other_tokenizers_are_not_cut() {
        let content = identity::content(&small().inner).unwrap();
        let cuts = |content: &Value, text| cut(text, 0, cuts_of(content)).len() - 1;
        assert_eq!(cuts(&content, "a b\nc"), 2);
        let with = |pointer: &str, value: Value| {
            let mut changed = content.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            cuts(&changed, "a b\nc")
        };
        assert_eq!(with("/normalizer", Value::Null), 2);
        assert_eq!(with("/pre_tokenizer/add_prefix_space", true.into()), 1);
        assert_eq!(with("/normalizer/type", "Lowercase".into()), 0);
        assert_eq!(with("/pre_tokenizer", Value::Null), 0);
        assert_eq!(with("/pre_tokenizer/use_regex", false.into()), 0);
        assert_eq!(with("/added_tokens/0/rstrip", true.into()), 0);
        for token in ["\n", "end of text", "\u{A8}"] {
            assert_eq!(with("/added_tokens/0/content", token.into()), 0, "{token}");
        }
    }
}
