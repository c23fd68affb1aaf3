//! The word list: a CSV file with `|` around fields that need it.

use std::path::Path;

use super::error::AgeError;
use crate::csv::{Record, records_in_quotes};

/// The first line.
const HEADER: &str =
    "language,uni_lemma,lexical_category,category,definition,word_clean,aoa,concreteness,frequency";

/// The three kinds of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Nouns.
    Noun,
    /// Verbs and adjectives.
    Predicate,
    /// Function words.
    FunctionWord,
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word as it is searched in text, in lower case; two meanings of a word are two rows with
    /// the same text.
    pub text: String,
    /// Noun, predicate or function word.
    pub category: Category,
    /// Age of acquisition in months.
    pub age: f64,
    /// Concreteness, rated from 1 to 5.
    pub concreteness: f64,
    /// Occurrences in child-directed speech.
    pub frequency: u64,
}

/// Words with their ages and predictors.
#[derive(Clone, Debug, PartialEq)]
pub struct WordList {
    /// The words, in the order of the file.
    pub rows: Vec<Word>,
}

impl WordList {
    /// Reads `word_list.csv` of the 2023 pipeline.
    pub fn read(path: &Path) -> Result<Self, AgeError> {
        let bytes = base::input_file::read(path)
            .map_err(|cause| AgeError::Io { path: path.to_owned(), cause })?;
        Self::parse(path, &bytes)
    }

    /// Reads the list from the bytes of a file; `path` is named in errors.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, AgeError> {
        let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let found = String::from_utf8_lossy(first);
        let found = found.trim_start_matches('\u{feff}').trim_end();
        if found != HEADER {
            let found = found.chars().take(200).collect();
            return Err(AgeError::Header { path: path.to_owned(), found, expected: HEADER });
        }
        let read = |record: Record| {
            let line = record.line;
            word(&record).map_err(|what| AgeError::Row { path: path.to_owned(), line, what })
        };
        let rows = records_in_quotes('|', path, bytes)?
            .into_iter()
            .map(read)
            .collect::<Result<Vec<Word>, _>>()?;
        if rows.is_empty() {
            return Err(AgeError::NoWord { path: path.to_owned() });
        }
        Ok(Self { rows })
    }

    /// The texts of all words, each once, in the order of the list.
    pub fn texts(&self) -> Vec<&str> {
        let mut seen = std::collections::BTreeSet::new();
        self.rows.iter().map(|row| row.text.as_str()).filter(|text| seen.insert(*text)).collect()
    }
}

/// The word of a row, or what is wrong with it.
fn word(record: &Record) -> Result<Word, String> {
    // The header was checked, so that every column is there.
    let field = |name: &str| record.get(name).unwrap_or_default();
    let category = match field("lexical_category") {
        "nouns" => Category::Noun,
        "predicates" => Category::Predicate,
        "function_words" => Category::FunctionWord,
        other => {
            return Err(format!(
                "lexical_category is `{other}`; it must be nouns, predicates or function_words"
            ));
        }
    };
    let text = field("word_clean").trim().to_lowercase();
    if text.is_empty() {
        return Err("word_clean is empty".to_owned());
    }
    let number = |name: &str| {
        let number = field(name).trim().parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| format!("{name} is `{}`; it must be a number", field(name)))
    };
    let frequency =
        field("frequency").trim().parse().ok().filter(|&count: &u64| count > 0).ok_or_else(
            || {
                let found = field("frequency");
                format!("frequency is `{found}`; it must be a whole number above 0")
            },
        )?;
    Ok(Word {
        text,
        category,
        age: number("aoa")?,
        concreteness: number("concreteness")?,
        frequency,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &str) -> Result<WordList, String> {
        WordList::parse(Path::new("data/words.csv"), format!("{HEADER}\n{rows}").as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn rows_are_read_in_order_and_texts_once() {
        let list = parse(
            "English,slide,nouns,a,|slide, \
             the|,slide,20.5,4.5,30\r\nEnglish,|a||b|,predicates,b,x,slide,21,3,7\n\n\
             English,a,function_words,c,a,a lot,22,1,8\n",
        )
        .unwrap();
        let slide = Word {
            text: "slide".into(),
            category: Category::Noun,
            age: 20.5,
            concreteness: 4.5,
            frequency: 30,
        };
        assert_eq!(list.rows[0], slide);
        assert_eq!(list.rows[1].category, Category::Predicate);
        assert_eq!(list.texts(), ["slide", "a lot"]);
    }

    #[test]
    fn bad_lists_are_named_with_their_line() {
        let row = |changes: &str| format!("E,a,nouns,a,a,ab,20,4,30\n{changes}\n");
        let cases = [
            (
                "E,a,nouns,a,a,ab,20,4",
                "words.csv, line 3: 8 fields where the first line has 9 names",
            ),
            ("E,a,noun,a,a,ab,20,4,30", "line 3: lexical_category is `noun`"),
            ("E,a,nouns,a,a,,20,4,30", "line 3: word_clean is empty"),
            ("E,a,nouns,a,a,ab,2O,4,30", "line 3: aoa is `2O`; it must be a number"),
            ("E,a,nouns,a,a,ab,20,inf,30", "line 3: concreteness is `inf`"),
            (
                "E,a,nouns,a,a,ab,20,4,0",
                "line 3: frequency is `0`; it must be a whole number above 0",
            ),
            ("E,a,nouns,a,a,ab,20,4,1.5", "line 3: frequency is `1.5`"),
        ];
        assert!(parse("E,|a,nouns\n").unwrap_err().contains("line 2: a quote that never ends"));
        for (changes, expected) in cases {
            let message = parse(&row(changes)).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        assert!(parse("").unwrap_err().contains("words.csv lists no word"));
        let header = WordList::parse(Path::new("w.csv"), b"word,aoa\n").unwrap_err().to_string();
        assert!(
            header.contains("line 1: the columns are `word,aoa`; they must be `language,"),
            "{header}"
        );
    }
}
