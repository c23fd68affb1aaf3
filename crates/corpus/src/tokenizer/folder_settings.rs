//! What the files beside a `tokenizer.json` change: special tokens, added tokens, the prefix space,
//! the side at which long texts are cut. The rules are those of transformers 5
//! (`tokenization_utils_base.py`, `from_pretrained`); where version 4 differs, a trained folder's
//! own `tokenizer.json` decides.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::classes::{self, Class};
use super::folder::is_there;
use super::keys::{self, KeyRule};
use super::roles::{self, Role, Roles};
use super::vocabulary_files;
use crate::error::{CorpusError, Result};

/// The configuration of a tokenizer.
pub(super) const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";
/// Where tokens of names of their own may stand too.
const SPECIFIC: &str = "model_specific_special_tokens";

/// Every key that transformers 4 and 5 write or read, but the roles of tokens ([`Role`]) and names
/// of other tokens, which end in `_token`.
pub(super) const KEYS: [(&str, KeyRule); 38] = [
    ("tokenizer_class", KeyRule::Followed),
    ("added_tokens_decoder", KeyRule::Followed),
    ("additional_special_tokens", KeyRule::Followed),
    ("extra_special_tokens", KeyRule::Followed),
    (SPECIFIC, KeyRule::Followed),
    ("add_prefix_space", KeyRule::Followed),
    ("truncation_side", KeyRule::Followed),
    ("split_special_tokens", KeyRule::Only(false)),
    // Without effect in transformers 5 where there is a tokenizer.json; texts are scored without
    // special tokens in both pipelines.
    ("add_bos_token", KeyRule::NoEffect),
    ("add_eos_token", KeyRule::NoEffect),
    // Of generated text; without effect for BPE in transformers 5.
    ("clean_up_tokenization_spaces", KeyRule::NoEffect),
    ("legacy", KeyRule::NoEffect),
    // Nothing is padded here.
    ("padding_side", KeyRule::NoEffect),
    ("pad_to_multiple_of", KeyRule::NoEffect),
    ("pad_token_type_id", KeyRule::NoEffect),
    ("padding", KeyRule::NoEffect),
    // The pipelines give the length themselves.
    ("model_max_length", KeyRule::NoEffect),
    ("max_len", KeyRule::NoEffect),
    ("max_length", KeyRule::NoEffect),
    ("stride", KeyRule::NoEffect),
    ("truncation_strategy", KeyRule::NoEffect),
    ("truncation", KeyRule::NoEffect),
    // Ignored by the classes above.
    ("do_lower_case", KeyRule::NoEffect),
    ("strip_accents", KeyRule::NoEffect),
    ("errors", KeyRule::NoEffect),
    ("trim_offsets", KeyRule::NoEffect),
    ("use_default_system_prompt", KeyRule::NoEffect),
    ("chat_template", KeyRule::NoEffect),
    ("model_input_names", KeyRule::NoEffect),
    ("sp_model_kwargs", KeyRule::NoEffect),
    ("spaces_between_special_tokens", KeyRule::NoEffect),
    // How many sentinels T5's class would add; they stand in `tokenizer.json` already.
    ("extra_ids", KeyRule::NoEffect),
    ("use_fast", KeyRule::NoEffect),
    ("name_or_path", KeyRule::NoEffect),
    ("special_tokens_map_file", KeyRule::NoEffect),
    ("tokenizer_file", KeyRule::NoEffect),
    ("processor_class", KeyRule::NoEffect),
    ("backend", KeyRule::NoEffect),
];

/// The side of a text at which what is too long is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TruncationSide {
    /// The end goes.
    #[default]
    Right,
    /// The beginning goes.
    Left,
}

/// Added tokens with the numbers that are written for them.
type AddedTokens = Vec<(u64, Map<String, Value>)>;

/// The settings of a folder's tokenizer.
pub(super) struct FolderSettings {
    /// The content of `tokenizer_config.json`, null without one.
    pub(super) config: Value,
    class: Class,
    pub(super) roles: Roles,
    /// The added tokens by `added_tokens_decoder` or `added_tokens.json`, in the order of the
    /// numbers that are written there.
    added: AddedTokens,
    /// Further special tokens, by name.
    special: Vec<String>,
}

