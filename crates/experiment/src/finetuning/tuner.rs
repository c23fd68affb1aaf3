//! One fine-tuning: from a model's folder and a task's items to the scores in a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::tokenizer::Role;
use engine::Device;
use eval::classification::{SpecialTokens, predictions, score, selection_metric};
use eval::{Metric, Prediction, Rules};
use model::{Classifier, hugging_face};
use serde_json::{Value, json};
use train::finetune::{Finetune, FinetuneSettings, Finetuned, predict};

use super::items::JobItems;
use super::jobs::{Job, Questions};
use super::listener::FinetuneLog;
use super::result::{FinetuneHistory, FinetuneResult, MODEL, clear};
use super::subject::FinetuneSubject;
use crate::error::{ExperimentError, Result};
use crate::failures::Part;
use crate::identity;
use crate::machine::Machine;
use crate::observer::Observer;
use crate::position_heads;
use crate::recipe::FinetuneRecipe;
use crate::stage::Stage;

/// How fine-tunings are done.
pub struct Tuner<'a> {
    /// The settings of every task.
    pub recipe: &'a FinetuneRecipe,
    /// Steps instead of the recipe's epochs.
    pub max_steps: Option<u64>,
    /// Whether the classifiers are kept.
    pub keep: bool,
    /// Where models are trained.
    pub device: Arc<dyn Device>,
    /// Receives progress, and can ask to stop.
    pub observer: &'a dyn Observer,
}

impl Tuner<'_> {
    /// The results of a task that is done already, for the questions of all its sets.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn finished(
        &self,
        subject: &FinetuneSubject,
        job: &Job,
        seed: Option<u64>,
        folder: &Path,
    ) -> Result<Option<Vec<FinetuneResult>>> {
        let (rules, settings) = (self.recipe.rules, self.settings(job, seed));
        let fingerprint = fingerprint(subject, job, rules, &settings, &*self.device)?;
        read_all(&places(job, folder, settings.seed), &fingerprint)
    }

    /// Fine-tunes a model for a job, and leaves the results in `folder/TASK/seed-N`, one for each
    /// set of items that the model answers; or reads those that are there, if they follow from the
    /// same weights, items and settings. `seed` stands in for the recipe's.
    ///
    /// # Errors
    /// When items or training fail, and [`ExperimentError::Interrupted`] when the observer asked to
    /// stop; nothing is left of this fine-tuning then.
    pub fn finetune_task(
        &self,
        subject: &FinetuneSubject,
        job: &Job,
        seed: Option<u64>,
        folder: &Path,
    ) -> Result<Vec<FinetuneResult>> {
        let (rules, settings) = (self.recipe.rules, self.settings(job, seed));
        let fingerprint = fingerprint(subject, job, rules, &settings, &*self.device)?;
        let places = places(job, folder, settings.seed);
        let label = self.part(subject, job, seed).to_string();
        let found = read_all(&places, &fingerprint)?;
        if let Some(done) = found.filter(|_| !self.keep || places[0].join(MODEL).is_dir()) {
            self.observer.note(format_args!("{label}: done already"));
            return Ok(done);
        }
        if self.observer.should_stop() {
            return Err(ExperimentError::Interrupted);
        }
        places.iter().try_for_each(|place| clear(place))?;
        let items = subject.items(job, rules, settings.max_length)?;
        let (tokens, metric) = (items.training.tokens(), self.selection(job, &items));
        let mut log = FinetuneLog::new(&label, tokens, metric, self.observer);
        let finetuned = self.finetune(subject, job, &items, &settings, &mut log)?;
        let course = FinetuneHistory {
            trained_on: job.task().name.to_owned(),
            rules,
            model: Some(identity::hash_of_model(&subject.identity)),
            settings,
            labels: items.labels.values().to_vec(),
            training_items: items.training.examples.len(),
            training_items_truncated: items.training.count_truncated(),
            steps: finetuned.steps,
            stopped_early: finetuned.stopped_early,
            best: finetuned.best,
            tokens: finetuned.tokens,
            seconds: log.seconds(),
            tokens_per_second: finetuned.tokens as f64 / log.seconds().max(1e-9),
            history: finetuned.history.clone(),
            precision: Some(self.device.arithmetic().to_string()),
            machine: Some(Machine::of(&*self.device)),
        };
        let answers = answers(&items, &finetuned)?;
        if self.keep {
            let max_length = subject.positions.min(course.settings.max_length);
            let place = places[0].join(MODEL);
            save(subject, finetuned.classifier, &course.labels, max_length, &place)?;
        }
        let mut results = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let (questions, truncated) =
                (&job.validation[index], &items.validation[index].truncated);
            let result =
                FinetuneResult::new(&fingerprint, &course, questions, truncated, &answers[index]);
            result.write(place, questions, &answers[index])?;
            results.push(result);
        }
        log.finish(&closing_note(&results));
        Ok(results)
    }

    /// What a fine-tuning is called.
    pub fn part(&self, subject: &FinetuneSubject, job: &Job, seed: Option<u64>) -> Part {
        let tasks = job.tasks().iter().map(|task| task.name).collect();
        let seed = Some(self.settings(job, seed).seed);
        Part { tasks, seed, ..Part::whole(&subject.name, job.task().benchmark.name()) }
    }

    fn settings(&self, job: &Job, seed: Option<u64>) -> FinetuneSettings {
        let mut settings = self.recipe.settings(job.task()).clone();
        settings.seed = seed.unwrap_or(settings.seed);
        settings.max_steps = self.max_steps.unwrap_or(settings.max_steps);
        settings
    }

    fn finetune(
        &self,
        subject: &FinetuneSubject,
        job: &Job,
        items: &JobItems,
        settings: &FinetuneSettings,
        log: &mut FinetuneLog<'_>,
    ) -> Result<Finetuned> {
        let model = hugging_face::load_any(&subject.folder, &self.device)?;
        let model = position_heads::settle(&subject.folder, model, self.observer)?;
        let (labels, head) = (items.labels.count(), settings.head_kind());
        let classifier = Classifier::with_head(&model, labels, head, settings.seed)?;
        // The classifier has a copy of what it needs.
        drop(model);
        let (gold, metric) = (items.validation[0].classes(), self.selection(job, items));
        let select =
            |predicted: &[u32]| score(metric, gold.iter().copied().zip(predicted.iter().copied()));
        let run = Finetune {
            classifier,
            training: &items.training.examples,
            validation: &items.validation[0].examples,
            settings,
            select: &select,
        };
        let finetuned = run.execute(log)?;
        if finetuned.interrupted {
            return Err(ExperimentError::Interrupted);
        }
        Ok(finetuned)
    }

    /// What chooses the weights.
    fn selection(&self, job: &Job, items: &JobItems) -> Metric {
        selection_metric(job.task(), items.labels.count(), self.recipe.rules)
    }
}

