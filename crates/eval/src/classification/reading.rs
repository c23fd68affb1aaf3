//! A task's items: one JSON object a line, of which the task's fields and the label are read.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::ClassificationError;
use super::tasks::{ClassificationTask, Texts};
use crate::error::EvalError;
use crate::lines::text_lines;

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What a classifier reads.
    pub texts: Texts,
    /// The label as in the file.
    pub label: u32,
    /// The item's line in the file, counted from 1.
    pub line: usize,
    /// Whether MSGS marks the item as one of the test.
    is_test: bool,
}

/// The items of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The file.
    pub path: PathBuf,
    /// The items, in the order of the file.
    pub rows: Vec<Row>,
}

impl Rows {
    /// Reads a task's training or validation file.
    ///
    /// # Errors
    /// Names file and line of what is not UTF-8, no JSON, lacks a field of the task or has a label
    /// of another; and the file that has no item.
    pub fn read(task: &ClassificationTask, path: &Path) -> Result<Self, EvalError> {
        let bytes = base::input_file::read(path)
            .map_err(|cause| EvalError::Io { path: path.to_owned(), cause })?;
        Self::parse(task, path, &bytes)
    }

    /// Reads a task's items from the bytes of its file, as [`read`](Self::read).
    pub fn parse(task: &ClassificationTask, path: &Path, bytes: &[u8]) -> Result<Self, EvalError> {
        let lines = text_lines(path, bytes)?.into_iter();
        let rows: Vec<Row> = lines
            .map(|(line, text)| parse_line(task, path, line, text))
            .collect::<Result<_, _>>()?;
        match rows.is_empty() {
            true => Err(EvalError::Empty { path: path.to_owned() }),
            false => Ok(Self { path: path.to_owned(), rows }),
        }
    }

    /// Which items the final score counts: of MSGS those whose `condition` is `test`, which the
    /// pipeline filters since 2023-10-06; all where there is none such, and of all other tasks.
    pub fn scored(&self) -> Vec<bool> {
        let any = self.rows.iter().any(|row| row.is_test);
        self.rows.iter().map(|row| row.is_test || !any).collect()
    }
}

fn parse_line(
    task: &ClassificationTask,
    path: &Path,
    line: usize,
    text: &str,
) -> Result<Row, EvalError> {
    let object: Value = serde_json::from_str(text).map_err(|cause| EvalError::Json {
        path: path.to_owned(),
        line,
        cause,
    })?;
    let missing = |field| EvalError::MissingField { path: path.to_owned(), line, field };
    let string = |field: &'static str| {
        object.get(field).and_then(Value::as_str).ok_or_else(|| missing(field))
    };
    let texts = task.template.fill(string)?;
    let label =
        object.get("label").filter(|label| !label.is_null()).ok_or_else(|| missing("label"))?;
    let known = label
        .as_u64()
        .and_then(|label| u32::try_from(label).ok())
        .filter(|label| *label < task.classes);
    let label = known.ok_or_else(|| ClassificationError::Label {
        path: path.to_owned(),
        line,
        found: label.to_string(),
        allowed: (0..task.classes).map(|label| label.to_string()).collect::<Vec<_>>().join(", "),
        task: task.name,
    })?;
    let is_test =
        task.has_test_items && object.get("condition").is_some_and(|condition| condition == "test");
    Ok(Row { texts, label, line, is_test })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tasks::find_task;
    use super::*;

    /// Items of MNLI with the given labels.
    pub(crate) fn rows(labels: &[u32]) -> Rows {
        let line = |label: &u32| {
            format!("{{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": {label}}}\n")
        };
        let text: String = labels.iter().map(line).collect();
        Rows::parse(find_task("mnli").unwrap(), Path::new("data/mnli.train.jsonl"), text.as_bytes())
            .unwrap()
    }

    fn parse(task: &str, text: &[u8]) -> Result<Rows, EvalError> {
        Rows::parse(find_task(task).unwrap(), Path::new("data/x.train.jsonl"), text)
    }

    #[test]
    fn items_are_read_by_the_names_of_their_fields() {
        let text = "{\"label\": 1, \"question\": \"Q?\", \"idx\": 3, \"passage\": \"P.\", \
         \"sentence\": \"no\"}\n\n";
        let rows = parse("boolq", text.as_bytes()).unwrap().rows;
        let texts = Texts { first: "Q?".into(), second: Some("P.".into()) };
        assert_eq!(rows, [Row { texts, label: 1, line: 1, is_test: false }]);
    }

    #[test]
    fn broken_lines_are_named() {
        let good = "{\"sentence\": \"a\", \"label\": 0}\n";
        let message = |line: &str| {
            parse("cola", format!("{good}{line}\n").as_bytes()).unwrap_err().to_string()
        };
        let expected = "data/x.train.jsonl, line 2: bad JSON at byte 2: key must be a string";
        assert_eq!(message("{oops"), expected);
        let torn = "data/x.train.jsonl, line 2: bad JSON at byte 16: EOF while parsing a string";
        assert_eq!(message("{\"sentence\": \"a "), torn);
        assert_eq!(message("{\"label\": 0}"), "data/x.train.jsonl, line 2: no field `sentence`");
        assert_eq!(
            message("{\"sentence\": 3, \"label\": 0}"),
            "data/x.train.jsonl, line 2: no field `sentence`"
        );
        assert_eq!(
            message("{\"sentence\": \"a\"}"),
            "data/x.train.jsonl, line 2: no field `label`"
        );
        assert_eq!(
            message("{\"sentence\": \"a\", \"label\": null}"),
            "data/x.train.jsonl, line 2: no field `label`"
        );
        for label in ["2", "-1", "1.0", "\"1\"", "4294967297"] {
            let line = format!("{{\"sentence\": \"a\", \"label\": {label}}}");
            let expected = format!(
                "data/x.train.jsonl, line 2: label {label} is none of 0, 1, the labels of cola"
            );
            assert_eq!(message(&line), expected);
        }
        assert!(message("[1]").contains("no field `sentence`"));
        let bytes = [good.as_bytes(), b"\xff\n"].concat();
        let expected =
            format!("data/x.train.jsonl, line 2: not UTF-8 (byte {} of the file)", good.len());
        assert_eq!(parse("cola", &bytes).unwrap_err().to_string(), expected);
        assert!(matches!(parse("cola", b"\n \n"), Err(EvalError::Empty { .. })));
        assert!(matches!(parse("cola", b""), Err(EvalError::Empty { .. })));
    }

    #[test]
    fn the_final_score_of_msgs_counts_the_items_of_the_test() {
        let line = |condition: &str| {
            format!("{{\"sentence\": \"a\", \"label\": 0, \"condition\": \"{condition}\"}}\n")
        };
        let scored = |task: &str, conditions: &[&str]| {
            let text: String = conditions.iter().map(|condition| line(condition)).collect();
            parse(task, text.as_bytes()).unwrap().scored()
        };
        assert_eq!(
            scored("main_verb_control", &["training", "test", "control"]),
            [false, true, false]
        );
        assert_eq!(scored("main_verb_control", &["training", "control"]), [true, true]);
        assert_eq!(scored("cola", &["training", "test"]), [true, true]);
    }
}
