//! Folders without `tokenizer.json`: the byte-level BPE of GPT-2, OPT and RoBERTa in `vocab.json`
//! and `merges.txt`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::folder::read_file;
use super::roles::Roles;
use crate::error::{CorpusError, Result};

pub(super) const VOCABULARY: &str = "vocab.json";
pub(super) const MERGES: &str = "merges.txt";
const ADDED: &str = "added_tokens.json";

/// Whether a folder has both files.
pub(super) fn are_in(folder: &Path) -> bool {
    folder.join(VOCABULARY).is_file() && folder.join(MERGES).is_file()
}

/// The `tokenizer.json` of the same tokenizer, as transformers' `GPT2Tokenizer` makes it:
/// no normalizer, and the special tokens searched before anything is cut. `config` is the content
/// of `tokenizer_config.json`.
pub(super) fn to_json(folder: &Path, config: &Value, roles: &Roles) -> Result<Value> {
    let vocabulary = read_object(&folder.join(VOCABULARY))?;
    let merges = read_merges(&folder.join(MERGES), &vocabulary)?;
    let added_path = folder.join(ADDED);
    let added = if added_path.is_file() { read_object(&added_path)? } else { Map::new() };
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(&vocabulary, &added, config, roles),
        "normalizer": null,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": false,
            "trim_offsets": true,
            "use_regex": true,
        },
        "post_processor": null,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": false,
            "trim_offsets": true,
            "use_regex": true,
        },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    }))
}

/// The special tokens with an id, in the order of the ids.
fn added_tokens(
    vocabulary: &Map<String, Value>,
    added: &Map<String, Value>,
    config: &Value,
    roles: &Roles,
) -> Value {
    let id_of =
        |token: &str| added.get(token).or_else(|| vocabulary.get(token)).and_then(Value::as_u64);
    let more = config["additional_special_tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let names = roles.tokens().into_iter().chain(more).chain(added.keys().map(String::as_str));
    let mut by_id: BTreeMap<u64, Value> = names
        .filter_map(|name| id_of(name).map(|id| (id, added_token(id, name, &Value::Null))))
        .collect();
    for (id, token) in config["added_tokens_decoder"].as_object().into_iter().flatten() {
        if let (Ok(id), Some(name)) = (id.parse(), token["content"].as_str()) {
            by_id.insert(id, added_token(id, name, token));
        }
    }
    by_id.into_values().collect()
}

/// A token as `tokenizer.json` lists it, with the flags of `stated` on how it is searched.
fn added_token(id: u64, name: &str, stated: &Value) -> Value {
    let flag = |key: &str, otherwise: bool| stated[key].as_bool().unwrap_or(otherwise);
    json!({
        "id": id,
        "content": name,
        "single_word": flag("single_word", false),
        "lstrip": flag("lstrip", false),
        "rstrip": flag("rstrip", false),
        // Without a normalizer it decides nothing, and tokens of one kind are found the fast way.
        "normalized": false,
        "special": flag("special", true),
    })
}

/// The JSON object in a file.
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let bad = |cause: String| CorpusError::BadTokenizer { path: path.into(), cause };
    serde_json::from_str(&read_file(path)?).map_err(|cause| bad(format!("bad JSON: {cause}")))
}

/// Pairs of pieces, best first; they and what they make are in the vocabulary.
fn read_merges(path: &Path, vocabulary: &Map<String, Value>) -> Result<Vec<[String; 2]>> {
    let text = read_file(path)?;
    let bad = |cause: String| CorpusError::BadTokenizer { path: path.into(), cause };
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"));
    let pair = |(index, line): (usize, &str)| match line.split(' ').collect::<Vec<_>>()[..] {
        [left, right] if !left.is_empty() && !right.is_empty() => {
            let pieces = [left.to_owned(), right.to_owned(), format!("{left}{right}")];
            match pieces.iter().find(|piece| !vocabulary.contains_key(*piece)) {
                Some(piece) => Err(bad(format!(
                    "line {} is {line:?}, and {VOCABULARY} has no {piece:?}",
                    index + 1
                ))),
                None => Ok([left.to_owned(), right.to_owned()]),
            }
        }
        _ => Err(bad(format!(
            "line {} is {line:?}, and a merge is two pieces with one space between",
            index + 1
        ))),
    };
    lines.map(pair).collect()
}
