//! The files that the pipelines write: the report and the answers of a task, and the file of all
//! answers that the leaderboard takes.

use serde::Serialize;
use serde_json::{Value, json};

use super::ChallengeYear;
use super::python_json;
use super::question::{Answer, Question};
use super::task_score::{Scoring, TaskScore, first_probability};
use super::tasks::{ChallengeTask, TASKS};

/// The report of a task (`best_temperature_report.txt`).
pub fn report(task: &ChallengeTask, score: &TaskScore) -> String {
    let unit = TaskScore::unit(task);
    let mut text = "TEMPERATURE: 1.00\n\n".to_owned();
    for (group, members) in &score.groups {
        text += &format!("### {group} {unit}\n");
        for (name, value) in members {
            text += &format!("{name}: {:.2}\n", TaskScore::shown(task, *value));
        }
        text.push('\n');
    }
    text + &format!("### AVERAGE {unit}\n{:.2}\n\n", TaskScore::shown(task, score.score))
}

/// The answers of a task: of each `UID` the texts that were chosen, with the probability of the
/// first text for nonce words.
pub fn predictions(task: &ChallengeTask, questions: &[Question], answers: &[Answer]) -> Value {
    let mut sections = serde_json::Map::new();
    for (question, answer) in questions.iter().zip(answers) {
        let uid = &question.uid;
        let section = sections.entry(uid.clone()).or_insert_with(|| json!({ "predictions": [] }));
        let Some(list) = section["predictions"].as_array_mut() else { continue };
        let chosen = question.candidates.get(answer.chosen);
        let text = chosen.map_or("", |candidate| &candidate.answer);
        let mut entry = json!({ "id": format!("{uid}_{}", list.len()), "pred": text });
        if task.scoring == Scoring::RankCorrelation {
            entry["prob"] = json!(f64::from(first_probability(answer) as f32));
        }
        list.push(entry);
    }
    Value::Object(sections)
}

/// A value as the pipelines' files have it: on one line, as Python's `json.dumps` writes it.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn to_text(value: &impl Serialize) -> Result<String, serde_json::Error> {
    python_json::to_text(value)
}

/// The sections of the file of all answers in their order, with those that other commands or none
/// fill.
pub fn sections(year: ChallengeYear) -> Vec<&'static str> {
    let choices = TASKS.iter().filter(|task| task.is_of(year)).map(|task| (task.section)(year));
    let others: &[&str] = match year {
        ChallengeYear::Year2025 => &["reading", "aoa", "glue", "fast_eval_results"],
        ChallengeYear::Year2026 => {
            &["reading", "aoa_surprisals", "aoa", "glue", "fast_eval_results"]
        }
    };
    choices.chain(others.iter().copied()).collect()
}
