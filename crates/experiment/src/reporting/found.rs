//! What the folder of a run, of an evaluation or of a fine-tuning holds. Whatever is missing or
//! damaged is named, and the rest counts.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use eval::{Benchmark, Outcome, Rules, Task};
use report::format::in_one_line;
use serde::de::DeserializeOwned;

use super::models::{self, FoundModel};
use super::{evaluation_scores, records, run_scores};
use crate::evaluation::all::model_scores::ModelScores;
use crate::evaluation::challenge::KeptScores;
use crate::failures::Failures;
use crate::files::entries;
use crate::held_out::HeldOut;
use crate::lock;
use crate::run::exposure;
use crate::run::samples::Sample;
use crate::scored_items;
use crate::stage::Record;
use crate::verify::FINISHED;

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
    /// The records of a run's finished stages, by their names.
    pub(super) records: BTreeMap<String, Record>,
    /// The models of a run, or of a training.
    pub(super) models: Vec<FoundModel>,
    /// What was scored.
    pub(super) scores: Vec<FoundScores>,
    /// The scores of the challenge, with the models' names.
    pub(super) challenge: Vec<(String, KeptScores)>,
    /// What losses of the folder's own models are measured on.
    pub(super) held_out: HeldOut,
    /// The text that each model has seen.
    pub(super) exposure: BTreeMap<String, serde_json::Value>,
    /// The parts of an evaluation or fine-tuning that failed.
    pub(super) failures: Failures,
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

/// What was scored of a model or an ensemble.
pub(super) struct FoundScores {
    pub(super) scores: ModelScores,
    pub(super) rules: Option<Rules>,
    /// Whether the model, or the first of an ensemble, predicts the next token; of evaluations.
    pub(super) is_causal: Option<bool>,
    pub(super) held_out_loss: Option<f64>,
    /// What that is measured on.
    pub(super) held_out: HeldOut,
    /// What it wrote.
    pub(super) samples: Vec<Sample>,
    /// Where the items of a benchmark are, by its name.
    pub(super) data: BTreeMap<&'static str, Items>,
    /// Of benchmarks with several sets of items, which set this is, by their names.
    pub(super) set_names: BTreeMap<&'static str, String>,
    /// The scores of further sets.
    pub(super) further: Vec<FoundScores>,
}

/// The items of a benchmark.
#[derive(Clone, Debug)]
pub(super) struct Items {
    pub(super) place: PathBuf,
    benchmark: &'static dyn Benchmark,
    /// Of names and contents of the files when they were scored, where that is recorded.
    scored: Option<String>,
    /// The same of the files now, once it is asked for; none where they cannot be read.
    now: OnceCell<Option<String>>,
}

impl Items {
    pub(super) fn new(
        benchmark: &'static dyn Benchmark,
        place: PathBuf,
        scored: Option<String>,
    ) -> Self {
        Self { place, benchmark, scored, now: OnceCell::new() }
    }

    fn now(&self) -> Option<&String> {
        self.now.get_or_init(|| scored_items::hash_of(self.benchmark, &self.place)).as_ref()
    }

    /// Whether the files are others now than those that were scored, as far as that is recorded.
    pub(super) fn are_edited(&self) -> bool {
        self.scored.as_ref().zip(self.now()).is_some_and(|(scored, now)| scored != now)
    }

    /// A hash of those that were scored; where that is not recorded, of those that are there now.
    pub(super) fn hash(&self) -> Option<&String> {
        self.scored.as_ref().or_else(|| self.now())
    }
}

impl FoundScores {
    /// Scores of which nothing is known yet.
    pub(super) fn of(scores: ModelScores) -> Self {
        Self {
            scores,
            rules: None,
            is_causal: None,
            held_out_loss: None,
            held_out: HeldOut::default(),
            samples: Vec::new(),
            data: BTreeMap::new(),
            set_names: BTreeMap::new(),
            further: Vec::new(),
        }
    }

    /// What the scores of a benchmark are called: with the set where there are several.
    pub(super) fn title(&self, outcome: &Outcome) -> String {
        let (title, benchmark) = (outcome.result.title(), outcome.result.benchmark);
        match self.set_names.get(benchmark.name()) {
            Some(set) => format!("{title}, {set}"),
            None => title,
        }
    }

