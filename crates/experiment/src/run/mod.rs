//! A run: every stage of a recipe in turn, in one folder; a stage whose inputs have not changed is
//! skipped.

mod alone;
pub mod cache_path;
pub mod card;
pub(crate) mod claim;
pub mod clean;
pub mod compare;
pub(crate) mod curriculum;
pub(crate) mod documents;
pub(crate) mod evaluation;
pub(crate) mod exposure;
pub(crate) mod log;
mod models;
pub mod only;
mod pairs;
mod preparation_stages;
mod prepared;
pub mod preview;
pub(crate) mod samples;
pub mod scores;
pub mod status;
mod teachers;
pub mod trained;
mod training_text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::cpu::Cpu;
use engine::{Arithmetic, Device};
use report::Table;

use crate::error::{Context, ExperimentError, FileContext, Result};
use crate::estimate;
use crate::files;
use crate::lock::RunLock;
use crate::machine::Machine;
use crate::observer::{Event, Observer};
use crate::outputs::{self, FolderKind};
use crate::over_seeds::SeedTable;
use crate::recipe::{Recipe, Source, Start, warnings};
use crate::stage::{Stage, Stages};

use evaluation::Closing;
use log::RunLog;

pub use alone::alone;
pub use pairs::{pair_files, write_pairs};
pub use prepared::builtin_texts;

/// Where and on what a run takes place.
#[derive(Clone)]
pub struct RunSettings {
    /// The run's folder.
    pub folder: PathBuf,
    /// A folder in which runs share what is prepared from the text, each kind under its
    /// fingerprint; without one the run's own folder has it.
    pub prepared: Option<PathBuf>,
    /// A folder in which runs share teacher caches, each under its identity; without one the run's
    /// own folder has them.
    pub caches: Option<PathBuf>,
    /// Where models are trained and scored. It is no part of what the results follow from.
    pub device: Arc<dyn Device>,
    /// The models that are wanted, as [`only::select`] returns them, with what they need; without
    /// any all are.
    pub only: Vec<String>,
    /// Whether training with other settings may be set aside, however long it took.
    pub replace: bool,
}

impl RunSettings {
    /// A run on the CPU that shares nothing.
    pub fn on_cpu(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            prepared: None,
            caches: None,
            device: Arc::new(Cpu::new()),
            only: Vec::new(),
            replace: false,
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// A row for every model and ensemble.
    pub table: Table,
    /// What is to be said about the table's numbers, if anything.
    pub remark: Option<String>,
    /// A row for every group of models that differ in their seeds alone, where the run is about two
    /// models of one.
    pub over_seeds: Option<SeedTable>,
    /// Stages that had to run.
    pub performed: usize,
    /// Stages that were done already.
    pub skipped: usize,
}

/// Does everything that a recipe describes, from the text to the scores.
///
/// # Errors
/// When a stage fails, and [`ExperimentError::Interrupted`](crate::ExperimentError::Interrupted)
/// when the observer asked to stop; finished stages and the last checkpoint stay.
pub fn run(recipe: Recipe, settings: &RunSettings, observer: &dyn Observer) -> Result<RunOutcome> {
    only::select(&recipe, &settings.only)?;
    logged(recipe, settings, &settings.only, observer, |run| {
        run.keep_recipe()?;
        for warning in warnings(&only::restrict(&run.recipe, &run.only)) {
            run.observer.warn(format_args!("{warning}"));
        }
        let text = run.prepare_text()?;
        let models = run.train_models(&text)?;
        let Closing { table, remark, over_seeds } = run.evaluate(&text, &models)?;
        let (performed, skipped) = run.stages.counts();
        Ok(RunOutcome { table, remark, over_seeds, performed, skipped })
    })
}

/// Fills the teacher caches of a recipe's students (of the one that is named, or of all), training
/// their teachers where that is still to be done.
///
/// # Errors
/// As [`run`]; also when no student keeps teacher outputs.
pub fn cache_teachers(
    recipe: Recipe,
    student: Option<&str>,
    settings: &RunSettings,
    observer: &dyn Observer,
) -> Result<()> {
    let students = teachers::students(&recipe, student)?;
    logged(recipe, settings, &students, observer, |run| {
        run.keep_recipe()?;
        let text = run.prepare_text()?;
        let trained = run.train_some(&text, &teachers::needed(&run.recipe, &students))?;
        students.iter().try_for_each(|student| run.fill(student, &text, &trained))
    })
}

/// The models of a recipe that a model's training needs: its teachers, and theirs.
pub fn needed(recipe: &Recipe, model: &str) -> Vec<String> {
    teachers::needed(recipe, &[model.to_owned()])
}

/// Makes what a model's training stands on and what does not follow from its own settings: text,
/// tokenizer, tokens, its teachers, and their stored outputs where it reads such. Returns the
/// fingerprint of the tokens.
///
/// # Errors
/// As [`run`]; also when the recipe has no such model.
pub fn prepare(
    recipe: Recipe,
    model: &str,
    settings: &RunSettings,
    observer: &dyn Observer,
) -> Result<String> {
    let models = only::select(&recipe, &[model.to_owned()])?;
    logged(recipe, settings, &models, observer, |run| {
        let text = run.prepare_text()?;
        let teachers = teachers::needed(&run.recipe, &models);
        let trained = run.train_some(&text, &teachers)?;
        run.fill(model, &text, &trained)?;
        Ok(text.stage.fingerprint())
    })
}

/// Works on some models of a run, or on all, while it is locked, and logs that in its folder.
fn logged<T>(
    recipe: Recipe,
    settings: &RunSettings,
    models: &[String],
    observer: &dyn Observer,
    work: impl FnOnce(&Run<'_>) -> Result<T>,
) -> Result<T> {
    let folder = &settings.folder;
    check_caches(&recipe, folder, Some(settings.device.arithmetic()))?;
    // A GPU's own memory is split while steps run.
    if settings.device.memory().is_none() {
        estimate::require_memory_for_all(&only::restrict(&recipe, models))?;
    }
    check_place(&recipe, folder)?;
    settings.prepared.as_deref().map_or(Ok(()), outputs::check_no_run_part)?;
    std::fs::create_dir_all(folder)
        .at("make the run's folder", folder)
        .advise("check who may write there, or choose another --output")?;
    let _lock = RunLock::acquire(folder)?;
    let log = RunLog::open(folder, observer)?;
    let run = Run::look(recipe, settings, &log);
    let stages = run.preview()?;
    if !settings.replace {
        preview::refuse_undoing(&stages, folder)?;
    }
    log.number_stages(stages.into_iter().map(|stage| stage.name).collect());
    Stages::open(folder)?;
    log.line("the run begins");
    let done = work(&run);
    log.line(&match &done {
        Ok(_) => "the run is done".to_owned(),
        Err(error) => format!("the run ends: {}", error.cause()),
    });
    done
}

/// Refuses a folder for a run that is its text or holds something else than a run.
fn check_place(recipe: &Recipe, folder: &Path) -> Result<()> {
    let read = recipe.folders_read();
    if let Source::Folder(text) = &recipe.corpus.source {
        outputs::check_folder(folder, std::slice::from_ref(text))?;
    }
    outputs::check_not_replaced(folder, &read, recipe.models.keys())?;
    outputs::check_no_model(folder)?;
    outputs::check_kind(folder, &RUN)
}

/// How a run's folder is known.
const RUN: FolderKind = FolderKind {
    name: "run",
    locked: &["log.txt", "stages"],
    unlocked: &["recipe.toml", "stages"],
    of_others: &["metrics.jsonl", "model.json", "sweep.toml"],
};

/// Checks, before a device is opened, that [`cache_teachers`] has something to do.
///
/// # Errors
/// When no student keeps teacher outputs, or not the one that is named.
pub fn check_students(recipe: &Recipe, student: Option<&str>) -> Result<()> {
    teachers::students(recipe, student).map(drop)
}

/// A run under way.
struct Run<'a> {
    folder: PathBuf,
    prepared: Option<PathBuf>,
    caches: PathBuf,
    recipe: Recipe,
    stages: Stages<'a>,
    device: Arc<dyn Device>,
    observer: &'a dyn Observer,
    only: Vec<String>,
}

impl<'a> Run<'a> {
    /// A run in a folder; nothing is made there yet.
    fn look(recipe: Recipe, settings: &RunSettings, observer: &'a dyn Observer) -> Self {
        Self {
            stages: Stages::look(&settings.folder)
                .observed(observer)
                .on(Machine::of(&*settings.device)),
            folder: settings.folder.clone(),
            prepared: settings.prepared.clone(),
            caches: settings.caches.clone().unwrap_or_else(|| settings.folder.join("teachers")),
            recipe,
            device: settings.device.clone(),
            observer,
            only: settings.only.clone(),
        }
    }

