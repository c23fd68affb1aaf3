//! Three ways of using the language: stories, talk and reference.

pub mod conversation;
pub mod exposition;
pub mod narrative;

use super::grammar::spelling::capitalised;

/// A sentence from its words: a capital in front, a mark behind.
pub fn finished(words: &str, mark: char) -> String {
    format!("{}{mark}", capitalised(words))
}
