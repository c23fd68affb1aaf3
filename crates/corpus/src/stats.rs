//! How large a corpus is, file by file and in all.

use serde::Serialize;

use crate::error::Result;
use crate::pieces::{between_characters, in_parallel, pieces_of};
use crate::text::count_words;
use crate::texts::Text;
use crate::tokenizer::Tokenizer;
use base::ShouldStop;

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
    /// Tokens per word, where both are known and there is a word.
    pub fn tokens_per_word(&self) -> Option<f64> {
        self.tokens.filter(|_| self.words > 0).map(|tokens| tokens as f64 / self.words as f64)
    }
}

/// What is counted of a stretch of text; stretches that follow one another add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    bytes: usize,
    characters: usize,
    line_feeds: usize,
    tokens: usize,
    words: WordCount,
    /// Whether the last line has its line feed.
    ends_line: bool,
}

impl Counts {
    pub(crate) fn of(text: &str) -> Self {
        Self {
            bytes: text.len(),
            characters: text.chars().count(),
            line_feeds: text.bytes().filter(|&byte| byte == b'\n').count(),
            tokens: 0,
            words: WordCount::of(text),
            ends_line: text.ends_with('\n'),
        }
    }

    /// Adds the text that follows.
    pub(crate) fn add(&mut self, next: &Self) {
        self.ends_line = if next.bytes > 0 { next.ends_line } else { self.ends_line };
        self.bytes += next.bytes;
        self.characters += next.characters;
        self.line_feeds += next.line_feeds;
        self.tokens += next.tokens;
        self.words.add(next.words);
    }

    /// The size of a text of this name; its tokens are not counted.
    pub(crate) fn named(&self, name: &str) -> TextStats {
        let Self { bytes, characters, line_feeds, words, ends_line, .. } = *self;
        let lines = line_feeds + usize::from(bytes > 0 && !ends_line);
        let name = name.to_owned();
        TextStats { name, bytes, characters, lines, words: words.count(), tokens: None }
    }
}

/// The words of a stretch of text; of two that follow one another, the last word of the first may
/// go on in the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WordCount {
    words: usize,
    /// Whether it begins, and whether it ends, within a word; `None` of no text.
    ends: Option<(bool, bool)>,
}

impl WordCount {
    pub(crate) fn of(text: &str) -> Self {
        let in_word = |letter: char| !letter.is_whitespace();
        let (first, last) = (text.chars().next(), text.chars().next_back());
        Self { words: count_words(text), ends: first.map(in_word).zip(last.map(in_word)) }
    }

    /// Adds the text that follows.
    pub(crate) fn add(&mut self, next: Self) {
        self.words += next.words;
        self.ends = match (self.ends, next.ends) {
            (Some((begins, ends)), Some((goes_on, last))) => {
                self.words -= usize::from(ends && goes_on);
                Some((begins, last))
            }
            (ends, next) => ends.or(next),
        };
    }

