//! Minimal pairs in BLiMP's JSONL: one object a line, of which only the two sentences matter here.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::EvalError;

/// Two sentences of which the first is the better one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub good: String,
    pub bad: String,
}

/// The pairs of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The file's name without its ending.
    pub name: String,
    pub pairs: Vec<Pair>,
}

impl Task {
    /// Reads a task from the text of a file; `path` is named in errors.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, EvalError> {
        let lines = text_lines(path, bytes)?.into_iter();
        let pairs = lines
            .map(|(line, text)| parse_line(path, line, text))
            .collect::<Result<Vec<_>, _>>()?;
        if pairs.is_empty() {
            return Err(EvalError::Empty { path: path.to_owned() });
        }
        let name =
            path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, pairs })
    }
}

/// The lines of a file that are not blank, with their numbers from 1.
pub(crate) fn text_lines<'a>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<Vec<(usize, &'a str)>, EvalError> {
    let (mut lines, mut offset) = (Vec::new(), 0);
    for (index, bytes) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let text = std::str::from_utf8(bytes).map_err(|error| EvalError::NotUtf8 {
            path: path.to_owned(),
            line: index + 1,
            offset: offset + error.valid_up_to(),
        })?;
        offset += bytes.len();
        if !text.trim().is_empty() {
            lines.push((index + 1, text.trim_end_matches(['\n', '\r'])));
        }
    }
    Ok(lines)
}

fn parse_line(path: &Path, line: usize, text: &str) -> Result<Pair, EvalError> {
    let object: Value = serde_json::from_str(text).map_err(|cause| EvalError::Json {
        path: path.to_owned(),
        line,
        cause,
    })?;
    let sentence = |field: &'static str| {
        let missing = || EvalError::MissingField { path: path.to_owned(), line, field };
        object.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(missing)
    };
    Ok(Pair { good: sentence("sentence_good")?, bad: sentence("sentence_bad")? })
}

/// Reads every `.jsonl` and `.json` file of a folder, in the order of their names.
pub fn read_folder(folder: &Path) -> Result<Vec<Task>, EvalError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| EvalError::Io { path, cause }
    };
    let mut paths = Vec::<PathBuf>::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.extension().is_some_and(|ending| ending == "jsonl" || ending == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(EvalError::NoTasks { path: folder.to_owned() });
    }
    paths.iter().map(|path| Task::parse(path, &std::fs::read(path).map_err(io(path))?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Suite;

    fn parse(text: &[u8]) -> Result<Task, EvalError> {
        Task::parse(Path::new("data/some_task.jsonl"), text)
    }

    #[test]
    fn reads_pairs_and_skips_blank_lines() {
        let task =
            parse(b"{\"sentence_good\": \"A b.\", \"sentence_bad\": \"B a.\", \"pair_id\": 3}\n\n")
                .unwrap();
        assert_eq!(task.name, "some_task");
        assert_eq!(task.pairs, [Pair { good: "A b.".into(), bad: "B a.".into() }]);
    }

    /// Questions and answers of the supplement are two lines of one text.
    #[test]
    fn a_line_feed_inside_a_sentence_stays() {
        let line = b"{\"sentence_good\": \"A: Who?\\nB: Ida.\", \"sentence_bad\": \"A: Who?\\nB: \
         There.\"}\n";
        assert_eq!(
            parse(line).unwrap().pairs,
            [Pair { good: "A: Who?\nB: Ida.".into(), bad: "A: Who?\nB: There.".into() }]
        );
    }

    /// All of BLiMP, as its authors give it: 67 files of 1000 pairs, with fields that nobody asks
    /// for.
    #[test]
    fn the_whole_of_blimp_reads_and_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let more = "\"field\": \"syntax/semantics\", \"UID\": \"u\", \"lexically_identical\": \
         false, \"pairID\": \"7\"";
        let line = format!("{{\"sentence_good\": \"A.\", \"sentence_bad\": \"B.\", {more}}}\n");
        for name in crate::rules::blimp_tasks() {
            std::fs::write(folder.path().join(format!("{name}.jsonl")), line.repeat(1000)).unwrap();
        }
        let tasks = read_folder(folder.path()).unwrap();
        assert_eq!(
            (tasks.len(), tasks.iter().map(|task| task.pairs.len()).sum::<usize>()),
            (67, 67_000)
        );
        let sizes = |count: usize| tasks.iter().map(move |task| (task.name.as_str(), count));
        assert_eq!(
            (Suite::of_pairs(sizes(1000)), Suite::of_pairs(sizes(900))),
            (Suite::Blimp, Suite::BlimpFiltered)
        );
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