impl FolderSettings {
    /// Reads them. `special_tokens_map.json` counts before `tokenizer_config.json`, unless that
    /// has an `added_tokens_decoder`: then it stands alone.
    ///
    /// # Errors
    /// When a file is no JSON object, or a key has a value that transformers refuses or that this
    /// program does not follow.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let object = |name: &str| optional_object(&folder.join(name));
        let config = object(CONFIG)?;
        let states_roles =
            [CONFIG, SPECIAL_TOKENS_MAP].iter().any(|name| is_there(&folder.join(name)));
        let stands_alone = !config["added_tokens_decoder"].is_null();
        let map = if stands_alone { Value::Null } else { object(SPECIAL_TOKENS_MAP)? };
        let legacy = if stands_alone { Value::Null } else { object(ADDED_TOKENS)? };
        let model_type = model_type(folder);
        let settings = Self::of(config, &map, &legacy, model_type.as_deref());
        let settings = settings.map(|settings| match states_roles {
            true => settings,
            false => Self { roles: Roles::default(), ..settings },
        });
        settings.map_err(|cause| CorpusError::BadTokenizer { path: folder.join(CONFIG), cause })
    }

    fn of(
        config: Value,
        map: &Value,
        legacy: &Value,
        model_type: Option<&str>,
    ) -> std::result::Result<Self, String> {
        check_keys(&config)?;
        let class = classes::of(&config, model_type)?;
        let roles = Roles::of(&[map, &config], class)?;
        let added = match &config["added_tokens_decoder"] {
            Value::Null => legacy_tokens(legacy)?,
            Value::Object(decoder) => decoder_tokens(decoder)?,
            other => return Err(format!("`added_tokens_decoder` is {other}, not an object")),
        };
        let mut special = named_tokens(&[map, &config])?;
        for (key, _) in keys::SPECIAL_TOKENS_MAP {
            for file in [map, &config] {
                special.extend(special_tokens(key, &file[key])?);
            }
        }
        Ok(Self { config, class, roles, added, special })
    }

    /// The settings beside a `tokenizer.json`: one that is byte-level is not of LLaMA's class,
    /// whatever the configuration states (`tokenization_auto.py` of transformers 5.24).
    pub(super) fn beside(self, tokenizer: &str) -> Self {
        let class = self.config["tokenizer_class"].as_str().unwrap_or_default();
        let is_llama = class.strip_suffix("Fast").unwrap_or(class) == "LlamaTokenizer";
        match is_llama && tokenizer.contains("\"ByteLevel\"") {
            true => {
                let class = Class::Generic;
                Self { class, roles: self.roles.of_class(class), ..self }
            }
            false => self,
        }
    }

    /// Whether transformers' class for a folder puts a space before a text: the configuration's
    /// value, by default no. `None` for the classes that follow `tokenizer.json`.
    pub(super) fn prefix_space(&self) -> Option<bool> {
        match self.class {
            Class::Generic => None,
            Class::Known(_) => Some(self.config["add_prefix_space"].as_bool().unwrap_or(false)),
        }
    }

    /// Where a text that is too long is cut: by the configuration, or else by the `truncation` of
    /// `tokenizer.json`.
    pub(super) fn truncation_side(&self, tokenizer: &Value) -> TruncationSide {
        let direction = self.config["truncation_side"].as_str();
        let direction = direction.or(tokenizer["truncation"]["direction"].as_str());
        match direction.map(str::to_ascii_lowercase).as_deref() {
            Some("left") => TruncationSide::Left,
            _ => TruncationSide::Right,
        }
    }

    /// Puts the added tokens into a `tokenizer.json`. Written numbers are no ids in transformers: a
    /// token of the vocabulary keeps its id there, any other gets the next one.
    ///
    /// # Errors
    /// When a written number is not the id that the token gets.
    pub(super) fn add_to(&self, tokenizer: &mut Value) -> std::result::Result<(), String> {
        let vocabulary = vocabulary(&tokenizer["model"]["vocab"]);
        let mut known: Vec<Value> =
            tokenizer["added_tokens"].as_array().cloned().unwrap_or_default();
        let find = |known: &[Value], content: &str| {
            known.iter().position(|token| token["content"] == content)
        };
        let beyond = known.iter().filter(|token| {
            token["content"].as_str().is_none_or(|content| !vocabulary.contains_key(content))
        });
        let mut next = (vocabulary.len() + beyond.count()) as u64;
        let mut id_of = |content: &str| match vocabulary.get(content).and_then(Value::as_u64) {
            Some(id) => id,
            None => {
                next += 1;
                next - 1
            }
        };
        for (number, flags) in &self.added {
            let content = flags["content"].as_str().unwrap_or_default().to_owned();
            let mut token = Value::Object(flags.clone());
            if let Some(at) = find(&known, &content) {
                token["id"] = known[at]["id"].clone();
                known[at] = token;
                continue;
            }
            let id = id_of(&content);
            if id != *number {
                return Err(format!(
                    "an added token {content:?} has the number {number}, and would get the id {id}"
                ));
            }
            token["id"] = id.into();
            known.push(token);
        }
        let named = self.roles.named().filter(|token| vocabulary.contains_key(*token));
        for content in named.chain(self.special.iter().map(String::as_str)) {
            match find(&known, content) {
                Some(at) => known[at]["special"] = true.into(),
                None => known.push(added_token(id_of(content), content, true, false)),
            }
        }
        if !known.is_empty() || tokenizer["added_tokens"].is_array() {
            tokenizer["added_tokens"] = known.into();
        }
        Ok(())
    }
}

