//! The table of the scores.

use eval::challenge::ChallengeYear;
use eval::challenge::reading::ReadingScore;
use report::{Align, ScoreTable, Table};
use serde_json::{Value, json};

use super::scoring::{AnyScore, TaskOutcome};
use super::task::{AnyTask, all_tasks};
use super::{ChallengeOutcome, ChallengeScores};
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
        Self { table: table(models, year, failures), json: to_json(models, year) }
    }
}

fn table(models: &[ChallengeScores], year: ChallengeYear, failures: &Failures) -> Table {
    let columns = [("task", Align::Left), ("questions", Align::Right), ("chance", Align::Right)];
    let names = models.iter().map(|model| model.name.as_str());
    let mut table = ScoreTable::new(&columns, names);
    for task in all_tasks().filter(|task| task.is_of(year)) {
        let outcomes: Vec<Option<&TaskOutcome>> =
            models.iter().map(|model| outcome(&model.tasks, task)).collect();
        let failed = models.iter().map(|model| failures.mark(&model.name, task.name(), None));
        let failed: Vec<Option<String>> = failed.collect();
        if outcomes.iter().all(Option::is_none) && failed.iter().all(Option::is_none) {
            continue;
        }
        let items = outcomes.iter().flatten().next().map(|outcome| outcome.score.items());
        let items = items.map_or(String::new(), |items| items.to_string());
        let chance = format!("{:.1}", task.chance());
        let cells = outcomes.iter().zip(failed).map(|(outcome, failed)| {
            let score = outcome.map(|outcome| shown(outcome.score.shown(task)));
            failed.or(score).unwrap_or_else(|| "-".to_owned())
        });
        table.row([task.title(), items.as_str(), chance.as_str()], cells);
        if let AnyTask::Reading = task {
            for (part, of) in READING_PARTS {
                let cells = outcomes.iter().map(|outcome| match outcome.map(|one| &one.score) {
                    Some(AnyScore::Reading { score, .. }) => shown(of(score)),
                    _ => "-".to_owned(),
                });
                table.row([part, "", ""], cells);
            }
        }
    }
    table.into_table()
}

/// A score that the score of the reading task is the mean of, and its name in the table.
type ReadingPart = (&'static str, fn(&ReadingScore) -> f64);

const READING_PARTS: [ReadingPart; 2] =
    [("  eye tracking", |score| score.eye_tracking), ("  self-paced", |score| score.self_paced)];

fn outcome(outcomes: &[TaskOutcome], task: AnyTask) -> Option<&TaskOutcome> {
    outcomes.iter().find(|outcome| outcome.task.name() == task.name())
}

fn shown(score: f64) -> String {
    format!("{score:.2}")
}

fn to_json(models: &[ChallengeScores], year: ChallengeYear) -> Value {
    let scores = |outcomes: &[TaskOutcome]| {
        let scores = outcomes.iter().map(|one| (one.task.name().to_owned(), json!(one.score)));
        Value::Object(scores.collect())
    };
    let model = |model: &ChallengeScores| {
        let checkpoints =
            model.checkpoints.iter().map(|(name, outcomes)| (name.clone(), scores(outcomes)));
        json!({
            "model": model.label,
            "year": year,
            "backend": model.backend,
            "tasks": scores(&model.tasks),
            "checkpoints": Value::Object(checkpoints.collect()),
            "answers": model.answers.path,
            "missing": model.answers.missing,
        })
    };
    Value::Array(models.iter().map(model).collect())
}