    pub(crate) fn count(self) -> usize {
        self.words
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
    /// Counts every text, in parallel; tokens too when a tokenizer is given.
    ///
    /// # Errors
    /// When a text cannot be read or encoded, or it is asked to stop.
    pub fn of(
        should_stop: ShouldStop<'_>,
        texts: &[Text<'_>],
        tokenizer: Option<&Tokenizer>,
    ) -> Result<Self> {
        let pieces = pieces_of(texts, tokenizer.map_or(between_characters, Tokenizer::is_cut));
        let count = |(index, piece): (usize, String)| {
            let ids = tokenizer.map(|tokenizer| tokenizer.encode(&piece)).transpose()?;
            let tokens = ids.map_or(0, |ids| ids.len());
            Ok((index, Counts { tokens, ..Counts::of(&piece) }))
        };
        let mut counts = vec![Counts::default(); texts.len()];
        for counted in in_parallel(should_stop, pieces, |(_, piece)| piece, count) {
            let (index, piece) = counted.flatten()?;
            counts[index].add(&piece);
        }
        let files = texts.iter().zip(&counts).map(|(text, counts)| TextStats {
            tokens: tokenizer.map(|_| counts.tokens),
            ..counts.named(text.name())
        });
        Ok(Self::with_total(files.collect(), tokenizer.is_some()))
    }

    fn with_total(files: Vec<TextStats>, has_tokens: bool) -> Self {
        let sum = |count: fn(&TextStats) -> usize| files.iter().map(count).sum();
        let tokens: Option<usize> = files.iter().map(|file| file.tokens).sum();
        let total = TextStats {
            name: "total".into(),
            bytes: sum(|file| file.bytes),
            characters: sum(|file| file.characters),
            lines: sum(|file| file.lines),
            words: sum(|file| file.words),
            tokens: tokens.filter(|_| has_tokens),
        };
        Self { files, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CorpusError;
    use crate::pieces::{PIECE_BYTES, cut};
    use crate::text::NamedText;
    use crate::texts::in_memory;
    use crate::tokenizer::TokenizerSettings;
    use base::stop;

    #[test]
    fn counts_add_up() {
        let texts = vec![
            ("a.txt".into(), "Où est\nle chat".into()),
            ("b.txt".into(), "one  two\n\n".into()),
        ];
        let found = stats(&texts, None);
        let first = TextStats {
            name: "a.txt".into(),
            bytes: 15,
            characters: 14,
            lines: 2,
            words: 4,
            tokens: None,
        };
        assert_eq!(found.files[0], first);
        let total = TextStats {
            name: "total".into(),
            bytes: 25,
            characters: 24,
            lines: 4,
            words: 6,
            tokens: None,
        };
        assert_eq!(found.total, total);
        assert_eq!(total.tokens_per_word(), None);
    }

    fn stats(texts: &[NamedText], tokenizer: Option<&Tokenizer>) -> CorpusStats {
        CorpusStats::of(&stop::never, &in_memory(texts), tokenizer).unwrap()
    }

    #[test]
    fn parts_of_any_size_add_up() {
        for text in
            ["", "one", " Où  est\nle\u{2003}chat\n\n ?", "\n\n", "chat ", "éé\u{301}\u{85}é"]
        {
            for bytes in [1, 2, 3, 7, 64] {
                let mut counts = Counts::default();
                for part in cut(text, bytes, between_characters) {
                    counts.add(&Counts::of(part));
                }
                let expected = TextStats {
                    name: "a".into(),
                    bytes: text.len(),
                    characters: text.chars().count(),
                    lines: text.split_inclusive('\n').count(),
                    words: count_words(text),
                    tokens: None,
                };
                assert_eq!(counts.named("a"), expected, "{text:?} in parts of {bytes}");
            }
        }
    }

    #[test]
    fn counting_stops_when_asked() {
        let texts = [("a.txt".to_owned(), "text".to_owned())];
        let counted = CorpusStats::of(&|| true, &in_memory(&texts), None);
        assert!(matches!(counted, Err(CorpusError::Stopped(_))));
    }

    #[test]
    fn a_long_text_is_counted_as_a_short_one() {
        let line = "Où est le chat ?\n\n";
        let count = 3 * PIECE_BYTES / line.len();
        let long = &stats(&[("long".into(), line.repeat(count) + "fin")], None).files[0];
        assert_eq!((long.words, long.lines), (5 * count + 1, 2 * count + 1));
        assert_eq!((long.characters, long.bytes), (18 * count + 3, line.len() * count + 3));
    }

    #[test]
    fn tokens_are_counted_with_a_tokenizer() {
        let texts = vec![
            ("a.txt".to_string(), "the cat sat\n".repeat(20)),
            ("b.txt".to_string(), "cat\n".to_string()),
        ];
        let tokenizer = Tokenizer::train(
            &texts,
            &TokenizerSettings { vocab_size: 20, min_frequency: 2, ..TokenizerSettings::default() },
        )
        .unwrap();
        let found = stats(&texts, Some(&tokenizer));
        let expected: Vec<usize> =
            texts.iter().map(|(_, text)| tokenizer.encode(text).unwrap().len()).collect();
        assert_eq!(
            found.files.iter().map(|file| file.tokens.unwrap()).collect::<Vec<_>>(),
            expected
        );
        assert_eq!(found.total.tokens, Some(expected[0] + expected[1]));
        let per_word = found.total.tokens_per_word().unwrap();
        assert_eq!(per_word, (expected[0] + expected[1]) as f64 / 61.0);
    }
}
