//! The keys of `tokenizer.json` and `special_tokens_map.json`, as the tokenizers library 0.23 and
//! transformers 5 write and read them; those of `tokenizer_config.json` stand in
//! [`folder_settings`](super::folder_settings).

use serde_json::{Map, Value};

/// What a key means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyRule {
    /// Followed, by this program or by the library.
    Followed,
    /// Refused unless it is absent, null or this.
    Only(bool),
    /// Changes neither ids nor what this program makes of them.
    NoEffect,
}

use KeyRule::{Followed, NoEffect};

/// The keys of `tokenizer.json` as a whole.
const TOKENIZER: [(&str, KeyRule); 9] = [
    ("version", NoEffect),
    // Of it the direction counts; how long texts may be is the pipelines' to decide.
    ("truncation", Followed),
    // Nothing is padded here.
    ("padding", NoEffect),
    ("added_tokens", Followed),
    ("normalizer", Followed),
    ("pre_tokenizer", Followed),
    ("post_processor", Followed),
    ("decoder", Followed),
    ("model", Followed),
];

/// The keys of `model` of a Unigram (SentencePiece's, as in T5's tokenizers).
const UNIGRAM: [(&str, KeyRule); 4] =
    [("type", Followed), ("unk_id", Followed), ("vocab", Followed), ("byte_fallback", Followed)];

/// The keys of `model` of a BPE.
const MODEL: [(&str, KeyRule); 10] = [
    // BPE, or refused.
    ("type", Followed),
    // Refused unless it is 0: the tokens of a text would change from call to call.
    ("dropout", Followed),
    ("unk_token", Followed),
    ("continuing_subword_prefix", Followed),
    ("end_of_word_suffix", Followed),
    ("fuse_unk", Followed),
    ("byte_fallback", Followed),
    ("ignore_merges", Followed),
    ("vocab", Followed),
    ("merges", Followed),
];

/// The keys of each entry of `added_tokens`.
const ADDED_TOKEN: [(&str, KeyRule); 7] = [
    ("id", Followed),
    ("content", Followed),
    ("single_word", Followed),
    ("lstrip", Followed),
    ("rstrip", Followed),
    ("normalized", Followed),
    ("special", Followed),
];

/// The keys of `special_tokens_map.json`, beside the roles of tokens ([`Role`](super::Role)). A
/// further key names a token for a use of its own, such as `image_token`, which changes no ids.
pub(super) const SPECIAL_TOKENS_MAP: [(&str, KeyRule); 2] =
    [("additional_special_tokens", Followed), ("extra_special_tokens", Followed)];

/// Refuses keys of a `tokenizer.json` that none of the tables has: the library passes over
/// them without a word, although they may be meant to change tokens.
pub(super) fn check(tokenizer: &Value) -> Result<(), String> {
    let Value::Object(keys) = tokenizer else { return Ok(()) };
    check_object("", keys, &TOKENIZER)?;
    if let Value::Object(keys) = &tokenizer["model"] {
        let is_unigram = tokenizer["model"]["type"] == "Unigram";
        check_object("model.", keys, if is_unigram { &UNIGRAM } else { &MODEL })?;
        check_dropout(&tokenizer["model"]["dropout"])?;
    }
    let tokens = tokenizer["added_tokens"].as_array().into_iter().flatten();
    let objects = tokens.filter_map(Value::as_object);
    objects.into_iter().try_for_each(|keys| check_object("added_tokens.", keys, &ADDED_TOKEN))
}

fn check_dropout(dropout: &Value) -> Result<(), String> {
    match dropout.is_null() || dropout.as_f64() == Some(0.0) {
        true => Ok(()),
        false => Err(format!(
            "its `model.dropout` is {dropout}, with which the tokens of a text change from call \
             to call; it must be null or 0"
        )),
    }
}

fn check_object(
    place: &str,
    keys: &Map<String, Value>,
    known: &[(&str, KeyRule)],
) -> Result<(), String> {
    match keys.keys().find(|key| known.iter().all(|(known, _)| known != key)) {
        Some(key) => Err(format!("it has a key `{place}{key}`, which babyllama does not know")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Tokenizer;
    use super::super::tests::small;
    use super::*;

    fn whole() -> Value {
        serde_json::from_str(&small().json).unwrap()
    }

    #[test]
    fn what_the_library_writes_stands_in_the_tables() {
        let whole = whole();
        assert_eq!(check(&whole), Ok(()));
        let names = |table: &[(&str, KeyRule)]| {
            table.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()
        };
        let found = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(found(&whole), names(&TOKENIZER));
        assert_eq!(found(&whole["model"]), names(&MODEL));
        assert_eq!(found(&whole["added_tokens"][0]), names(&ADDED_TOKEN));
    }

    #[test]
    fn a_key_that_is_in_no_table_is_refused_by_name() {
        for (place, name) in [
            ("", "`splitter`"),
            ("/model", "`model.splitter`"),
            ("/added_tokens/1", "`added_tokens.splitter`"),
        ] {
            let mut value = whole();
            value.pointer_mut(place).unwrap()["splitter"] = json!(1);
            let message = Tokenizer::from_json(value.to_string()).unwrap_err();
            assert!(message.contains(name), "{message}");
        }
    }

    /// A value of each key that is followed changes what comes out, or is refused; what has no
    /// effect changes nothing.
    #[test]
    fn keys_do_what_the_tables_state() {
        let text = "The quick brown fox's </s> dog";
        let ids = |value: &Value| {
            let tokenizer = Tokenizer::from_json(value.to_string())?;
            let ids = tokenizer.encode(text).map_err(|cause| cause.to_string())?;
            Ok::<_, String>((tokenizer.decode(&ids), ids))
        };
        let plain = ids(&whole());
        for (place, value, has_effect) in [
            ("/version", json!("1.0"), false),
            ("/padding", json!(null), false),
            ("/model/dropout", json!(0.0), false),
            ("/model/dropout", json!(0.5), true),
            ("/added_tokens", json!([]), true),
            ("/normalizer", json!({"type": "Lowercase"}), true),
            ("/pre_tokenizer", json!({"type": "Whitespace"}), true),
            ("/decoder", json!({"type": "Fuse"}), true),
            ("/model/merges", json!([]), true),
            ("/model/unk_token", json!("no such token"), true),
            ("/model/continuing_subword_prefix", json!("##"), true),
            ("/model/type", json!("WordPiece"), true),
            ("/added_tokens/2/single_word", json!("no flag"), true),
            ("/added_tokens/2/rstrip", json!(true), true),
            ("/added_tokens/2/content", json!("dog"), true),
        ] {
            let mut changed = whole();
            *changed.pointer_mut(place).unwrap() = value;
            assert_eq!(ids(&changed) != plain, has_effect, "{place}");
        }
    }
}
