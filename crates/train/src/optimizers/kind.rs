//! An optimizer as settings name it.

use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{OPTIMIZERS, Optimizer};

/// One of [`OPTIMIZERS`]. In files it is its name.
#[derive(Clone, Copy)]
pub struct OptimizerKind(&'static dyn Optimizer);

impl OptimizerKind {
    /// The optimizer of a name.
    pub fn named(name: &str) -> Option<Self> {
        OPTIMIZERS.iter().find(|optimizer| optimizer.name() == name).map(|&found| Self(found))
    }

    /// The names of all optimizers, in the order of [`OPTIMIZERS`].
    pub fn names() -> &'static [&'static str] {
        static NAMES: LazyLock<Vec<&str>> =
            LazyLock::new(|| OPTIMIZERS.iter().map(|optimizer| optimizer.name()).collect());
        &NAMES
    }
}

/// The first of [`OPTIMIZERS`].
impl Default for OptimizerKind {
    fn default() -> Self {
        Self(OPTIMIZERS[0])
    }
}

impl Deref for OptimizerKind {
    type Target = dyn Optimizer;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl PartialEq for OptimizerKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for OptimizerKind {}

impl fmt::Debug for OptimizerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for OptimizerKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for OptimizerKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| D::Error::unknown_variant(&name, Self::names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_written() {
        for &name in OptimizerKind::names() {
            let text = format!("\"{name}\"");
            let kind: OptimizerKind = serde_json::from_str(&text).unwrap();
            assert_eq!((kind.name(), serde_json::to_string(&kind).unwrap()), (name, text));
        }
        let message = serde_json::from_str::<OptimizerKind>("\"sgd\"").unwrap_err().to_string();
        assert!(message.contains("unknown variant `sgd`"), "{message}");
        assert!(OptimizerKind::names().iter().all(|name| message.contains(name)), "{message}");
    }
}
