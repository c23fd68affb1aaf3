//! The tokenizer's files: the one it was trained to, and those of a Hugging Face folder.

use std::fs;
use std::path::{Path, PathBuf};

use base::atomic_file::replaces_other_bytes;
use serde_json::{Map, Value, json};

use super::folder_settings::{CONFIG, FolderSettings, TruncationSide};
use super::{Tokenizer, vocabulary_files};
use crate::error::{CorpusError, Result};
use crate::text::{read_text, write_text};

/// The file that holds all of a tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// The file of T5's tokenizers before there was a `tokenizer.json`.
const SENTENCEPIECE: &str = "spiece.model";

/// Files beside it that change what it does.
const BESIDE: [&str; 3] = [CONFIG, "special_tokens_map.json", "added_tokens.json"];

impl Tokenizer {
    /// Reads the tokenizer of a model's folder: `tokenizer.json`, or else `vocab.json` with
    /// `merges.txt`; with it, where they are there, the roles and the prefix space that
    /// `tokenizer_config.json` and `special_tokens_map.json` name.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let mut path = folder.join(TOKENIZER_FILE);
        let mut settings = FolderSettings::read(folder)?;
        let json = if !is_there(&path) && vocabulary_files::are_in(folder) {
            path = folder.join(vocabulary_files::VOCABULARY);
            vocabulary_files::to_json(folder, &settings.config, &settings.roles)?.to_string()
        } else {
            if !is_there(&path) && is_there(&folder.join(SENTENCEPIECE)) {
                return Err(CorpusError::SentencePiece { path: folder.join(SENTENCEPIECE) });
            }
            let json = read_file(&path)?;
            settings = settings.beside(&json);
            json
        };
        Self::with_settings(json, settings)
            .map_err(|cause| CorpusError::BadTokenizer { path, cause })
    }

    /// The tokenizer of a `tokenizer.json` and what stands beside it.
    fn with_settings(json: String, settings: FolderSettings) -> std::result::Result<Self, String> {
        let as_read: Value =
            serde_json::from_str(&json).map_err(|cause| format!("bad JSON: {cause}"))?;
        let mut value = as_read.clone();
        settings.add_to(&mut value)?;
        // What nothing changes keeps its bytes.
        let json = if value == as_read { json } else { value.to_string() };
        let truncation_side = settings.truncation_side(&as_read);
        let tokenizer = Self::with_prefix_space(json, settings.prefix_space())?;
        Ok(Self { roles: settings.roles, truncation_side, ..tokenizer })
    }

    /// Reads a `tokenizer.json`, or the folder that has it: with what stands beside it where there
    /// is a `tokenizer_config.json`, else by itself and without a prefix space.
    ///
    /// # Errors
    /// When a file cannot be read or is not a tokenizer that this program can use.
    pub fn load(path: &Path) -> Result<Self> {
        match folder_of(path) {
            None if path.is_dir() => Self::from_folder(path),
            Some(folder) => Self::from_folder(folder),
            None => Self::from_json(read_file(path)?)
                .map_err(|cause| CorpusError::BadTokenizer { path: path.into(), cause }),
        }
    }

    /// The files that [`load`](Self::load) reads.
    pub fn files(path: &Path) -> Vec<PathBuf> {
        let beside =
            folder_of(path).into_iter().flat_map(|folder| BESIDE.map(|name| folder.join(name)));
        let beside = beside.filter(|file| file.is_file());
        [path.to_owned()].into_iter().chain(beside).collect()
    }

    /// Writes the tokenizer's JSON as it was trained or loaded, prefix space included, to a file.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_text(path, &self.json)
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`, from which
    /// transformers (4 and 5) makes a tokenizer with the same ids as this one.
    ///
    /// The `tokenizer.json` is the tokenizer as used, without prefix space, and the class is the
    /// one that follows the file to the letter: in transformers 5, `GPT2Tokenizer` drops the
    /// normalizer and every other class ignores the configuration's `add_prefix_space`. Merges are
    /// written as `"a b"`, which versions before 4.45 need.
    pub fn save_folder(&self, folder: &Path, model_max_length: usize) -> Result<()> {
        let files = self.folder_files(model_max_length)?;
        files.iter().try_for_each(|(name, text)| write_text(&folder.join(name), text))
    }

    /// Writes the files of [`save_folder`](Self::save_folder), unless one would replace a file of
    /// other contents.
    ///
    /// # Errors
    /// When a file cannot be written, and when a file of such a name has other contents.
    pub fn save_new_folder(&self, folder: &Path, model_max_length: usize) -> Result<()> {
        for (name, text) in self.folder_files(model_max_length)? {
            let path = folder.join(name);
            if replaces_other_bytes(&path, text.as_bytes()) {
                return Err(CorpusError::OtherText { path });
            }
        }
        self.save_folder(folder, model_max_length)
    }

    /// Names and contents of the folder's files.
    fn folder_files(&self, model_max_length: usize) -> Result<[(&'static str, String); 3]> {
        let mut as_used = serde_json::to_value(&self.inner).map_err(|cause| {
            CorpusError::Tokenizer { doing: "saving", cause: cause.to_string() }
        })?;
        if let Some(joined) = joined_merges(&as_used["model"]["merges"]) {
            as_used["model"]["merges"] = joined;
        }
        let special = self.special_tokens();
        let special_map = pretty(&special.clone().into());
        let config = pretty(&self.config(&as_used, special, model_max_length));
        Ok([
            (TOKENIZER_FILE, pretty(&as_used)),
            ("special_tokens_map.json", special_map),
            ("tokenizer_config.json", config),
        ])
    }

    /// The `tokenizer_config.json` of the tokenizer as used.
    fn config(
        &self,
        as_used: &Value,
        special_tokens: Map<String, Value>,
        model_max_length: usize,
    ) -> Value {
        let prefix_space = as_used["pre_tokenizer"]["add_prefix_space"].as_bool().unwrap_or(false);
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_prefix_space": prefix_space,
            "clean_up_tokenization_spaces": false,
            "model_input_names": ["input_ids", "attention_mask"],
            "model_max_length": model_max_length,
        });
        if self.truncation_side == TruncationSide::Left {
            config["truncation_side"] = json!("left");
        }
        for (role, token) in special_tokens {
            config[role] = token;
        }
        config
    }

    /// The roles of the special tokens that the vocabulary has.
    fn special_tokens(&self) -> Map<String, Value> {
        self.known_roles().map(|(role, token)| (role.key().to_string(), json!(token))).collect()
    }
}

/// The largest file of a tokenizer that is read, in bytes: many times any known one.
const LARGEST_FILE: u64 = 512 << 20;

/// Whether a folder has an entry of this name, even a link to nothing, which is an error to report
/// and no reason to go on without the file.
pub(super) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Reads one of a tokenizer's files.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger than [`LARGEST_FILE`].
pub(super) fn read_file(path: &Path) -> Result<String> {
    let bad = |cause: String| Err(CorpusError::BadTokenizer { path: path.into(), cause });
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => bad("it is not a regular file".into()),
        Ok(metadata) if metadata.len() > LARGEST_FILE => bad(format!(
            "it has {} bytes, and files of tokenizers up to {LARGEST_FILE} are read",
            metadata.len()
        )),
        Err(_) if path.is_symlink() => bad("it is a link to a file that cannot be read".into()),
        _ => read_text(path),
    }
}

/// The folder of a `tokenizer.json` that has its configuration beside it.
fn folder_of(path: &Path) -> Option<&Path> {
    let folder =
        path.parent().filter(|_| path.file_name().is_some_and(|name| name == TOKENIZER_FILE))?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    is_there(&folder.join(CONFIG)).then_some(folder)
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

    #[test]
    fn what_is_no_regular_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        small().save_folder(folder.path(), 128).unwrap();
        let refused = |name: &str| {
            let cause = Tokenizer::load(&folder.path().join(TOKENIZER_FILE)).unwrap_err();
            assert!(cause.to_string().contains(name), "{cause}");
            cause.to_string()
        };
        // Without the configuration the tokenizer would be another one.
        for name in BESIDE.into_iter().take(2).rev().chain([TOKENIZER_FILE]) {
            let path = folder.path().join(name);
            let before = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            assert!(refused(name).contains("not a regular file"));
            fs::remove_dir(&path).unwrap();
            #[cfg(unix)]
            {
                std::os::unix::fs::symlink("absent", &path).unwrap();
                assert!(refused(name).contains("link to a file that cannot be read"));
                fs::remove_file(&path).unwrap();
            }
            let file = fs::File::create(&path).unwrap();
            file.set_len(LARGEST_FILE + 1).unwrap();
            assert!(refused(name).contains("536870913 bytes"));
            fs::write(&path, before).unwrap();
        }
        Tokenizer::from_folder(folder.path()).unwrap();
    }
}
