//! What one fine-tuning leaves in its folder: `result.json`, `predictions.txt`,
//! `predictions.jsonl`, and the model if it is to be kept.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use base::hash;
use eval::classification::{find_task, task_result};
use eval::output::predictions;
use eval::{Benchmark, BenchmarkResult, Outcome, Prediction, Rules, TaskResult};
use serde::{Deserialize, Serialize};
use train::finetune::{Evaluation, FinetuneSettings};

use super::jobs::Questions;
use crate::error::{FileContext, Result, refuse};
use crate::files;
use crate::machine::Machine;

const RESULT: &str = "result.json";
const ANSWERS: [&str; 2] = ["predictions.txt", "predictions.jsonl"];
/// The folder of a classifier that is kept.
pub const MODEL: &str = "model";

/// The scores of a fine-tuned model on one task, and how it came to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinetuneResult {
    /// Hash of everything that the result follows from: weights, tokenizer, items and settings.
    pub fingerprint: String,
    /// Hash of this result without the hash itself, and of the files of answers.
    #[serde(default)]
    pub(super) checksum: String,
    /// The score by the task's metric, over the items that it counts.
    pub score: TaskResult,
    /// The score over all validation items, where `score` leaves some out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_rows: Option<TaskResult>,
    /// All validation items.
    pub validation_items: usize,
    /// Items cut to 128 tokens, or to the model's positions.
    pub validation_items_truncated: usize,
    /// How the training went.
    #[serde(flatten)]
    pub course: FinetuneHistory,
}

/// How a fine-tuning went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinetuneHistory {
    /// The task whose training items the model learned from: by the rules of 2024 `mnli` for
    /// `mnli-mm`.
    pub trained_on: String,
    /// Whose pipeline was followed.
    pub rules: Rules,
    /// Hash of the language model's weights, configuration and tokenizer; not known of older
    /// files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The settings of the training.
    pub settings: FinetuneSettings,
    /// The labels, in the order of the logits.
    pub labels: Vec<u32>,
    /// Items that were learned from.
    pub training_items: usize,
    /// How many of them were cut to fit.
    pub training_items_truncated: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Whether patience ran out before the last epoch.
    pub stopped_early: bool,
    /// The evaluation in `history` whose weights were kept; absent where the final ones were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<usize>,
    /// The evaluations, in order.
    pub history: Vec<Evaluation>,
    /// Read by the steps.
    pub tokens: u64,
    /// Spent on the steps, without evaluations.
    pub seconds: f64,
    /// Speed of the steps.
    pub tokens_per_second: f64,
    /// What products were computed in, such as `f32`; not known of older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// What it ran on; not known of older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

impl FinetuneResult {
    /// The scores of the answers to a set of items, where `truncated` marks those that were cut.
    pub fn new(
        fingerprint: &str,
        course: &FinetuneHistory,
        questions: &Questions,
        truncated: &[bool],
        answers: &[Prediction],
    ) -> Self {
        let scored = questions.rows.scored();
        let all = task_result(questions.task, answers, count(truncated));
        let partly = scored.contains(&false);
        let score = if partly {
            let counted =
                truncated.iter().zip(&scored).filter(|(cut, scored)| **cut && **scored).count();
            task_result(questions.task, &pick(answers, &scored), counted)
        } else {
            all.clone()
        };
        Self {
            fingerprint: fingerprint.to_owned(),
            checksum: String::new(),
            score,
            all_rows: partly.then_some(all),
            validation_items: answers.len(),
            validation_items_truncated: count(truncated),
            course: course.clone(),
        }
    }

