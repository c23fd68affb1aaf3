//! What can be wrong with a search space or a value of it.

use experiment::recipe::suggestion;

/// Why a space cannot be read, or a value is not of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// A parameter is not well described.
    #[error("space: `{key}`: {cause}")]
    Invalid {
        /// The parameter.
        key: String,
        /// What is wrong, and what to write instead.
        cause: String,
    },
    /// Conditions that wait for each other.
    #[error("space: the conditions of these parameters depend on each other: {0}")]
    Cycle(String),
    /// A value was given for a parameter that the space does not have.
    #[error("`{name}` is not a parameter of the space; {hint}")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The nearest name, or all.
        hint: String,
    },
    /// A value that the parameter does not take.
    #[error("`{key}` = {value}: {cause}")]
    Value {
        /// The parameter.
        key: String,
        /// The value that was given.
        value: String,
        /// What the parameter takes.
        cause: String,
    },
}

impl SpaceError {
    pub(super) fn invalid(key: &str, cause: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_string(), cause: cause.into() }
    }

    pub(super) fn unknown<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Unknown { name: name.to_string(), hint: suggestion(name, known) }
    }

    pub(super) fn value(key: &str, value: impl ToString, cause: impl Into<String>) -> Self {
        Self::Value { key: key.to_string(), value: value.to_string(), cause: cause.into() }
    }
}
