//! What reading the scores of a run and those of an evaluation have in common.

use std::path::Path;

use eval::BenchmarkResult;
use eval::output::predictions;
use report::format::grouped;

use super::found::Found;
use crate::run::samples::LARGEST;

/// Why a masked model or an encoder-decoder has no samples.
pub(super) const NO_TEXT: &str = "a model that does not predict the next token writes no text.";

/// Why a model by itself has no samples.
pub(super) fn why_no_samples(parameters: u64) -> String {
    match parameters > LARGEST as u64 {
        true => format!(
            "models of more than {} weights write none when they are scored; `babyllama \
             generate` lets them write.",
            grouped(LARGEST as u64)
        ),
        false => "no prompt is as short as its positions, or these scores are of a version of the \
                  program that wrote none."
            .to_owned(),
    }
}

/// The answers behind a result, if they are about its items.
pub(super) fn answers_of(
    found: &mut Found,
    path: &Path,
    result: &BenchmarkResult,
) -> Option<Vec<Vec<eval::Prediction>>> {
    let tasks = match predictions::read(path) {
        Ok(tasks) => tasks,
        Err(cause) => {
            found.lacks("answers", &shown_name(path), format!("{cause}."));
            return None;
        }
    };
    let fits = tasks.len() == result.tasks.len()
        && tasks.iter().zip(&result.tasks).all(|(answers, task)| {
            answers.task == task.name && answers.predictions.len() == task.items
        });
    if !fits {
        found.lacks("answers", &shown_name(path), "they are not those of the scores beside them.");
        return None;
    }
    Some(tasks.into_iter().map(|task| task.predictions).collect())
}

/// The last part of a path, in characters that can be shown.
pub(super) fn shown_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    report::format::in_one_line(&name)
}
