//! Words in text, found as whole words.

use std::collections::BTreeMap;
use std::ops::Range;

/// A listed word in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Place in the list that the finder was made of.
    pub word: usize,
    /// The bytes of the text that spell it.
    pub bytes: Range<usize>,
}

/// Finds listed words in text.
///
/// A word is a longest run of letters and digits, with `'`, `’`, `-` and `_` between two of them.
/// So `can` is not found in `can't`, nor `dog` in `dog's`, but in `'dog'`. Case does not matter. An
/// entry of several words is found where they stand with one space between each two. Words inside
/// such an entry are found as well: `a lot` also has an `a`.
#[derive(Clone, Debug)]
pub struct WordFinder {
    places: BTreeMap<String, usize>,
    /// Words in the longest entry.
    most_words: usize,
}

impl WordFinder {
    /// A finder of these words, in lower case, each of which stands there once.
    pub fn new(words: &[&str]) -> Self {
        let places =
            words.iter().enumerate().map(|(place, word)| (word.to_string(), place)).collect();
        let most_words = words.iter().map(|word| word.split(' ').count()).max().unwrap_or(0);
        Self { places, most_words }
    }

    /// All occurrences in a text, by where they begin, the longer first.
    pub fn find(&self, text: &str) -> Vec<Occurrence> {
        let words = word_ranges(text);
        let mut found = Vec::new();
        for first in 0..words.len() {
            for count in (1..=self.most_words.min(words.len() - first)).rev() {
                let run = &words[first..first + count];
                if run.windows(2).any(|pair| &text[pair[0].end..pair[1].start] != " ") {
                    continue;
                }
                let bytes = run[0].start..run[count - 1].end;
                if let Some(&word) = self.places.get(&text[bytes.clone()].to_lowercase()) {
                    found.push(Occurrence { word, bytes });
                }
            }
        }
        found
    }

    /// The place of a word in the list.
    pub fn place(&self, word: &str) -> Option<usize> {
        self.places.get(&word.to_lowercase()).copied()
    }
}

/// The bytes of each word of a text.
fn word_ranges(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    // Whether the last word may go on: it ends here, or one joining sign ago.
    let mut joint = None;
    for (start, character) in text.char_indices() {
        let end = start + character.len_utf8();
        if character.is_alphanumeric() {
            match words.last_mut() {
                Some(last) if last.end == start || joint == Some(last.end) => last.end = end,
                _ => words.push(start..end),
            }
            joint = None;
        } else {
            let follows_word = words.last().is_some_and(|last| last.end == start);
            joint = (follows_word && matches!(character, '\'' | '’' | '-' | '_')).then_some(start);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let finder =
            WordFinder::new(&["a", "a lot", "can", "dog", "ice cream", "ice", "x-ray", "été"]);
        finder.find(text).into_iter().map(|occurrence| &text[occurrence.bytes]).collect()
    }

    #[test]
    fn whole_words_are_found_in_any_case() {
        assert_eq!(found("A dog can."), ["A", "dog", "can"]);
        assert_eq!(found("dogs canned hotdog dog2"), [] as [&str; 0]);
        assert_eq!(found("L'ÉTÉ été,dog;dog"), ["été", "dog", "dog"]);
        assert_eq!(found(""), [] as [&str; 0]);
    }

    #[test]
    fn apostrophes_and_hyphens_join_only_between_letters() {
        assert_eq!(found("can't dog's dog-house a_dog can’t"), [] as [&str; 0]);
        assert_eq!(
            found("'dog' dog- -dog dog--can dog''can X-ray"),
            ["dog"; 3].into_iter().chain(["dog", "can", "dog", "can", "X-ray"]).collect::<Vec<_>>()
        );
    }

    #[test]
    fn entries_of_several_words_need_single_spaces_and_hide_nothing() {
        assert_eq!(found("a lot of ice cream"), ["a lot", "a", "ice cream", "ice"]);
        assert_eq!(found("a  lot, ice, cream ice\ncream"), ["a", "ice", "ice"]);
    }
}
