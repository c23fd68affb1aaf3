//! Comma-separated values with a line of names first (RFC 4180): fields may be in quotes, and then
//! hold commas, line feeds, and quotes written twice.

use std::path::Path;
use std::sync::Arc;

use crate::error::EvalError;

/// One row.
pub(crate) struct Record {
    /// Line of the file that the row begins on, from 1.
    pub(crate) line: usize,
    names: Arc<[String]>,
    fields: Vec<String>,
}

impl Record {
    /// The field of a column, if there is such a column.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.names.iter().position(|known| known == name).map(|index| self.fields[index].as_str())
    }
}

/// All rows of a file; `path` is named in errors.
///
/// # Errors
/// When the text is not UTF-8, a quote never ends, or a row has more or fewer fields than the first
/// line has names.
pub(crate) fn records(path: &Path, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    records_in_quotes('"', path, bytes)
}

/// All rows of a file, as [`records`], with `quote` as the sign for quotes.
pub(crate) fn records_in_quotes(
    quote: char,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<Record>, EvalError> {
    let fail = |line: usize, cause: String| EvalError::Csv { path: path.to_owned(), line, cause };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        EvalError::NotUtf8 { path: path.to_owned(), line, offset: error.valid_up_to() }
    })?;
    let mut rest = text.trim_start_matches('\u{feff}');
    let (mut line, mut rows) = (1, Vec::new());
    while !rest.is_empty() {
        let (fields, after) =
            row(rest, quote).ok_or_else(|| fail(line, "a quote that never ends".into()))?;
        // An empty line is no row.
        if fields.len() > 1 || !fields[0].is_empty() {
            rows.push((line, fields));
        }
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    let mut rows = rows.into_iter();
    let names: Arc<[String]> = rows.next().map(|(_, names)| names).unwrap_or_default().into();
    rows.map(|(line, fields)| match fields.len() == names.len() {
        true => Ok(Record { line, names: names.clone(), fields }),
        false => Err(fail(
            line,
            format!("{} fields where the first line has {} names", fields.len(), names.len()),
        )),
    })
    .collect()
}

/// The fields of the first row, and the text behind it. None when a quote does not end.
fn row(text: &str, quote: char) -> Option<(Vec<String>, &str)> {
    let (mut fields, mut field, mut in_quotes) = (Vec::new(), String::new(), false);
    let mut letters = text.char_indices().peekable();
    while let Some((index, letter)) = letters.next() {
        match letter {
            sign if sign == quote
                && in_quotes
                && letters.next_if(|(_, next)| *next == quote).is_some() =>
            {
                field.push(quote)
            }
            sign if sign == quote && (in_quotes || field.is_empty()) => in_quotes = !in_quotes,
            ',' if !in_quotes => fields.push(std::mem::take(&mut field)),
            '\r' if !in_quotes && text[index + 1..].starts_with('\n') => (),
            '\n' if !in_quotes => {
                fields.push(field);
                return Some((fields, &text[index + 1..]));
            }
            other => field.push(other),
        }
    }
    fields.push(field);
    (!in_quotes).then_some((fields, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Record>, EvalError> {
        records(Path::new("a.csv"), text.as_bytes())
    }

    #[test]
    fn quotes_hold_commas_line_feeds_and_quotes() {
        let text = "\u{feff}a,b\r\n\"x, y\",\"say \"\"no\"\"\nor yes\"\r\n\n1,\n\"\",5 \"feet\"";
        let rows = parse(text).unwrap();
        let fields: Vec<_> = rows
            .iter()
            .map(|row| (row.line, row.get("a").unwrap(), row.get("b").unwrap()))
            .collect();
        assert_eq!(
            fields,
            [(2, "x, y", "say \"no\"\nor yes"), (5, "1", ""), (6, "", "5 \"feet\"")]
        );
        assert_eq!(rows[0].get("c"), None);
        assert!(parse("").unwrap().is_empty());
        let rows = records_in_quotes('|', Path::new("a.csv"), b"a,b\n|x, |||,\"y\n").unwrap();
        assert_eq!((rows[0].get("a"), rows[0].get("b")), (Some("x, |"), Some("\"y")));
    }

    #[test]
    fn damage_is_named() {
        let message = |text: &str| parse(text).err().unwrap().to_string();
        assert_eq!(message("a,b\n1\n"), "a.csv, line 2: 1 fields where the first line has 2 names");
        assert_eq!(message("a,b\n1,2\n\"1,2\n"), "a.csv, line 3: a quote that never ends");
        let bytes = records(Path::new("a.csv"), b"a\n1\n\xff\n").err().unwrap().to_string();
        assert!(bytes.contains("line 3: not UTF-8 (byte 4"), "{bytes}");
    }
}
