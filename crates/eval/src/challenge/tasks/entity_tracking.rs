//! Entity tracking (Kim and Schuster, 2023): what is in a box after things were moved.

use std::path::Path;

use super::{BOTH, ChallengeTask};
use crate::challenge::ChallengeYear;
use crate::challenge::json_lines::{Row, read_rows};
use crate::challenge::question::{Candidate, Question};
use crate::challenge::task_score::Scoring;
use crate::error::EvalError;

/// The kinds of items, each a file; the score is the mean over them.
pub(in crate::challenge) const KINDS: [&str; 3] = ["regular", "ambiref", "move_contents"];

pub(super) const ENTITY_TRACKING: ChallengeTask = ChallengeTask {
    name: "entity_tracking",
    fast_name: Some("entity_tracking_fast"),
    kind: "entity_tracking",
    title: "Entity tracking",
    section: |year| match year {
        ChallengeYear::Year2025 => "entity_tracking",
        ChallengeYear::Year2026 => "entity_tracking_filtered",
    },
    years: BOTH,
    chance: 20.0,
    items: |year| match year {
        ChallengeYear::Year2025 => 9_483,
        ChallengeYear::Year2026 => 6_780,
    },
    by_token: false,
    scoring: Scoring::MeanOfKinds,
    read,
};

fn read(folder: &Path, year: ChallengeYear) -> Result<Vec<Question>, EvalError> {
    let found = read_rows(folder, |file, row| question(file, row, year))?;
    Ok(found.into_iter().flatten().collect())
}

/// The question of a row; in 2026 none where an option is that a box has nothing.
fn question(file: &str, row: &Row<'_>, year: ChallengeYear) -> Result<Option<Question>, EvalError> {
    let (before, options) = (row.text("input_prefix")?, row.texts("options")?);
    if options.len() < 2 {
        return Err(row.wrong("options", "a list of two texts or more"));
    }
    let uid = format!("{file}_{}_ops", row.count("numops")?);
    if year == ChallengeYear::Year2026 && options.iter().any(|option| option.contains("nothing")) {
        return Ok(None);
    }
    let candidates = options.iter().map(|option| Candidate::completing(before, option)).collect();
    let groups = vec![("UID", uid.clone())];
    Ok(Some(Question { groups, ..Question::of(&uid, candidates) }))
}
