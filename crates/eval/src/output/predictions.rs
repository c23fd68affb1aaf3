//! Answers item by item: one JSON object a line, `{"task", "index", "gold", "predicted",
//! "scores"}`.

use std::io::Read;
use std::path::Path;

use base::input_file;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::results::{Outcome, Prediction};

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    task: String,
    /// Place of the item among those that the task's score counts, from 0: in the file's order.
    index: usize,
    #[serde(flatten)]
    prediction: Prediction,
}

/// The answers to one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskPredictions {
    /// The name of the task.
    pub task: String,
    /// The answers, in the order of the items.
    pub predictions: Vec<Prediction>,
}

/// All answers of an outcome, task by task.
pub fn to_lines(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (task, predictions) in outcome.result.tasks.iter().zip(&outcome.predictions) {
        for (index, prediction) in predictions.iter().enumerate() {
            let line = Line { task: task.name.clone(), index, prediction: prediction.clone() };
            // Names and finite numbers always have a form in JSON.
            text.push_str(&serde_json::to_string(&line).unwrap_or_default());
            text.push('\n');
        }
    }
    text
}

/// Reads such a file; `path` is named in errors.
pub fn read(path: &Path) -> Result<Vec<TaskPredictions>, EvalError> {
    let mut text = String::new();
    let opened = input_file::open_regular(path);
    opened
        .and_then(|mut file| file.read_to_string(&mut text))
        .map_err(|cause| EvalError::Io { path: path.to_owned(), cause })?;
    let mut tasks: Vec<TaskPredictions> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = serde_json::from_str(line);
        let Line { task, index, prediction } = parsed.map_err(|cause| EvalError::Json {
            path: path.to_owned(),
            line: number + 1,
            cause,
        })?;
        if tasks.last().is_none_or(|last| last.task != task) {
            tasks.push(TaskPredictions { task, predictions: Vec::new() });
        }
        let Some(last) = tasks.last_mut() else { continue };
        if index != last.predictions.len() {
            return Err(EvalError::OutOfOrder { path: path.to_owned(), line: number + 1, index });
        }
        last.predictions.push(prediction);
    }
    if tasks.is_empty() {
        return Err(EvalError::Empty { path: path.to_owned() });
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::OtherPairs;
    use crate::results::{BenchmarkResult, TaskResult};
    use crate::rules::Rules;

    #[test]
    fn written_answers_come_back() {
        let answers = [
            vec![Prediction::between(-1.5, -2.25), Prediction::between(-3.0, -0.1)],
            vec![Prediction::between(0.1, 0.1)],
        ];
        let tasks = ["b", "a"]
            .iter()
            .zip(&answers)
            .map(|(name, answers)| TaskResult::of_choices(name, answers, 0));
        let result = BenchmarkResult::of_tasks(&OtherPairs, Rules::Year2024, tasks.collect());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.jsonl");
        let text = to_lines(&Outcome { result, predictions: answers.to_vec() });
        std::fs::write(&path, &text).unwrap();
        let found = read(&path).unwrap();
        assert_eq!(found.iter().map(|task| task.task.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(found.iter().map(|task| task.predictions.clone()).collect::<Vec<_>>(), answers);

        std::fs::write(&path, text.replace("\"index\":1", "\"index\":7")).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2: item 7"));
        std::fs::write(&path, "{\"task\": 3}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1: bad JSON"));
    }
}
