//! A setting that is not allowed.

use std::fmt::Display;

/// A setting whose value breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` is {value}; {rule}")]
pub struct SettingError {
    /// The key in a recipe.
    pub setting: String,
    /// The value as it is written.
    pub value: String,
    /// What the value must be.
    pub rule: &'static str,
}

/// An error that names the setting, its value and the rule, unless the rule holds.
pub(crate) fn require(
    holds: bool,
    setting: &str,
    value: &dyn Display,
    rule: &'static str,
) -> Result<(), SettingError> {
    match holds {
        true => Ok(()),
        false => Err(SettingError { setting: setting.to_owned(), value: value.to_string(), rule }),
    }
}
