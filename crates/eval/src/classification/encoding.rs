//! Items as token ids: the tokens of the first text, then those of the second. Decoders read
//! nothing between them or around; masked models read special tokens there.

use serde::Serialize;

use super::error::ClassificationError;
use super::labels::Labels;
use super::reading::{Row, Rows};
use super::truncation::longest_first;
use crate::error::EvalError;

/// An item as a classifier reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, at least one.
    pub ids: Vec<u32>,
    /// The class of its label.
    pub class: u32,
    /// Whether tokens were cut off.
    pub truncated: bool,
}

/// The special tokens around texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Around {
    /// Tokens before the first text.
    pub before: Vec<u32>,
    /// Between two texts.
    pub between: Vec<u32>,
    /// After the last text.
    pub after: Vec<u32>,
}

impl Around {
    /// How many there are.
    pub fn tokens(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }

    fn put(&self, first: &[u32], second: &[u32]) -> Vec<u32> {
        [&self.before[..], first, &self.between, second, &self.after].concat()
    }
}

/// The special tokens of items of one text and of two; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpecialTokens {
    /// Special tokens of items of one text.
    pub single: Around,
    /// Special tokens of items of two texts.
    pub pair: Around,
}

/// Turns items into token ids.
pub struct Encoder<'a> {
    /// The tokens of a text, with no special ones added.
    pub encode: &'a dyn Fn(&str) -> Result<Vec<u32>, EvalError>,
    /// The special tokens that are added then.
    pub special_tokens: &'a SpecialTokens,
    /// The labels of the training items.
    pub labels: &'a Labels,
    /// Tokens of an item at most, special ones included; what is beyond is cut by
    /// [`longest_first`].
    pub max_length: usize,
    /// Whether each text loses its beginning instead of its end.
    pub cut_at_start: bool,
    /// Size of the model's vocabulary.
    pub vocab_size: usize,
}

