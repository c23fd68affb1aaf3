//! Enumerations of the engine in settings, by the names that the engine gives them.

use engine::ops::distillation_loss::{Divergence, Ensemble};
use engine::params::Role;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// An enumeration with a name for each value.
pub trait Named: Copy + PartialEq + 'static {
    /// Every value with its name.
    const NAMED: &'static [(&'static str, Self)];
    /// The names alone.
    const NAMES: &'static [&'static str];

    /// The name of the value.
    fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}

impl Named for Divergence {
    const NAMED: &'static [(&'static str, Self)] = &Divergence::NAMED;
    const NAMES: &'static [&'static str] = &names(Divergence::NAMED);
}

impl Named for Ensemble {
    const NAMED: &'static [(&'static str, Self)] = &Ensemble::NAMED;
    const NAMES: &'static [&'static str] = &names(Ensemble::NAMED);
}

impl Named for Role {
    const NAMED: &'static [(&'static str, Self)] = &ROLES;
    const NAMES: &'static [&'static str] = &names(ROLES);
}

const ROLES: [(&str, Role); 8] = [
    ("embedding", Role::Embedding),
    ("positions", Role::Positions),
    ("token_types", Role::TokenTypes),
    ("matrix", Role::Matrix),
    ("output", Role::Output),
    ("bias", Role::Bias),
    ("norm_gain", Role::NormGain),
    ("mixture", Role::Mixture),
];

const fn names<T: Copy, const N: usize>(named: [(&'static str, T); N]) -> [&'static str; N] {
    let (mut names, mut at) = ([""; N], 0);
    while at < N {
        names[at] = named[at].0;
        at += 1;
    }
    names
}

pub(crate) fn serialize<T: Named, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.name())
}

pub(crate) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let name = String::deserialize(deserializer)?;
    let found = T::NAMED.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| D::Error::unknown_variant(&name, T::NAMES))
}

/// Serialisation of a setting that can be left out, by the name of its value.
pub(crate) mod optional {
    use super::*;

    pub(crate) fn serialize<T: Named, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_name_of_its_own() {
        fn check<T: Named>() {
            for (index, &(name, value)) in T::NAMED.iter().enumerate() {
                assert_eq!((value.name(), T::NAMES[index]), (name, name));
            }
        }
        check::<Divergence>();
        check::<Ensemble>();
        check::<Role>();
    }
}
