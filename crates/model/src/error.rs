//! What can go wrong with a model that comes from outside.

use std::path::{Path, PathBuf};

/// A model that cannot be built, read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its documentation")]
pub enum ModelError {
    #[error("{}: {cause}", path.display())]
    Io { path: PathBuf, cause: std::io::Error },
    #[error("{} is not a folder with a model: it has no {missing}", path.display())]
    NotAModel { path: PathBuf, missing: &'static str },
    #[error("{} is not a folder with a model, but {} is", path.display(), model.display())]
    ModelBelow { path: PathBuf, model: PathBuf },
    #[error("{} is no regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{} is longer than {most} bytes, which is no configuration", path.display())]
    LongJson { path: PathBuf, most: u64 },
    #[error("{} is a pointer of Git LFS in place of the file, which was not \
     fetched", path.display())]
    GitLfs { path: PathBuf },
    #[error("{}: {name:?} is no plain name of a file beside it", path.display())]
    NotAPlainName { path: PathBuf, name: String },
    #[error("{} is a pickle file, which can run any code when it is opened; babyllama reads \
     safetensors only", path.display())]
    Pickle { path: PathBuf },
    #[error("{}: bad JSON: {cause}", path.display())]
    Json { path: PathBuf, cause: serde_json::Error },
    #[error("{}: `{key}` is missing", path.display())]
    MissingKey { path: PathBuf, key: &'static str },
    #[error("{}: `{key}` is {found}; babyllama knows {known}", path.display())]
    Unsupported { path: PathBuf, key: String, found: String, known: String },
    /// A [`Config`](Self::Config) error of a file.
    #[error("{}: the model's {key} {problem}", path.display())]
    ConfigFile { path: PathBuf, key: &'static str, problem: String },
    #[error("{}: not a whole safetensors file ({cause}); it may be truncated or of another \
     kind", path.display())]
    Safetensors { path: PathBuf, cause: safetensors::SafeTensorError },
    #[error("{} holds {problem}", path.display())]
    ElcVariant { path: PathBuf, problem: &'static str },
    #[error("{}: tensor `{name}` of shape {expected:?} is missing", path.display())]
    MissingTensor { path: PathBuf, name: String, expected: Vec<usize> },
    #[error("{}: tensor `{name}` has shape {found:?} where the configuration asks for \
     {expected:?}", path.display())]
    Shape { path: PathBuf, name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("{}: tensor `{name}` holds {found}; babyllama reads F32, F16 and BF16", path.display())]
    DataType { path: PathBuf, name: String, found: String },
    #[error("{}: tensor `{name}` holds {value}: the model's weights are damaged or have \
     diverged", path.display())]
    NotFinite { path: PathBuf, name: String, value: f32 },
    #[error("a logit is {value}: the model's weights have diverged")]
    LogitsNotFinite { value: f32 },
    #[error("{}: tensor `{name}` differs from the embeddings, with which {family} shares \
     it", path.display())]
    OtherHead { path: PathBuf, name: String, family: &'static str },
    #[error("{}: `architectures` is {found:?}, which is no classifier: it has no head for \
     labels", path.display())]
    NotAClassifier { path: PathBuf, found: Vec<String> },
    #[error("{} holds a sequence classifier ({}), which has no output layer for \
     words", path.display(), found.join(", "))]
    NotALanguageModel { path: PathBuf, found: Vec<String> },
    #[error(
        "{} is that of {kind}, which does not predict the next token of a text; it can be \
         evaluated, fine-tuned and trained further", path.display()
    )]
    NotCausalFolder { path: PathBuf, kind: &'static str },
    #[error("the model is {kind}, which does not predict the next token of a text")]
    NotCausal { kind: &'static str },
    #[error(
        "{} is that of a {found}, the encoder of an encoder-decoder alone, which predicts no \
         tokens", path.display()
    )]
    EncoderOnly { path: PathBuf, found: String },
    /// A key of a [`ModelConfig`](crate::ModelConfig) whose value is impossible.
    #[error("the model's {key} {problem}")]
    Config { key: &'static str, problem: String },
    #[error("the model's {parameters} parameters do not fit into memory")]
    TooLarge { parameters: usize },
    #[error("the classifier's {problem}")]
    Labels { problem: String },
    #[error("no token of an encoder-decoder stands for a sequence, which this head needs")]
    HeadOfEncoderDecoder,
    #[error("the model has no token that begins a text, and the prompt is empty")]
    NoBeginToken,
    #[error("the model's output layer is no segment of its parameters")]
    NoOutputLayer,
    #[error("token id {id} is outside the model's vocabulary of {vocab_size}")]
    TokenOutside { id: u32, vocab_size: usize },
    #[error("{tokens} tokens do not fit the model's {max_positions} positions")]
    TooLong { tokens: usize, max_positions: usize },
}

impl ModelError {
    /// This error of a key, as one of an object under the key `outer`.
    pub(crate) fn within(self, outer: &str) -> Self {
        match self {
            Self::Unsupported { path, key, found, known } => {
                Self::Unsupported { path, key: format!("{outer}.{key}"), found, known }
            }
            other => other,
        }
    }

    /// This error of a configuration, as one of the file that states it.
    pub(crate) fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Config { key, problem } => {
                Self::ConfigFile { path: path.to_owned(), key, problem }
            }
            other => other,
        }
    }
}
