//! Where a long text can be cut so that the tokens of its pieces are the tokens of the whole.

use serde_json::Value;

/// About how many bytes make a piece worth a task of its own.
const PIECE_BYTES: usize = 1 << 18;

/// Whether cutting at lines, as [`cut_at_lines`] does, keeps the tokens of a tokenizer with this content.
///
/// A line feed between two visible ASCII characters is a word of its own to GPT-2's pattern, whether or not something
/// follows; the Unicode normal forms work on no more than a base character and its marks; and no added token may
/// reach across.
pub fn can_cut_at_lines(content: &Value) -> bool {
    let pre_tokenizer = &content["pre_tokenizer"];
    let by_pattern = pre_tokenizer["type"] == "ByteLevel" && pre_tokenizer["use_regex"] != false;
    let normal_form = match &content["normalizer"] {
        Value::Null => true,
        normalizer => matches!(normalizer["type"].as_str(), Some("NFC" | "NFD" | "NFKC" | "NFKD")),
    };
    let within_a_line = |token: &Value| {
        let alone = ["lstrip", "rstrip", "single_word"].iter().all(|key| token[key] == false);
        alone && token["content"].as_str().is_some_and(|text| !text.contains('\n'))
    };
    by_pattern
        && normal_form
        && content["added_tokens"].as_array().is_none_or(|tokens| tokens.iter().all(within_a_line))
}

/// Cuts a text into pieces of about [`PIECE_BYTES`], each but the last ending in a line feed that stands between two
/// visible ASCII characters.
pub fn cut_at_lines(text: &str) -> Vec<&str> {
    cut(text, PIECE_BYTES)
}

fn cut(text: &str, piece_bytes: usize) -> Vec<&str> {
    let bytes = text.as_bytes();
    let is_cut = |at: usize| {
        let [before, end, after] = [at - 2, at - 1, at].map(|index| bytes[index]);
        before.is_ascii_graphic() && end == b'\n' && after.is_ascii_graphic()
    };
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(end) = ((start + piece_bytes.max(1)).max(2)..bytes.len()).find(|&at| is_cut(at)) {
        pieces.push(&text[start..end]);
        start = end;
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::identity;
    use super::super::tests::small;
    use super::*;

    #[test]
    fn cuts_stand_between_visible_characters_only() {
        let text = "ab\ncd\n\nef \ngh\n ij\nk\u{E9}\nlm\n\u{301}no\npq\n";
        assert_eq!(cut(text, 0), ["ab\n", "cd\n\nef \ngh\n ij\n", "k\u{E9}\nlm\n\u{301}no\n", "pq\n"]);
        assert_eq!(cut(text, 3), ["ab\n", "cd\n\nef \ngh\n ij\n", "k\u{E9}\nlm\n\u{301}no\n", "pq\n"]);
        assert_eq!(cut(text, 4), ["ab\ncd\n\nef \ngh\n ij\n", "k\u{E9}\nlm\n\u{301}no\n", "pq\n"]);
        assert_eq!(cut(text, 1000), [text]);
        assert_eq!(cut("", 0), [""]);
        assert_eq!(cut("\nx\n", 0), ["\nx\n"]);
    }

    #[test]
    fn pieces_have_the_tokens_of_the_whole() {
        let tokenizer = small();
        assert!(tokenizer.cuts_at_lines);
        let text = "the dog's\nfox!\n\n  jumps\n\"Who's\n'there'\n </s>\n<s>\ncafe\u{301}\n2\n\u{301}é\n \u{A0}\nfox\n"
            .repeat(3);
        let pieces = cut(&text, 0);
        assert!(pieces.len() > 12, "{pieces:?}");
        let joined: Vec<u32> = pieces.into_iter().flat_map(|piece| tokenizer.encode(piece)).collect();
        assert_eq!(joined, tokenizer.encode(&text));
        assert_eq!(tokenizer.encode_file(&text), joined);
    }

    #[test]
    fn other_tokenizers_are_not_cut() {
        let content = identity::content(&small().inner).unwrap();
        assert!(can_cut_at_lines(&content));
        let with = |pointer: &str, value: Value| {
            let mut changed = content.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            can_cut_at_lines(&changed)
        };
        assert!(with("/normalizer", Value::Null));
        assert!(!with("/normalizer/type", "Lowercase".into()));
        assert!(!with("/pre_tokenizer", Value::Null));
        assert!(!with("/pre_tokenizer/use_regex", false.into()));
        assert!(!with("/added_tokens/0/rstrip", true.into()));
        assert!(!with("/added_tokens/0/content", "\n".into()));
    }
}
