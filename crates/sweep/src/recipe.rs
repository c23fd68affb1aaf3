//! The recipe of a sweep: what varies, how it is searched, when a trial is stopped.

use std::path::{Path, PathBuf};

use documented::DocumentedFields;
use experiment::recipe::{SettingsFile, name_of_file, nearest};
use indexmap::IndexMap;
use serde::Deserialize;
use toml::{Table, Value};

use crate::confirm::is_confirmation;
use crate::definition::Part;
use crate::error::{Result, SweepError};
use crate::sampler::SamplerKind;
use crate::space::{Space, SpaceError};
use crate::stopping::StopRule;

/// The recipe of a sweep, as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct SweepRecipe {
    /// Names the study and its folder; the file's name when left out.
    #[serde(default)]
    pub name: String,
    /// The recipe whose model varies: a file, relative to the working directory.
    pub recipe: Option<PathBuf>,
    /// The model of that recipe that is trained in every trial.
    pub model: Option<String>,
    /// Fine-tuning instead: a study for each model and task.
    pub finetune: Option<FinetuneSection>,
    /// Values of the recipe that are others in all trials, such as `"corpus.words" = 30000`.
    #[serde(default)]
    pub set: Table,
    /// Everything random follows from it.
    #[serde(default = "one")]
    pub seed: u64,
    /// Trials in all.
    pub trials: u64,
    /// What is sought.
    #[serde(default)]
    pub objective: Objective,
    /// How points are proposed.
    #[serde(default)]
    pub sampler: SamplerKind,
    /// The seed of each trial's training: `fresh` for one of its own, or a number.
    #[serde(default)]
    pub seeds: Seeds,
    /// When a trial is stopped.
    #[serde(default)]
    pub stop: StopRule,
    /// How often a trial whose worker was lost is begun again before it counts as failed.
    #[serde(default = "two")]
    pub retries: u64,
    /// What `confirm` trains again.
    #[serde(default)]
    pub confirm: Confirm,
    /// Text for a test loss of every finished trial: a folder.
    pub test: Option<PathBuf>,
    /// Seconds between a worker's heartbeats; a worker without one for four times as long is taken
    /// for lost.
    #[serde(default = "thirty")]
    pub heartbeat_seconds: f64,
    /// The settings that vary, by their keys below the model.
    pub space: Table,
    /// The first points, which are tried as they are; what they leave out is proposed.
    #[serde(default)]
    pub enqueue: Vec<Table>,
}

fn one() -> u64 {
    1
}

fn two() -> u64 {
    2
}

fn thirty() -> f64 {
    30.0
}

/// Fine-tuning of models for tasks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneSection {
    /// Model folders.
    pub models: Vec<PathBuf>,
    /// Holds the tasks' files.
    pub data: PathBuf,
    /// Names of tasks.
    pub tasks: Vec<String>,
    /// Settings of what does not vary: `2023`, `2024`, `babyllama-1`, `babyllama-2` or a file.
    #[serde(default = "rules_of_2024")]
    pub recipe: String,
}

fn rules_of_2024() -> String {
    "2024".to_owned()
}

/// What a sweep seeks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// `validation_loss`, or the place of minimal pairs in the recipe's `evaluate.blimp`, such as
    /// `builtin`; of fine-tuning, the task's metric.
    pub metric: String,
    /// Which of a trial's evaluations counts: the best or the last.
    pub at: At,
    /// What is better; left out, less of a loss and more of anything else.
    pub goal: Option<Goal>,
    /// The sweep ends when a complete trial has this value or a better one.
    pub target: Option<f64>,
}

/// What is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Less.
    Minimize,
    /// More.
    Maximize,
}

/// The default metric.
pub const VALIDATION_LOSS: &str = "validation_loss";

impl Default for Objective {
    fn default() -> Self {
        Self { metric: VALIDATION_LOSS.to_owned(), at: At::Last, goal: None, target: None }
    }
}

/// Which of a trial's evaluations counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// The best so far.
    Best,
    /// The last.
    #[default]
    Last,
}

/// Where the seeds of trials come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Seeds {
    /// One for each trial, by the sweep's seed and the trial's number.
    #[default]
    Fresh,
    /// One for all trials.
    Fixed(u64),
}

impl TryFrom<Value> for Seeds {
    type Error = String;

    fn try_from(value: Value) -> std::result::Result<Self, String> {
        match value {
            Value::String(word) if word == "fresh" => Ok(Self::Fresh),
            Value::Integer(seed) if seed >= 0 => Ok(Self::Fixed(seed as u64)),
            other => Err(format!("should be \"fresh\" or a whole number, found {other}")),
        }
    }
}

