//! The table of the scores.

use eval::challenge::{ChallengeYear, TASKS};
use report::{Align, ScoreTable, Table};
use serde_json::{Value, json};

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
    for task in TASKS.iter().filter(|task| task.is_of(year)) {
        let of = |model: &ChallengeScores| {
            let found = model.tasks.iter().find(|outcome| outcome.task.name == task.name);
            let failed = failures.mark(&model.name, task.name, None);
            failed.or(found.map(|outcome| format!("{:.2}", outcome.score.score)))
        };
        let scores: Vec<Option<String>> = models.iter().map(of).collect();
        if scores.iter().all(Option::is_none) {
            continue;
        }
        let found = models.iter().flat_map(|model| &model.tasks);
        let of_task = found.into_iter().find(|outcome| outcome.task.name == task.name);
        let items = of_task.map_or(String::new(), |outcome| outcome.score.items.to_string());
        let cells = scores.into_iter().map(|score| score.unwrap_or_else(|| "-".to_owned()));
        table.row([task.title, items.as_str(), &format!("{:.1}", task.chance)], cells);
    }
    table.into_table()
}

fn to_json(models: &[ChallengeScores], year: ChallengeYear) -> Value {
    let model = |model: &ChallengeScores| {
        let tasks =
            model.tasks.iter().map(|outcome| (outcome.task.name.to_owned(), json!(outcome.score)));
        json!({
            "model": model.label,
            "year": year,
            "backend": model.backend,
            "tasks": tasks.collect::<serde_json::Map<_, _>>(),
            "answers": model.answers.path,
            "missing": model.answers.missing,
        })
    };
    Value::Array(models.iter().map(model).collect())
}
