//! The words of the task: what stands before them in texts (`cdi_childes.json`), and how many
//! children say them at which age (`cdi_human.csv`).

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use base::input_file::{self, without_byte_order_mark};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::challenge::cells::{cell, number};
use crate::csv::records;
use crate::error::EvalError;

/// The months of a child's age that `cdi_human.csv` has columns for.
const MONTHS: std::ops::RangeInclusive<u32> = 16..=30;

/// A word, and texts that it may end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordContexts {
    /// The word, of more than one letter.
    pub word: String,
    /// What stands before it: beginnings of sentences.
    pub contexts: Vec<String>,
}

/// How many children say a word: the months for which that is known, and the share from 0 to 1.
pub type ChildCurve = Vec<(f64, f64)>;

/// What the task compares.
#[derive(Clone, Debug, PartialEq)]
pub struct AoaData {
    /// The words of the texts, in the order of the file.
    pub words: Vec<WordContexts>,
    /// Of each word that is known of children.
    pub children: HashMap<String, ChildCurve>,
}

impl AoaData {
    /// Reads both files.
    ///
    /// # Errors
    /// When one of them cannot be read, has no word or is damaged; the file and the line are named.
    pub fn read(contexts: &Path, children: &Path) -> Result<Self, EvalError> {
        let read = |path: &Path| {
            input_file::read(path).map_err(|cause| EvalError::Io { path: path.to_owned(), cause })
        };
        Ok(Self {
            words: parse_contexts(contexts, &read(contexts)?)?,
            children: parse_children(children, &read(children)?)?,
        })
    }

    /// How many texts there are.
    pub fn texts(&self) -> usize {
        self.words.iter().map(|word| word.contexts.len()).sum()
    }
}

/// The words of `cdi_childes.json`. Those of a single letter are left out, as the pipelines do.
fn parse_contexts(path: &Path, bytes: &[u8]) -> Result<Vec<WordContexts>, EvalError> {
    let words: Words = serde_json::from_slice(without_byte_order_mark(bytes))
        .map_err(|cause| EvalError::Json { path: path.to_owned(), line: cause.line(), cause })?;
    let Words(mut words) = words;
    words.retain(|word| word.word.chars().count() > 1);
    match words.is_empty() {
        true => Err(EvalError::Empty { path: path.to_owned() }),
        false => Ok(words),
    }
}

/// A JSON object of words, in its order.
struct Words(Vec<WordContexts>);

#[derive(Deserialize)]
struct Entry {
    context: String,
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of words, each with a list of contexts")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Words, M::Error> {
        let (mut words, mut places) = (Vec::new(), HashMap::new());
        while let Some((word, entries)) = map.next_entry::<String, Vec<Entry>>()? {
            let contexts = entries.into_iter().map(|entry| entry.context).collect();
            let found = WordContexts { word: word.clone(), contexts };
            // Of a word that comes twice Python keeps the first place and the last value.
            match places.insert(word, words.len()) {
                Some(place) => words[place] = found,
                None => words.push(found),
            }
        }
        Ok(Words(words))
    }
}

/// The words of `cdi_human.csv`; of a word that comes twice the first row counts.
fn parse_children(path: &Path, bytes: &[u8]) -> Result<HashMap<String, ChildCurve>, EvalError> {
    let fail = |line, cause| EvalError::Csv { path: path.to_owned(), line, cause };
    let records = records(path, bytes)?;
    let first = records.first().ok_or_else(|| EvalError::Empty { path: path.to_owned() })?;
    let months: Vec<(u32, String)> = MONTHS.map(|month| (month, month.to_string())).collect();
    let columns = std::iter::once("word").chain(months.iter().map(|(_, column)| column.as_str()));
    let absent: Vec<&str> = columns.filter(|column| first.get(column).is_none()).collect();
    if !absent.is_empty() {
        return Err(fail(1, format!("there is no column `{}`", absent.join("`, `"))));
    }
    let mut children = HashMap::new();
    for record in &records {
        let Some(word) = cell(record, "word") else { continue };
        let share = |(month, column): &(u32, String)| {
            let share = number(record, column).transpose()?;
            Some(share.map(|share| (f64::from(*month), share)))
        };
        let curve: Result<ChildCurve, String> = months.iter().filter_map(share).collect();
        let curve = curve.map_err(|cause| fail(record.line, cause))?;
        children.entry(word.to_owned()).or_insert(curve);
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts(text: &str) -> Result<Vec<WordContexts>, String> {
        parse_contexts(Path::new("a.json"), text.as_bytes()).map_err(|error| error.to_string())
    }

    fn children(rows: &str) -> Result<HashMap<String, ChildCurve>, String> {
        let months: Vec<String> = MONTHS.map(|month| month.to_string()).collect();
        let text = format!("word,{}\n{rows}", months.join(","));
        parse_children(Path::new("a.csv"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn words_keep_their_order_and_single_letters_are_left_out() {
        let found = contexts(
            "{\"zoo\": [{\"context\": \"At the\", \"word_in_context_stats\": {\"count\": 2}}],\n\
             \"I\": [{\"context\": \"So am\"}], \"apple\": [],\n\
             \"zoo\": [{\"context\": \"By a\"}, {\"context\": \"Of a\"}]}",
        );
        let word = |word: &str, contexts: &[&str]| WordContexts {
            word: word.to_owned(),
            contexts: contexts.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(found.unwrap(), [word("zoo", &["By a", "Of a"]), word("apple", &[])]);
    }

    #[test]
    fn damaged_contexts_are_named_with_their_place() {
        let message = |text| contexts(text).unwrap_err();
        assert_eq!(
            message("{\"zoo\":\n[{\"text\": \"At the\"}]}"),
            "a.json, line 2: bad JSON at byte 19: missing field `context`"
        );
        assert!(message("[]").contains("expected an object of words"), "{}", message("[]"));
        assert_eq!(message("{\"I\": []}"), "a.json is empty: it has no item");
    }

    #[test]
    fn of_a_word_the_first_row_counts_and_missing_shares_are_left_out() {
        let empty = ",".repeat(12);
        let found = children(&format!("dog,0.1,NA,0.5{empty}\ndog,1,1,1{empty}\n,1,1,1{empty}\n"));
        let expected = HashMap::from([("dog".to_owned(), vec![(16.0, 0.1), (18.0, 0.5)])]);
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn damaged_shares_are_named_with_their_line() {
        let empty = ",".repeat(12);
        assert_eq!(
            children(&format!("dog,1,1,1{empty}\ncat,1,x,1{empty}\n")).unwrap_err(),
            "a.csv, line 3: `17` is \"x\", which is no number"
        );
        assert_eq!(children("").unwrap_err(), "a.csv is empty: it has no item");
        let found = parse_children(Path::new("a.csv"), b"word,16\ndog,1\n").unwrap_err();
        let expected = "a.csv, line 1: there is no column `17`, `18`, `19`";
        assert!(found.to_string().starts_with(expected), "{found}");
    }
}
