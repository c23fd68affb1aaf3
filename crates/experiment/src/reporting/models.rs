//! The trained models of a run or of a training: log, summary and the records of the end.

use std::io::ErrorKind;
use std::path::Path;

use model::hugging_face::load_any_config;
use model::{Architecture, ModelConfig};
use report::format::no_records;

use super::found::Found;
use super::log::Log;
use crate::files::entries;
use crate::held_out::{self, HeldOut};
use crate::recipe::snapshot_name;
use crate::stage::{Record, StageEnd};
use crate::training_log::TrainingSummary;
use crate::verify::{FINAL, FINISHED};

/// A model that was or is trained.
pub(super) struct FoundModel {
    pub(super) name: String,
    /// Its weights, by the settings beside them; 0 where they are not there yet.
    pub(super) parameters: u64,
    pub(super) log: Option<Log>,
    pub(super) summary: Option<TrainingSummary>,
    pub(super) is_finished: bool,
    /// The precision and what computed the products.
    pub(super) products: Option<String>,
    /// When and where its training ended.
    pub(super) end: Option<StageEnd>,
    /// Whether it learns from other models.
    pub(super) has_teachers: bool,
    /// Whether other models of the run learn from it.
    pub(super) is_teacher: bool,
    /// Of its training.
    pub(super) seed: Option<i64>,
    /// What the losses along its training are measured on.
    pub(super) held_out: HeldOut,
    /// As far as it is known.
    pub(super) architecture: Option<Architecture>,
}

/// Adds a model by its folder and its section of the recipe.
pub(super) fn add(found: &mut Found, name: &str, folder: &Path, section: Option<&toml::Value>) {
    let record = record(found, name, folder);
    let is_finished = record.is_some();
    let log = log(found, name, folder, is_finished);
    let path = folder.join(TrainingSummary::FILE);
    let expected = format!("{} is not there.", path.display());
    let expected = is_finished.then_some(&expected[..]);
    let summary: Option<TrainingSummary> = found.json(&path, ("summary", name), expected);
    if let (Some(log), Some(summary)) = (&log, &summary)
        && is_finished
        && log.damaged == 0
        && !log.is_cut
        && log.tokens != summary.tokens as f64
    {
        let (there, all) = (log.tokens, summary.tokens);
        let path = folder.join("metrics.jsonl");
        let why = format!("{} has {there} of {all} tokens.", path.display());
        found.lacks("some steps", name, why);
    }
    let has_teachers = section.is_some_and(|section| section.get("distill").is_some());
    let is_teacher = found.recipe.as_ref().is_some_and(|(_, recipe)| teaches(recipe, name));
    let seed = section.and_then(|section| section.get("train")?.get("seed")?.as_integer());
    let train = section.and_then(|section| section.get("train"));
    let length = train.and_then(|train| train.get("sequence_length")?.as_integer());
    let length = length.and_then(|length| u64::try_from(length).ok());
    let sequence_length = length.or(found.held_out.sequence_length);
    let config = config(folder);
    let architecture = config.as_ref().map(|config| config.architecture);
    let hidden = found.held_out.hidden.clone();
    let hidden = hidden.or_else(|| held_out::hidden_of_section(section, architecture));
    found.models.push(FoundModel {
        held_out: HeldOut { sequence_length, hidden, ..found.held_out.clone() },
        name: name.to_owned(),
        architecture,
        parameters: config.map_or(0, |config| config.parameter_count() as u64),
        log,
        summary,
        is_finished,
        products: record.as_ref().and_then(|record| record.products.clone()),
        end: record.and_then(|record| record.end),
        has_teachers,
        is_teacher,
        seed,
    });
}

/// What the folder of a model's weights states: of the best or the last ones, or of a checkpoint.
fn config(folder: &Path) -> Option<ModelConfig> {
    let checkpoints = entries(&folder.join("checkpoints")).unwrap_or_default();
    let places =
        [FINAL, train::best::FOLDER].map(|name| folder.join(name)).into_iter().chain(checkpoints);
    places.into_iter().find_map(|place| load_any_config(&place).ok())
}

/// The record of the end of a model's training: its stage's, or the copy beside the weights where
/// that is lost.
fn record(found: &mut Found, name: &str, folder: &Path) -> Option<Record> {
    let of_stage = format!("model-{name}");
    let is_run = found.folder != folder;
    let own = found.records.get(&of_stage).cloned();
    let (path, weights) = (folder.join(FINISHED), folder.join(FINAL));
    // While a model is trained again the copy may be that of before.
    let has_ended = own.is_some() || (weights.is_dir() && found.process.is_none());
    let why = format!("{} is not there: damage to the weights is not noticed.", path.display());
    let what = ("record beside the weights", name);
    let copy: Option<Record> = found.json(&path, what, has_ended.then_some(&why[..]));
    let copy = copy.filter(|_| has_ended);
    if own.is_none() && copy.is_some() && is_run {
        let path = found.folder.join("stages").join(format!("{of_stage}.json"));
        // What is damaged is named already.
        if !path.exists() {
            let why = format!("{} is not there.", path.display());
            found.lacks("record of the training", name, why);
        }
    }
    own.or(copy)
}

/// The metrics log of a model.
fn log(found: &mut Found, name: &str, folder: &Path, is_finished: bool) -> Option<Log> {
    let path = folder.join("metrics.jsonl");
    let shown = path.display();
    let log = match Log::read(&path) {
        Ok(log) => log,
        Err(cause) => {
            let begun = is_finished || folder.is_dir();
            let why = match cause.kind() {
                ErrorKind::NotFound if begun => format!("{shown} is not there."),
                ErrorKind::NotFound => "it has no folder yet.".to_owned(),
                _ => format!("{shown} cannot be read: {cause}."),
            };
            found.lacks("curves", name, why);
            return None;
        }
    };
    if log.damaged > 0 {
        let damaged = no_records(log.damaged, &shown.to_string());
        let place = if log.damaged == 1 { "line" } else { "the first is line" };
        let why = format!("{damaged}: {place} {}.", log.first_damaged);
        found.lacks("some steps", name, why);
    }
    let cut = "the last line of its log was not finished";
    if !is_finished {
        let steps = log.last_step().unwrap_or(0.0);
        let cut = if log.is_cut { format!("; {cut}") } else { String::new() };
        found.lacks("the end", name, format!("its training stands at step {steps}{cut}."));
    } else if log.is_cut {
        found.lacks("some steps", name, format!("{cut} ({shown})."));
    } else if log.count == 0 {
        found.lacks("curves", name, format!("{shown} has no steps."));
    }
    Some(log)
}

/// Whether a model of a recipe is a teacher of another.
fn teaches(recipe: &toml::Table, name: &str) -> bool {
    let models = recipe.get("models").and_then(toml::Value::as_table);
    let mut sections = models.into_iter().flat_map(|models| models.values());
    let teachers = |section: &toml::Value| {
        let teachers = section.get("distill")?.get("teachers")?.as_array()?;
        // A snapshot counts too.
        let is_it = |teacher: &str| {
            teacher == name || snapshot_name(teacher).is_some_and(|(of, _)| of == name)
        };
        Some(teachers.iter().filter_map(toml::Value::as_str).any(is_it))
    };
    sections.any(|section| teachers(section).unwrap_or(false))
}
