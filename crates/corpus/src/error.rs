//! Errors between a folder of text and a file of tokens.

use std::path::PathBuf;

use base::{Stopped, stop};

/// A text, a tokenizer or a token file that cannot be read, made or written.
#[expect(missing_docs, reason = "the message of a variant states what it is")]
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// No such file or folder.
    #[error("{} does not exist", path.display())]
    Missing { path: PathBuf },
    /// The path is there and cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: std::io::Error },
    /// A corpus file that its folder lists and that cannot be read; the cause names it.
    #[error("{cause}")]
    CorpusFile { cause: std::io::Error },
    /// The path cannot be written: a full disk, a missing permission.
    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: std::io::Error },
    /// Text that is not UTF-8; `offset` counts bytes from the start of the file.
    #[error("{} is not UTF-8 text: bad byte at offset {offset}", path.display())]
    InvalidUtf8 { path: PathBuf, offset: usize },
    /// A folder without a corpus file, or one whose corpus files hold no words.
    #[error("{} holds no text: a corpus is a folder of .train, .dev, .test or .txt files with \
     words in them", path.display())]
    EmptyCorpus { path: PathBuf },
    /// Two files whose names would fall on one another in an output folder.
    #[error("two corpus files are named {name}; their outputs would overwrite one another")]
    SameName { name: String },
    /// A file of an output folder that is there, and would be replaced by another one.
    #[error("{} is there already, with other contents", path.display())]
    OtherText { path: PathBuf },
    /// Fewer tokens than one sequence (and its offset) takes.
    #[error("the corpus has {tokens} tokens, and one sequence needs {needed}")]
    ShorterThanOneSequence { tokens: usize, needed: usize },
    /// A share held out for validation that is not between 0 and 1, both excluded.
    #[error("the validation fraction is {fraction}; it must be between 0 and 1")]
    ValidationFraction { fraction: f64 },
    /// So few lines that training or validation would be left without any.
    #[error(
        "the corpus has {lines} lines, too few to hold out {fraction} of each file for validation"
    )]
    TooFewLines { lines: usize, fraction: f64 },
    /// A vocabulary without room for the special tokens and every byte of the text.
    #[error(
        "a vocabulary of {vocab_size} is too small: the special tokens and the bytes of the text \
         alone take {needed}"
    )]
    VocabularyTooSmall { vocab_size: usize, needed: usize },
    /// `path` should be a tokenizer and is something else.
    #[error("{} is not a tokenizer babyllama can use: {cause}", path.display())]
    BadTokenizer { path: PathBuf, cause: String },
    /// A folder whose tokenizer is in SentencePiece's file alone.
    #[error(
        "{} is a file of SentencePiece, which babyllama does not read, and there is no \
         tokenizer.json beside it", path.display()
    )]
    SentencePiece { path: PathBuf },
    /// The tokenizer library failed; `doing` is the operation.
    #[error("the tokenizer failed at {doing}: {cause}")]
    Tokenizer { doing: &'static str, cause: String },
    /// A tokenizer without a token that a model needs; `key` names it as `tokenizer_config.json`
    /// does.
    #[error("the tokenizer has no `{key}`, which a masked model needs before and after texts")]
    NoSuchRole { key: &'static str },
    /// An id that the vocabulary declared for a token file does not have.
    #[error("{}: token id {id} is outside the vocabulary of {vocab_size}", path.display())]
    TokenOutside { path: PathBuf, id: u32, vocab_size: u32 },
    /// A file of another kind, of another version, cut short or damaged; with the cause.
    #[error("{} is not a usable token file: {cause}", path.display())]
    BadTokenFile { path: PathBuf, cause: String },
    /// The caller ended the work (see [`ShouldStop`](base::ShouldStop)).
    #[error("stopped before the end, as asked")]
    Stopped(#[from] Stopped),
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, CorpusError>;

impl CorpusError {
    /// A failed read, which has its own message when the file is not there.
    pub(crate) fn read(path: impl Into<PathBuf>, cause: std::io::Error) -> Self {
        let path = path.into();
        match cause.kind() {
            _ if stop::is_stop(&cause) => Self::Stopped(Stopped),
            std::io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Read { path, cause },
        }
    }

    pub(crate) fn write(path: impl Into<PathBuf>, cause: std::io::Error) -> Self {
        Self::Write { path: path.into(), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_reads_as_such() {
        let no_space = std::io::Error::from_raw_os_error(28);
        let message = CorpusError::write("tokens/train.bin", no_space).to_string();
        assert_eq!(message, "cannot write tokens/train.bin: No space left on device (os error 28)");
    }
}
