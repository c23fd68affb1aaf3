//! The tables `[corpus]`, `[tokenizer]` and `[evaluate]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corpus::TokenizerSettings;
use documented::DocumentedFields;
use engine::Arithmetic;
use eval::Rules;
use serde::{Deserialize, Deserializer, Serialize};

/// Words of the built-in corpus when the recipe does not state them.
const BUILTIN_WORDS: usize = 300_000;

/// What products read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32.
    F32,
    /// Values rounded to bf16.
    Bf16,
    /// f32 values, as three products of bf16 values.
    Bf16x3,
}

impl From<Precision> for Arithmetic {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
            Precision::Bf16x3 => Self::Bf16x3,
        }
    }
}

/// Where text or minimal pairs come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Source {
    /// Written by the program's own grammar.
    Builtin,
    /// A folder, relative to the working directory.
    Folder(PathBuf),
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        if text == "builtin" { Source::Builtin } else { Source::Folder(text.into()) }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        match source {
            Source::Builtin => "builtin".to_string(),
            Source::Folder(folder) => folder.to_string_lossy().into_owned(),
        }
    }
}

/// Where the held-out text comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Validation {
    /// Written by the program's own grammar, apart from the training text.
    Builtin,
    /// The last lines of each training file.
    Split,
    /// A folder, relative to the working directory.
    Folder(PathBuf),
}

impl From<String> for Validation {
    fn from(text: String) -> Self {
        match text.as_str() {
            "builtin" => Validation::Builtin,
            "split" => Validation::Split,
            _ => Validation::Folder(text.into()),
        }
    }
}

impl From<Validation> for String {
    fn from(validation: Validation) -> Self {
        match validation {
            Validation::Builtin => "builtin".to_string(),
            Validation::Split => "split".to_string(),
            Validation::Folder(folder) => folder.to_string_lossy().into_owned(),
        }
    }
}

/// What to train on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(from = "CorpusKeys")]
pub struct CorpusSection {
    /// A folder of text, relative to the working directory, or `builtin`: text that the program
    /// writes by its own grammar.
    pub source: Source,
    /// How many words the built-in corpus has (left out, 300,000); of a folder, how many to draw
    /// (0, and left out: all).
    pub words: usize,
    /// Where the held-out text comes from: a folder; `split`, the last lines of each training file
    /// (left out, this for a folder of text); or `builtin`, built-in text apart from the training
    /// text (left out, this for the built-in corpus).
    pub validation: Validation,
    /// Share of the lines that `split` holds out, or of the words that the built-in corpus writes
    /// for validation.
    pub validation_fraction: f64,
    /// Whether each file goes through the cleaner of its source.
    pub clean: bool,
    /// Minimal pairs of each kind that the built-in grammar writes for evaluation.
    pub pairs_per_paradigm: usize,
    /// What a document is, for `order = "documents"`: `blank_line`, `line`, `file` or `auto` by
    /// source, such as `{ wikipedia = "line", default = "file" }`. Left out or `auto`, blocks
    /// between blank lines where a file has any, and otherwise lines.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<String, DocumentRule>,
}

/// Among the rules of [`CorpusSection::documents`], that of files without one of their own.
pub(crate) const EVERY_OTHER: &str = "default";

/// What a document of a corpus file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentRule {
    /// A block between blank lines where the file has any, and otherwise a line.
    #[default]
    Auto,
    /// A block between blank lines.
    BlankLine,
    /// A line.
    Line,
    /// The whole file.
    File,
}

impl CorpusSection {
    /// Words of the built-in validation text.
    pub fn builtin_validation_words(&self) -> usize {
        (self.words as f64 * self.validation_fraction).ceil() as usize
    }
}

impl Default for CorpusSection {
    fn default() -> Self {
        CorpusKeys::default().into()
    }
}

/// `[corpus]` as written: what is left out depends on the source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CorpusKeys {
    source: Source,
    words: Option<usize>,
    validation: Option<Validation>,
    validation_fraction: f64,
    clean: bool,
    pairs_per_paradigm: usize,
    documents: BTreeMap<String, DocumentRule>,
}

impl Default for CorpusKeys {
    fn default() -> Self {
        Self {
            source: Source::Builtin,
            words: None,
            validation: None,
            validation_fraction: 0.05,
            clean: true,
            pairs_per_paradigm: 100,
            documents: BTreeMap::new(),
        }
    }
}

