//! What can be wrong with a recipe, each in one line that names the place, the key and, where
//! there is one, the nearest right name.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Why a recipe was refused.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each message documents its variant")]
pub enum RecipeError {
    #[error("cannot read recipe {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{place}: not valid TOML: {message}")]
    Syntax { place: Place, message: String },
    #[error("--set {text}: {problem}")]
    Override { text: String, problem: String },
    #[error("--model {name}: {} has no such model; {hint}", path.display())]
    NoModel { name: String, path: PathBuf, hint: String },
    #[error("{place}: {fault}")]
    Fault { place: Place, fault: Fault },
    #[error("{place}: `{key}` names {}", path.display())]
    Input { place: Place, key: String, path: PathBuf, source: Box<dyn Error + Send + Sync> },
    #[error("the recipe cannot be written as TOML: {0}")]
    Write(#[from] toml::ser::Error),
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of the recipe, counted from 1; no line when the file does not mention it.
    File {
        /// The recipe's file.
        path: PathBuf,
        /// The line of the file.
        line: Option<usize>,
    },
    /// An override such as `--set student.train.epochs=4`.
    CommandLine(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Place::File { path, line: None } => write!(f, "{}", path.display()),
            Place::CommandLine(text) => f.write_str(text),
        }
    }
}

/// What is wrong with the value at a dotted key such as `models.student.train.epochs`.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each message documents its variant")]
pub enum Fault {
    #[error("unknown key `{key}`; {hint}")]
    UnknownKey { key: String, hint: String },
    #[error("`{key}` should be {expected}, found {found}")]
    WrongType { key: String, expected: String, found: String },
    #[error("`{key}` cannot be \"{found}\"; {hint}")]
    UnknownChoice { key: String, found: String, hint: String },
    #[error("missing key `{key}`")]
    MissingKey { key: String },
    #[error("`{key}` {problem}")]
    Invalid { key: String, problem: String },
}

impl Fault {
    /// A value of the right type that makes no sense; `problem` continues a sentence that begins
    /// with the key.
    pub fn invalid(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Fault::Invalid { key: key.into(), problem: problem.into() }
    }

    /// The dotted key.
    pub fn key(&self) -> &str {
        match self {
            Fault::UnknownKey { key, .. }
            | Fault::WrongType { key, .. }
            | Fault::UnknownChoice { key, .. }
            | Fault::MissingKey { key }
            | Fault::Invalid { key, .. } => key,
        }
    }

    /// This fault as one of the table or list that holds it: its key gains `parent` in front.
    pub fn within(mut self, parent: &str) -> Self {
        match &mut self {
            Fault::UnknownKey { key, .. }
            | Fault::WrongType { key, .. }
            | Fault::UnknownChoice { key, .. }
            | Fault::MissingKey { key }
            | Fault::Invalid { key, .. } => *key = join(parent, key),
        }
        self
    }
}

/// `parent.key`, or `parent[0]` where the key is an index, or either alone when the other is empty.
pub(super) fn join(parent: &str, key: &str) -> String {
    let dot = if parent.is_empty() || key.is_empty() || key.starts_with('[') { "" } else { "." };
    format!("{parent}{dot}{key}")
}

/// The end of a message about an unknown name: the nearest known one, or all of them when none is
/// near.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match &all_nearest(name, &known)[..] {
        [] if known.is_empty() => "there is none to choose from".to_string(),
        [] => format!("known here: {}", known.join(", ")),
        [nearest] => format!("did you mean `{nearest}`?"),
        [others @ .., last] => format!("did you mean `{}` or `{last}`?", others.join("`, `")),
    }
}

/// The first of the known names with the fewest edits from `name`; none when that takes more than a
/// third of the letters (two of a short name).
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    all_nearest(name, known).first().copied()
}

/// The known names with the fewest edits from `name`.
fn all_nearest<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let farthest = (name.chars().count() / 3).max(2);
    let distance = |candidate: &&str| strsim::damerau_levenshtein(name, candidate);
    let least = known.iter().map(distance).min().filter(|&least| least <= farthest);
    known.iter().copied().filter(|candidate| Some(distance(candidate)) == least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_join_with_dots_and_brackets() {
        assert_eq!(join("a.b", "c"), "a.b.c");
        assert_eq!(join("a", "[0]"), "a[0]");
        assert_eq!(join("", "c"), "c");
        assert_eq!(join("a", ""), "a");
        assert_eq!(
            Fault::invalid("[1].x", "is odd").within("list").within("top").key(),
            "top.list[1].x"
        );
    }

    #[test]
    fn suggestions_offer_the_nearest_or_all() {
        let known = ["learning_rate", "epochs", "seed"];
        assert_eq!(suggestion("learning_rat", known), "did you mean `learning_rate`?");
        assert_eq!(suggestion("epohcs", known), "did you mean `epochs`?");
        let years = ["2023", "2024", "babyllama-1"];
        assert_eq!(suggestion("2027", years), "did you mean `2023` or `2024`?");
        assert_eq!(suggestion("colour", known), "known here: learning_rate, epochs, seed");
        assert_eq!(suggestion("x", []), "there is none to choose from");
    }
}
