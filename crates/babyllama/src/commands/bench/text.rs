//! The text that evaluation and encoding are measured on: the built-in corpus and a tokenizer of
//! its own.

use builtin_corpus::{BuiltinSettings, Split};
use corpus::{NamedText, Tokenizer, TokenizerSettings, cleaners};

/// The built-in corpus of 300,000 words.
pub fn settings(pairs_per_paradigm: usize) -> BuiltinSettings {
    BuiltinSettings { words: 300_000, validation_words: 0, pairs_per_paradigm, seed: 42 }
}

/// The cleaned training text.
pub fn builtin_text() -> Vec<NamedText> {
    cleaners::clean_whole(&builtin_corpus::write_corpus(settings(0), Split::Train))
}

/// A tokenizer of at most `vocab_size` entries, trained on texts.
pub fn tokenizer(texts: &[NamedText], vocab_size: usize) -> anyhow::Result<Tokenizer> {
    Ok(Tokenizer::train(texts, &TokenizerSettings { vocab_size, ..TokenizerSettings::default() })?)
}
