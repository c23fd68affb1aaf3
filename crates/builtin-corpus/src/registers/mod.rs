//! Three ways of using the language: stories, talk and reference.

pub(crate) mod conversation;
pub(crate) mod exposition;
pub(crate) mod narrative;

use super::grammar::spelling::capitalised;

/// A sentence from its words: a capital in front, a mark behind.
pub(crate) fn finished(words: &str, mark: char) -> String {
    format!("{}{mark}", capitalised(words))
}
