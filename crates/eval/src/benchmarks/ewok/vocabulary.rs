//! The filter that made BabyLM 2024's `ewok_filtered` of `ewok-core-1.0` (`ewok/dl_and_filter.py`
//! of its pipeline): an item stays when every word of its four texts, in lower case, is in a list
//! of words, the pipeline's `ewok/vocab.txt`.

use std::collections::BTreeSet;
use std::path::Path;

use super::words::words;
use super::{Domain, EwokItem};
use crate::error::EvalError;

/// A list of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary(BTreeSet<String>);

impl Vocabulary {
    /// Reads a file of one word a line.
    ///
    /// # Errors
    /// When the file cannot be read or has no word.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let bytes = base::input_file::read(path)
            .map_err(|cause| EvalError::Io { path: path.to_owned(), cause })?;
        let lines = crate::lines::text_lines(path, &bytes)?;
        let words: BTreeSet<String> =
            lines.into_iter().map(|(_, line)| line.trim().to_owned()).collect();
        if words.is_empty() {
            return Err(EvalError::Empty { path: path.to_owned() });
        }
        Ok(Self(words))
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all words of a text are in the list.
    pub fn knows(&self, text: &str) -> bool {
        words(text).iter().all(|word| self.0.contains(word))
    }

    fn knows_item(&self, item: &EwokItem) -> bool {
        [&item.context1, &item.context2, &item.target1, &item.target2]
            .into_iter()
            .all(|text| self.knows(text))
    }

    /// The items of which all words are in the list; an item stays or goes with its swapped twin,
    /// which has the same texts.
    pub fn filter(&self, domain: &Domain) -> Domain {
        let items = domain.items.iter().filter(|item| self.knows_item(item)).cloned().collect();
        Domain { name: domain.name.clone(), items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(context: [&str; 2], target: [&str; 2]) -> EwokItem {
        let [context1, context2, target1, target2] =
            [context[0], context[1], target[0], target[1]].map(str::to_owned);
        EwokItem { context1, context2, target1, target2 }
    }

    #[test]
    fn an_item_stays_when_all_its_words_are_known() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "the\ntea\nis\nhot\r\ncold\n.\nida\nwaits\n drinks \n\n")
            .unwrap();
        let vocabulary = Vocabulary::read(file.path()).unwrap();
        assert_eq!(vocabulary.len(), 9);
        let known = item(["The tea is hot.", "The tea is cold."], ["Ida waits.", "Ida drinks."]);
        let changed = |change: fn(&mut EwokItem)| {
            let mut item = known.clone();
            change(&mut item);
            item
        };
        // A word that is not in the list, in each of the four texts.
        let unknown = [
            changed(|item| item.context1 = "The coffee is hot.".into()),
            changed(|item| item.context2 = "The tea isn't hot.".into()),
            changed(|item| item.target1 = "Ida waits!".into()),
            changed(|item| item.target2 = "Ida drinks tea, ida drinks.".into()),
        ];
        let items: Vec<EwokItem> = unknown
            .iter()
            .chain([&known])
            .flat_map(|item| [item.clone(), item.swapped()])
            .collect();
        let kept = vocabulary.filter(&Domain { name: "things".into(), items });
        assert_eq!(
            (kept.name.as_str(), kept.items),
            ("things", vec![known.clone(), known.swapped()])
        );
    }

    #[test]
    fn a_list_without_words_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\n \n").unwrap();
        assert!(matches!(Vocabulary::read(file.path()), Err(EvalError::Empty { .. })));
        assert!(matches!(Vocabulary::read(Path::new("no/such")), Err(EvalError::Io { .. })));
    }
}