/// What is trained again to see whether a gain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Confirm {
    /// The best trials.
    pub top: usize,
    /// Seeds of each, which no trial had.
    pub seeds: u64,
}

impl Default for Confirm {
    fn default() -> Self {
        Self { top: 5, seeds: 3 }
    }
}

/// Marks the point that others are compared with.
pub const BASELINE: &str = "baseline";

/// The table of settings that vary.
const SPACE: &str = "space";

/// The keys of a sweep's recipe; an override that begins with another key is one of the recipe that
/// varies.
const KEYS: &[&str] = SweepRecipe::FIELD_NAMES;

impl SweepRecipe {
    /// When trials of a study are stopped: never where they confirm.
    pub fn stop_rule(&self, part: &Part) -> StopRule {
        match part {
            Part::Confirm { .. } => StopRule::None,
            _ => self.stop.clone(),
        }
    }
}

/// A sweep's recipe with its file, for messages that name lines.
pub struct SweepFile {
    file: SettingsFile,
    /// The typed recipe.
    pub recipe: SweepRecipe,
    /// Its space.
    pub space: Space,
    /// The first points.
    pub enqueue: Vec<Enqueued>,
}

/// A point that the recipe has itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Enqueued {
    /// Its values, by the keys of the space; what they leave out is proposed.
    pub values: Table,
    /// Whether others are compared with it; at most one is.
    pub is_baseline: bool,
}

impl SweepFile {
    /// Reads a file with overrides: of the sweep's own keys, and of the recipe that varies.
    ///
    /// # Errors
    /// When it cannot be read, or a value cannot be used.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::of(SettingsFile::read(path)?, path, overrides)
    }

    /// Reads text; `path` is what messages name.
    ///
    /// # Errors
    /// As [`SweepFile::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::of(SettingsFile::parse(path, text)?, path, &[])
    }

    fn of(mut file: SettingsFile, path: &Path, overrides: &[String]) -> Result<Self> {
        for text in overrides {
            let key = text.split('=').next().unwrap_or_default().trim();
            let first = key.split('.').next().unwrap_or_default();
            match KEYS.contains(&first) {
                true => file.set(text)?,
                false => {
                    check_override(text, first)?;
                    file.set(&format!("set.{text}"))?;
                }
            }
        }
        let mut recipe: SweepRecipe = file.decode()?;
        if recipe.name.is_empty() {
            recipe.name = name_of_file(path);
        }
        let space = Space::parse(&recipe.space).map_err(|error| match error {
            SpaceError::Invalid { key, cause } => file.invalid(&format!("{SPACE}.{key}"), cause),
            error => file.invalid(SPACE, error.to_string()),
        })?;
        let enqueue = enqueued(&file, &recipe)?;
        let read = Self { file, recipe, space, enqueue };
        read.check()?;
        Ok(read)
    }

    /// The recipe with its overrides as TOML, of which every host makes the same sweep.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&self) -> Result<String> {
        let mut table = self.file.table().clone();
        table.insert("name".to_owned(), Value::String(self.recipe.name.clone()));
        if let Some(model) = &self.recipe.model {
            table.insert("model".to_owned(), Value::String(model.clone()));
        }
        let mut text = String::new();
        for (key, value) in table.iter().filter(|(key, _)| *key != SPACE) {
            text.push_str(&format!("{key} = {value}\n"));
        }
        // A line for each parameter: the order of a space is that of its points.
        text.push_str("\n[space]\n");
        for (key, value) in &self.recipe.space {
            text.push_str(&format!("{} = {value}\n", Value::String(key.clone())));
        }
        // What was written is read once more, since trials follow from it.
        Self::parse(Path::new("sweep.toml"), &text).map(|_| text)
    }

    /// The error of a key whose value cannot be used, with its line.
    pub fn invalid(&self, key: &str, reason: impl Into<String>) -> SweepError {
        self.file.invalid(key, reason).into()
    }

    /// Overrides of the recipe that varies, as `--set` takes them.
    pub fn base_overrides(&self) -> Vec<String> {
        let mut overrides = Vec::new();
        flatten("", &self.recipe.set, &mut overrides);
        overrides
    }

    /// Checks that a grid has an end, and a point for each of the trials.
    fn check_grid(&self) -> Result<()> {
        if self.recipe.sampler != SamplerKind::Grid {
            return Ok(());
        }
        let Some(points) = self.space.grid_size() else {
            let problem = "is `grid`, and not all of the space is lists and whole numbers";
            return Err(self.invalid("sampler", problem));
        };
        match self.recipe.trials <= points {
            true => Ok(()),
            false => {
                let trials = self.recipe.trials;
                let problem = format!("is {trials}, and the grid has {points} points");
                Err(self.invalid("trials", problem))
            }
        }
    }

    fn check(&self) -> Result<()> {
        let recipe = &self.recipe;
        let require = |holds: bool, key: &str, reason: &str| match holds {
            true => Ok(()),
            false => Err(self.invalid(key, reason)),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        require(
            recipe.name.chars().all(is_plain) && !recipe.name.starts_with('.'),
            "name",
            "may have letters, digits, `.`, `_` and `-`",
        )?;
        require(!is_confirmation(&recipe.name), "name", "is that of confirmations; give another")?;
        match (&recipe.recipe, &recipe.finetune) {
            (Some(_), Some(_)) => {
                return Err(self.invalid("finetune", "stands beside `recipe`: a sweep has one"));
            }
            (None, None) => {
                return Err(self.invalid("recipe", "is missing, and so is [finetune]"));
            }
            _ => {}
        }
        require(recipe.finetune.is_none() || recipe.model.is_none(), "model", "is for `recipe`")?;
        require(recipe.trials > 0, "trials", "is 0; give how many to train")?;
        require(recipe.trials <= 1_000_000, "trials", "is above a million")?;
        require(!self.space.parameters().is_empty(), "space", "has nothing that varies")?;
        for key in ["train.seed", "seed"] {
            let in_space = recipe.space.contains_key(key);
            require(!in_space, &format!("{SPACE}.{key}"), "is set by `seeds`, beside the space")?;
        }
        self.check_grid()?;
        require(recipe.confirm.top > 0, "confirm.top", "is 0; give how many of the best to train")?;
        require(recipe.confirm.seeds >= 1, "confirm.seeds", "is 0; give at least 3")?;
        let seconds = recipe.heartbeat_seconds;
        require(
            (0.1..=3600.0).contains(&seconds),
            "heartbeat_seconds",
            "should be from 0.1 to 3600",
        )?;
        let stops = recipe.stop != StopRule::None;
        let by_loss = recipe.objective.metric == VALIDATION_LOSS || recipe.finetune.is_some();
        require(
            by_loss || !stops,
            "stop",
            "compares validation losses, which are not the objective; write stop = { rule = \
             \"none\" }",
        )?;
        recipe.stop.check().map_err(|problem| self.invalid("stop", problem.to_string()))
    }
}

