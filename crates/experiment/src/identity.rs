//! What results follow from, by contents: exactly the files that are read. A README, `.git` or
//! anything else beside them changes nothing, and is not even opened.
//!
//! | result | follows from |
//! | --- | --- |
//! | text and tokens of a run | `[corpus]` and `[tokenizer]`, seed, the corpus files |
//! | weights of a model | its settings, tokens, and [`weights`] of start model and teachers |
//! | scores of a model folder | [`answers`] of each folder, rules and options, the data's files |
//!
//! The stages ([`crate::stage`]) of runs and evaluations combine these.

use std::path::{Path, PathBuf};

use base::{hash, input_file};
use corpus::text;
use engine::{Arithmetic, Device};
use eval::{BUILTIN_MARKER, minimal_pairs};
use model::hugging_face;
use report::format::in_one_line;
use serde_json::{Value, json};

use crate::error::{FileContext, Result};
use crate::observer::Observer;

/// The files of a model folder beside configuration and weights that decide how texts become
/// tokens, or where a text ends.
const TOKENIZER_FILES: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
];

/// The identity of a model folder's weights as training uses them: its configuration, which is
/// looked for first, and its weights. The observer sees how far the reading of large ones is.
///
/// # Errors
/// When the folder holds no model or cannot be read.
pub fn weights(folder: &Path, observer: &dyn Observer) -> Result<String> {
    let bytes = hugging_face::weight_bytes(folder);
    if bytes < LARGE {
        return Ok(hugging_face::fingerprint(folder)?);
    }
    let label = format!("hash of {}", in_one_line(&folder.display().to_string()));
    observer.begin(&label, "bytes", bytes, 0);
    let hash = hugging_face::fingerprint_seen(folder, |done| observer.advance(done, ""));
    observer.end(bytes, "");
    Ok(hash?)
}

/// Fewer bytes are read in no time that is noticed.
const LARGE: u64 = 64 << 20;

/// The identity of a model folder as scores follow from it: weights, tokenizer and the roles of
/// special tokens, such as the one before a text.
///
/// # Errors
/// When the folder holds no model or cannot be read.
pub fn model(folder: &Path, observer: &dyn Observer) -> Result<Value> {
    let mut files = serde_json::Map::new();
    for name in TOKENIZER_FILES {
        let path = folder.join(name);
        if path.exists() {
            files.insert(name.to_owned(), hash_of(&path).at("read", &path)?.into());
        }
    }
    Ok(json!({ "weights": weights(folder, observer)?, "files": files }))
}

/// The hash of a model's identity, as records name it.
pub fn hash_of_model(identity: &Value) -> String {
    hash::of_bytes(identity.to_string().as_bytes())
}

/// The hash of a file, without the version of the program that wrote it where that stands in it: it
/// changes whenever another program saves the folder, and decides nothing.
fn hash_of(path: &Path) -> std::io::Result<String> {
    const VERSION: &str = "transformers_version";
    if !path.ends_with("generation_config.json") {
        return hash::of_file(path);
    }
    let bytes = input_file::read(path)?;
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(mut keys)) if keys.contains_key(VERSION) => {
            keys.shift_remove(VERSION);
            Ok(hash::of_bytes(Value::Object(keys).to_string().as_bytes()))
        }
        _ => Ok(hash::of_bytes(&bytes)),
    }
}

/// What a device's products read, as part of what answers follow from; null for f32, so that
/// answers in f32 keep the identity that they have had without it.
pub fn arithmetic(device: &dyn Device) -> Value {
    match device.arithmetic() {
        Arithmetic::F32 => Value::Null,
        other => other.to_string().into(),
    }
}

/// The identity of a model folder's answers on a device.
///
/// # Errors
/// As for [`model`].
pub fn answers(folder: &Path, device: &dyn Device, observer: &dyn Observer) -> Result<Value> {
    let mut identity = model(folder, observer)?;
    if let arithmetic @ Value::String(_) = arithmetic(device) {
        identity["arithmetic"] = arithmetic;
    }
    Ok(identity)
}

/// The files of a text, which may be a folder, one file of text or one of another kind.
///
/// # Errors
/// When the folder cannot be read or has no text.
pub fn text_files(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(text::corpus_files(path)?)
}

/// The files of a folder of minimal pairs, and the one by which those of the built-in grammar are
/// known.
///
/// # Errors
/// When the folder cannot be read or has none.
pub fn pair_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = minimal_pairs::files(folder)?;
    files.extend(Some(folder.join(BUILTIN_MARKER)).filter(|marker| marker.is_file()));
    Ok(files)
}

/// A corpus file's name as recipes state it: without the ending.
pub fn source_name(name: &str) -> String {
    Path::new(name).with_extension("").to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::cpu::Cpu;
    use model::{Architecture, Model, ModelConfig};

    use super::*;
    use crate::observer::Silent;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        let model = Model::new(ModelConfig::tiny(Architecture::GPT2), &device, 1).unwrap();
        hugging_face::save(&model, folder.path()).unwrap();
        folder
    }

    #[test]
    fn only_files_that_are_read_are_part_of_a_model() {
        let folder = folder();
        let (start, weights_before) =
            (model(folder.path(), &Silent).unwrap(), weights(folder.path(), &Silent));
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir_all(folder.path().join(".git/objects")).unwrap();
        for name in ["README.md", ".git/HEAD", ".git/objects/ab", "training_args.bin", "LICENSE"] {
            put(name, "anything");
            assert_eq!(model(folder.path(), &Silent).unwrap(), start, "{name}");
        }
        for name in TOKENIZER_FILES {
            let before = model(folder.path(), &Silent).unwrap();
            put(name, "{\"anything\": 1}");
            assert_ne!(model(folder.path(), &Silent).unwrap(), before, "{name}");
        }
        assert_eq!(weights(folder.path(), &Silent).unwrap(), weights_before.unwrap());
        let with_version = |version: &str| {
            for name in ["generation_config.json", "config.json"] {
                let path = folder.path().join(name);
                let text = std::fs::read(&path).unwrap();
                let mut keys: Value = serde_json::from_slice(&text).unwrap();
                keys["transformers_version"] = version.into();
                std::fs::write(&path, keys.to_string()).unwrap();
            }
            model(folder.path(), &Silent).unwrap()
        };
        assert_eq!(with_version("4.44.0"), with_version("5.24.0"));
    }

    #[test]
    fn answers_of_another_precision_are_others() {
        let folder = folder();
        let of = |arithmetic| {
            answers(folder.path(), &Cpu::new().multiplying_in(arithmetic), &Silent).unwrap()
        };
        let [exact, rounded, split] =
            [Arithmetic::F32, Arithmetic::Bf16, Arithmetic::Bf16x3].map(of);
        assert_eq!(exact, model(folder.path(), &Silent).unwrap());
        assert!(exact != rounded && rounded != split && split != exact);
    }

    #[test]
    fn a_folder_without_a_model_is_refused_before_its_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), "").unwrap();
        let problem = weights(folder.path(), &Silent).unwrap_err().to_string();
        assert!(problem.contains("config.json"), "{problem}");
    }

    #[test]
    fn the_marker_of_built_in_pairs_counts() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jsonl", "README.md", "b.json"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(pair_files(folder.path()).unwrap().len(), 2);
        std::fs::write(folder.path().join(BUILTIN_MARKER), "").unwrap();
        assert_eq!(pair_files(folder.path()).unwrap().len(), 3);
    }
}
