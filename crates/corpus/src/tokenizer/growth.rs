//! Parts of a `tokenizer.json` from outside that make a text longer: without a limit a few
//! kilobytes of text would take gigabytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The most bytes that the parts may make of one. The normal form NFKC makes 11 of one byte's
/// share of U+FDFA, and SentencePiece's spaces are three bytes.
const MOST_GROWTH: f64 = 128.0;

/// The most bytes that the parts may add to a text, however short it is.
const MOST_ADDED: f64 = 128.0;

/// The longest prefix or suffix of a piece of a word, in bytes: the library joins it to every
/// character. That of BERT has two.
const LONGEST_AFFIX: usize = 64;

/// Refuses normalizers and decoders that make texts longer beyond all proportion, and affixes
/// of words that are no affixes.
pub(super) fn check(tokenizer: &Value) -> Result<(), String> {
    for part in ["normalizer", "decoder"] {
        let Growth { factor, added } = growth(&tokenizer[part]);
        if factor > MOST_GROWTH {
            return Err(format!(
                "its {part} makes up to {factor} bytes of one; {MOST_GROWTH} are possible"
            ));
        }
        if added > MOST_ADDED {
            return Err(format!(
                "its {part} adds up to {added} bytes to a text; {MOST_ADDED} are possible"
            ));
        }
    }
    for affix in ["continuing_subword_prefix", "end_of_word_suffix"] {
        let length = tokenizer["model"][affix].as_str().map_or(0, str::len);
        if length > LONGEST_AFFIX {
            return Err(format!(
                "its `model.{affix}` has {length} bytes; {LONGEST_AFFIX} are possible"
            ));
        }
    }
    Ok(())
}

/// What a part makes of a text: at most `factor` bytes of each, and `added` ones.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Growth {
    factor: f64,
    added: f64,
}

/// The most that a part makes of a text.
fn growth(part: &Value) -> Growth {
    let none = Growth { factor: 1.0, added: 0.0 };
    match part["type"].as_str() {
        Some("Sequence") => {
            let parts = ["normalizers", "decoders"].iter().map(|key| part[*key].as_array());
            parts.flatten().flatten().map(growth).fold(none, |before, part| Growth {
                factor: before.factor * part.factor,
                added: before.added * part.factor + part.added,
            })
        }
        Some("Prepend") => {
            Growth { added: part["prepend"].as_str().map_or(0, str::len) as f64, ..none }
        }
        _ => Growth { factor: factor(part), ..none },
    }
}

/// How many bytes a part makes of one, at most.
fn factor(part: &Value) -> f64 {
    match part["type"].as_str() {
        Some("Replace") => {
            let replaced = part["pattern"]["String"].as_str().map_or(1, |text| text.len().max(1));
            let content = part["content"].as_str().map_or(0, str::len);
            (content as f64 / replaced as f64).max(1.0)
        }
        Some("Precompiled") => longest_of_map(&part["precompiled_charsmap"]).max(1) as f64,
        _ => 1.0,
    }
}

/// The longest text that a map of SentencePiece's has for a character: behind its table, whose size
/// in bytes comes first, stand the texts, each with a zero at its end.
fn longest_of_map(map: &Value) -> usize {
    // What cannot be read is refused by the library.
    let bytes = map.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let Some((size, rest)) = bytes.split_first_chunk() else { return 0 };
    let texts = rest.get(u32::from_le_bytes(*size) as usize..).unwrap_or_default();
    texts.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Tokenizer;
    use super::super::tests::small;
    use super::*;

    fn replace(pattern: Value, content: &str) -> Value {
        json!({"type": "Replace", "pattern": pattern, "content": content})
    }

    fn load(change: impl Fn(&mut Value)) -> Result<Tokenizer, String> {
        let mut value = serde_json::from_str(&small().json).unwrap();
        change(&mut value);
        Tokenizer::from_json(value.to_string())
    }

    #[test]
    fn a_text_may_grow_as_by_published_tokenizers_and_no_further() {
        let spaces = [
            replace(json!({"String": " "}), "\u{2581}"),
            replace(json!({"Regex": " {2,}"}), "\u{2581}"),
            json!({"type": "NFKC"}),
            replace(json!({"String": "``"}), "\""),
        ];
        let spaces = json!({"type": "Sequence", "normalizers": spaces});
        assert_eq!(growth(&spaces).factor, 9.0);
        assert!(load(|value| value["normalizer"] = spaces.clone()).is_ok());
        for pattern in [json!({"String": "\u{416}"}), json!({"Regex": "."})] {
            let many = replace(pattern, &"a".repeat(100_000));
            let message = load(|value| value["normalizer"] = many.clone()).err().unwrap();
            assert!(message.contains("its normalizer makes up to"), "{message}");
            let message = load(|value| value["decoder"] = many.clone()).err().unwrap();
            assert!(message.contains("its decoder makes up to"), "{message}");
        }
        let prepend = |bytes: usize| json!({"type": "Prepend", "prepend": "a".repeat(bytes)});
        let double = replace(json!({"String": "a"}), "aa");
        for (parts, added) in [
            (vec![prepend(3)], 3.0),
            (vec![prepend(128)], 128.0),
            (vec![prepend(129)], 129.0),
            (vec![prepend(3); 50], 150.0),
            (vec![prepend(40), double.clone(), prepend(10)], 90.0),
            (vec![prepend(40), double.clone(), double], 160.0),
        ] {
            let parts = json!({"type": "Sequence", "normalizers": parts});
            assert_eq!(growth(&parts).added, added);
            let message = load(|value| value["normalizer"] = parts.clone()).err();
            assert_eq!(message.is_some(), added > 128.0, "{message:?}");
            assert!(message.is_none_or(|message| message.contains("bytes to a text; 128 are")));
        }
        let ten = replace(json!({"String": "a"}), &"a".repeat(10));
        for (count, is_possible) in [(2, true), (3, false)] {
            let parts = json!({"type": "Sequence", "normalizers": vec![ten.clone(); count]});
            assert_eq!(load(|value| value["normalizer"] = parts.clone()).is_ok(), is_possible);
        }
    }

    #[test]
    fn maps_of_characters_have_short_texts() {
        let map = |text: &str| {
            let bytes = [&4u32.to_le_bytes()[..], &[0; 4], text.as_bytes()].concat();
            json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(bytes)})
        };
        assert_eq!(factor(&map("a\0bcd\0\0ef\0")), 3.0);
        assert_eq!(factor(&map("")), 1.0);
        let message = check(&json!({"normalizer": map(&"x".repeat(500))})).unwrap_err();
        assert!(message.contains("makes up to 500 bytes of one"), "{message}");
        for damaged in ["", "!", "AAAA", "/////w=="] {
            let map = json!({"type": "Precompiled", "precompiled_charsmap": damaged});
            assert_eq!(factor(&map), 1.0, "{damaged}");
        }
    }

    #[test]
    fn affixes_of_words_are_short() {
        let message = load(|value| {
            value["model"]["continuing_subword_prefix"] = json!("#".repeat(65));
        });
        assert!(message.err().unwrap().contains("has 65 bytes; 64 are possible"));
        assert!(load(|value| value["model"]["end_of_word_suffix"] = json!("</w>")).is_ok());
    }
}
