//! What can be wrong with the items of a classification task.

use std::path::PathBuf;

/// Items that nothing can be learned from, or that cannot be scored.
#[allow(missing_docs, reason = "the message of a variant is its description")]
#[derive(Debug, thiserror::Error)]
pub enum ClassificationError {
    #[error("{}, line {line}: label {found} is none of {allowed}, the labels of \
     {task}", path.display())]
    Label { path: PathBuf, line: usize, found: String, allowed: String, task: &'static str },
    #[error("{}, line {line}: no training item has the label {label}", path.display())]
    UnseenLabel { path: PathBuf, line: usize, label: u32 },
    #[error("{}: every item has the label {label}", path.display())]
    OneLabel { path: PathBuf, label: u32 },
    #[error("{}, line {line}: the tokenizer leaves nothing of the item's text", path.display())]
    NoTokens { path: PathBuf, line: usize },
}
