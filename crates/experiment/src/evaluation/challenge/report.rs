//! The table of the scores.

use ::report::{Align, ScoreTable, Table};
use eval::challenge::ChallengeYear;
use eval::challenge::reading::ReadingScore;
use eval::classification::CHALLENGE_GLUE;
use serde_json::{Value, json};

use super::ChallengeOutcome;
use super::kept::KeptScores;
use super::scoring::AnyScore;
use super::task::{AnyTask, all_tasks};
use crate::failures::Failures;

/// The scores of all models.
pub struct ChallengeReport {
    /// A row for every task, a column for every model.
    pub table: Table,
    /// The scores as JSON.
    pub json: Value,
}

impl ChallengeReport {
    /// The report of an evaluation by the rules of a year.
    pub fn new(outcome: &ChallengeOutcome, year: ChallengeYear) -> Self {
        let ChallengeOutcome { models, failures } = outcome;
        let kept: Vec<_> = models.iter().map(|model| KeptScores::of(model, year)).collect();
        let named: Vec<(&str, &KeptScores)> =
            models.iter().zip(&kept).map(|(model, kept)| (&model.name[..], kept)).collect();
        let json = models.iter().zip(&kept).map(|(model, kept)| {
            let mut value = json!(kept);
            value["model"] = json!(model.label);
            value["answers"] = json!(model.answers.path);
            value["missing"] = json!(model.answers.missing);
            value
        });
        Self { table: table(&named, year, failures), json: Value::Array(json.collect()) }
    }
}

/// A row for every task of a year that a model was scored on or failed at, a column for every
/// model.
pub(crate) fn table(
    models: &[(&str, &KeptScores)],
    year: ChallengeYear,
    failures: &Failures,
) -> Table {
    let columns = [("task", Align::Left), ("questions", Align::Right), ("chance", Align::Right)];
    let mut table = ScoreTable::new(&columns, models.iter().map(|(name, _)| *name));
    table.row(["back end", "", ""], models.iter().map(|(_, kept)| kept.backend.name().to_owned()));
    for task in all_tasks().filter(|task| task.is_of(year)) {
        let scores = || models.iter().map(|(_, kept)| kept.task(task));
        let failed = models.iter().map(|(name, _)| failures.mark(name, task.name(), None));
        let failed: Vec<Option<String>> = failed.collect();
        if scores().all(|score| score.is_none()) && failed.iter().all(Option::is_none) {
            continue;
        }
        let items = scores().flatten().next().map(|score| of_published(score, task, year));
        let chance = task.chance().map(|chance| format!("{chance:.1}")).unwrap_or_default();
        let cells = scores().zip(failed).map(|(score, failed)| {
            failed.or(score.map(|score| score.to_cell(task))).unwrap_or_else(nothing)
        });
        table.row([task.title(), items.as_deref().unwrap_or_default(), &chance], cells);
        for part in parts(task) {
            let of = |score: Option<&AnyScore>| score.and_then(|score| part.of(score));
            let cells = scores().map(|score| of(score).map_or_else(nothing, shown));
            table.row([&format!("of which {}", part.name()), "", ""], cells);
        }
    }
    table.into_table()
}

/// A score that the score of a task is the mean of, with its name.
enum ScorePart {
    Reading(&'static str, fn(&ReadingScore) -> f64),
    Glue(&'static str),
}

impl ScorePart {
    fn name(&self) -> &'static str {
        match self {
            Self::Reading(name, _) | Self::Glue(name) => name,
        }
    }

    fn of(&self, score: &AnyScore) -> Option<f64> {
        match (self, score) {
            (Self::Reading(_, of), AnyScore::Reading { score, .. }) => Some(of(score)),
            (Self::Glue(name), AnyScore::Glue(score)) => {
                score.tasks.get(*name).map(|share| 100.0 * share)
            }
            _ => None,
        }
    }
}

/// The parts of a task that have rows of their own.
fn parts(task: AnyTask) -> Vec<ScorePart> {
    match task {
        AnyTask::Reading => vec![
            ScorePart::Reading("eye tracking", |score| score.eye_tracking),
            ScorePart::Reading("self-paced", |score| score.self_paced),
        ],
        AnyTask::Glue => CHALLENGE_GLUE.map(ScorePart::Glue).into(),
        AnyTask::Choices(_) | AnyTask::Aoa => Vec::new(),
    }
}

/// How many items a score is of, and how many the published files have where that is another
/// number.
fn of_published(score: &AnyScore, task: AnyTask, year: ChallengeYear) -> String {
    let (items, expected) = (score.items(), task.expected_items(year));
    match expected == items || task.is_of_trainings() {
        true => items.to_string(),
        false => format!("{items} of {expected}"),
    }
}

fn shown(score: f64) -> String {
    format!("{score:.2}")
}

fn nothing() -> String {
    "-".to_owned()
}
