//! The file of all answers, which the leaderboard takes.

use std::path::{Path, PathBuf};

use eval::challenge::files::sections;
use eval::challenge::{ChallengeBackend, ChallengeYear};
use report::format::counted;
use serde_json::Value;

use super::scoring::TaskOutcome;
use crate::error::{FileContext, Result};
use crate::files;

/// The file of all answers of a model.
#[derive(Clone, Debug)]
pub struct AnswerFile {
    /// The file.
    pub path: PathBuf,
    /// What the pipeline would miss: sections without answers, or with more or fewer than it
    /// expects.
    pub missing: Vec<String>,
}

impl AnswerFile {
    /// Removes the files of earlier calls from a model's folder, so that what they collected does
    /// not stand beside other scores.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub(super) fn forget(folder: &Path) -> Result<()> {
        let paths = ChallengeBackend::ALL.into_iter().flat_map(|backend| paths(folder, backend));
        paths.into_iter().try_for_each(|path| files::remove(&path))
    }

    /// Collects the answers of all tasks that are done. Where something is missing, or has another
    /// number of answers than is expected, the pipeline of 2026 writes `null` and that of 2025
    /// nothing at all; the name of such a file states that it is incomplete.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(super) fn write(
        folder: &Path,
        year: ChallengeYear,
        backend: ChallengeBackend,
        tasks: &[TaskOutcome],
        fast: Option<&Value>,
    ) -> Result<Self> {
        let (mut parts, mut missing) = (Vec::new(), Vec::new());
        let absent = || (year == ChallengeYear::Year2026).then(|| "null".to_owned());
        for section in sections(year) {
            let mut files = tasks
                .iter()
                .flat_map(|task| task.answers.iter().map(move |(name, path)| (task, *name, path)));
            let answers = match (files.find(|(_, name, _)| *name == section), fast) {
                (Some((task, ..)), _) if !task.missing.is_empty() => {
                    missing.push(format!("{section} (without {})", task.missing.join(", ")));
                    absent()
                }
                (Some((task, _, path)), _) => {
                    let resized = resized(task, year, section);
                    let is_null = resized.is_some() && year == ChallengeYear::Year2026;
                    missing.extend(resized);
                    match is_null {
                        true => absent(),
                        false => Some(std::fs::read_to_string(path).at("read", path)?),
                    }
                }
                (None, Some(fast)) if section == FAST => {
                    missing.extend(incomplete(fast));
                    Some(fast.to_string())
                }
                (None, _) => {
                    missing.push(section.to_owned());
                    absent()
                }
            };
            parts.extend(answers.map(|text| format!("\"{section}\": {}", text.trim_end())));
        }
        let [whole, part] = paths(folder, backend);
        let path = if missing.is_empty() || year == ChallengeYear::Year2026 { whole } else { part };
        files::write_text(&path, &format!("{{{}}}", parts.join(", ")))?;
        Ok(Self { path, missing })
    }
}

/// The file of all answers in a model's folder: where it is whole, and where it is not.
fn paths(folder: &Path, backend: ChallengeBackend) -> [PathBuf; 2] {
    ["json", "incomplete.json"].map(|ending| {
        folder.join(format!("all_full_preds_and_fast_scores_{}.{ending}", backend.name()))
    })
}

/// The section of the checkpoints' scores.
const FAST: &str = "fast_eval_results";

/// That a checkpoint has no score.
fn incomplete(fast: &Value) -> Option<String> {
    let mut lists = fast.as_object().into_iter().flatten().filter_map(|(_, list)| list.as_array());
    let is_missing = lists.any(|list| list.iter().any(Value::is_null));
    is_missing.then(|| format!("{FAST} (of some checkpoints)"))
}

/// What is wrong with the number of a task's answers.
fn resized(task: &TaskOutcome, year: ChallengeYear, section: &str) -> Option<String> {
    let (expected, found) = (task.task.expected_items(year), task.score.answers());
    let has_answers = task.answers.first().is_some_and(|(name, _)| *name == section);
    let answers = counted(found as u64, "answer");
    (has_answers && expected != found).then(|| format!("{section} ({answers}, not {expected})"))
}
