//! EWoK: in 2025 two targets after one context, in 2026 one target after two contexts.

use std::path::Path;

use super::{BOTH, ChallengeTask};
use crate::challenge::ChallengeYear;
use crate::challenge::json_lines::{Row, read_rows};
use crate::challenge::question::{Candidate, Question};
use crate::challenge::task_score::Scoring;
use crate::error::EvalError;

pub(super) const EWOK: ChallengeTask = ChallengeTask {
    name: "ewok_filtered",
    fast_name: Some("ewok_fast"),
    kind: "ewok",
    title: "EWoK",
    section: |_| "ewok",
    years: BOTH,
    chance: 50.0,
    items: |_| 7_618,
    by_token: false,
    scoring: Scoring::Accuracy,
    read,
};

fn read(folder: &Path, year: ChallengeYear) -> Result<Vec<Question>, EvalError> {
    read_rows(folder, |file, row| question(file, row, year))
}

fn question(file: &str, row: &Row<'_>, year: ChallengeYear) -> Result<Question, EvalError> {
    let [context1, context2] = [row.text("Context1")?, row.text("Context2")?];
    let [target1, target2] = [row.text("Target1")?, row.text("Target2")?];
    let candidate =
        |context: &str, target: &str| Candidate::completing(context, &format!(" {target}"));
    let candidates = match year {
        ChallengeYear::Year2025 => vec![candidate(context1, target1), candidate(context1, target2)],
        ChallengeYear::Year2026 => vec![
            candidate(context1, target1).answered_by_text(),
            candidate(context2, target1).answered_by_text(),
        ],
    };
    let uid = row.text_if_there("Domain").unwrap_or(file);
    let group =
        |(name, field): (&'static str, &str)| Some((name, row.text_if_there(field)?.to_owned()));
    let others = [
        ("CONTEXT_TYPE", "ContextType"),
        ("CONTEXT_CONTRAST", "ContextDiff"),
        ("TARGET_CONTRAST", "TargetDiff"),
    ];
    let first = [("UID", uid.to_owned())].into_iter();
    let groups = first.chain(others.into_iter().filter_map(group)).collect();
    Ok(Question { groups, ..Question::of(uid, candidates) })
}
