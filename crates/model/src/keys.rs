//! The keys of a `config.json`, with errors that name file, key and value.

use std::io::Read;
use std::path::Path;

use serde::de::{DeserializeOwned, Error};
use serde_json::{Map, Value, json};

use crate::config_keys::{ConfigKey, Meaning};
use crate::error::ModelError;

/// How the names of transformers' classes for sequence classifiers end.
const CLASSIFIER: &str = "ForSequenceClassification";

/// No configuration is near this many bytes.
const MOST_BYTES: u64 = 1 << 24;

/// How the small text file begins that Git LFS leaves in place of a file that it did not fetch.
pub(crate) const GIT_LFS: &[u8] = b"version https://git-lfs";

/// A JSON object with the path that errors name.
pub struct Keys<'a> {
    /// Where it was read.
    pub path: &'a Path,
    object: Map<String, Value>,
}

impl<'a> Keys<'a> {
    /// Reads a JSON file.
    ///
    /// # Errors
    /// When it cannot be read or is no object.
    pub fn read(path: &'a Path) -> Result<Self, ModelError> {
        Self::parse(path, &read_small(path)?)
    }

    /// The object in a text that was read from `path`.
    pub(crate) fn parse(path: &'a Path, text: &[u8]) -> Result<Self, ModelError> {
        let object = serde_json::from_slice(text)
            .map_err(|cause| ModelError::Json { path: path.to_owned(), cause })?;
        Ok(Self { path, object })
    }

