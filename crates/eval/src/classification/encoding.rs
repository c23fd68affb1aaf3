//! Items as token ids: the tokens of the first text, then those of the second, nothing between them or around.

use super::error::ClassificationError;
use super::labels::Labels;
use super::reading::{Row, Rows};
use super::truncation::longest_first;
use crate::error::EvalError;

/// An item as a classifier reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// At least one.
    pub ids: Vec<u32>,
    /// The class of its label.
    pub class: u32,
    /// Whether tokens were cut off.
    pub truncated: bool,
}

/// Turns items into token ids.
pub struct Encoder<'a> {
    /// The tokens of a text, with no special ones added.
    pub encode: &'a dyn Fn(&str) -> Vec<u32>,
    pub labels: &'a Labels,
    /// Tokens of an item at most; what is beyond is cut by [`longest_first`], at the end of each text.
    pub max_length: usize,
    /// Size of the model's vocabulary.
    pub vocab_size: usize,
}

impl Encoder<'_> {
    /// # Errors
    /// Names the line of an item without tokens or with a label that no training item has, and a token id that the model
    /// does not have.
    pub fn encode(&self, rows: &Rows) -> Result<Vec<Encoded>, EvalError> {
        rows.rows.iter().map(|row| self.encode_row(rows, row)).collect()
    }

    fn encode_row(&self, rows: &Rows, row: &Row) -> Result<Encoded, EvalError> {
        let (path, line) = (|| rows.path.clone(), row.line);
        let mut ids = (self.encode)(&row.texts.first);
        let second = row.texts.second.as_deref().map(self.encode).unwrap_or_default();
        let whole = ids.len() + second.len();
        let (kept_first, kept_second) = longest_first(ids.len(), second.len(), self.max_length);
        ids.truncate(kept_first);
        ids.extend_from_slice(&second[..kept_second]);
        if ids.is_empty() {
            return Err(ClassificationError::NoTokens { path: path(), line }.into());
        }
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            return Err(EvalError::TokenOutside { id, vocab_size: self.vocab_size });
        }
        let unseen = || ClassificationError::UnseenLabel { path: path(), line, label: row.label };
        let class = self.labels.class(row.label).ok_or_else(unseen)?;
        Ok(Encoded { truncated: ids.len() < whole, ids, class })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tasks::find_task;
    use super::*;

    fn bytes(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn encode(text: &str, max_length: usize) -> Result<Vec<Encoded>, EvalError> {
        let rows = Rows::parse(find_task("rte").unwrap(), Path::new("rte.valid.jsonl"), text.as_bytes())?;
        let training = "{\"sentence1\": \"\", \"sentence2\": \"\", \"label\": 0}\n\
                        {\"sentence1\": \"\", \"sentence2\": \"\", \"label\": 1}\n";
        let training = Rows::parse(find_task("rte").unwrap(), Path::new("rte.train.jsonl"), training.as_bytes())?;
        let labels = Labels::of(&training)?;
        Encoder { encode: &bytes, labels: &labels, max_length, vocab_size: 128 }.encode(&rows)
    }

    fn item(first: &str, second: &str) -> String {
        format!("{{\"sentence1\": \"{first}\", \"sentence2\": \"{second}\", \"label\": 1}}\n")
    }

    #[test]
    fn texts_follow_each_other_and_the_longer_one_is_cut() {
        let found = encode(&[item("abc", "de"), item("abcdefgh", "xy"), item("abcdefgh", "stuvwxyz")].concat(), 6);
        let expected = [("abcde", false), ("abcdxy", true), ("abcstu", true)];
        let expected = expected.map(|(text, truncated)| Encoded { ids: bytes(text), class: 1, truncated });
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn items_that_no_model_can_read_are_named() {
        let message = |text: &str| encode(text, 6).unwrap_err().to_string();
        let nothing = message(&[item("a", ""), item("", "")].concat());
        assert_eq!(nothing, "rte.valid.jsonl, line 2: the tokenizer leaves nothing of the item's text");
        assert!(message(&item("é", "")).contains("id 195, outside the model's vocabulary of 128"));
    }

    #[test]
    fn labels_must_occur_in_training() {
        let mnli = find_task("mnli").unwrap();
        let text = |label: u32| format!("{{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": {label}}}\n");
        let parse = |path: &str, text: String| Rows::parse(mnli, Path::new(path), text.as_bytes()).unwrap();
        let labels = Labels::of(&parse("t", text(0) + &text(2))).unwrap();
        let encoder = Encoder { encode: &bytes, labels: &labels, max_length: 6, vocab_size: 128 };
        assert_eq!(encoder.encode(&parse("v", text(2))).unwrap()[0].class, 1);
        let message = encoder.encode(&parse("v", text(2) + &text(1))).unwrap_err().to_string();
        assert_eq!(message, "v, line 2: no training item has the label 1");
    }
}
