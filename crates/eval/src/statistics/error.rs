//! What has no statistics.

/// Why items cannot be resampled or compared.
#[allow(missing_docs, reason = "the message of a variant is its description")]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatisticsError {
    #[error("there is no task to average over")]
    NoTask,
    #[error("task {task} (counted from 0) has no item")]
    EmptyTask { task: usize },
    #[error("the two models were scored on different tasks: {first} and {second} of them")]
    TaskCount { first: usize, second: usize },
    #[error(
        "task {task} (counted from 0) has {first} items for one model and {second} for the other"
    )]
    ItemCount { task: usize, first: usize, second: usize },
    #[error("task {task} (counted from 0) is measured in two ways")]
    Measure { task: usize },
    #[error("task `{task}` is only in the {place} file")]
    OnlyInOne { task: String, place: &'static str },
    #[error("task `{task}` has {first} items in the first file and {second} in the second")]
    TaskItems { task: String, first: usize, second: usize },
    #[error(
        "item {index} of task `{task}` has another right answer in the second file, or other \
         choices"
    )]
    OtherItem { task: String, index: usize },
    #[error("{what} is {value}; it must be {allowed}")]
    Setting { what: &'static str, value: String, allowed: &'static str },
}