    /// The keys, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.object.keys().map(String::as_str)
    }

    /// The object under a key, empty when it is absent or null.
    ///
    /// # Errors
    /// When the value is no object.
    pub fn nested(&self, key: &str) -> Result<Self, ModelError> {
        Ok(Self { path: self.path, object: self.or(key, Map::new())? })
    }

    /// A key's value, none when it is absent or null.
    ///
    /// # Errors
    /// When the value has another type.
    pub fn optional<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ModelError> {
        match self.object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|cause| {
                let cause = serde_json::Error::custom(format!("`{key}`: {cause}"));
                ModelError::Json { path: self.path.to_owned(), cause }
            }),
        }
    }

    /// A key's value, or `default` when it is absent or null.
    ///
    /// # Errors
    /// When the value has another type.
    pub fn or<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T, ModelError> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// A key's value, or `default` when it is absent.
    ///
    /// # Errors
    /// When it is null, where transformers makes no model that computes, or has another type.
    pub fn or_if_absent<T: DeserializeOwned>(
        &self,
        key: &'static str,
        default: T,
    ) -> Result<T, ModelError> {
        match self.object.get(key) {
            None => Ok(default),
            Some(_) => self.required(key),
        }
    }

    /// A key's value.
    ///
    /// # Errors
    /// When it is absent or null, or has another type.
    pub fn required<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, ModelError> {
        self.optional(key)?
            .ok_or_else(|| ModelError::MissingKey { path: self.path.to_owned(), key })
    }

    /// Refuses a key whose value is neither absent nor one of those that the forward pass follows.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] with the value and the known ones.
    pub fn only(&self, key: &str, known: &[Value]) -> Result<(), ModelError> {
        match self.object.get(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if known.iter().any(|known| is_same(known, value)) => Ok(()),
            Some(value) => {
                let known = listed(&known.iter().map(Value::to_string).collect::<Vec<_>>());
                let known = if known.is_empty() { "null".to_owned() } else { known };
                Err(self.unsupported(key, value.to_string(), known))
            }
        }
    }

    /// Refuses every value of a key in a table that is not followed.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] with the first such key.
    pub fn check<'t>(
        &self,
        table: impl IntoIterator<Item = &'t ConfigKey>,
    ) -> Result<(), ModelError> {
        table.into_iter().try_for_each(|key| match key.meaning {
            Meaning::Only(values) => self.only(key.name, &literals(values)),
            _ => Ok(()),
        })
    }

    /// These keys, with other spellings of a table's keys replaced by the family's own.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] when both are there and differ.
    pub fn with_own_spelling(mut self, table: &[ConfigKey]) -> Result<Self, ModelError> {
        for key in table {
            let Meaning::Spelling(own) = key.meaning else { continue };
            let Some(value) = self.object.get(key.name).filter(|value| !value.is_null()) else {
                continue;
            };
            match self.object.get(own) {
                None | Some(Value::Null) => {
                    let value = value.clone();
                    self.object.insert(own.to_owned(), value);
                }
                Some(other) if is_same(other, value) => {}
                Some(other) => {
                    let known = format!("{other} by `{own}`, which is the same key");
                    return Err(self.unsupported(key.name, value.to_string(), known));
                }
            }
        }
        Ok(self)
    }

    /// The error of a key whose value is not one of the known ones.
    pub fn unsupported(&self, key: &str, found: String, known: String) -> ModelError {
        let found = match found.char_indices().nth(LONGEST_VALUE) {
            Some((end, _)) => format!("{}...", &found[..end]),
            None => found,
        };
        ModelError::Unsupported { path: self.path.to_owned(), key: key.to_owned(), found, known }
    }

    /// Token ids: a number or a list of them, without the negative ones, which mean none. `None`
    /// when the key is absent; nothing in the list when it is null.
    ///
    /// # Errors
    /// When the value is neither a number nor a list of numbers, or too large for an id.
    pub fn tokens(&self, key: &str) -> Result<Option<Vec<u32>>, ModelError> {
        let several = match self.object.get(key) {
            None => return Ok(None),
            Some(Value::Null) => return Ok(Some(Vec::new())),
            Some(Value::Array(several)) => &several[..],
            Some(one) => std::slice::from_ref(one),
        };
        let is_none = |value: &&Value| value.as_f64().is_some_and(|id| id < 0.0);
        let id = |value: &Value| {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            let known = || "token ids, lists of them and null".to_owned();
            id.ok_or_else(|| self.unsupported(key, value.to_string(), known()))
        };
        several.iter().filter(|value| !is_none(value)).map(id).collect::<Result<_, _>>().map(Some)
    }

    /// A token id, the first when there are several; `default` when the key is absent, and none
    /// when it is null or negative.
    ///
    /// # Errors
    /// As [`tokens`](Self::tokens).
    pub fn token(&self, key: &str, default: Option<u32>) -> Result<Option<u32>, ModelError> {
        Ok(self.tokens(key)?.map_or(default, |ids| ids.first().copied()))
    }

    /// The names of transformers' classes that a folder is for.
    ///
    /// # Errors
    /// When the value is no list of names.
    pub fn classes(&self) -> Result<Vec<String>, ModelError> {
        self.or("architectures", Vec::new())
    }

    /// Whether the folder is that of a sequence classifier.
    ///
    /// # Errors
    /// As [`classes`](Self::classes).
    pub fn is_classifier(&self) -> Result<bool, ModelError> {
        Ok(self.classes()?.iter().any(|name| name.ends_with(CLASSIFIER)))
    }
}

/// Characters of a value that a message shows.
const LONGEST_VALUE: usize = 120;

/// The values that a table writes as JSON.
fn literals(values: &[&str]) -> Vec<Value> {
    values.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}

/// Equality where 0 and 0.0 are the same number.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Reads a regular file of a size that a configuration can have.
///
/// # Errors
/// When it cannot be read, is no regular file, is too large, or was left by Git LFS.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>, ModelError> {
    let io = |cause| ModelError::Io { path: path.to_owned(), cause };
    // Asked before it is opened: opening a pipe waits for a writer.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(ModelError::NotAFile { path: path.to_owned() });
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(io)?;
    match text {
        text if text.len() as u64 > MOST_BYTES => {
            Err(ModelError::LongJson { path: path.to_owned(), most: MOST_BYTES })
        }
        text if text.starts_with(GIT_LFS) => Err(ModelError::GitLfs { path: path.to_owned() }),
        text => Ok(text),
    }
}

/// A short decimal for a single-precision number, so that 1e-6 is not written as 9.99999997e-7.
pub(crate) fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |value| json!(value))
}
/// A list for a sentence: `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(items: &[String]) -> String {
    match items {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => items.concat(),
    }
}