    /// All scores of choices, of every set, by what they are called, with the hash of the items.
    pub(super) fn titled(&self) -> Vec<(String, f64, Option<&String>)> {
        let sets = [self].into_iter().chain(&self.further);
        let scores = sets.flat_map(|set| set.scores.outcomes.iter().map(move |it| (set, it)));
        let scores = scores.map(|(set, outcome)| {
            let items = set.items_hash(outcome.result.benchmark);
            (set.title(outcome), outcome.result.score, items)
        });
        scores.collect()
    }

    /// The hash of the items of a benchmark, as far as it is known.
    pub(super) fn items_hash(&self, benchmark: &dyn Benchmark) -> Option<&String> {
        self.data.get(benchmark.name())?.hash()
    }

    /// Whether the items of a benchmark are those of other scores, as far as both are known.
    pub(super) fn has_items_of(&self, other: &Self, benchmark: &dyn Benchmark) -> bool {
        let both = self.items_hash(benchmark).zip(other.items_hash(benchmark));
        both.is_none_or(|(one, other)| one == other)
    }
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
            records: BTreeMap::new(),
            models: Vec::new(),
            scores: Vec::new(),
            challenge: Vec::new(),
            held_out: HeldOut::default(),
            exposure: BTreeMap::new(),
            failures: Failures::default(),
            missing: Vec::new(),
        };
        let has = |name: &str| folder.join(name).exists();
        if has("recipe.toml") || has("stages") || has("models") {
            found.look_at_run();
        } else if has("metrics.jsonl") || has(FINISHED) {
            found.look_at_training();
        } else {
            evaluation_scores::look_at_evaluation(&mut found);
        }
        if found.models.is_empty() && found.scores.is_empty() && found.challenge.is_empty() {
            found.lacks("models and scores", "", "none was found in this folder.");
        }
        found
    }

    /// Whether the folder is no run's and holds nothing that a report could show.
    pub(super) fn is_foreign(&self) -> bool {
        let of_run = ["recipe.toml", "stages", "models"];
        self.models.is_empty()
            && self.scores.is_empty()
            && self.challenge.is_empty()
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
            Ok(bytes) if bytes.trim_ascii().is_empty() => {
                self.lacks(what, of, format!("{} is empty.", path.display()));
            }
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

    /// A number of what a model has seen and cost, where that was counted.
    pub(super) fn seen(&self, model: &str, key: &str) -> Option<f64> {
        self.exposure.get(model)?.get(key)?.as_f64()
    }

    /// Looks into the folder of a training outside a run.
    fn look_at_training(&mut self) {
        let (folder, name) = (self.folder.clone(), in_one_line(&self.name));
        self.read_times();
        let path = folder.join(HeldOut::FILE);
        let what = ("what the held-out loss is measured on", "");
        self.held_out = self.json(&path, what, None).unwrap_or_default();
        models::add(self, &name, &folder, None);
        let path = folder.join(exposure::FILE);
        let Some(seen) = self.json::<serde_json::Value>(&path, ("words seen", ""), None) else {
            return;
        };
        if seen.get("words").is_none() {
            let why = "they are counted where a tokenizer is named with --tokenizer.";
            self.lacks("words seen", "", why);
        }
        self.exposure.insert(name, seen);
    }

    fn look_at_run(&mut self) {
        let folder = self.folder.clone();
        self.read_recipe(&folder.join("recipe.toml"));
        self.read_times();
        records::read(self, &folder, "");
        self.held_out = self.held_out_of_run();
        let recipe = self.recipe.as_ref().and_then(|(_, recipe)| recipe.get("models"));
        let recipe = recipe.and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let mut names: Vec<String> = recipe.keys().cloned().collect();
        if names.is_empty() {
            let folders = entries(&folder.join("models")).unwrap_or_default();
            let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
            let is_model = |path: &&PathBuf| path.is_dir() && path.extension().is_none();
            names = folders.iter().filter(is_model).filter_map(name).collect();
        }
        for name in &names {
            models::add(self, name, &folder.join("models").join(name), recipe.get(name));
        }
        self.read_exposure(&folder.join(exposure::FILE));
        run_scores::look_at_run(self);
    }

    /// What losses of a run's models are measured on, by its records and its tokens.
    fn held_out_of_run(&self) -> HeldOut {
        let tokens = self.folder.join("tokens/validation.bin");
        let tokenizer = || corpus::TokenFile::open(&tokens).ok()?.tokenizer_hash();
        let known = HeldOut::of_records(|name| self.records.get(name));
        // What is not recorded is still the same for all models of the run.
        let stage = known.stage.clone().unwrap_or_else(|| self.folder.display().to_string());
        HeldOut { tokenizer: tokenizer(), stage: Some(stage), ..known }
    }

    fn read_recipe(&mut self, path: &Path) {
        let text = read(path).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|cause| std::io::Error::other(cause.to_string()))
        });
        let recipe = text.map_err(|cause| cause.to_string()).and_then(|text| {
            let table = toml::from_str(&text).map_err(|cause| cause.message().to_owned())?;
            Ok((text, table))
        });
        let has_models = |recipe: &toml::Table| {
            let models = recipe.get("models").and_then(toml::Value::as_table);
            models.is_some_and(|models| !models.is_empty())
        };
        let path = path.display();
        match recipe {
            Ok((text, _)) if text.trim().is_empty() => {
                self.lacks("recipe", "", format!("{path} is empty."));
            }
            Ok(recipe) => {
                if !has_models(&recipe.1) {
                    self.lacks("models of the recipe", "", format!("{path} names none."));
                }
                self.recipe = Some(recipe);
            }
            Err(cause) => self.lacks("recipe", "", format!("{path} cannot be read: {cause}.")),
        }
    }

    /// Reads the first and the last moment of the log.
    fn read_times(&mut self) {
        let path = self.folder.join("log.txt");
        let why = match read(&path) {
            Ok(bytes) => {
                let log = String::from_utf8_lossy(&bytes);
                self.times = times(&log);
                self.read_end(&log);
                // A process that works may be about to end the line.
                if self.times.is_some() && !bytes.ends_with(b"\n") && self.process.is_none() {
                    let why = format!("the last line of {} was not finished.", path.display());
                    self.lacks("the end of the log", "", why);
                }
                "has no line with a time".to_owned()
            }
            Err(cause) if cause.kind() == ErrorKind::NotFound => "is not there".to_owned(),
            Err(cause) => format!("cannot be read: {cause}"),
        };
        if self.times.is_none() {
            self.lacks("begin and end", "", format!("{} {why}.", path.display()));
        }
    }

    /// Why a run's last process ended early, as its log has it.
    fn read_end(&mut self, log: &str) {
        // A line begins with its time.
        let mut events = log.lines().rev().filter_map(|line| Some(line.split_once(' ')?.1));
        let last = events.find(|event| event.starts_with("the run "));
        if let Some(why) = last.and_then(|event| event.strip_prefix("the run ends: ")) {
            self.lacks("the end of the run", "", format!("{}.", in_one_line(why)));
        }
    }

    /// Reads the words that models have seen, which a run writes when all models are scored.
    fn read_exposure(&mut self, path: &Path) {
        // A run under way will come to it.
        let is_expected =
            self.process.is_none() && self.models.iter().any(|model| model.is_finished);
        let place = path.display();
        let why = format!(
            "{place} is not there; a run writes it when all its models are scored, and not with \
             `--only`."
        );
        let found = self.json(path, ("words seen", ""), is_expected.then_some(&why[..]));
        let Some(found) = found else { return };
        self.exposure = found;
        let is_earlier = |name: &str, seen: &serde_json::Value| {
            let record = self.records.get(&format!("model-{name}"));
            let training = seen.get("training").and_then(serde_json::Value::as_str);
            record.zip(training).is_some_and(|(record, training)| record.fingerprint() != training)
        };
        let earlier: Vec<String> = self
            .exposure
            .iter()
            .filter(|(name, seen)| is_earlier(name, seen))
            .map(|(name, _)| name.clone())
            .collect();
        self.exposure.retain(|name, _| !earlier.contains(name));
        let is_known =
            |name: &str| ["words", "epochs"].iter().all(|key| self.seen(name, key).is_some());
        let finished = self.models.iter().filter(|model| model.is_finished);
        let names: Vec<String> = finished.map(|model| model.name.clone()).collect();
        let unknown: Vec<String> = names.into_iter().filter(|name| !is_known(name)).collect();
        for name in unknown {
            let why = match earlier.contains(&name) {
                true => format!(
                    "those in {place} are of an earlier training; a whole run writes it anew."
                ),
                false => format!("{place} does not state them."),
            };
            self.lacks("words seen", &name, why);
        }
    }
}

/// The bytes of a file that is no larger than such files are.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    base::input_file::open_regular(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first and the last moment of a run's log.
fn times(log: &str) -> Option<(String, String)> {
    let is_time = |word: &&str| word.len() == 20 && word.ends_with('Z');
    let mut moments = log.lines().filter_map(|line| line.split(' ').next()).filter(is_time);
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
