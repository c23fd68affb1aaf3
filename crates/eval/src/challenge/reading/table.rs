//! The words that were read, how long that took, and what is known of them: `reading_data.csv`.

use std::path::{Path, PathBuf};

use base::input_file;

use crate::challenge::cells::{cell, number};
use crate::csv::{Record, records};
use crate::error::EvalError;

/// The columns of the times of eye tracking, in the order of the pipelines.
pub const EYE_TRACKING: [&str; 4] = ["RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound"];

/// The column of the times of self-paced reading.
pub const SELF_PACED: &str = "self_paced_reading_time";

/// The other columns that are needed.
const OTHERS: [&str; 8] = [
    "item",
    "word",
    "Subtlex_log10",
    "length",
    "context_length",
    "prev_word",
    "prev_item",
    "prev_length",
];

/// A word behind what stands before it in its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordInContext {
    /// The words before it, without a space at the end.
    pub context: String,
    /// The word, without a space before it; with its punctuation.
    pub word: String,
}

impl WordInContext {
    /// Context, space and word.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.context, self.word)
    }
}

/// A row: a word of a sentence. What is missing is None.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadingRow {
    /// Line of the file, from 1.
    pub line: usize,
    /// The word. A missing context is read as the word `None`, as the pipelines read it: the only
    /// one that the file misses is that word, lost by pandas.
    pub word: WordInContext,
    /// The word before it, if that has words before it.
    pub previous: Option<WordInContext>,
    /// Logarithm of the word's frequency in SUBTLEX.
    pub log_frequency: Option<f64>,
    /// Letters of the word.
    pub length: Option<f64>,
    /// Words before it.
    pub context_length: Option<f64>,
    /// Letters of the word before it.
    pub previous_length: Option<f64>,
    /// Milliseconds, in the order of [`EYE_TRACKING`].
    pub eye_tracking: [Option<f64>; 4],
    /// Milliseconds.
    pub self_paced: Option<f64>,
}

/// The file.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadingTable {
    /// Where it was read; for errors.
    pub path: PathBuf,
    /// At least one, in the order of the file.
    pub rows: Vec<ReadingRow>,
}

/// Reads `reading_data.csv`.
///
/// # Errors
/// When the file cannot be read or has no rows, a needed column is missing, a row has no word, or a
/// number is none.
pub fn read_table(path: &Path) -> Result<ReadingTable, EvalError> {
    let bytes =
        input_file::read(path).map_err(|cause| EvalError::Io { path: path.to_owned(), cause })?;
    ReadingTable::parse(path, &bytes)
}

impl ReadingTable {
    /// Reads the table from the bytes of a file; `path` is named in errors.
    ///
    /// # Errors
    /// As [`read_table`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, EvalError> {
        let records = records(path, bytes)?;
        let first = records.first().ok_or_else(|| EvalError::Empty { path: path.to_owned() })?;
        let needed = OTHERS.iter().chain(&EYE_TRACKING).chain([&SELF_PACED]);
        let absent: Vec<&str> = needed.copied().filter(|name| first.get(name).is_none()).collect();
        let fail = |line, cause| EvalError::Csv { path: path.to_owned(), line, cause };
        if !absent.is_empty() {
            return Err(fail(1, format!("there is no column `{}`", absent.join("`, `"))));
        }
        let read = |record: &Record| row(record).map_err(|cause| fail(record.line, cause));
        let rows = records.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { path: path.to_owned(), rows })
    }

    /// An error about a row.
    pub(super) fn error_at(&self, row: &ReadingRow, cause: String) -> EvalError {
        EvalError::Csv { path: self.path.clone(), line: row.line, cause }
    }
}

