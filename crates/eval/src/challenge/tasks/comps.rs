//! COMPS (Misra et al., arXiv 2210.01963): which concept has a property, also of nonce words.

use std::path::Path;

use super::{BOTH, ChallengeTask};
use crate::challenge::ChallengeYear;
use crate::challenge::json_lines::{Row, read_rows};
use crate::challenge::question::{Candidate, Question};
use crate::challenge::task_score::Scoring;
use crate::error::EvalError;

pub(super) const COMPS: ChallengeTask = ChallengeTask {
    name: "comps",
    fast_name: None,
    kind: "comps",
    title: "COMPS",
    section: |_| "comps",
    years: BOTH,
    chance: 50.0,
    items: |_| 91_028,
    by_token: false,
    scoring: Scoring::Accuracy,
    read,
};

fn read(folder: &Path, _: ChallengeYear) -> Result<Vec<Question>, EvalError> {
    read_rows(folder, question)
}

/// The property is scored without the space before it, which stands with the concept.
fn question(file: &str, row: &Row<'_>) -> Result<Question, EvalError> {
    let property = row.text("property_phrase")?;
    let candidate = |field| -> Result<Candidate, EvalError> {
        let concept = row.text(field)?;
        Ok(Candidate::completing(&format!("{concept} "), property).answered_by_text())
    };
    let candidates = vec![candidate("prefix_acceptable")?, candidate("prefix_unacceptable")?];
    let uid = file.strip_prefix("comps_").unwrap_or(file).replace('-', "_");
    let groups = vec![("UID", uid.clone())];
    Ok(Question { groups, ..Question::of(&uid, candidates) })
}
