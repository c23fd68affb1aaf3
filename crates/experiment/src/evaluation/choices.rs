//! Benchmarks of choices between texts, such as minimal pairs.

use std::path::Path;

use corpus::Tokenizer;
use eval::{
    Method, Outcome, Task, ZeroShot, benchmark_of_pairs, count_choices, minimal_pairs,
    score_choices,
};
use model::Model;
use report::format::counted;

use super::progress::ScoringProgress;
use super::scorer;
use crate::error::Result;
use crate::observer::Observer;
use crate::tokenizers;

/// Minimal pairs of a folder of any name.
pub struct Pairs {
    /// The benchmark that recognizes them.
    pub benchmark: &'static dyn ZeroShot,
    /// The pairs of every file.
    pub tasks: Vec<Task>,
}

impl Pairs {
    /// Reads the pairs of a folder.
    ///
    /// # Errors
    /// When it has none, or a file is damaged.
    pub fn read(folder: &Path) -> Result<Self> {
        let tasks = minimal_pairs::read_folder(folder)?;
        Ok(Self { benchmark: benchmark_of_pairs(folder, &tasks), tasks })
    }
}

/// Scores the tasks of a benchmark with one model, or with several by their averaged logits.
/// `label` is what is scored on what, such as `student on data/blimp_filtered`.
///
/// # Errors
/// When scoring fails or is asked to stop.
pub fn score(
    models: &[&Model],
    benchmark: &'static dyn ZeroShot,
    tasks: &[Task],
    asked: impl Into<Method>,
    tokenizer: &Tokenizer,
    label: String,
    observer: &dyn Observer,
) -> Result<Outcome> {
    let asked = asked.into();
    let method = Method { rules: benchmark.rules(asked.rules), ..asked };
    let rules = method.rules;
    let (scorer, prefix) = scorer(models, method, tokenizer)?;
    let should_stop = || observer.should_stop();
    let scorer = scorer.stopping_when(&should_stop);
    let tokenizer = tokenizers::of_rules(rules, tokenizer)?;
    let encode = |text: &str| tokenizers::encode(&tokenizer, text);
    let total = count_choices(tasks) as u64;
    let mut progress = ScoringProgress::begin(&scorer, observer, label, "sentences", total);
    let on_progress = |done, _| progress.update(done as u64);
    let mut outcome = score_choices(benchmark, &scorer, tasks, rules, prefix, encode, on_progress)?;
    outcome.result.backend = method.backend;
    let result = &outcome.result;
    let ties = counted(result.ties as u64, "tie");
    progress.finish(&format!("accuracy {:.1} %, {ties}", 100.0 * result.score));
    Ok(outcome)
}