impl Encoder<'_> {
    /// The items of a file, in its order.
    ///
    /// # Errors
    /// Those of `encode`. Names the line of an item without tokens or with a label that no training
    /// item has, and a token id that the model does not have. Also when the special tokens alone
    /// are as long as an item may be.
    pub fn encode(&self, rows: &Rows) -> Result<Vec<Encoded>, EvalError> {
        if self.special_tokens.pair.tokens().max(self.special_tokens.single.tokens())
            >= self.max_length
        {
            return Err(EvalError::TooFewPositions { positions: self.max_length });
        }
        rows.rows.iter().map(|row| self.encode_row(rows, row)).collect()
    }

    fn encode_row(&self, rows: &Rows, row: &Row) -> Result<Encoded, EvalError> {
        let (path, line) = (|| rows.path.clone(), row.line);
        let first = (self.encode)(&row.texts.first)?;
        let second = row.texts.second.as_deref().map(self.encode).transpose()?.unwrap_or_default();
        let around = match row.texts.second {
            None => &self.special_tokens.single,
            Some(_) => &self.special_tokens.pair,
        };
        let (kept_first, kept_second) =
            longest_first(first.len(), second.len(), self.max_length - around.tokens());
        let truncated = kept_first + kept_second < first.len() + second.len();
        let kept = |ids: &[u32], count: usize| match self.cut_at_start {
            true => ids[ids.len() - count..].to_vec(),
            false => ids[..count].to_vec(),
        };
        let ids = around.put(&kept(&first, kept_first), &kept(&second, kept_second));
        if ids.is_empty() {
            return Err(ClassificationError::NoTokens { path: path(), line }.into());
        }
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            return Err(EvalError::TokenOutside { id, vocab_size: self.vocab_size });
        }
        let unseen = || ClassificationError::UnseenLabel { path: path(), line, label: row.label };
        let class = self.labels.class(row.label).ok_or_else(unseen)?;
        Ok(Encoded { truncated, ids, class })
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
        encode_with(&SpecialTokens::default(), text, max_length)
    }

    fn encode_with(
        special: &SpecialTokens,
        text: &str,
        max_length: usize,
    ) -> Result<Vec<Encoded>, EvalError> {
        let rows =
            Rows::parse(find_task("rte").unwrap(), Path::new("rte.valid.jsonl"), text.as_bytes())?;
        let training = "{\"sentence1\": \"\", \"sentence2\": \"\", \"label\": 0}\n\
                        {\"sentence1\": \"\", \"sentence2\": \"\", \"label\": 1}\n";
        let training = Rows::parse(
            find_task("rte").unwrap(),
            Path::new("rte.train.jsonl"),
            training.as_bytes(),
        )?;
        let labels = Labels::of(&training)?;
        Encoder {
            encode: &|text| Ok(bytes(text)),
            special_tokens: special,
            labels: &labels,
            max_length,
            cut_at_start: false,
            vocab_size: 128,
        }
        .encode(&rows)
    }

    fn item(first: &str, second: &str) -> String {
        format!("{{\"sentence1\": \"{first}\", \"sentence2\": \"{second}\", \"label\": 1}}\n")
    }

    #[test]
    fn texts_follow_each_other_and_the_longer_one_is_cut() {
        let found = encode(
            &[item("abc", "de"), item("abcdefgh", "xy"), item("abcdefgh", "stuvwxyz")].concat(),
            6,
        );
        let expected = [("abcde", false), ("abcdxy", true), ("abcstu", true)];
        let expected =
            expected.map(|(text, truncated)| Encoded { ids: bytes(text), class: 1, truncated });
        assert_eq!(found.unwrap(), expected);
    }

    fn around(before: &str, between: &str, after: &str) -> Around {
        Around { before: bytes(before), between: bytes(between), after: bytes(after) }
    }

    #[test]
    fn special_tokens_stand_around_what_is_left_of_the_texts() {
        let special = SpecialTokens { single: around("(", "", ")"), pair: around("<", "||", ">") };
        let items =
            [item("abc", "de"), item("abcdefgh", "xy"), item("abcdefgh", "stuvwxyz"), item("", "")];
        let found = encode_with(&special, &items.concat(), 10);
        let expected =
            [("<abc||de>", false), ("<abcd||xy>", true), ("<abc||stu>", true), ("<||>", false)];
        let expected =
            expected.map(|(text, truncated)| Encoded { ids: bytes(text), class: 1, truncated });
        assert_eq!(found.unwrap(), expected);
        assert!(matches!(
            encode_with(&special, &items.concat(), 4),
            Err(EvalError::TooFewPositions { positions: 4 })
        ));

        let cola = |text: &str| {
            Rows::parse(find_task("cola").unwrap(), Path::new("cola"), text.as_bytes()).unwrap()
        };
        let line =
            |text: &str, label: u32| format!("{{\"sentence\": \"{text}\", \"label\": {label}}}\n");
        let rows = cola(&(line("abcdefghijkl", 0) + &line("a", 1)));
        let labels = Labels::of(&rows).unwrap();
        let encoder = Encoder {
            encode: &|text| Ok(bytes(text)),
            special_tokens: &special,
            labels: &labels,
            max_length: 10,
            cut_at_start: false,
            vocab_size: 128,
        };
        let texts =
            encoder.encode(&rows).unwrap().into_iter().map(|item| (item.ids, item.truncated));
        assert_eq!(texts.collect::<Vec<_>>(), [(bytes("(abcdefgh)"), true), (bytes("(a)"), false)]);
    }

    #[test]
    fn items_that_no_model_can_read_are_named() {
        let message = |text: &str| encode(text, 6).unwrap_err().to_string();
        let nothing = message(&[item("a", ""), item("", "")].concat());
        assert_eq!(
            nothing,
            "rte.valid.jsonl, line 2: the tokenizer leaves nothing of the item's text"
        );
        assert!(message(&item("é", "")).contains("id 195, outside the model's vocabulary of 128"));
    }

    #[test]
    fn labels_must_occur_in_training() {
        let mnli = find_task("mnli").unwrap();
        let text = |label: u32| {
            format!("{{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": {label}}}\n")
        };
        let parse =
            |path: &str, text: String| Rows::parse(mnli, Path::new(path), text.as_bytes()).unwrap();
        let labels = Labels::of(&parse("t", text(0) + &text(2))).unwrap();
        let special_tokens = &SpecialTokens::default();
        let encoder = Encoder {
            encode: &|text| Ok(bytes(text)),
            special_tokens,
            labels: &labels,
            max_length: 6,
            cut_at_start: false,
            vocab_size: 128,
        };
        assert_eq!(encoder.encode(&parse("v", text(2))).unwrap()[0].class, 1);
        let message = encoder.encode(&parse("v", text(2) + &text(1))).unwrap_err().to_string();
        assert_eq!(message, "v, line 2: no training item has the label 1");
    }

    #[test]
    fn the_beginning_goes_where_the_tokenizer_cuts_at_the_left() {
        let text =
            "{\"sentence\": \"abcdef\", \"label\": 0}\n{\"sentence\": \"b\", \"label\": 1}\n";
        let rows =
            Rows::parse(find_task("cola").unwrap(), Path::new("a"), text.as_bytes()).unwrap();
        let encoder = Encoder {
            encode: &|text| Ok(bytes(text)),
            special_tokens: &SpecialTokens::default(),
            labels: &Labels::of(&rows).unwrap(),
            max_length: 4,
            cut_at_start: true,
            vocab_size: 256,
        };
        let found = encoder.encode(&rows).unwrap();
        assert_eq!((&found[0].ids, found[0].truncated), (&bytes("cdef"), true));
        assert_eq!((&found[1].ids, found[1].truncated), (&bytes("b"), false));
    }
}
