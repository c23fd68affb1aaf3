//! The file of all answers, which the leaderboard takes.

use std::path::{Path, PathBuf};

use eval::challenge::files::sections;
use eval::challenge::{ChallengeBackend, ChallengeYear};
use report::format::counted;

use super::scoring::{PREDICTIONS, TaskOutcome};
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
    /// Collects the answers of all tasks that are done. Where something is missing, the pipeline of
    /// 2026 writes `null` and that of 2025 nothing at all; the name of such a file states that it
    /// is incomplete.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(super) fn write(
        folder: &Path,
        year: ChallengeYear,
        backend: ChallengeBackend,
        tasks: &[TaskOutcome],
    ) -> Result<Self> {
        let (mut parts, mut missing) = (Vec::new(), Vec::new());
        for section in sections(year) {
            let found = tasks.iter().find(|outcome| (outcome.task.section)(year) == section);
            let answers = match found {
                Some(outcome) => {
                    missing.extend(resized(outcome, year, section));
                    let path = outcome.folder.join(PREDICTIONS);
                    Some(std::fs::read_to_string(&path).at("read", &path)?)
                }
                None => {
                    missing.push(section.to_owned());
                    (year == ChallengeYear::Year2026).then(|| "null".to_owned())
                }
            };
            parts.extend(answers.map(|text| format!("\"{section}\": {}", text.trim_end())));
        }
        let name = |ending| {
            folder.join(format!("all_full_preds_and_fast_scores_{}.{ending}", backend.name()))
        };
        let [whole, part] = ["json", "incomplete.json"].map(name);
        // Files of an earlier call do not go with these answers.
        [&whole, &part].into_iter().try_for_each(|path| files::remove(path))?;
        let path = if missing.is_empty() || year == ChallengeYear::Year2026 { whole } else { part };
        files::write_text(&path, &format!("{{{}}}", parts.join(", ")))?;
        Ok(Self { path, missing })
    }
}

/// What is wrong with the number of a task's answers.
fn resized(outcome: &TaskOutcome, year: ChallengeYear, section: &str) -> Option<String> {
    let (expected, found) = ((outcome.task.items)(year)?, outcome.score.items);
    let answers = counted(found as u64, "answer");
    (expected != found).then(|| format!("{section} ({answers}, not {expected})"))
}
