//! What can go wrong with word lists, contexts and the regression.

use std::path::PathBuf;

use crate::error::EvalError;

/// Data from which no age can be predicted.
#[allow(missing_docs, reason = "the message of a variant is its description")]
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    #[error("{}: {cause}", path.display())]
    Io { path: PathBuf, cause: std::io::Error },
    #[error("{}, line 1: the columns are `{found}`; they must be `{expected}`", path.display())]
    Header { path: PathBuf, found: String, expected: &'static str },
    #[error("{}, line {line}: {what}", path.display())]
    Row { path: PathBuf, line: usize, what: String },
    #[error("{} lists no word", path.display())]
    NoWord { path: PathBuf },
    #[error("{}: not a list of {{\"sent\": text, \"words\": [text, ...]}}: \
     {cause}", path.display())]
    Json { path: PathBuf, cause: serde_json::Error },
    #[error("no word of the list occurs in the contexts")]
    NoOccurrence,
    #[error(
        "{nouns} nouns, {predicates} predicates and {function_words} function words have a \
         surprisal, which do not determine the regression's 12 coefficients for every word left \
         out"
    )]
    TooFewWords { nouns: usize, predicates: usize, function_words: usize },
    #[error(transparent)]
    Scoring(#[from] EvalError),
}
