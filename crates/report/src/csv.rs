//! Comma-separated values (RFC 4180), and the metrics of many models as one table of them.
//!
//! Texts are written as they are, in quotes where they need them, but for characters that no one
//! sees and that change how a terminal or an editor shows what is around them: these are escaped as
//! [`visible`](crate::format::visible) does, `\u{202e}`. A spreadsheet may take a text that begins
//! with `=` for a formula: import such files as text.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use base::input_file::open_regular;
use serde_json::{Map, Value};

use crate::ReportError;
use crate::format::{is_unseen, visible};

/// A model of a run and its metrics log.
#[derive(Clone, Copy, Debug)]
pub struct MetricsSource<'a> {
    /// The run's name or folder, for the first column.
    pub run: &'a str,
    /// The model's name, for the second column.
    pub model: &'a str,
    /// Its `metrics.jsonl`.
    pub path: &'a Path,
}

/// What a table of metrics got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Its rows.
    pub records: u64,
    /// Lines that are no records: they are left out.
    pub left_out: u64,
}

/// How every table of metrics begins.
pub const BEGINNING: &str = "run,model,event,";

/// The first columns.
const LEADING: [&str; 2] = ["run", "model"];

/// A text as a field.
pub fn field(text: &str) -> Cow<'_, str> {
    let text: Cow<'_, str> = match text.contains(is_unseen) {
        true => visible(text).into(),
        false => text.into(),
    };
    match text.contains([',', '"', '\n']) || text.trim().len() < text.len() {
        true => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        false => text,
    }
}

/// Fields as a line.
pub fn line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let fields: Vec<Cow<'_, str>> = fields.into_iter().map(field).collect();
    // A line of nothing would be taken for no line.
    match &fields[..] {
        [only] if only.is_empty() => "\"\"\n".to_owned(),
        _ => fields.join(",") + "\n",
    }
}

