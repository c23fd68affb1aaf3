//! GPT-2's words: where the byte-level pre-tokenizer cuts a text.
//!
//! The pattern is `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
//! Every character has one of the four classes that it distinguishes. Those of ASCII are in a
//! table; any other character is classified by letting the library cut a text of two characters, so
//! that both always use the same version of Unicode.

use std::collections::HashMap;
use std::convert::Infallible;

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// The class of a character in the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    Space,
    Other,
}

const ASCII: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut byte = 0;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b' ' | b'\t'..=b'\r' => Class::Space,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// Cuts texts into words, and remembers the classes of the characters it has met.
#[derive(Debug, Default)]
pub(super) struct WordSplitter {
    beyond_ascii: HashMap<char, Class>,
}

impl WordSplitter {
    /// Calls `visit` with each word of a text, in order; together they are the text.
    pub(super) fn for_each_word(&mut self, text: &str, mut visit: impl FnMut(&str)) {
        let Ok(()) = self.try_for_each_word(text, |word| -> Result<(), Infallible> {
            visit(word);
            Ok(())
        });
    }

    /// Calls `visit` with each word of a text, as [`for_each_word`](Self::for_each_word), until a
    /// visit fails.
    pub(super) fn try_for_each_word<E>(
        &mut self,
        text: &str,
        mut visit: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = text;
        while !rest.is_empty() {
            let (word, after) = rest.split_at(self.first_word(rest));
            visit(word)?;
            rest = after;
        }
        Ok(())
    }

    /// The length in bytes of the first word of a text that is not empty.
    fn first_word(&mut self, text: &str) -> usize {
        if let Some(length) = contraction(text.as_bytes()) {
            return length;
        }
        // A space belongs to the word that follows it.
        let start = usize::from(text.starts_with(' '));
        match self.class_at(text, start) {
            Some((class, _)) if class != Class::Space => self.end_of_run(text, start, class).0,
            _ => self.first_white_space(text),
        }
    }

    /// White space up to a word, all but its last character; a single one, or what ends the text,
    /// as a whole.
    fn first_white_space(&mut self, text: &str) -> usize {
        let (end, last) = self.end_of_run(text, 0, Class::Space);
        if end < text.len() && last > 0 { last } else { end }
    }

    /// Where the characters of a class that begin at `start` end, and where the last of them
    /// begins.
    fn end_of_run(&mut self, text: &str, start: usize, class: Class) -> (usize, usize) {
        let (mut end, mut last) = (start, start);
        while let Some((next, length)) = self.class_at(text, end)
            && next == class
        {
            (end, last) = (end + length, end);
        }
        (end, last)
    }

    /// The class and the length in bytes of the character that begins at `at`, unless the text ends
    /// there.
    fn class_at(&mut self, text: &str, at: usize) -> Option<(Class, usize)> {
        let byte = *text.as_bytes().get(at)?;
        if let Some(&class) = ASCII.get(usize::from(byte)) {
            return Some((class, 1));
        }
        let character = text[at..].chars().next()?;
        let class =
            *self.beyond_ascii.entry(character).or_insert_with(|| class_by_library(character));
        Some((class, character.len_utf8()))
    }
}

/// The length of the contraction that begins a text.
fn contraction(text: &[u8]) -> Option<usize> {
    match text {
        [b'\'', b's' | b't' | b'm' | b'd', ..] => Some(2),
        [b'\'', b'r' | b'v', b'e', ..] | [b'\'', b'l', b'l', ..] => Some(3),
        _ => None,
    }
}

/// The class for which the library sees one word in a character of that class and this one.
fn class_by_library(character: char) -> Class {
    let joins = |start: char| words_by_library(&format!("{start}{character}")).len() == 1;
    let classes = [('a', Class::Letter), ('1', Class::Number), ('!', Class::Other)];
    classes.into_iter().find(|&(start, _)| joins(start)).map_or(Class::Space, |(_, class)| class)
}

fn words_by_library(text: &str) -> Vec<String> {
    pre_tokenized(text, true)
}

/// A word with its bytes written as the characters that stand for them in a byte-level vocabulary.
pub(super) fn in_byte_level(word: &str) -> String {
    pre_tokenized(word, false).concat()
}

fn pre_tokenized(text: &str, by_pattern: bool) -> Vec<String> {
    let mut pieces = PreTokenizedString::from(text);
    ByteLevel::new(false, true, by_pattern)
        .pre_tokenize(&mut pieces)
        .expect("splitting by a pattern cannot fail");
    let splits = pieces.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    splits.into_iter().map(|(word, _, _)| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::test_texts;
    use super::*;

    fn words(splitter: &mut WordSplitter, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        splitter.for_each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_those_of_the_pattern() {
        let splitter = &mut WordSplitter::default();
        assert_eq!(
            words(splitter, "we'll  see the dog's\n\n x2!\u{A0}é "),
            [
                "we", "'ll", " ", " see", " the", " dog", "'s", "\n\n", " x", "2", "!", "\u{A0}",
                "é", " "
            ]
        );
        assert_eq!(
            words(splitter, "'LL !'s ''s 're're"),
            ["'", "LL", " !'", "s", " ''", "s", " '", "re", "'re"]
        );
    }

    #[test]
    fn words_are_those_of_the_library() {
        let splitter = &mut WordSplitter::default();
        for text in test_texts::texts() {
            let ours: Vec<String> =
                words(splitter, &text).iter().map(|word| in_byte_level(word)).collect();
            assert_eq!(ours, words_by_library(&text), "{text:?}");
        }
    }

    #[test]
    fn every_character_has_the_class_that_the_library_sees() {
        let splitter = &mut WordSplitter::default();
        for block in test_texts::all_characters().chunks(4096) {
            let text: String = block
                .iter()
                .flat_map(|&character| ['a', character, '1', character, '!', character])
                .collect();
            let ours: Vec<String> =
                words(splitter, &text).iter().map(|word| in_byte_level(word)).collect();
            assert_eq!(ours, words_by_library(&text), "characters from U+{:04X}", block[0] as u32);
        }
    }
}
