//! What the folder of a run, of an evaluation or of a fine-tuning holds. Whatever is missing or
//! damaged is named, and the rest counts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use eval::{Rules, Task};
use report::format::in_one_line;
use serde::de::DeserializeOwned;

use super::log::Log;
use super::scores;
use crate::evaluation::all::model_scores::ModelScores;
use crate::lock;
use crate::run::clean::entries;
use crate::run::samples::Sample;
use crate::stage::Stages;
use crate::training_log::TrainingSummary;

/// What a folder holds.
pub(super) struct Found {
    /// A short name that no other folder of the report has.
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// The resolved recipe of a run, as text and as a table.
    pub(super) recipe: Option<(String, toml::Table)>,
    /// The process that works on it.
    pub(super) process: Option<u32>,
    /// The first and the last moment in the log of a run.
    pub(super) times: Option<(String, String)>,
    /// The models of a run, or of a training.
    pub(super) models: Vec<FoundModel>,
    /// What was scored.
    pub(super) scores: Vec<FoundScores>,
    /// The text that each model has seen.
    pub(super) exposure: BTreeMap<String, serde_json::Value>,
    /// What a reader may look for and does not find.
    pub(super) missing: Vec<Lack>,
}

/// Something that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    /// What, such as `scores`.
    pub(super) what: String,
    /// Of which model or file; may be empty.
    pub(super) of: String,
    /// The reason, as a sentence.
    pub(super) why: String,
}

/// A model that was or is trained.
pub(super) struct FoundModel {
    pub(super) name: String,
    pub(super) log: Option<Log>,
    pub(super) summary: Option<TrainingSummary>,
    pub(super) is_finished: bool,
    /// The precision and what computed the products.
    pub(super) products: Option<String>,
    /// Whether it learns from other models.
    pub(super) has_teachers: bool,
    /// Whether other models of the run learn from it.
    pub(super) is_teacher: bool,
    /// Of its training.
    pub(super) seed: Option<i64>,
}

/// What was scored of a model or an ensemble.
pub(super) struct FoundScores {
    pub(super) scores: ModelScores,
    pub(super) rules: Option<Rules>,
    pub(super) held_out_loss: Option<f64>,
    /// What it wrote.
    pub(super) samples: Vec<Sample>,
    /// Where the items of a benchmark are, by its name.
    pub(super) data: BTreeMap<&'static str, PathBuf>,
}

/// Files of settings and scores are no larger.
const LARGEST: u64 = 256 << 20;

