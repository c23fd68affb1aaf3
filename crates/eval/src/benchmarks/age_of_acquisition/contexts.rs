//! The sentences in which words are read: a list made for the purpose, or lines of child-directed
//! speech.

use std::collections::BTreeMap;
use std::path::Path;

use base::input_file::{self, without_byte_order_mark};

use serde::Deserialize;

use super::error::AgeError;
use super::occurrences::WordFinder;

/// Contexts per word that are gathered from text unless another number is given: of CHILDES in
/// BabyLM's strict-small corpus about 23,000 lines with 170,000 words, which a model of 58 M
/// parameters reads in a minute or two.
pub const DEFAULT_CONTEXTS: usize = 100;

/// A sentence, and which words of the list are read in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The whole text.
    pub sentence: String,
    /// Places in the list, in the order of the file or the line, each once.
    pub words: Vec<usize>,
}

/// An entry of `sent_words.json`.
#[derive(Deserialize)]
struct Entry {
    sent: String,
    words: Vec<String>,
}

/// Reads a list like the 2023 pipeline's `sent_words.json`: `[{"sent": "...", "words": ["...",
/// ...]}, ...]`. Words that are not in the list are passed over.
pub fn read_contexts(path: &Path, finder: &WordFinder) -> Result<Vec<Context>, AgeError> {
    let bytes =
        input_file::read(path).map_err(|cause| AgeError::Io { path: path.to_owned(), cause })?;
    let entries: Vec<Entry> = serde_json::from_slice(without_byte_order_mark(&bytes))
        .map_err(|cause| AgeError::Json { path: path.to_owned(), cause })?;
    let context = |entry: Entry| {
        let mut words = Vec::new();
        for place in entry.words.iter().filter_map(|word| finder.place(word)) {
            if !words.contains(&place) {
                words.push(place);
            }
        }
        Context { sentence: entry.sent, words }
    };
    require_words(entries.into_iter().map(context).collect())
}

/// Gathers contexts from text with one utterance a line: in their order, each line that holds a
/// word which has fewer than a number of contexts so far; the line is a context of just these
/// words.
pub struct ContextGatherer<'a> {
    finder: &'a WordFinder,
    most: usize,
    counts: BTreeMap<usize, usize>,
    contexts: Vec<Context>,
}

impl<'a> ContextGatherer<'a> {
    /// Gathers up to `most` contexts for each of the finder's words.
    pub fn new(finder: &'a WordFinder, most: usize) -> Self {
        Self { finder, most, counts: BTreeMap::new(), contexts: Vec::new() }
    }

    /// Reads the next lines, all of them whole.
    pub fn read(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim) {
            let mut words = Vec::new();
            for occurrence in self.finder.find(line) {
                let count = self.counts.get(&occurrence.word).copied().unwrap_or_default();
                if count < self.most && !words.contains(&occurrence.word) {
                    words.push(occurrence.word);
                }
            }
            words.iter().for_each(|&word| *self.counts.entry(word).or_default() += 1);
            if !words.is_empty() {
                self.contexts.push(Context { sentence: line.to_owned(), words });
            }
        }
    }

    /// What was gathered.
    ///
    /// # Errors
    /// When that is nothing.
    pub fn finish(self) -> Result<Vec<Context>, AgeError> {
        require_words(self.contexts)
    }
}

fn require_words(contexts: Vec<Context>) -> Result<Vec<Context>, AgeError> {
    let some = contexts.iter().any(|context| !context.words.is_empty());
    if some { Ok(contexts) } else { Err(AgeError::NoOccurrence) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder() -> WordFinder {
        WordFinder::new(&["dog", "a", "ball"])
    }

    #[test]
    fn lines_count_for_words_that_need_more_contexts() {
        let texts = ["a dog\n\nsee a Dog, a dog!\n", "nothing\n dog with a ball \na\n"];
        let gather = |texts: &[&str], most| {
            let finder = finder();
            let mut gatherer = ContextGatherer::new(&finder, most);
            texts.iter().for_each(|lines| gatherer.read(lines));
            gatherer.finish()
        };
        let gathered = |most| {
            let contexts = gather(&texts, most).unwrap();
            contexts
                .into_iter()
                .map(|context| (context.sentence, context.words))
                .collect::<Vec<_>>()
        };
        let context = |text: &str, words: &[usize]| (text.to_owned(), words.to_vec());
        let all = [
            context("a dog", &[1, 0]),
            context("see a Dog, a dog!", &[1, 0]),
            context("dog with a ball", &[0, 1, 2]),
            context("a", &[1]),
        ];
        assert_eq!(gathered(9), all);
        assert_eq!(gathered(1), [context("a dog", &[1, 0]), context("dog with a ball", &[2])]);
        assert!(matches!(gather(&["cat"], 9), Err(AgeError::NoOccurrence)));
    }

    #[test]
    fn lists_of_sentences_are_read_and_bad_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sent_words.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_contexts(&path, &finder()).map_err(|error| error.to_string())
        };
        let found = read(
            r#"[{"sent": "A ball", "words": ["ball", "a", "ball", "cat"], "id": 3},
                {"sent": "", "words": []}]"#,
        );
        let expected = [
            Context { sentence: "A ball".into(), words: vec![2, 1] },
            Context { sentence: "".into(), words: vec![] },
        ];
        assert_eq!(found.unwrap(), expected);
        let message = read(r#"[{"sent": "A ball"}]"#).unwrap_err();
        assert!(
            message.contains("sent_words.json") && message.contains("missing field `words`"),
            "{message}"
        );
        assert!(read("{").unwrap_err().contains("not a list of"));
        assert!(
            read(r#"[{"sent": "A ball", "words": ["cat"]}]"#)
                .unwrap_err()
                .contains("no word of the list")
        );
        assert!(read_contexts(&folder.path().join("none"), &finder()).is_err());
    }
}
