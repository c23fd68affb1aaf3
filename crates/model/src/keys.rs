//! The keys of a `config.json`, with errors that name file, key and value.

use std::path::Path;

use serde::de::{DeserializeOwned, Error};
use serde_json::{Map, Value, json};

use crate::error::ModelError;

/// How the names of transformers' classes for sequence classifiers end.
const CLASSIFIER: &str = "ForSequenceClassification";

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
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ModelError::Io { path: path.to_owned(), cause })?;
        let object = serde_json::from_str(&text)
            .map_err(|cause| ModelError::Json { path: path.to_owned(), cause })?;
        Ok(Self { path, object })
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
            Some(value) if known.contains(value) => Ok(()),
            Some(value) => {
                let known = known.iter().map(Value::to_string).collect::<Vec<_>>().join(" and ");
                Err(self.unsupported(key, value.to_string(), known))
            }
        }
    }

    /// The error of a key whose value is not one of the known ones.
    pub fn unsupported(&self, key: &str, found: String, known: String) -> ModelError {
        ModelError::Unsupported { path: self.path.to_owned(), key: key.to_owned(), found, known }
    }

    /// A token id; the first when there are several.
    ///
    /// # Errors
    /// When the value is neither a number nor a list.
    pub fn token(&self, key: &str) -> Result<Option<u32>, ModelError> {
        match self.object.get(key) {
            Some(Value::Array(several)) => {
                Ok(several.first().and_then(Value::as_u64).map(|id| id as u32))
            }
            _ => self.optional(key),
        }
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

/// A short decimal for a single-precision number, so that 1e-6 is not written as 9.99999997e-7.
pub(crate) fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |value| json!(value))
}