/// Ids by token: those of a BPE model's object, or places in the list of a Unigram model.
fn vocabulary(entries: &Value) -> Map<String, Value> {
    let places = entries.as_array().into_iter().flatten().enumerate();
    let of_list = places.filter_map(|(id, entry)| Some((entry[0].as_str()?.to_owned(), id.into())));
    entries.as_object().cloned().unwrap_or_else(|| of_list.collect())
}

/// The family of the model in a folder; one that cannot be read is the model's reader's to report.
fn model_type(folder: &Path) -> Option<String> {
    let config = optional_object(&folder.join("config.json")).ok()?;
    config["model_type"].as_str().map(str::to_owned)
}

fn check_keys(config: &Value) -> std::result::Result<(), String> {
    for (key, rule) in KEYS {
        if let (KeyRule::Only(value), Some(found)) = (rule, config.get(key))
            && !found.is_null()
            && *found != value
        {
            return Err(format!("`{key}` is {found}, and only {value} is followed"));
        }
    }
    match &config["truncation_side"] {
        Value::Null => {}
        Value::String(side) if ["left", "right"].contains(&side.as_str()) => {}
        other => return Err(format!("`truncation_side` is {other}; it is \"left\" or \"right\"")),
    }
    Ok(())
}

/// The tokens of `added_tokens_decoder`: objects under their numbers.
fn decoder_tokens(decoder: &Map<String, Value>) -> std::result::Result<AddedTokens, String> {
    let mut tokens = Vec::new();
    for (number, token) in decoder {
        let id = number.parse::<u64>();
        let id = id.map_err(|_| format!("`added_tokens_decoder` has the number {number:?}"))?;
        let Some(token) = token.as_object().filter(|token| token["content"].is_string()) else {
            return Err(format!("`added_tokens_decoder` has {token} under {number}"));
        };
        let flags = with_flags(token);
        tokens.push((id, flags));
    }
    tokens.sort_by_key(|(id, _)| *id);
    Ok(tokens)
}

/// The tokens of `added_tokens.json`: numbers under the tokens, which are not special by that.
fn legacy_tokens(legacy: &Value) -> std::result::Result<AddedTokens, String> {
    let mut tokens = Vec::new();
    for (content, number) in legacy.as_object().into_iter().flatten() {
        let Some(number) = number.as_u64() else {
            return Err(format!("{ADDED_TOKENS} gives {content:?} the number {number}"));
        };
        let token = added_token(number, content, false, true);
        tokens.push((number, token.as_object().cloned().unwrap_or_default()));
    }
    tokens.sort_by_key(|(id, _)| *id);
    Ok(tokens)
}

/// A token with every flag, as the library requires it.
fn with_flags(token: &Map<String, Value>) -> Map<String, Value> {
    let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
    let mut whole = Map::new();
    whole.insert("content".into(), token["content"].clone());
    for (flag, default) in [
        ("single_word", false),
        ("lstrip", false),
        ("rstrip", false),
        ("normalized", !special),
        ("special", special),
    ] {
        let value = token.get(flag).and_then(Value::as_bool).unwrap_or(default);
        whole.insert(flag.into(), value.into());
    }
    whole
}

fn added_token(id: u64, content: &str, special: bool, normalized: bool) -> Value {
    json!({
        "id": id,
        "content": content,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": normalized,
        "special": special,
    })
}