/// Refuses an override whose key is nearly one of a sweep and none of the recipe that varies.
fn check_override(text: &str, first: &str) -> Result<()> {
    const OF_RECIPES: [&str; 9] = [
        "corpus",
        "tokenizer",
        "models",
        "evaluate",
        "precision",
        "defaults",
        "train",
        "distill",
        "name",
    ];
    match nearest(first, KEYS).filter(|_| !OF_RECIPES.contains(&first)) {
        None => Ok(()),
        Some(known) => Err(SweepError::WrongUsage(format!(
            "--set {text}: a sweep has no key `{first}`; did you mean `{known}`?"
        ))),
    }
}

/// The tables of `[[enqueue]]`, each with the mark of the baseline apart from its values.
fn enqueued(file: &SettingsFile, recipe: &SweepRecipe) -> Result<Vec<Enqueued>> {
    let mut found: Vec<Enqueued> = Vec::new();
    for (index, table) in recipe.enqueue.iter().enumerate() {
        let mut values = table.clone();
        let key = format!("enqueue[{index}].{BASELINE}");
        let is_baseline = match values.remove(BASELINE) {
            None => false,
            Some(Value::Boolean(is_baseline)) => is_baseline,
            Some(_) => return Err(file.invalid(&key, "should be true or false").into()),
        };
        if is_baseline && found.iter().any(|earlier| earlier.is_baseline) {
            return Err(file.invalid(&key, "marks a second baseline; there is one").into());
        }
        found.push(Enqueued { values, is_baseline });
    }
    Ok(found)
}

fn flatten(prefix: &str, table: &Table, into: &mut Vec<String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, into),
            value => into.push(format!("{key}={value}")),
        }
    }
}

/// The recipe's settings as overrides of a model.
pub fn overrides_of(model: &str, settings: &IndexMap<String, Value>) -> Vec<String> {
    settings.iter().map(|(key, value)| format!("models.{model}.{key}={value}")).collect()
}
