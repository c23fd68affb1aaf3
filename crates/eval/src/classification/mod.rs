//! (Super)GLUE and MSGS as the BabyLM pipelines pose them: reading the files,
//! making the texts that a classifier reads, and scoring its answers. `train` fine-tunes.

mod encoding;
mod error;
mod files;
mod labels;
mod metrics;
mod reading;
mod tasks;
mod truncation;

pub use encoding::{Around, Encoded, Encoder, SpecialTokens};
pub use error::ClassificationError;
pub use files::{TaskFiles, find_files};
pub use labels::Labels;
pub use metrics::{predictions, score, selection_metric, task_result};
pub use reading::{Row, Rows};
pub use tasks::{
    CHALLENGE_GLUE, ClassificationTask, Template, Texts, classification_tasks, find_task, tasks_of,
};
pub use truncation::longest_first;