/// The tokens under keys of other names than those of roles, such as `image_token`, in the order of
/// the files; a value that is no token counts for nothing, as in transformers.
fn named_tokens(files: &[&Value]) -> std::result::Result<Vec<String>, String> {
    let keys = files.iter().filter_map(|file| file.as_object()).flatten();
    let specific = keys.filter(|(key, _)| {
        key.ends_with("_token") && Role::ALL.iter().all(|role| role.key() != *key)
    });
    let mut tokens: Vec<String> = Vec::new();
    for token in specific.filter_map(|(_, value)| roles::content(value)) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    for file in files {
        tokens.extend(special_tokens(SPECIFIC, &file[SPECIFIC])?);
    }
    Ok(tokens)
}

/// The tokens that a list, or an object of names, declares special.
fn special_tokens(key: &str, value: &Value) -> std::result::Result<Vec<String>, String> {
    let tokens: Vec<&Value> = match value {
        Value::Null => Vec::new(),
        Value::Array(tokens) => tokens.iter().collect(),
        Value::Object(tokens) => tokens.values().collect(),
        other => return Err(format!("`{key}` is {other}, not a list of tokens")),
    };
    let content = |token: &Value| {
        let content = token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned);
        content.ok_or_else(|| format!("`{key}` has {token}, which is no token"))
    };
    tokens.into_iter().map(content).collect()
}