/// A row of the table. The error is the cause alone.
fn row(record: &Record) -> Result<ReadingRow, String> {
    let text = |name: &str| cell(record, name).map(str::to_owned);
    let needed = |name: &str| text(name).ok_or_else(|| format!("no `{name}`"));
    let number = |name: &str| number(record, name);
    let context = text("item").unwrap_or_else(|| "None".to_owned());
    let previous = match text("prev_item") {
        Some(context) => Some(WordInContext { context, word: needed("prev_word")? }),
        None => None,
    };
    let [first, pass, past, right] = EYE_TRACKING;
    Ok(ReadingRow {
        line: record.line,
        word: WordInContext { context, word: needed("word")? },
        previous,
        log_frequency: number("Subtlex_log10")?,
        length: number("length")?,
        context_length: number("context_length")?,
        previous_length: number("prev_length")?,
        eye_tracking: [number(first)?, number(pass)?, number(past)?, number(right)?],
        self_paced: number(SELF_PACED)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = ",item,word,Subtlex_log10,length,context_length,RTfirstfix,RTfirstpass,\
                          RTgopast,RTrightbound,self_paced_reading_time,prev_word,prev_item,\
                          prev_length";

    fn parse(rows: &str) -> Result<ReadingTable, EvalError> {
        ReadingTable::parse(Path::new("a.csv"), format!("{HEADER}\n{rows}").as_bytes())
    }

    fn message(rows: &str) -> String {
        parse(rows).unwrap_err().to_string()
    }

    #[test]
    fn cells_are_read_and_missing_ones_are_none() {
        let table = parse(
            "0,\"Well, a\",dog.,3.5,3,2,1,2,3,4,250.5,a,\"Well,\",1\n\
             1,None,of,NA,2,1,nan,2,,4,null,None,None,-1\n",
        )
        .unwrap();
        let [first, second] = &table.rows[..] else { panic!("two rows") };
        let of = |context: &str, word: &str| WordInContext {
            context: context.to_owned(),
            word: word.to_owned(),
        };
        assert_eq!(first.word, of("Well, a", "dog."));
        assert_eq!(first.previous, Some(of("Well,", "a")));
        assert_eq!((first.line, first.log_frequency, first.length), (2, Some(3.5), Some(3.0)));
        assert_eq!((first.context_length, first.previous_length), (Some(2.0), Some(1.0)));
        assert_eq!(first.eye_tracking, [Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
        assert_eq!(first.self_paced, Some(250.5));
        // The word `None` before `of` is read although pandas takes it for a missing cell.
        assert_eq!((&second.word, &second.previous), (&of("None", "of"), &None));
        assert_eq!((second.line, second.log_frequency, second.self_paced), (3, None, None));
        assert_eq!(second.eye_tracking, [None, Some(2.0), None, Some(4.0)]);
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let sound = "0,a,b,1,1,1,1,1,1,1,1,,,-1\n";
        assert_eq!(message(""), "a.csv is empty: it has no item");
        let no_number = message(&format!("{sound}1,a,b,1,x1,1,1,1,1,1,1,,,-1\n"));
        assert_eq!(no_number, "a.csv, line 3: `length` is \"x1\", which is no number");
        let infinite = message("0,a,b,1,1,1,1,inf,1,1,1,,,-1\n");
        assert_eq!(infinite, "a.csv, line 2: `RTfirstpass` is \"inf\", which is no number");
        assert_eq!(message("0,a,,1,1,1,1,1,1,1,1,,,-1\n"), "a.csv, line 2: no `word`");
        assert_eq!(message("0,a,b,1,1,1,1,1,1,1,1,,c,-1\n"), "a.csv, line 2: no `prev_word`");
        let columns = b"item,word,Subtlex_log10,length,context_length,RTfirstfix,RTgopast\n\
                        a,b,1,1,1,1,1\n";
        let found = ReadingTable::parse(Path::new("a.csv"), columns).unwrap_err().to_string();
        assert_eq!(
            found,
            "a.csv, line 1: there is no column `prev_word`, `prev_item`, `prev_length`, \
             `RTfirstpass`, `RTrightbound`, `self_paced_reading_time`"
        );
        let absent = read_table(Path::new("no/such/file.csv")).unwrap_err().to_string();
        assert!(absent.starts_with("no/such/file.csv: "), "{absent}");
    }
}
