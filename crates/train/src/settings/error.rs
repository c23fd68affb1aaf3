//! A setting that is not allowed.

use std::borrow::Cow;

/// A setting whose value breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` is {value}; {rule}")]
pub struct SettingError {
    /// The key in a recipe.
    pub setting: String,
    /// The value as it is written.
    pub value: String,
    /// What the value must be.
    pub rule: Cow<'static, str>,
}

impl SettingError {
    /// This error with `place`, the table that has the setting, in front of the key.
    pub fn within(self, place: &str) -> Self {
        Self { setting: format!("{place}.{}", self.setting), ..self }
    }
}
