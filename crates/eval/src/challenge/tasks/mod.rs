//! The pipelines' tasks of choices between texts, a file each. Adding one is a file here and a line
//! in [`TASKS`].

mod comps;
mod entity_tracking;
mod ewok;
mod global_piqa;
mod minimal_pairs;
mod nonce_words;

use std::path::{Path, PathBuf};

use super::ChallengeYear;
use super::json_lines;
use super::question::Question;
use super::task_score::Scoring;
use crate::error::EvalError;

pub(super) use entity_tracking::KINDS as ENTITY_KINDS;

/// A task of the pipelines.
pub struct ChallengeTask {
    /// The name of its folder of data, and of its folder of results.
    pub name: &'static str,
    /// The name of its folder of data for the fast evaluation of checkpoints, where it has one.
    pub fast_name: Option<&'static str>,
    /// The folder of results that it shares with tasks of its kind: the pipelines' `--task`.
    pub kind: &'static str,
    /// The name in tables.
    pub title: &'static str,
    /// Its key in the file that collects all answers.
    pub section: fn(ChallengeYear) -> &'static str,
    /// The pipelines that have it.
    pub years: &'static [ChallengeYear],
    /// What a model that chooses by chance scores, in the score's unit.
    pub chance: f64,
    /// How many answers each pipeline expects.
    pub items: fn(ChallengeYear) -> usize,
    /// Whether scores are divided by the number of tokens that are scored.
    pub by_token: bool,
    /// What answers add up to.
    pub(super) scoring: Scoring,
    read: fn(&Path, ChallengeYear) -> Result<Vec<Question>, EvalError>,
}

const BOTH: &[ChallengeYear] = &[ChallengeYear::Year2025, ChallengeYear::Year2026];

/// All tasks, in the order in which they stand in tables and in the file of answers.
pub static TASKS: &[ChallengeTask] = &[
    minimal_pairs::BLIMP,
    minimal_pairs::SUPPLEMENT,
    ewok::EWOK,
    entity_tracking::ENTITY_TRACKING,
    nonce_words::ADJECTIVES,
    nonce_words::PAST_TENSE,
    comps::COMPS,
    global_piqa::PARALLEL,
    global_piqa::NONPARALLEL,
];

/// The task with a name, which is that of its folder.
pub fn find_task(name: &str) -> Option<&'static ChallengeTask> {
    TASKS.iter().find(|task| task.name == name)
}

impl ChallengeTask {
    /// Reads the questions of a folder, file after file by their names.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged; the file and the line are named.
    pub fn read(&self, folder: &Path, year: ChallengeYear) -> Result<Vec<Question>, EvalError> {
        (self.read)(folder, year)
    }

    /// The files that [`read`](Self::read) reads.
    ///
    /// # Errors
    /// When there is none.
    pub fn files(&self, folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
        json_lines::files(folder)
    }

    /// Whether a year's pipeline has the task.
    pub fn is_of(&self, year: ChallengeYear) -> bool {
        self.years.contains(&year)
    }
}
