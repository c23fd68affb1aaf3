//! The tokenizer's files: the one it was trained to, and those of a Hugging Face folder.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::roles::Roles;
use super::{Tokenizer, vocabulary_files};
use crate::error::{CorpusError, Result};
use crate::text::{read_text, write_text};

/// The file that holds all of a tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";

impl Tokenizer {
    /// Reads the tokenizer of a model's folder: `tokenizer.json`, or else `vocab.json` with
    /// `merges.txt`; with it, where they are there, the roles and the prefix space that
    /// `tokenizer_config.json` and `special_tokens_map.json` name.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let mut path = folder.join(TOKENIZER_FILE);
        let [config, map] =
            [CONFIG, SPECIAL_TOKENS_MAP].map(|name| optional_object(&folder.join(name)));
        let (config, map) = (config?, map?);
        let roles = Roles::of(&[&config, &map]);
        let json = if !path.exists() && vocabulary_files::are_in(folder) {
            path = folder.join(vocabulary_files::VOCABULARY);
            vocabulary_files::to_json(folder, &config, &roles)?.to_string()
        } else {
            read_text(&path)?
        };
        let tokenizer = Self::with_prefix_space(json, prefix_space(&config));
        let tokenizer = tokenizer.map_err(|cause| CorpusError::BadTokenizer { path, cause })?;
        Ok(Self { roles, ..tokenizer })
    }

    /// Writes the tokenizer's JSON as it was trained or loaded, prefix space included, to a file.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_text(path, &self.json)
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`, from which
    /// transformers (4 and 5) makes a tokenizer with the same ids as this one.
    ///
    /// The `tokenizer.json` is the tokenizer as used, without prefix space, and the class is the
    /// one that takes the file at its word: in transformers 5, `GPT2Tokenizer` drops the normalizer
    /// and every other class ignores the configuration's `add_prefix_space`. Merges are written as
    /// `"a b"`, which versions before 4.45 need.
    pub fn save_folder(&self, folder: &Path, model_max_length: usize) -> Result<()> {
        let mut as_used = serde_json::to_value(&self.inner).map_err(|cause| {
            CorpusError::Tokenizer { doing: "saving", cause: cause.to_string() }
        })?;
        if let Some(joined) = joined_merges(&as_used["model"]["merges"]) {
            as_used["model"]["merges"] = joined;
        }
        let special = self.special_tokens();
        write_text(&folder.join(TOKENIZER_FILE), &pretty(&as_used))?;
        write_text(&folder.join("special_tokens_map.json"), &pretty(&special.clone().into()))?;
        write_text(
            &folder.join("tokenizer_config.json"),
            &pretty(&config(special, model_max_length)),
        )
    }

    /// The roles of the special tokens that the vocabulary has.
    fn special_tokens(&self) -> Map<String, Value> {
        self.known_roles().map(|(role, token)| (role.key().to_string(), json!(token))).collect()
    }
}

/// The JSON object in a file, null when there is no such file.
fn optional_object(path: &Path) -> Result<Value> {
    if path.is_file() {
        vocabulary_files::read_object(path).map(Value::Object)
    } else {
        Ok(Value::Null)
    }
}

/// Whether transformers' class for a folder puts a space before a text: the configuration's value,
/// by default no. `None` for the classes of any `tokenizer.json`, which follow that file.
fn prefix_space(config: &Value) -> Option<bool> {
    match config["tokenizer_class"].as_str() {
        Some("PreTrainedTokenizerFast" | "TokenizersBackend") => None,
        _ => Some(config["add_prefix_space"].as_bool().unwrap_or(false)),
    }
}

fn config(special_tokens: Map<String, Value>, model_max_length: usize) -> Value {
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": false,
        "clean_up_tokenization_spaces": false,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": model_max_length,
    });
    for (role, token) in special_tokens {
        config[role] = token;
    }
    config
}

/// Merges as one string each; `None` when a piece has a space in it, which a byte-level piece never
/// has.
fn joined_merges(merges: &Value) -> Option<Value> {
    let join = |merge: &Value| match merge.as_array().map(Vec::as_slice) {
        Some([Value::String(left), Value::String(right)])
            if !left.contains(' ') && !right.contains(' ') =>
        {
            Some(json!(format!("{left} {right}")))
        }
        _ => None,
    };
    merges.as_array()?.iter().map(join).collect()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::small;
    use super::*;

    #[test]
    fn a_saved_tokenizer_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = small();
        tokenizer.save_folder(folder.path(), 128).unwrap();
        let other = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(other.first_difference(&tokenizer), None);

        let read = |name: &str| -> Value {
            serde_json::from_str(&std::fs::read_to_string(folder.path().join(name)).unwrap())
                .unwrap()
        };
        assert_eq!(
            read("tokenizer.json")["pre_tokenizer"]["add_prefix_space"],
            false,
            "as it is used"
        );
        let trained: Value = serde_json::from_str(&tokenizer.json).unwrap();
        let [left, right] =
            [0, 1].map(|side| trained["model"]["merges"][7][side].as_str().unwrap());
        assert_eq!(read("tokenizer.json")["model"]["merges"][7], format!("{left} {right}"));
        assert_eq!(
            read("special_tokens_map.json"),
            json!({"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"})
        );
        let config = read("tokenizer_config.json");
        assert_eq!(
            (&config["add_prefix_space"], &config["model_max_length"]),
            (&json!(false), &json!(128))
        );
        assert_eq!((&config["eos_token"], &config["unk_token"]), (&json!("</s>"), &Value::Null));
    }

    #[test]
    fn a_saved_file_is_the_one_that_was_trained() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer/tokenizer.json");
        let tokenizer = small();
        tokenizer.save(&path).unwrap();
        let saved: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(saved["pre_tokenizer"]["add_prefix_space"], true);
        assert_eq!(Tokenizer::load(&path).unwrap().first_difference(&tokenizer), None);
    }
}