/// The JSON object in a file, null when there is no such file.
fn optional_object(path: &Path) -> Result<Value> {
    match is_there(path) {
        true => vocabulary_files::read_object(path).map(Value::Object),
        false => Ok(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: Value, map: Value, legacy: Value) -> FolderSettings {
        FolderSettings::of(config, &map, &legacy, None).unwrap()
    }

    fn refused(config: Value) -> String {
        FolderSettings::of(config, &Value::Null, &Value::Null, None).err().unwrap()
    }

    /// A `tokenizer.json` of three entries.
    fn tokenizer() -> Value {
        json!({
            "added_tokens": [added_token(2, "</s>", true, false)],
            "model": {"vocab": {"a": 0, "<s>": 1, "</s>": 2}},
        })
    }

    fn added(settings: &FolderSettings) -> Vec<(String, u64, bool)> {
        let mut json = tokenizer();
        settings.add_to(&mut json).unwrap();
        let tokens = json["added_tokens"].as_array().unwrap();
        let of = |token: &Value| {
            let (id, special) = (token["id"].as_u64().unwrap(), token["special"] == true);
            (token["content"].as_str().unwrap().to_owned(), id, special)
        };
        tokens.iter().map(of).collect()
    }

    /// Expectations: transformers 5.24.
    #[test]
    fn added_tokens_get_the_ids_of_transformers() {
        let decoder = json!({"added_tokens_decoder": {
            "3": {"content": "<|user|>", "special": true},
            "0": {"content": "a", "special": false},
        }});
        let found = added(&settings(decoder, Value::Null, Value::Null));
        let expected = [("</s>", 2, true), ("a", 0, false), ("<|user|>", 3, true)];
        assert_eq!(found, expected.map(|(token, id, special)| (token.to_owned(), id, special)));
        // Without a decoder the older file counts, and named tokens become special ones.
        let legacy = settings(
            json!({"bos_token": "<s>", "extra_special_tokens": ["<x>"]}),
            Value::Null,
            json!({"<q>": 3}),
        );
        let expected = [("</s>", 2, true), ("<q>", 3, false), ("<s>", 1, true), ("<x>", 4, true)];
        let expected = expected.map(|(token, id, special)| (token.to_owned(), id, special));
        assert_eq!(added(&legacy), expected);
        // A decoder makes the older files count no more.
        let alone = json!({"added_tokens_decoder": {}});
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), alone.to_string()).unwrap();
        std::fs::write(folder.path().join(ADDED_TOKENS), "{\"<q>\": 3}").unwrap();
        assert_eq!(added(&FolderSettings::read(folder.path()).unwrap()).len(), 1);
        // Its flags replace those of tokenizer.json.
        let flags = json!({"added_tokens_decoder": {"2": {"content": "</s>", "special": false}}});
        assert_eq!(added(&settings(flags, Value::Null, Value::Null)), [("</s>".into(), 2, false)]);
    }

    /// Expectations: transformers 5.24, which gives these tokens the ids 9 and 10 beside a
    /// vocabulary of 9, in this order, and nothing to a number.
    #[test]
    fn tokens_of_names_of_their_own_are_special() {
        let found = |config: Value| {
            let added = added(&settings(config, Value::Null, Value::Null));
            added.into_iter().skip(1).map(|(token, id, _)| (token, id)).collect::<Vec<_>>()
        };
        let two = json!({"image_token": "gim", "extra_special_tokens": ["<img>"]});
        assert_eq!(found(two), [("gim".to_owned(), 3), ("<img>".to_owned(), 4)]);
        let one = [("<img>".to_owned(), 3)];
        assert_eq!(found(json!({"boi_token": {"content": "<img>", "lstrip": false}})), one);
        assert_eq!(found(json!({SPECIFIC: {"image_token": "<img>"}})), one);
        assert_eq!(found(json!({"image_token": 5, "add_bos_token": true})), []);
    }

    /// Expectations: transformers 5.24, which has no token that begins a text for the first.
    #[test]
    fn a_byte_level_tokenizer_has_no_llamas_class() {
        let class = |name: &str, tokenizer: Value| {
            let config = json!({"tokenizer_class": name, "eos_token": "</s>"});
            settings(config, Value::Null, Value::Null).beside(&tokenizer.to_string()).class
        };
        let bytes = json!({"decoder": {"type": "ByteLevel"}});
        let spaces = json!({"pre_tokenizer": {"type": "Metaspace"}, "decoder": null});
        for name in ["LlamaTokenizer", "LlamaTokenizerFast"] {
            assert_eq!(class(name, bytes.clone()), Class::Generic, "{name}");
            assert_ne!(class(name, spaces.clone()), Class::Generic, "{name}");
        }
        assert_ne!(class("GPT2Tokenizer", bytes), Class::Generic);
    }

    #[test]
    fn a_number_that_is_no_id_is_refused() {
        let gap = json!({"added_tokens_decoder": {"9": {"content": "<q>"}}});
        let message = settings(gap, Value::Null, Value::Null).add_to(&mut tokenizer()).unwrap_err();
        assert_eq!(message, "an added token \"<q>\" has the number 9, and would get the id 3");
    }

    #[test]
    fn the_map_counts_before_the_configuration_unless_there_is_a_decoder() {
        let begin = |config: Value| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
            let map = json!({"bos_token": {"content": "<s>"}});
            std::fs::write(folder.path().join(SPECIAL_TOKENS_MAP), map.to_string()).unwrap();
            let settings = FolderSettings::read(folder.path()).unwrap();
            settings.roles.named().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(begin(json!({"bos_token": "</s>"})), ["<s>"]);
        assert_eq!(begin(json!({"bos_token": "</s>", "added_tokens_decoder": {}})), ["</s>"]);
    }

    #[test]
    fn what_is_not_followed_is_refused_by_name() {
        for (config, part) in [
            (json!({"split_special_tokens": true}), "`split_special_tokens` is true"),
            (json!({"truncation_side": "middle"}), "`truncation_side` is \"middle\""),
            (json!({"tokenizer_class": "BertTokenizer"}), "`tokenizer_class` is \"BertTokenizer\""),
            (json!({"added_tokens_decoder": []}), "`added_tokens_decoder` is []"),
            (json!({"added_tokens_decoder": {"x": {"content": "a"}}}), "the number \"x\""),
            (json!({"added_tokens_decoder": {"1": "a"}}), "has \"a\" under 1"),
            (json!({"bos_token": ["<s>"]}), "`bos_token` is [\"<s>\"]"),
            (json!({"extra_special_tokens": [3]}), "`extra_special_tokens` has 3"),
        ] {
            let message = refused(config);
            assert!(message.contains(part), "{message}");
        }
    }

    fn is_known(key: &str) -> bool {
        let is_role = Role::ALL.iter().any(|role| role.key() == key);
        KEYS.iter().any(|(known, _)| *known == key) || is_role
    }

    #[test]
    fn every_key_stands_in_the_table_once() {
        for (index, (key, _)) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|(earlier, _)| earlier != key), "{key}");
            assert!(is_known(key));
        }
        assert!(is_known("bos_token") && !is_known("image_token"));
    }

    #[test]
    fn texts_are_cut_at_the_side_that_the_files_name() {
        let side = |config: Value, json: Value| {
            settings(config, Value::Null, Value::Null).truncation_side(&json)
        };
        let left = json!({"truncation": {"direction": "Left"}});
        assert_eq!(side(json!({}), json!({})), TruncationSide::Right);
        assert_eq!(side(json!({"truncation_side": "left"}), json!({})), TruncationSide::Left);
        assert_eq!(side(json!({}), left.clone()), TruncationSide::Left);
        assert_eq!(side(json!({"truncation_side": "right"}), left), TruncationSide::Right);
    }
}
