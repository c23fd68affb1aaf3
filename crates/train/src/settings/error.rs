//! A setting that is not allowed.

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
