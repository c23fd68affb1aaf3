//! Minimal pairs in BLiMP's JSONL: one object a line, of which only the two sentences matter here.

use std::path::{Path, PathBuf};

use base::input_file;
use serde_json::Value;

use crate::choices::{Item, Task};
use crate::error::EvalError;
use crate::lines::text_lines;

/// Reads a task from the bytes of a file, whose name without its ending is the task's; `path` is
/// named in errors too.
///
/// # Errors
/// When a line is not UTF-8 or no JSON, or lacks a sentence, and when there is no line.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Task, EvalError> {
    let lines = text_lines(path, bytes)?.into_iter();
    let items =
        lines.map(|(line, text)| parse_line(path, line, text)).collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() {
        return Err(EvalError::Empty { path: path.to_owned() });
    }
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Task { name, items })
}

fn parse_line(path: &Path, line: usize, text: &str) -> Result<Item, EvalError> {
    let object: Value = serde_json::from_str(text).map_err(|cause| EvalError::Json {
        path: path.to_owned(),
        line,
        cause,
    })?;
    let sentence = |field: &'static str| {
        let missing = || EvalError::MissingField { path: path.to_owned(), line, field };
        object.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(missing)
    };
    Ok(Item::pair(sentence("sentence_good")?, sentence("sentence_bad")?))
}

/// Reads every `.jsonl` and `.json` file of a folder, in the order of their names.
///
/// # Errors
/// When there is no such file, one is damaged ([`parse`]), or two have the name of one task.
pub fn read_folder(folder: &Path) -> Result<Vec<Task>, EvalError> {
    let read = |path: &PathBuf| parse(path, &input_file::read(path).map_err(io(path))?);
    files(folder)?.iter().map(read).collect()
}

/// The files that [`read_folder`] reads, in their order.
///
/// # Errors
/// When there is none, or two have the name of one task.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let paths = input_file::find(folder, &["jsonl", "json"]).map_err(io(folder))?.files;
    if paths.is_empty() {
        return Err(EvalError::NoTasks { path: folder.to_owned() });
    }
    for (index, path) in paths.iter().enumerate() {
        let same = |other: &&PathBuf| other.file_stem() == path.file_stem();
        if let Some(first) = paths[..index].iter().find(same) {
            return Err(EvalError::SameTask { first: first.clone(), second: path.clone() });
        }
    }
    Ok(paths)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> EvalError {
    let path = path.to_owned();
    move |cause| EvalError::Io { path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::benchmark_of_pairs;
    use crate::benchmarks::blimp::groups::blimp_tasks;

    fn parse(text: &[u8]) -> Result<Task, EvalError> {
        super::parse(Path::new("data/some_task.jsonl"), text)
    }

    #[test]
    fn reads_pairs_and_skips_blank_lines() {
        let task =
            parse(b"{\"sentence_good\": \"A b.\", \"sentence_bad\": \"B a.\", \"pair_id\": 3}\n\n")
                .unwrap();
        assert_eq!(task.name, "some_task");
        assert_eq!(task.items, [Item::pair("A b.", "B a.")]);
    }

    /// Questions and answers of the supplement are two lines of one text.
    #[test]
    fn a_line_feed_inside_a_sentence_stays() {
        let line = b"{\"sentence_good\": \"A: Who?\\nB: Ida.\", \"sentence_bad\": \"A: Who?\\nB: \
         There.\"}\n";
        assert_eq!(
            parse(line).unwrap().items,
            [Item::pair("A: Who?\nB: Ida.", "A: Who?\nB: There.")]
        );
    }

    #[test]
    fn two_files_of_one_task_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["order.json", "order.jsonl"] {
            let line = "{\"sentence_good\": \"A.\", \"sentence_bad\": \"B.\"}\n";
            std::fs::write(folder.path().join(name), line).unwrap();
        }
        let problem = read_folder(folder.path()).unwrap_err().to_string();
        assert!(
            problem.contains("order.json and ") && problem.contains("order.jsonl"),
            "{problem}"
        );
    }

    /// All of BLiMP, as its authors give it: 67 files of 1000 pairs, with fields that are not
    /// read.
    #[test]
    fn the_whole_of_blimp_reads_and_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let more = "\"field\": \"syntax/semantics\", \"UID\": \"u\", \"lexically_identical\": \
         false, \"pairID\": \"7\"";
        let line = format!("{{\"sentence_good\": \"A.\", \"sentence_bad\": \"B.\", {more}}}\n");
        for name in blimp_tasks() {
            std::fs::write(folder.path().join(format!("{name}.jsonl")), line.repeat(1000)).unwrap();
        }
        let tasks = read_folder(folder.path()).unwrap();
        assert_eq!(
            (tasks.len(), tasks.iter().map(|task| task.items.len()).sum::<usize>()),
            (67, 67_000)
        );
        let mut filtered = tasks.clone();
        filtered.iter_mut().for_each(|task| task.items.truncate(900));
        let name = |tasks: &[Task]| benchmark_of_pairs(folder.path(), tasks).name();
        assert_eq!((name(&tasks), name(&filtered)), ("blimp", "blimp_filtered"));
    }

    #[test]
    fn broken_lines_are_named() {
        let good = "{\"sentence_good\": \"a\", \"sentence_bad\": \"b\"}\n";
        let message = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert!(message(&format!("{good}{{oops\n")).contains("some_task.jsonl, line 2: bad JSON"));
        assert!(
            message(&format!("{good}{{\"sentence_good\": \"a\"}}\n"))
                .contains("line 2: no field `sentence_bad`")
        );
        assert!(message("\n").contains("is empty"));
        let mut bytes = good.as_bytes().to_vec();
        bytes.extend(b"\xff\n");
        let message = parse(&bytes).unwrap_err().to_string();
        assert!(message.contains("line 2: not UTF-8 (byte 44"), "{message}");
    }
}
