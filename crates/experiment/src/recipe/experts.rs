//! Keys of a Switch Transformer as recipes write them.

use model::Capacity;
use serde::{Deserialize, Deserializer, Serialize};

/// All of a Switch Transformer but its experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Body {
    Gpt2,
    Llama,
}

/// Reads a capacity as recipes write it.
pub(super) fn capacity<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Capacity>, D::Error> {
    /// A capacity as it is written.
    #[derive(Deserialize)]
    #[serde(
        untagged,
        deny_unknown_fields,
        expecting = "expected {factor = 1.25}, {tokens = 64} or \"none\""
    )]
    enum Written {
        Factor { factor: f64 },
        Tokens { tokens: usize },
        Word(Word),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        None,
    }
    Ok(Some(match Written::deserialize(deserializer)? {
        Written::Factor { factor } => Capacity::Factor(factor),
        Written::Tokens { tokens } => Capacity::Tokens(tokens),
        Written::Word(Word::None) => Capacity::None,
    }))
}
