//! Nonce words (2025): how people turn adjectives into nouns (Hofmann et al., 2024) and verbs into
//! past tenses.

use std::path::Path;

use super::ChallengeTask;
use crate::challenge::ChallengeYear;
use crate::challenge::json_lines::{Row, read_rows};
use crate::challenge::question::{Candidate, Question};
use crate::challenge::task_score::Scoring;
use crate::error::EvalError;

pub(super) const ADJECTIVES: ChallengeTask = ChallengeTask {
    name: "wug_adj_nominalization",
    fast_name: Some("wug_adj_nominalization"),
    kind: "wug_adj",
    title: "WUG adjectives",
    section: |_| "wug_adj",
    years: &[ChallengeYear::Year2025],
    chance: 0.0,
    items: |_| 200,
    by_token: false,
    scoring: Scoring::RankCorrelation,
    read: |folder, _| read_rows(folder, |_, row| question("wug_adj", row)),
};

pub(super) const PAST_TENSE: ChallengeTask = ChallengeTask {
    name: "wug_past_tense",
    fast_name: Some("wug_past_tense"),
    kind: "wug_past",
    title: "WUG past tense",
    section: |_| "wug_past",
    items: |_| 50,
    read: |folder: &Path, _: ChallengeYear| read_rows(folder, |_, row| question("wug_past", row)),
    ..ADJECTIVES
};

/// Two texts, with a tab between them, and the share of people who choose the first.
fn question(uid: &str, row: &Row<'_>) -> Result<Question, EvalError> {
    let sentences = row.text("sentences")?;
    let (first, second) = sentences
        .split_once('\t')
        .ok_or_else(|| row.wrong("sentences", "two texts with a tab between them"))?;
    let candidates = [first, second].map(|text| Candidate::whole(text.to_owned())).to_vec();
    let groups = vec![("UID", uid.to_owned())];
    let ratio = Some(row.number("ratio")?);
    Ok(Question { groups, ratio, ..Question::of(uid, candidates) })
}
