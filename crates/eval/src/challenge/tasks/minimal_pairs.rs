//! BLiMP and BabyLM's supplement to it.

use std::path::Path;

use super::{BOTH, ChallengeTask};
use crate::challenge::ChallengeYear;
use crate::challenge::json_lines::{Row, read_rows};
use crate::challenge::question::{Candidate, Question};
use crate::challenge::task_score::Scoring;
use crate::error::EvalError;

pub(super) const BLIMP: ChallengeTask = ChallengeTask {
    name: "blimp_filtered",
    fast_name: Some("blimp_fast"),
    kind: "blimp",
    title: "BLiMP",
    section: |_| "blimp",
    years: BOTH,
    chance: 50.0,
    items: |_| 59_875,
    by_token: false,
    scoring: Scoring::Accuracy,
    read,
};

pub(super) const SUPPLEMENT: ChallengeTask = ChallengeTask {
    name: "supplement_filtered",
    fast_name: Some("supplement_fast"),
    title: "BLiMP supplement",
    section: |_| "blimp_supplement",
    items: |_| 5_218,
    ..BLIMP
};

fn read(folder: &Path, _: ChallengeYear) -> Result<Vec<Question>, EvalError> {
    read_rows(folder, question)
}

/// The supplement's rows name neither a field nor a paradigm: their file does.
fn question(file: &str, row: &Row<'_>) -> Result<Question, EvalError> {
    let sentence = |field| row.text(field).map(|text| Candidate::whole(text.to_owned()));
    let candidates = vec![sentence("sentence_good")?, sentence("sentence_bad")?];
    let field = match row.text_if_there("field").unwrap_or("supplement") {
        "syntax_semantics" => "syntax/semantics",
        field => field,
    };
    let uid = row.text_if_there("UID").unwrap_or(file);
    let term = row.text_if_there("linguistics_term").unwrap_or("supplement");
    let groups = vec![
        ("FIELD", field.to_owned()),
        ("UID", uid.to_owned()),
        ("LINGUISTICS_TERM", term.to_owned()),
    ];
    Ok(Question { groups, ..Question::of(uid, candidates) })
}