/// Where the results of a job are, one place for each of its sets.
fn places(job: &Job, folder: &Path, seed: u64) -> Vec<PathBuf> {
    let place =
        |questions: &Questions| folder.join(questions.task.name).join(format!("seed-{seed}"));
    job.validation.iter().map(place).collect()
}

/// The results at these places, if all are there and follow from the same things.
fn read_all(places: &[PathBuf], fingerprint: &str) -> Result<Option<Vec<FinetuneResult>>> {
    let found = places.iter().map(|place| FinetuneResult::read(place, fingerprint));
    Ok(found.collect::<Result<Vec<_>>>()?.into_iter().collect())
}

/// A hash of everything that the results follow from.
fn fingerprint(
    subject: &FinetuneSubject,
    job: &Job,
    rules: Rules,
    settings: &FinetuneSettings,
    device: &dyn Device,
) -> Result<String> {
    let (weights, tokenizer) = (&subject.identity, subject.tokenizer.content_hash());
    let tasks: Vec<&str> = job.validation.iter().map(|questions| questions.task.name).collect();
    let mut all = json!({
        "weights": weights,
        "tokenizer": tokenizer,
        "tasks": tasks,
        "rules": rules,
        "settings": settings,
    });
    if subject.special_tokens != SpecialTokens::default() {
        all["special_tokens"] = json!(subject.special_tokens);
    }
    if let arithmetic @ Value::String(_) = identity::arithmetic(device) {
        all["arithmetic"] = arithmetic;
    }
    let mut stage = Stage::new("finetune", &all)?.reads(&job.training.path)?;
    for questions in &job.validation {
        stage = stage.reads(&questions.rows.path)?;
    }
    Ok(stage.fingerprint())
}

/// The answers to each set of items; those to the first are known from choosing the weights.
fn answers(items: &JobItems, finetuned: &Finetuned) -> Result<Vec<Vec<Prediction>>> {
    let [first, others @ ..] = &items.validation[..] else { return Ok(Vec::new()) };
    let mut answers = vec![predictions(&first.classes(), &finetuned.logits)?];
    for set in others {
        answers
            .push(predictions(&set.classes(), &predict(&finetuned.classifier, &set.examples)?.0)?);
    }
    Ok(answers)
}

/// Writes a classifier with its tokenizer; its labels are named by their numbers in the files.
fn save(
    subject: &FinetuneSubject,
    classifier: Classifier,
    labels: &[u32],
    max_length: usize,
    folder: &Path,
) -> Result<()> {
    let classifier = classifier.with_labels(labels.iter().map(u32::to_string).collect())?;
    let padding = subject.tokenizer.role_id(Role::Padding);
    hugging_face::save_classifier(&classifier, padding, folder)?;
    Ok(subject.tokenizer.save_folder(folder, max_length)?)
}

fn closing_note(results: &[FinetuneResult]) -> String {
    let note = |result: &FinetuneResult| {
        let (score, items) = (&result.score, result.validation_items);
        let cut = match result.validation_items_truncated {
            0 => String::new(),
            cut => format!(", {cut} of {items} items cut to fit"),
        };
        format!("{} {} {:.1}{cut}", score.name, score.metric.name(), 100.0 * score.score)
    };
    results.iter().map(note).collect::<Vec<_>>().join(", ")
}
