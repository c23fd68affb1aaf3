//! What can go wrong with evaluation data.

use std::path::PathBuf;

use base::Stopped;
use engine::Fault;

use crate::classification::ClassificationError;

/// Data that cannot be scored.
#[allow(missing_docs, reason = "the message of a variant is its description")]
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("{}: {cause}", path.display())]
    Io { path: PathBuf, cause: std::io::Error },
    #[error("{} has no .jsonl or .json file with sentence pairs", path.display())]
    NoTasks { path: PathBuf },
    #[error("{} and {} are of one task: their names differ in the ending alone", first.display(),
     second.display())]
    SameTask { first: PathBuf, second: PathBuf },
    #[error("{} has no .jsonl, .json or .csv file with EWoK's items", path.display())]
    NoItems { path: PathBuf },
    #[error("{}, line {line}: no line with contexts and targets swapped follows, as it does \
     after others", path.display())]
    NoTwin { path: PathBuf, line: usize },
    #[error("{}, line {line}: {cause}", path.display())]
    Csv { path: PathBuf, line: usize, cause: String },
    #[error("{}, line {line}: bad JSON{}", path.display(), at_byte(cause))]
    Json { path: PathBuf, line: usize, cause: serde_json::Error },
    #[error("{}, line {line}: no field `{field}`", path.display())]
    MissingField { path: PathBuf, line: usize, field: &'static str },
    #[error("{}, line {line}: the field `{field}` is not {expected}", path.display())]
    WrongField { path: PathBuf, line: usize, field: &'static str, expected: &'static str },
    #[error("{}, line {line}: not UTF-8 (byte {offset} of the file)", path.display())]
    NotUtf8 { path: PathBuf, line: usize, offset: usize },
    #[error("{} is empty: it has no item", path.display())]
    Empty { path: PathBuf },
    #[error("{}, line {line}: item {index} is not the next of its task", path.display())]
    OutOfOrder { path: PathBuf, line: usize, index: usize },
    #[error("{cause}")]
    Encoding { cause: String },
    #[error("the models of an ensemble have different vocabularies: {first} and {other}")]
    EnsembleVocabulary { first: usize, other: usize },
    #[error(
        "of models that are scored together all must predict the next token, or all must be \
         masked, or all must be encoder-decoders"
    )]
    MixedEnsemble,
    #[error(
        "the back end mntp reads hidden tokens off the tokens before them, where models that \
         predict the next token have them, but no masked model and no encoder-decoder"
    )]
    NotMaskedNext,
    #[error("the back end {backend} cannot score models of the family {family}")]
    OtherBackend { backend: &'static str, family: &'static str },
    #[error("no regression of `{time}`: {rows} rows have all values, {cause}")]
    NoRegression { time: &'static str, rows: usize, cause: &'static str },
    #[error("{positions} positions are too few for a text between its special tokens")]
    TooFewPositions { positions: usize },
    #[error("a text has {tokens} tokens, more than the {positions} positions of the model")]
    TextTooLong { tokens: usize, positions: usize },
    #[error("the tokenizer has no {role}, without which hidden tokens cannot be scored")]
    NoMaskedToken { role: &'static str },
    #[error("the tokenizer has no {role}, without which an encoder-decoder cannot be scored")]
    NoEncoderDecoderToken { role: &'static str },
    #[error("the tokenizer gives id {id}, outside the model's vocabulary of {vocab_size}")]
    TokenOutside { id: u32, vocab_size: usize },
    #[error(
        "{place}`{choice}` has no token of its own after its context, so that there is nothing to \
         score"
    )]
    NothingToScore { place: String, choice: String },
    #[error(
        "a text's log-probability is {score}: the model's weights are damaged or have diverged"
    )]
    NotFinite { score: f64 },
    #[error("the tokenizer has no `{token}`, which the rules of {rules} put before every sentence")]
    NoPrefixToken { token: &'static str, rules: &'static str },
    #[error("the tokenizer's `{role}` is {token:?}, which its vocabulary does not have")]
    PrefixOutside { role: &'static str, token: String },
    #[error("there is no memory for one text of {tokens} tokens: {fault}")]
    OutOfMemory { tokens: usize, fault: Fault },
    #[error("scoring was stopped")]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Classification(#[from] ClassificationError),
}

impl EvalError {
    /// The error with the task and the index of the item that it is about, where it has a place for
    /// them.
    pub(crate) fn of_item(self, task: &str, index: usize) -> Self {
        match self {
            Self::NothingToScore { choice, .. } => {
                Self::NothingToScore { place: format!("{task}, item {}: ", index + 1), choice }
            }
            other => other,
        }
    }
}

/// What is wrong with a line of JSON and at which of its bytes, without serde's count of lines, of
/// which there is only one.
fn at_byte(cause: &serde_json::Error) -> String {
    let (text, column) = (cause.to_string(), cause.column());
    let problem =
        text.strip_suffix(&format!(" at line {} column {column}", cause.line())).unwrap_or(&text);
    format!(" at byte {column}: {problem}")
}
