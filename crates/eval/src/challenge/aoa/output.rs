//! The files of the task, as the pipelines write them.

use serde::Serialize;
use serde_json::json;

use super::data::WordContexts;
use super::score::{AoaScore, MeasuredCheckpoint};
use crate::challenge::python_json;

/// `surprisal.json`.
#[derive(Serialize)]
struct SurprisalFile<'a> {
    metadata: Metadata<'a>,
    results: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    model_name: &'a str,
    /// Whether words were measured without their contexts.
    use_bos_only: bool,
    total_steps: usize,
    completed_steps: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    step: &'a str,
    word_count: u64,
    target_word: &'a str,
    context_id: usize,
    context: &'a str,
    surprisal: Option<f64>,
}

/// The text of `surprisal.json`: a row for every checkpoint, word and context. `total` is how many
/// checkpoints there are to be.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn surprisal_file(
    model: &str,
    words: &[WordContexts],
    checkpoints: &[MeasuredCheckpoint],
    total: usize,
) -> Result<String, serde_json::Error> {
    let mut results = Vec::new();
    for checkpoint in checkpoints {
        for (word, found) in words.iter().zip(&checkpoint.surprisals) {
            let contexts = word.contexts.iter().zip(found).enumerate();
            results.extend(contexts.map(|(context_id, (context, &surprisal))| Row {
                step: &checkpoint.name,
                word_count: checkpoint.words_seen,
                target_word: &word.word,
                context_id,
                context,
                surprisal,
            }));
        }
    }
    let metadata = Metadata {
        model_name: model,
        use_bos_only: false,
        total_steps: total,
        completed_steps: checkpoints.len(),
    };
    python_json::to_text(&SurprisalFile { metadata, results })
}

/// The text of `aoa_score.json`.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn score_file(score: &AoaScore) -> Result<String, serde_json::Error> {
    python_json::to_text(&json!({ "aoa": score.score }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_by_checkpoint_word_and_context_as_python_writes_them() {
        let word = |word: &str, contexts: &[&str]| WordContexts {
            word: word.to_owned(),
            contexts: contexts.iter().map(ToString::to_string).collect(),
        };
        let words = [word("zoo", &["At the", "Caf\u{e9} in the"]), word("dog", &[])];
        let surprisals = vec![vec![Some(2.5), None], vec![]];
        let of = |name: &str, words_seen| MeasuredCheckpoint {
            name: name.to_owned(),
            words_seen,
            surprisals: surprisals.clone(),
        };
        let checkpoints = [of("chck_1M", 1_000_000)];
        let row = |id: usize, context: &str, surprisal: &str| {
            format!(
                "{{\"step\": \"chck_1M\", \"word_count\": 1000000, \"target_word\": \"zoo\", \
                 \"context_id\": {id}, \"context\": \"{context}\", \"surprisal\": {surprisal}}}"
            )
        };
        let expected = format!(
            "{{\"metadata\": {{\"model_name\": \"m\", \"use_bos_only\": false, \
             \"total_steps\": 19, \"completed_steps\": 1}}, \"results\": [{}, {}]}}",
            row(0, "At the", "2.5"),
            row(1, "Caf\\u00e9 in the", "NaN"),
        );
        assert_eq!(surprisal_file("m", &words, &checkpoints, 19).unwrap(), expected);
    }
}
