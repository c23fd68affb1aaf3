//! Minimal pairs of a folder.

use std::path::Path;

use corpus::Tokenizer;
use eval::{Outcome, Rules, pairs};
use model::Model;

use super::progress::ScoringProgress;
use super::scorer;
use crate::error::Result;
use crate::observer::Observer;
use crate::tokenizers;

/// Scores the minimal pairs of a folder with one model, or with several by their averaged logits.
///
/// # Errors
/// When the folder has no pairs, or scoring fails or is asked to stop.
pub fn score_folder(
    models: &[&Model],
    folder: &Path,
    rules: Rules,
    tokenizer: &Tokenizer,
    label: &str,
    observer: &dyn Observer,
) -> Result<Outcome> {
    let tasks = pairs::read_folder(folder)?;
    let total = tasks.iter().map(|task| 2 * task.pairs.len()).sum::<usize>() as u64;
    let (scorer, prefix) = scorer(models, rules, tokenizer)?;
    let should_stop = || observer.should_stop();
    let scorer = scorer.stopping_when(&should_stop);
    let tokenizer = tokenizers::of_rules(rules, tokenizer)?;
    let encode = |text: &str| tokenizer.encode(text);
    let label = format!("{label} on {}", folder.display());
    let mut progress = ScoringProgress::begin(&scorer, observer, label, "sentences", total);
    let on_progress = |done, _| progress.update(done as u64);
    let outcome = eval::score_tasks(&scorer, &tasks, rules, prefix, encode, on_progress)?;
    let result = &outcome.result;
    progress.finish(&format!("accuracy {:.1} %, {} ties", 100.0 * result.score, result.ties));
    Ok(outcome)
}