    /// Stores the resolved recipe, by which the run can go on without the file that it came from.
    fn keep_recipe(&self) -> Result<()> {
        let (path, text) = (preview::recipe_of(&self.folder), preview::stored_form(&self.recipe)?);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        if !before.is_empty() && before != text {
            let folder = self.folder.display();
            self.observer.note(format_args!(
                "the recipe stored in {folder} was another one; it is replaced by this one"
            ));
        }
        files::write_text(&path, &text)
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside)
    }

    /// Runs a stage unless it is done. Outputs are relative to the run's folder.
    fn perform(
        &self,
        stage: &Stage,
        outputs: &[&Path],
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        perform(&self.stages, self.observer, stage, outputs, work)
    }
}

/// Runs a stage unless it is done, and reports why it runs.
fn perform(
    stages: &Stages<'_>,
    observer: &dyn Observer,
    stage: &Stage,
    outputs: &[&Path],
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let name = stage.name();
    let work = |reason: &_| {
        observer.on_event(Event::Stage { name, reason, place: None });
        work().map_err(ExperimentError::or_interrupted).within(|| format!("stage {name}"))
    };
    stages.perform(stage, outputs, observer, work)
}

/// Refuses teacher caches that would be where the run reads models or puts them, and those of other
/// settings or another precision than the device's, as far as that is known. [`run`] does so too; a
/// caller can before it opens a device.
///
/// # Errors
/// [`WrongUsage`](crate::ExperimentError::WrongUsage) with the model and the folder.
pub fn check_caches(recipe: &Recipe, run: &Path, arithmetic: Option<Arithmetic>) -> Result<()> {
    let place = |name: &String| run.join("models").join(name);
    let mut folders: Vec<PathBuf> = recipe.models.keys().map(place).collect();
    for section in recipe.models.values() {
        if let Start::Folder(folder) = &section.start {
            folders.push(folder.clone());
        }
        let teachers = section.distill.iter().flat_map(|distill| &distill.teachers);
        folders
            .extend(teachers.filter(|name| !recipe.models.contains_key(*name)).map(PathBuf::from));
    }
    recipe.models.iter().try_for_each(|(name, section)| {
        let Some(distill) = &section.distill else { return Ok(()) };
        cache_path::check(distill, run, folders.iter().map(PathBuf::as_path))
            .and_then(|()| cache_path::check_contents(distill, &section.train, arithmetic))
            .within(|| format!("model {name}"))
    })
}
