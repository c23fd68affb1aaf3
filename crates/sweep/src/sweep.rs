//! A sweep: a study of the store, and the folder in which its trials are trained.

mod draft;
mod folder;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;

use crate::definition::{Definition, Part};
use crate::error::{FileContext, Result};
use crate::recipe::{Goal, SweepFile, VALIDATION_LOSS};
use crate::space::Stored;
use crate::stopping::Unit;
use crate::store::{Address, Direction, Store, StudyId};
use crate::target::{Assignment, FinetuneTarget, Target, TrainingTarget};
use crate::trial::{Terms, Trial};
use folder::{trial_folder_name, write, write_address};

pub use draft::Draft;
pub use folder::{is_trial_folder, name_in, name_in_store, place, stored_address};

/// A study and what is known of it.
pub struct Sweep {
    /// The study's name.
    pub name: String,
    /// Its key.
    pub study: StudyId,
    /// What it is.
    pub definition: Definition,
    /// Its recipe.
    pub file: SweepFile,
    /// A connection to the store.
    pub store: Store,
    /// Where trials are trained.
    pub folder: PathBuf,
}

/// A device for work that computes nothing.
pub(crate) fn cpu() -> Arc<dyn Device> {
    Arc::new(engine::cpu::Cpu::new())
}

/// The model of a search.
fn model_of(file: &SweepFile) -> Result<String> {
    match &file.recipe.model {
        Some(model) => Ok(model.clone()),
        None => Err(file.invalid("model", "is missing")),
    }
}

/// What is better in a study.
pub fn direction(file: &SweepFile, part: &Part) -> Direction {
    let objective = &file.recipe.objective;
    match (part.searched(), objective.goal) {
        (_, Some(Goal::Minimize)) => Direction::Minimize,
        (_, Some(Goal::Maximize)) => Direction::Maximize,
        (Part::Search, None) if objective.metric == VALIDATION_LOSS => Direction::Minimize,
        _ => Direction::Maximize,
    }
}

/// What the trials of a study train.
fn target(
    file: &SweepFile,
    part: &Part,
    folder: &Path,
    device: Arc<dyn Device>,
) -> Result<Box<dyn Target>> {
    match part.searched() {
        Part::Search | Part::Confirm { .. } => {
            let (base, model) = (folder.join(place::BASE), model_of(file)?);
            let (shared, test) = (folder.join(place::SHARED), file.recipe.test.clone());
            Ok(Box::new(TrainingTarget { base, model, shared, test, device }))
        }
        Part::Finetune { model, task } => {
            Ok(Box::new(finetune_target(file, (model, task), folder, device)?))
        }
    }
}

/// What the trials of a study of fine-tunings train: a model for a task.
fn finetune_target(
    file: &SweepFile,
    (model, task): (&str, &str),
    folder: &Path,
    device: Arc<dyn Device>,
) -> Result<FinetuneTarget> {
    let Some(section) = &file.recipe.finetune else {
        return Err(file.invalid("finetune", "is missing"));
    };
    let base = match Path::new(&section.recipe).is_file() {
        true => folder.join(place::BASE).to_string_lossy().into_owned(),
        false => section.recipe.clone(),
    };
    let (model, task, data) = (PathBuf::from(model), task.to_owned(), section.data.clone());
    Ok(FinetuneTarget { base, set: file.base_overrides(), model, task, data, device })
}

impl Sweep {
    /// Opens a study of a store.
    ///
    /// # Errors
    /// When there is no such study, or none that this program made.
    pub fn open(folder: &Path, address: &Address, name: &str) -> Result<Self> {
        let mut store = Store::open(address)?;
        let study = store.study(name)?;
        let definition = Definition::read(&mut store, study, name)?;
        let file = definition.file()?;
        let folder = folder.to_owned();
        Ok(Self { name: name.to_owned(), study, definition, file, store, folder })
    }

    /// The names of the sweep's studies in a store: its searches, or confirmations with them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn studies(address: &Address, name: &str) -> Result<Vec<String>> {
        let below = format!("{name}/");
        let mut studies = Store::open(address)?.studies()?;
        studies.retain(|study| study == name || study.starts_with(&below));
        match studies.is_empty() {
            false => Ok(studies),
            true => {
                Store::open(address)?.study(name)?;
                Ok(Vec::new())
            }
        }
    }

    /// Writes the files of the folder that a trial is trained from, where they are missing: on a
    /// host that does not share the folder in which the sweep was made.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_folder(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).at("make", &self.folder)?;
        let texts = [(place::SWEEP, &self.definition.sweep), (place::BASE, &self.definition.base)];
        for (name, text) in texts {
            if std::fs::read_to_string(self.folder.join(name)).ok().as_ref() != Some(text) {
                write(&self.folder, name, text)?;
            }
        }
        match stored_address(&self.folder)? {
            Some(_) => Ok(()),
            None => write_address(&self.folder, self.store.address()),
        }
    }

    /// What trials train.
    ///
    /// # Errors
    /// When the recipe cannot be used.
    pub fn target(&self, device: Arc<dyn Device>) -> Result<Box<dyn Target>> {
        target(&self.file, &self.definition.part, &self.folder, device)
    }

    /// What every trial of a study of fine-tunings trains; none of another study.
    ///
    /// # Errors
    /// When the recipe cannot be used.
    pub(crate) fn finetune_target(&self) -> Result<Option<FinetuneTarget>> {
        let Part::Finetune { model, task } = self.definition.part.searched() else {
            return Ok(None);
        };
        finetune_target(&self.file, (model, task), &self.folder, cpu()).map(Some)
    }

    /// The model that is trained in every trial of a search.
    ///
    /// # Errors
    /// When the sweep is of fine-tunings.
    pub fn model(&self) -> Result<String> {
        model_of(&self.file)
    }

    /// What is better, and which reports count.
    pub fn terms(&self) -> Terms {
        let part = &self.definition.part;
        let by_share = self.file.recipe.stop.unit() == Unit::Fraction;
        Terms {
            direction: direction(&self.file, part),
            at: self.file.recipe.objective.at,
            by_share,
        }
    }

    /// All trials, in order of number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn trials(&mut self) -> Result<Vec<Trial>> {
        let rows = self.store.trials(self.study)?;
        rows.into_iter().map(|row| Trial::of(row, &self.file.space)).collect()
    }

    /// The folder of a trial's run.
    pub fn trial_folder(&self, number: u64) -> PathBuf {
        let below = self.name.strip_prefix(&self.file.recipe.name).unwrap_or_default();
        let below = below.trim_start_matches('/');
        self.folder.join(place::TRIALS).join(below).join(trial_folder_name(number))
    }

    /// The settings and the seed of a trial.
    pub fn assignment(&self, stored: &[Stored], seed: u64) -> Assignment {
        Assignment { settings: self.file.space.settings(stored), seed }
    }
}
