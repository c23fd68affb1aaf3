//! GlobalPIQA: how everyday things are done (2026). Each question is a score of its own.

use std::path::Path;

use super::ChallengeTask;
use crate::challenge::ChallengeYear;
use crate::challenge::json_lines::{Row, read_rows};
use crate::challenge::question::{Candidate, Question};
use crate::challenge::task_score::Scoring;
use crate::error::EvalError;

pub(super) const PARALLEL: ChallengeTask = ChallengeTask {
    name: "global_piqa_parallel",
    fast_name: Some("global_piqa_parallel"),
    kind: "global_piqa_parallel",
    title: "GlobalPIQA parallel",
    section: |_| "global_piqa_parallel",
    years: &[ChallengeYear::Year2026],
    chance: 25.0,
    items: |_| 103,
    by_token: true,
    scoring: Scoring::Accuracy,
    read,
};

pub(super) const NONPARALLEL: ChallengeTask = ChallengeTask {
    name: "global_piqa_nonparallel",
    fast_name: Some("global_piqa_nonparallel"),
    kind: "global_piqa_nonparallel",
    title: "GlobalPIQA non-parallel",
    section: |_| "global_piqa_nonparallel",
    chance: 50.0,
    items: |_| 100,
    ..PARALLEL
};

/// The fields of solutions; questions have two or all four.
const SOLUTIONS: [&str; 4] = ["solution0", "solution1", "solution2", "solution3"];

fn read(folder: &Path, _: ChallengeYear) -> Result<Vec<Question>, EvalError> {
    read_rows(folder, |_, row| question(row))
}

fn question(row: &Row<'_>) -> Result<Question, EvalError> {
    let (prompt, uid) = (row.text("prompt")?, row.text("example_id")?);
    for needed in &SOLUTIONS[..2] {
        row.text(needed)?;
    }
    let solutions = SOLUTIONS.iter().map_while(|field| row.text_if_there(field));
    let candidates: Vec<_> =
        solutions.map(|solution| Candidate::completing(prompt, &format!(" {solution}"))).collect();
    let right = row.count("label")?;
    if right >= candidates.len() {
        return Err(row.wrong("label", "the number of a solution"));
    }
    let groups = vec![("UID", uid.to_owned())];
    Ok(Question { right, groups, ..Question::of(uid, candidates) })
}
