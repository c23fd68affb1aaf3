//! Comma-separated values (RFC 4180), and the metrics of many models as one table of them.
//!
//! Texts are written as they are, in quotes where they need them. A spreadsheet may take a text
//! that begins with `=` for a formula: import such files as text.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use serde_json::{Map, Value};

use crate::ReportError;

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

/// The first columns.
const LEADING: [&str; 2] = ["run", "model"];

/// A text as a field.
pub fn field(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\n', '\r']) || text.trim().len() < text.len() {
        true => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        false => text.into(),
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
/// empty field. Returns the number of records.
///
/// Each log is read twice and never held: first for its keys, then, up to where it ended the first
/// time, for its records. A training may go on meanwhile, and an unfinished last line is skipped.
///
/// # Errors
/// When a log cannot be read, a line is not an object, or the table cannot be written.
pub fn write_metrics(
    sources: &[MetricsSource<'_>],
    output: &mut impl Write,
) -> Result<u64, ReportError> {
    let mut keys = Map::new();
    let mut ends = Vec::with_capacity(sources.len());
    for source in sources {
        ends.push(each_record(source.path, u64::MAX, |record| {
            for key in record.keys().filter(|key| !LEADING.contains(&key.as_str())) {
                if !keys.contains_key(key) {
                    keys.insert(key.clone(), Value::Null);
                }
            }
            Ok(())
        })?);
    }
    let names = LEADING.into_iter().chain(keys.keys().map(String::as_str));
    put(output, &line(names))?;
    let mut records = 0;
    for (source, end) in sources.iter().zip(ends) {
        each_record(source.path, end, |record| {
            let values: Vec<String> = keys.keys().map(|key| text_of(record.get(key))).collect();
            let values = values.iter().map(String::as_str);
            records += 1;
            put(output, &line([source.run, source.model].into_iter().chain(values)))
        })?;
    }
    output.flush().map_err(|source| ReportError::Output { source })?;
    Ok(records)
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

/// Calls `with` for each finished line of a log's first `end` bytes. Returns where the last of them
/// ends.
fn each_record(
    path: &Path,
    end: u64,
    mut with: impl FnMut(&Map<String, Value>) -> Result<(), ReportError>,
) -> Result<u64, ReportError> {
    let failed = |source| ReportError::File { action: "read", path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?.take(end));
    let (mut bytes, mut read, mut number) = (Vec::new(), 0, 0);
    loop {
        bytes.clear();
        let length = reader.read_until(b'\n', &mut bytes).map_err(failed)?;
        if bytes.last() != Some(&b'\n') {
            return Ok(read);
        }
        number += 1;
        let record = serde_json::from_slice(&bytes).map_err(|source| ReportError::Line {
            path: path.to_owned(),
            line: number,
            source,
        })?;
        with(&record)?;
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
            ("carriage\rreturn", "\"carriage\rreturn\""),
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
        assert_eq!(write_metrics(&sources, &mut Vec::new()).unwrap(), 3);
    }

    #[test]
    fn what_is_no_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let source = [MetricsSource { run: "r", model: "m", path: &path }];
        assert!(table(&source).unwrap_err().to_string().starts_with("cannot read "));
        fs::write(&path, "{\"step\":1}\n[1]\n").unwrap();
        let problem = table(&source).unwrap_err().to_string();
        assert!(problem.contains("metrics.jsonl:2: not a metrics record"), "{problem}");
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