/// Writes all records of some metrics logs as one table: run and model, then a column for each key
/// that any record has, in the order in which they occur. What a record lacks, and null, is an
/// empty field. Returns the numbers of records, and of lines that are no records and left out.
///
/// Each log is read twice and never held: first for its keys, then, up to where it ended the first
/// time, for its records. A training may go on meanwhile, and an unfinished last line is skipped.
///
/// # Errors
/// When a log cannot be read, or the table cannot be written.
pub fn write_metrics(
    sources: &[MetricsSource<'_>],
    output: &mut impl Write,
) -> Result<Written, ReportError> {
    let (mut keys, mut written) = (Map::new(), Written::default());
    let mut ends = Vec::with_capacity(sources.len());
    for source in sources {
        let (end, left_out) = each_record(source.path, u64::MAX, |record| {
            for key in record.keys().filter(|key| !LEADING.contains(&key.as_str())) {
                if !keys.contains_key(key) {
                    keys.insert(key.clone(), Value::Null);
                }
            }
            Ok(())
        })?;
        written.left_out += left_out;
        ends.push(end);
    }
    let names = LEADING.into_iter().chain(keys.keys().map(String::as_str));
    put(output, &line(names))?;
    for (source, end) in sources.iter().zip(ends) {
        each_record(source.path, end, |record| {
            let values: Vec<String> = keys.keys().map(|key| text_of(record.get(key))).collect();
            let values = values.iter().map(String::as_str);
            written.records += 1;
            put(output, &line([source.run, source.model].into_iter().chain(values)))
        })?;
    }
    output.flush().map_err(|source| ReportError::Output { source })?;
    Ok(written)
}

fn put(output: &mut impl Write, line: &str) -> Result<(), ReportError> {
    output.write_all(line.as_bytes()).map_err(|source| ReportError::Output { source })
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Calls `with` for each finished line of a log's first `end` bytes that is a record. Returns where
/// the last line ends, and how many lines are no records.
fn each_record(
    path: &Path,
    end: u64,
    mut with: impl FnMut(&Map<String, Value>) -> Result<(), ReportError>,
) -> Result<(u64, u64), ReportError> {
    let failed = |source| ReportError::File { action: "read", path: path.to_owned(), source };
    let mut reader = BufReader::new(open_regular(path).map_err(failed)?.take(end));
    let (mut bytes, mut read, mut left_out) = (Vec::new(), 0, 0);
    loop {
        bytes.clear();
        let length = reader.read_until(b'\n', &mut bytes).map_err(failed)?;
        if bytes.last() != Some(&b'\n') {
            return Ok((read, left_out));
        }
        match serde_json::from_slice(&bytes) {
            Ok(record) => with(&record)?,
            Err(_) => left_out += 1,
        }
        read += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn table(sources: &[MetricsSource<'_>]) -> Result<String, ReportError> {
        let mut output = Vec::new();
        write_metrics(sources, &mut output)?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[test]
    fn fields_are_quoted_as_the_standard_has_it() {
        let cases = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("a \"word\"", "\"a \"\"word\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("carriage\rreturn", "carriage\\rreturn"),
            ("gpj.\u{202e}exe, \u{1b}[31m", "\"gpj.\\u{202e}exe, \\u{1b}[31m\""),
            ("a\tb", "a\tb"),
            (" blank", "\" blank\""),
            ("", ""),
            ("<script>", "<script>"),
        ];
        for (text, expected) in cases {
            assert_eq!(field(text), expected);
        }
        assert_eq!(line(["a", "b,c", ""]), "a,\"b,c\",\n");
        assert_eq!(line([""]), "\"\"\n");
    }

    #[test]
    fn a_table_has_the_keys_of_all_records() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one.jsonl", "other.jsonl"].map(|name| folder.path().join(name));
        let records = "{\"event\":\"step\",\"step\":1,\"loss\":0.1,\"model\":\"teacher\"}\n\
            {\"event\":\"evaluation\",\"step\":1,\"cross_entropy\":1e-7,\"best\":true}\n";
        fs::write(&one, records).unwrap();
        fs::write(
            &other,
            "{\"step\":2,\"loss\":null,\"phase\":\"a, b\",\"more\":[1,\"x\"]}\n{\"step",
        )
        .unwrap();
        let sources = [
            MetricsSource { run: "runs/a", model: "teacher", path: &one },
            MetricsSource { run: "=1+1,", model: "student", path: &other },
        ];
        let expected = "run,model,event,step,loss,cross_entropy,best,phase,more\n\
            runs/a,teacher,step,1,0.1,,,,\n\
            runs/a,teacher,evaluation,1,,1e-7,true,,\n\
            \"=1+1,\",student,,2,,,,\"a, b\",\"[1,\"\"x\"\"]\"\n";
        assert_eq!(table(&sources).unwrap(), expected);
        assert_eq!(table(&sources[..0]).unwrap(), "run,model\n");
        let written = write_metrics(&sources, &mut Vec::new()).unwrap();
        assert_eq!(written, Written { records: 3, left_out: 0 });
        assert!(expected.starts_with(BEGINNING));
    }

    #[test]
    fn what_is_no_record_is_left_out_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let source = [MetricsSource { run: "r", model: "m", path: &path }];
        assert!(table(&source).unwrap_err().to_string().starts_with("cannot read "));
        fs::write(&path, "{\"step\":1}\n[1]\n\u{fffd}{\n{\"step\":2}\n").unwrap();
        assert_eq!(table(&source).unwrap(), "run,model,step\nr,m,1\nr,m,2\n");
        let written = write_metrics(&source, &mut Vec::new()).unwrap();
        assert_eq!(written, Written { records: 2, left_out: 2 });
        struct Full;
        impl Write for Full {
            fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        fs::write(&path, "").unwrap();
        let problem = write_metrics(&source, &mut Full).unwrap_err();
        assert!(matches!(problem, ReportError::Output { .. }), "{problem}");
    }
}