impl Found {
    /// Looks into a folder.
    pub(super) fn look(name: &str, folder: &Path) -> Self {
        let mut found = Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            recipe: None,
            process: lock::holder_of(folder),
            times: None,
            models: Vec::new(),
            scores: Vec::new(),
            exposure: BTreeMap::new(),
            missing: Vec::new(),
        };
        let has = |name: &str| folder.join(name).exists();
        if has("recipe.toml") || has("stages") || has("models") {
            found.look_at_run();
        } else if has("metrics.jsonl") {
            found.add_model(&in_one_line(name), folder, None);
        } else {
            scores::look_at_evaluation(&mut found);
        }
        if found.models.is_empty() && found.scores.is_empty() {
            found.lacks("models and scores", "", "none was found in this folder.");
        }
        found
    }

    /// Whether the folder is no run's and holds nothing that a report could show.
    pub(super) fn is_foreign(&self) -> bool {
        let of_run = ["recipe.toml", "stages", "models"];
        self.models.is_empty()
            && self.scores.is_empty()
            && !of_run.iter().any(|name| self.folder.join(name).exists())
    }

    /// Notes what is not there.
    pub(super) fn lacks(&mut self, what: &str, of: &str, why: impl Into<String>) {
        self.missing.push(Lack { what: what.to_owned(), of: of.to_owned(), why: why.into() });
    }

    /// A file of JSON, or nothing: one that is damaged is noted; one that is absent where
    /// `expected` states why it should be there.
    pub(super) fn json<T: DeserializeOwned>(
        &mut self,
        path: &Path,
        (what, of): (&str, &str),
        expected: Option<&str>,
    ) -> Option<T> {
        match read(path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(value) => return Some(value),
                Err(cause) => {
                    self.lacks(what, of, format!("{} is damaged: {cause}.", path.display()));
                }
            },
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                if let Some(why) = expected {
                    self.lacks(what, of, why);
                }
            }
            Err(cause) => {
                self.lacks(what, of, format!("{} cannot be read: {cause}.", path.display()));
            }
        }
        None
    }

    fn look_at_run(&mut self) {
        let folder = self.folder.clone();
        self.read_recipe(&folder.join("recipe.toml"));
        self.times = times(&folder.join("log.txt"));
        let section = |found: &Self| {
            let models = found.recipe.as_ref().and_then(|(_, recipe)| recipe.get("models"));
            models.and_then(toml::Value::as_table).cloned().unwrap_or_default()
        };
        let recipe = section(self);
        let mut names: Vec<String> = recipe.keys().cloned().collect();
        if names.is_empty() {
            let folders = entries(&folder.join("models")).unwrap_or_default();
            let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
            let is_model = |path: &&PathBuf| path.is_dir() && path.extension().is_none();
            names = folders.iter().filter(is_model).filter_map(name).collect();
        }
        for name in &names {
            self.add_model(name, &folder.join("models").join(name), recipe.get(name));
        }
        let is_over = !self.models.is_empty() && self.models.iter().all(|model| model.is_finished);
        let why = "it is written when all models are scored.";
        let expected = is_over.then_some(why);
        let path = folder.join("exposure.json");
        self.exposure = self.json(&path, ("words seen", ""), expected).unwrap_or_default();
        scores::look_at_run(self);
    }

    fn read_recipe(&mut self, path: &Path) {
        let text = read(path).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|cause| std::io::Error::other(cause.to_string()))
        });
        match text.map_err(|cause| cause.to_string()).and_then(|text| {
            let table = toml::from_str(&text).map_err(|cause| cause.message().to_owned())?;
            Ok((text, table))
        }) {
            Ok(recipe) => self.recipe = Some(recipe),
            Err(cause) => {
                self.lacks("recipe", "", format!("{} cannot be read: {cause}.", path.display()))
            }
        }
    }

    /// A model by its folder and its section of the recipe.
    fn add_model(&mut self, name: &str, folder: &Path, section: Option<&toml::Value>) {
        let path = folder.join("metrics.jsonl");
        let is_run = self.folder != folder;
        let stage = format!("model-{name}");
        let is_finished = match is_run {
            true => self.folder.join("stages").join(format!("{stage}.json")).is_file(),
            false => folder.join("final").is_dir(),
        };
        let log = match Log::read(&path) {
            Ok(log) => Some(log),
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                let begun = is_finished || folder.is_dir();
                let why = if begun { "its log is not there." } else { "it has no folder yet." };
                self.lacks("curves", name, why);
                None
            }
            Err(cause) => {
                let why = format!("{} cannot be read: {cause}.", path.display());
                self.lacks("curves", name, why);
                None
            }
        };
        if let Some(log) = log.as_ref().filter(|log| log.damaged > 0) {
            let (damaged, first) = (log.damaged, log.first_damaged);
            let why = format!(
                "{damaged} lines of {} are no records, the first line {first}.",
                path.display()
            );
            self.lacks("some steps", name, why);
        }
        if !is_finished && log.is_some() {
            let steps = log.as_ref().and_then(Log::last_step).unwrap_or(0.0);
            let cut = log.as_ref().is_some_and(|log| log.is_cut);
            let cut = if cut { "; the last line of its log was not finished" } else { "" };
            self.lacks("the end", name, format!("its training stands at step {steps}{cut}."));
        }
        let expected = is_finished.then_some("summary.json is not there.");
        let summary = self.json(&folder.join(TrainingSummary::FILE), ("summary", name), expected);
        let products = if is_run { Stages::look(&self.folder).products(&stage) } else { None };
        let has_teachers = section.is_some_and(|section| section.get("distill").is_some());
        let is_teacher = self.recipe.as_ref().is_some_and(|(_, recipe)| teaches(recipe, name));
        let seed = section.and_then(|section| section.get("train")?.get("seed")?.as_integer());
        let name = name.to_owned();
        self.models.push(FoundModel {
            name,
            log,
            summary,
            is_finished,
            products,
            has_teachers,
            is_teacher,
            seed,
        });
    }
}

/// Whether a model of a recipe is a teacher of another.
fn teaches(recipe: &toml::Table, name: &str) -> bool {
    let models = recipe.get("models").and_then(toml::Value::as_table);
    let mut sections = models.into_iter().flat_map(|models| models.values());
    let teachers = |section: &toml::Value| {
        let teachers = section.get("distill")?.get("teachers")?.as_array()?;
        Some(teachers.iter().any(|teacher| teacher.as_str() == Some(name)))
    };
    sections.any(|section| teachers(section).unwrap_or(false))
}

/// The bytes of a file that is no larger than such files are.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    base::input_file::open_regular(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first and the last moment of a run's log.
fn times(path: &Path) -> Option<(String, String)> {
    let bytes = read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let is_time = |word: &&str| word.len() == 20 && word.ends_with('Z');
    let mut moments = text.lines().filter_map(|line| line.split(' ').next()).filter(is_time);
    let first = moments.next()?.to_owned();
    let last = moments.next_back().map_or_else(|| first.clone(), str::to_owned);
    Some((first, last))
}

/// The items of a benchmark, where they can still be read.
pub(super) fn items(benchmark: &str, place: &Path) -> Option<Vec<Task>> {
    let known = eval::find_benchmark(benchmark)?;
    match known.kind() {
        eval::Kind::ZeroShot(reader) if fs::exists(place).unwrap_or(false) => {
            reader.read(place).ok()
        }
        _ => None,
    }
}