impl From<CorpusKeys> for CorpusSection {
    fn from(keys: CorpusKeys) -> Self {
        let (words, validation) = match keys.source {
            Source::Builtin => (BUILTIN_WORDS, Validation::Builtin),
            Source::Folder(_) => (0, Validation::Split),
        };
        Self {
            source: keys.source,
            words: keys.words.unwrap_or(words),
            validation: keys.validation.unwrap_or(validation),
            validation_fraction: keys.validation_fraction,
            clean: keys.clean,
            pairs_per_paradigm: keys.pairs_per_paradigm,
            documents: keys.documents,
        }
    }
}

/// How to cut text into tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerSection {
    /// Entries of the byte-level BPE, its three special tokens included.
    pub vocab_size: usize,
    /// How often a pair must occur to be merged.
    pub min_frequency: u64,
    /// Whether there is a fourth special token, `<mask>`, which masked models need; left out,
    /// false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mask_token: bool,
    /// How many more special tokens there are, `<extra_id_0>` and on, which stand for hidden spans
    /// of encoder-decoders; T5 has 100. Left out, 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub sentinels: usize,
    /// Whether `<s>` stands before every text, for models that predict the next token: the
    /// tokenizer puts it before those that models score, and every document of the training and
    /// the held-out text (`corpus.documents`) begins with it; left out, false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub begin_token: bool,
    /// A `tokenizer.json` to use instead of training one; of the other keys only `begin_token` then
    /// has an effect.
    pub path: Option<PathBuf>,
}

impl Default for TokenizerSection {
    fn default() -> Self {
        Self {
            vocab_size: 2000,
            min_frequency: 2,
            mask_token: false,
            sentinels: 0,
            begin_token: false,
            path: None,
        }
    }
}

impl TokenizerSection {
    /// What a tokenizer is trained to.
    pub fn settings(&self) -> TokenizerSettings {
        TokenizerSettings {
            vocab_size: self.vocab_size,
            min_frequency: self.min_frequency,
            mask_token: self.mask_token,
            sentinels: self.sentinels,
            begin_token: self.begin_token,
        }
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What to measure once the models are trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateSection {
    /// Cross-entropy on the held-out text.
    pub loss: bool,
    /// Minimal pairs: folders of `*.jsonl` in BLiMP's format, or `builtin`. Left out, the built-in
    /// pairs for the built-in corpus, and none for other text.
    pub blimp: Option<Vec<Source>>,
    /// Whose evaluation pipeline scores the minimal pairs.
    #[serde(deserialize_with = "rules_of_texts")]
    pub rules: Rules,
    /// Groups of models to score as one, by the mean of their logits.
    pub ensembles: Vec<Vec<String>>,
    /// Groups of models that differ in their seeds alone, by name: the table over seeds shows
    /// their means, and differences from the first group whose models neither have teachers nor
    /// serve as teachers. `seeds` of a model makes one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub seeds: BTreeMap<String, Vec<String>>,
}

/// Rules by which texts are scored.
fn rules_of_texts<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Rules, D::Error> {
    #[derive(Deserialize)]
    enum OfTexts {
        #[serde(rename = "2023")]
        Year2023,
        #[serde(rename = "2024")]
        Year2024,
    }
    OfTexts::deserialize(deserializer).map(|rules| match rules {
        OfTexts::Year2023 => Rules::Year2023,
        OfTexts::Year2024 => Rules::Year2024,
    })
}

impl Default for EvaluateSection {
    fn default() -> Self {
        Self {
            loss: true,
            blimp: None,
            rules: Rules::Year2024,
            ensembles: Vec::new(),
            seeds: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(text: &str) -> CorpusSection {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn corpus_defaults_depend_on_the_source() {
        let builtin = corpus("");
        assert_eq!(builtin, CorpusSection::default());
        assert_eq!((builtin.words, builtin.builtin_validation_words()), (300_000, 15_000));
        assert_eq!(builtin.validation, Validation::Builtin);
        let folder = corpus("source = 'data/train'");
        assert_eq!(folder.source, Source::Folder("data/train".into()));
        assert_eq!((folder.words, folder.validation), (0, Validation::Split));
        assert_eq!(
            corpus("validation = 'data/dev'").validation,
            Validation::Folder("data/dev".into())
        );
    }

    #[test]
    fn sections_survive_writing_and_reading() {
        let section = corpus("source = 'data/train'\nvalidation = 'split'\nwords = 5");
        assert_eq!(corpus(&toml::to_string(&section).unwrap()), section);
        let section = EvaluateSection {
            blimp: Some(vec![Source::Builtin]),
            ensembles: vec![vec!["a".into(), "b".into()]],
            ..Default::default()
        };
        let text = toml::to_string(&section).unwrap();
        assert!(text.contains("blimp = [\"builtin\"]\nrules = \"2024\""), "{text}");
        assert_eq!(toml::from_str::<EvaluateSection>(&text).unwrap(), section);
    }
}
