//! The evaluation of BabyLM's pipelines of 2025 (github.com/babylm/evaluation-pipeline-2025) and
//! 2026 (github.com/babylm-org/babylm-eval, `strict`).
//!
//! They score in another way than those of 2023 and 2024: a text is read with the special tokens
//! that its tokenizer puts around texts and no other, and what counts are the tokens that end
//! behind the point where the scored part begins. [`TASKS`] are the tasks, [`score_questions`]
//! scores a task's questions, [`reading`] predicts reading times, [`aoa`] compares when a training
//! and children learn words, and [`files`] writes what the pipelines write.

pub mod aoa;
mod backend;
mod cells;
pub mod files;
mod json_lines;
mod python_json;
mod question;
pub mod reading;
mod scoring;
mod span;
mod task_score;
mod tasks;
mod tokens;

pub use backend::ChallengeBackend;
pub use question::{Answer, Candidate, Question};
pub use scoring::{Asking, score_questions};
pub use task_score::TaskScore;
pub use tasks::{ChallengeTask, TASKS, find_task};
pub use tokens::{ChallengeTokenizer, PlacedToken, SpecialTokens};

use serde::{Deserialize, Serialize};

/// Whose questions are asked, and how they are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeYear {
    /// The pipeline of 2025: of equal scores the first counts.
    #[serde(rename = "2025")]
    Year2025,
    /// The pipeline of 2026: of equal scores one is drawn.
    #[default]
    #[serde(rename = "2026")]
    Year2026,
}

impl ChallengeYear {
    /// The year as in commands and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Year2025 => "2025",
            Self::Year2026 => "2026",
        }
    }
}