    /// The benchmark that its task belongs to.
    pub fn benchmark(&self) -> Option<&'static dyn Benchmark> {
        find_task(&self.score.name).map(|task| task.benchmark)
    }

    /// Whether its task belongs to a benchmark.
    pub fn is_of(&self, benchmark: &dyn Benchmark) -> bool {
        self.benchmark().is_some_and(|own| own == benchmark)
    }

    /// The score that counts, or the one over all items.
    pub fn shown(&self, all_rows: bool) -> &TaskResult {
        self.all_rows.as_ref().filter(|_| all_rows).unwrap_or(&self.score)
    }

    /// The result that a folder holds, if it follows from what has this fingerprint and is as it
    /// was written.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(folder: &Path, fingerprint: &str) -> Result<Option<Self>> {
        Self::read_if(folder, |found| found.fingerprint == fingerprint)
    }

    /// The result that a folder holds, if it `fits` and is as it was written.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read_if(folder: &Path, fits: impl Fn(&Self) -> bool) -> Result<Option<Self>> {
        let path = folder.join(RESULT);
        if ANSWERS.iter().any(|name| !folder.join(name).is_file()) {
            return Ok(None);
        }
        match fs::read(&path) {
            // A file that cannot be understood counts as none.
            Ok(bytes) => {
                let found = serde_json::from_slice(&bytes).ok().filter(fits);
                let Some(found) = found else { return Ok(None) };
                let is_whole = found.checksum == found.checksum_in(folder)?;
                Ok(is_whole.then_some(found))
            }
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause).at("read", &path),
        }
    }

    /// Whether the result that [`read_if`](Self::read_if) did not find is there and is damaged,
    /// rather than absent or another one.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn is_damaged(folder: &Path, fits: impl Fn(&Self) -> bool) -> Result<bool> {
        let path = folder.join(RESULT);
        if !path.is_file() {
            return Ok(false);
        }
        let found: Option<Self> = serde_json::from_slice(&fs::read(&path).at("read", &path)?).ok();
        Ok(found.is_none_or(|found| fits(&found)))
    }

    /// The labels that a folder's answers name, one for each validation item.
    ///
    /// # Errors
    /// When the file cannot be read, or is no table of answers.
    pub fn labels(folder: &Path) -> Result<Vec<u32>> {
        let path = folder.join(ANSWERS[0]);
        let text = fs::read_to_string(&path).at("read", &path)?;
        let label = |line: &str| line.split_once('\t')?.1.parse().ok();
        let labels: Option<Vec<u32>> = text.lines().skip(1).map(label).collect();
        match labels {
            Some(labels) => Ok(labels),
            None => refuse(format_args!("{} is no table of answers", path.display())),
        }
    }

    /// Writes the result and the answers behind it, those to all validation items. The result comes
    /// last, so that its presence means that the rest is complete.
    pub fn write(
        &self,
        folder: &Path,
        questions: &Questions,
        answers: &[Prediction],
    ) -> Result<()> {
        let result = BenchmarkResult::of_tasks(
            questions.task.benchmark,
            self.course.rules,
            vec![self.score.clone()],
        );
        let outcome =
            Outcome { result, predictions: vec![pick(answers, &questions.rows.scored())] };
        let text = table(&self.course.labels, answers);
        files::write_text(&folder.join("predictions.txt"), &text)?;
        let lines = predictions::to_lines(&outcome);
        files::write_text(&folder.join("predictions.jsonl"), &lines)?;
        let checksum = self.checksum_in(folder)?;
        files::write_json(&folder.join(RESULT), &Self { checksum, ..self.clone() })
    }

    /// The checksum of this result with the answers that are in a folder.
    fn checksum_in(&self, folder: &Path) -> Result<String> {
        let plain = Self { checksum: String::new(), ..self.clone() };
        let mut all = vec![serde_json::to_value(&plain)?.to_string()];
        for name in ANSWERS {
            let path = folder.join(name);
            all.push(hash::of_file(&path).at("read", &path)?);
        }
        Ok(hash::of_bytes(all.join("\n").as_bytes()))
    }
}

/// The answers that the score counts.
fn pick(answers: &[Prediction], scored: &[bool]) -> Vec<Prediction> {
    answers
        .iter()
        .zip(scored)
        .filter(|(_, scored)| **scored)
        .map(|(answer, _)| answer.clone())
        .collect()
}

fn count(flags: &[bool]) -> usize {
    flags.iter().filter(|&&flag| flag).count()
}

/// The form of the pipeline of 2024: a head, then the index and the label of every item.
fn table(labels: &[u32], answers: &[Prediction]) -> String {
    let mut text = "index\tprediction\n".to_owned();
    for (index, answer) in answers.iter().enumerate() {
        text.push_str(&format!("{index}\t{}\n", labels[answer.predicted as usize]));
    }
    text
}

/// Makes a folder ready for a new result: none of an older one stays that could be taken for it.
///
/// # Errors
/// When the folder cannot be made, or what is in it cannot be removed.
pub fn clear(folder: &Path) -> Result<()> {
    files::make_folder(folder)?;
    files::remove(&folder.join(RESULT))?;
    files::remove(&folder.join(MODEL))
}
