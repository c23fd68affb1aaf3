//! How large a corpus is, file by file and in all.

use rayon::prelude::*;
use serde::Serialize;

use crate::error::Result;
use crate::pieces::{PIECE_BYTES, after_a_line, cut};
use crate::text::{NamedText, count_words};
use crate::tokenizer::Tokenizer;

/// The size of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TextStats {
    /// The name of the text.
    pub name: String,
    /// Bytes of UTF-8.
    pub bytes: usize,
    /// Unicode code points.
    pub characters: usize,
    /// Lines, the last one also without a line end.
    pub lines: usize,
    /// Stretches between white space, as `wc -w` counts.
    pub words: usize,
    /// Tokens of the whole text, when a tokenizer was given.
    pub tokens: Option<usize>,
}

impl TextStats {
    /// Counts one text, in parallel if it is long.
    pub fn of(name: &str, text: &str, tokenizer: Option<&Tokenizer>) -> Result<Self> {
        let pieces = cut(text, PIECE_BYTES, after_a_line);
        let sum = |count: fn(&str) -> usize| pieces.par_iter().map(|piece| count(piece)).sum();
        Ok(Self {
            name: name.into(),
            bytes: text.len(),
            characters: sum(|piece| piece.chars().count()),
            lines: sum(|piece| piece.split_inclusive('\n').count()),
            words: sum(count_words),
            tokens: tokenizer.map(|tokenizer| tokenizer.encode_file(text).len()),
        })
    }

    /// Tokens per word, where both are known and there is a word.
    pub fn tokens_per_word(&self) -> Option<f64> {
        self.tokens.filter(|_| self.words > 0).map(|tokens| tokens as f64 / self.words as f64)
    }
}

/// The sizes of all texts of a corpus, in their order, and their sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CorpusStats {
    /// One for each text.
    pub files: Vec<TextStats>,
    /// Named `total`.
    pub total: TextStats,
}

impl CorpusStats {
    /// Counts every text; tokens too when a tokenizer is given.
    pub fn of(texts: &[NamedText], tokenizer: Option<&Tokenizer>) -> Result<Self> {
        let files: Vec<TextStats> = texts
            .par_iter()
            .map(|(name, text)| TextStats::of(name, text, tokenizer))
            .collect::<Result<_>>()?;
        let sum = |count: fn(&TextStats) -> usize| files.iter().map(count).sum();
        let total = TextStats {
            name: "total".into(),
            bytes: sum(|file| file.bytes),
            characters: sum(|file| file.characters),
            lines: sum(|file| file.lines),
            words: sum(|file| file.words),
            tokens: files.iter().map(|file| file.tokens).sum(),
        };
        Ok(Self { total: TextStats { tokens: tokenizer.and(total.tokens), ..total }, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::TokenizerSettings;

    #[test]
    fn counts_add_up() {
        let texts = vec![
            ("a.txt".into(), "Où est\nle chat".into()),
            ("b.txt".into(), "one  two\n\n".into()),
        ];
        let stats = CorpusStats::of(&texts, None).unwrap();
        let first = TextStats {
            name: "a.txt".into(),
            bytes: 15,
            characters: 14,
            lines: 2,
            words: 4,
            tokens: None,
        };
        assert_eq!(stats.files[0], first);
        let total = TextStats {
            name: "total".into(),
            bytes: 25,
            characters: 24,
            lines: 4,
            words: 6,
            tokens: None,
        };
        assert_eq!(stats.total, total);
        assert_eq!(total.tokens_per_word(), None);
    }

    #[test]
    fn a_long_text_is_counted_as_a_short_one() {
        let line = "Où est le chat ?\n\n";
        let count = 3 * PIECE_BYTES / line.len();
        let long = TextStats::of("long", &(line.repeat(count) + "fin"), None).unwrap();
        assert_eq!((long.words, long.lines), (5 * count + 1, 2 * count + 1));
        assert_eq!((long.characters, long.bytes), (18 * count + 3, line.len() * count + 3));
    }

    #[test]
    fn tokens_are_counted_with_a_tokenizer() {
        let texts = vec![
            ("a.txt".to_string(), "the cat sat\n".repeat(20)),
            ("b.txt".to_string(), "cat\n".to_string()),
        ];
        let tokenizer =
            Tokenizer::train(&texts, &TokenizerSettings { vocab_size: 20, min_frequency: 2 })
                .unwrap();
        let stats = CorpusStats::of(&texts, Some(&tokenizer)).unwrap();
        let expected: Vec<usize> =
            texts.iter().map(|(_, text)| tokenizer.encode(text).len()).collect();
        assert_eq!(
            stats.files.iter().map(|file| file.tokens.unwrap()).collect::<Vec<_>>(),
            expected
        );
        assert_eq!(stats.total.tokens, Some(expected[0] + expected[1]));
        let per_word = stats.total.tokens_per_word().unwrap();
        assert_eq!(per_word, (expected[0] + expected[1]) as f64 / 61.0);
    }
}
