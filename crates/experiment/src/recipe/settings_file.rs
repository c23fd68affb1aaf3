//! A TOML file of another kind than a recipe, read as a recipe is: with overrides, and faults that
//! name their line.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Table;

use super::document::Document;
use super::error::{Fault, RecipeError};

/// A settings file with its overrides.
pub struct SettingsFile(Document);

impl SettingsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is no TOML.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        Ok(Self(Document::read(path)?))
    }

    /// Reads text; `path` is what messages name.
    ///
    /// # Errors
    /// When it is no TOML.
    pub fn parse(path: &Path, text: &str) -> Result<Self, RecipeError> {
        Ok(Self(Document::parse(path, text)?))
    }

    /// Applies an override, `a.b=value`.
    ///
    /// # Errors
    /// When it is none, or passes through a value that is no table.
    pub fn set(&mut self, text: &str) -> Result<(), RecipeError> {
        self.0.apply_override_below("", text)
    }

    /// The file as a typed value.
    ///
    /// # Errors
    /// With the key and the line of what does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, RecipeError> {
        self.0.decode()
    }

    /// The error of a key whose value cannot be used.
    pub fn invalid(&self, key: &str, reason: impl Into<String>) -> RecipeError {
        self.0.locate(Fault::invalid(key, reason.into()))
    }

    /// All values, with the overrides.
    pub fn table(&self) -> &Table {
        &self.0.table
    }
}
