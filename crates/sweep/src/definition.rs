//! What a study of the store is: the texts of its recipes, so that any host can work on it.

use base::hash;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::{Table, Value};

use crate::error::{Result, SweepError};
use crate::recipe::SweepFile;
use crate::store::{Direction, Parameter, Store, StudyId, to_json};

/// The study's user attribute that holds the definition.
pub const DEFINITION: &str = "babyllama:sweep";

/// The form of the definition.
const FORMAT: u32 = 1;

/// Keys that may change while a sweep goes on: they decide how much is trained, not what.
const MAY_CHANGE: [&str; 4] = ["trials", "retries", "confirm", "heartbeat_seconds"];

/// What a study is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The form of this.
    pub format: u32,
    /// The version of the program that made it.
    pub version: String,
    /// BLAKE3 of everything that trials follow from.
    pub hash: String,
    /// The recipe of the sweep, with its overrides.
    pub sweep: String,
    /// The recipe that varies: with every default of a run's, or a fine-tuning recipe's text.
    pub base: String,
    /// What the study's trials are.
    pub part: Part,
}

/// What the trials of a study are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Runs of a model with settings that the sampler proposes.
    Search,
    /// Fine-tunings of a model for a task.
    Finetune {
        /// The model's folder.
        model: String,
        /// The task.
        task: String,
    },
    /// Trainings of known settings with fresh seeds.
    Confirm {
        /// The study that the settings come from.
        of: Box<Part>,
        /// The trainings, by number.
        trainings: Vec<Training>,
    },
}

impl Part {
    /// The search itself, or the one that a confirmation is of.
    pub fn searched(&self) -> &Self {
        match self {
            Self::Confirm { of, .. } => of.searched(),
            part => part,
        }
    }
}

/// A training of known settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The trial whose settings these are; `None` of a baseline that no trial had.
    pub trial: Option<u64>,
    /// Whether it is the one to beat.
    pub baseline: bool,
    /// The seed.
    pub seed: u64,
    /// Its settings.
    pub parameters: Vec<Parameter>,
}

impl Definition {
    /// The definition of a recipe.
    ///
    /// # Errors
    /// When the recipe cannot be written as text.
    pub fn of(file: &SweepFile, base: String, part: Part) -> Result<Self> {
        let sweep = file.text()?;
        let identity = [identity_of(&sweep)?, base.clone()].join("\n");
        Ok(Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hash: hash::of_bytes(identity.as_bytes()),
            sweep,
            base,
            part,
        })
    }

    /// The recipe of the sweep.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&self) -> Result<SweepFile> {
        SweepFile::parse(Path::new("sweep.toml"), &self.sweep)
    }

    /// Reads the definition of a study.
    ///
    /// # Errors
    /// When the study has none, or one of another form.
    pub fn read(store: &mut Store, study: StudyId, name: &str) -> Result<Self> {
        use crate::store::StoreError;
        let unknown = |why: String| SweepError::Definition { name: name.to_owned(), why };
        let found: Option<serde_json::Value> = store.study_attribute(study, DEFINITION)?;
        let found = found.ok_or_else(|| StoreError::Foreign(name.to_owned()))?;
        match found.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                return Err(unknown(format!("it has form {format}, and {FORMAT} is known")));
            }
            None => return Err(unknown("it names no form".to_owned())),
        }
        serde_json::from_value(found).map_err(|error| unknown(error.to_string()))
    }

    /// Makes the study, or, where it is there already and trials follow from the same, takes over
    /// what may change. A study of Optuna's becomes this sweep's.
    ///
    /// # Errors
    /// When it is there and trials would follow from something else, or cannot be written.
    pub fn store(&self, store: &mut Store, name: &str, direction: Direction) -> Result<StudyId> {
        if !store.studies()?.iter().any(|known| known == name) {
            let attributes = [(DEFINITION, to_json(DEFINITION, self)?)];
            return Ok(store.create_study(name, direction, &attributes)?);
        }
        let study = store.study(name)?;
        if store.study_attribute::<serde_json::Value>(study, DEFINITION)?.is_none() {
            // A study that Python made goes on as a sweep; its trials count.
            let found = store.direction(study)?;
            if found != direction {
                let difference = format!("its direction is {found:?}, not {direction:?}");
                return Err(SweepError::Changed { name: name.to_owned(), difference });
            }
            store.set_study_attribute(study, DEFINITION, &to_json(DEFINITION, self)?)?;
            return Ok(study);
        }
        let before = Self::read(store, study, name)?;
        if let Some(difference) = before.difference(self)? {
            return Err(SweepError::Changed { name: name.to_owned(), difference });
        }
        if before.sweep != self.sweep {
            store.set_study_attribute(study, DEFINITION, &to_json(DEFINITION, self)?)?;
        }
        Ok(study)
    }

    /// The first thing that differs and that trials follow from.
    fn difference(&self, other: &Self) -> Result<Option<String>> {
        if self.hash == other.hash && self.part == other.part {
            return Ok(None);
        }
        let (before, after) = (fixed(&self.sweep)?, fixed(&other.sweep)?);
        let of_sweep = first_difference("", &before, &after);
        let (before, after) = (table(&self.base), table(&other.base));
        let of_base = || first_difference("", &before, &after);
        let unknown = || Some("it has other text".to_owned());
        Ok(of_sweep.or_else(of_base).or_else(unknown))
    }
}

/// What trials follow from, of a sweep's recipe.
fn identity_of(sweep: &str) -> Result<String> {
    let written = toml::to_string(&sorted(&fixed(sweep)?));
    Ok(written.map_err(experiment::recipe::RecipeError::from)?)
}

fn fixed(sweep: &str) -> Result<Table> {
    let mut all = table(sweep);
    MAY_CHANGE.iter().for_each(|key| drop(all.remove(*key)));
    Ok(all)
}

fn table(text: &str) -> Table {
    toml::from_str(text).unwrap_or_default()
}

/// A table with keys in alphabetical order, but for those of a space, whose order is that of its
/// points.
fn sorted(table: &Table) -> Table {
    let mut keys: Vec<&String> = table.keys().collect();
    keys.sort();
    let value = |key: &String| match &table[key] {
        Value::Table(inner) if key != "space" => Value::Table(sorted(inner)),
        other => other.clone(),
    };
    keys.into_iter().map(|key| (key.clone(), value(key))).collect()
}

/// The first key whose values differ, with both.
fn first_difference(prefix: &str, before: &Table, after: &Table) -> Option<String> {
    let keys: IndexMap<&String, ()> =
        before.keys().chain(after.keys()).map(|key| (key, ())).collect();
    for key in keys.keys() {
        let name = if prefix.is_empty() { (*key).clone() } else { format!("{prefix}.{key}") };
        let found = match (before.get(*key), after.get(*key)) {
            (Some(Value::Table(before)), Some(Value::Table(after))) => {
                first_difference(&name, before, after)
            }
            (before, after) if before == after => None,
            (Some(before), Some(after)) => Some(format!("`{name}` was {before} and is {after}")),
            (Some(before), None) => Some(format!("`{name}` was {before} and is left out")),
            (None, Some(after)) => Some(format!("`{name}` was left out and is {after}")),
            (None, None) => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
