//! A sweep: a study of the store, and the folder in which its trials are trained.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use eval::classification::find_task;
use experiment::evaluation::results::distinct;
use experiment::recipe::RecipeError;
use experiment::{Recipe, recipe};

use crate::definition::{Definition, Part};
use crate::error::{FileContext, Result, SweepError, refuse};
use crate::recipe::{Goal, SweepFile, VALIDATION_LOSS};
use crate::space::Stored;
use crate::stopping::Unit;
use crate::store::{Address, Direction, Store, StudyId};
use crate::target::{Assignment, FinetuneTarget, Target, TrainingTarget};
use crate::trial::{Terms, Trial};

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

/// Files of a sweep's folder.
pub mod place {
    /// The recipe of the sweep.
    pub const SWEEP: &str = "sweep.toml";
    /// The recipe that varies.
    pub const BASE: &str = "base.toml";
    /// The store, where it is a file of the folder.
    pub const DATABASE: &str = "store.db";
    /// The store's address.
    pub const STORE: &str = "store.txt";
    /// What trials share.
    pub const SHARED: &str = "shared";
    /// A folder for each trial.
    pub const TRIALS: &str = "trials";
}

/// A sweep of a recipe, before it is stored.
pub struct Draft {
    /// Its recipe.
    pub file: SweepFile,
    /// The recipe that varies, as text.
    pub base: String,
    /// Names of its studies, and what each is.
    pub studies: Vec<(String, Part)>,
}

impl Draft {
    /// Reads and checks a sweep's recipe and the one that it varies.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self> {
        let mut file = SweepFile::read(path, overrides)?;
        let draft = match (&file.recipe.recipe, &file.recipe.finetune) {
            (Some(base), _) => {
                let base = recipe::load_with_inputs(base, &file.base_overrides())?;
                file.recipe.model = Some(choose_model(&file, &base)?);
                check_metric(&file, &base)?;
                let base = base.resolved()?;
                let studies = vec![(file.recipe.name.clone(), Part::Search)];
                Self { base, studies, file }
            }
            (None, Some(section)) => {
                let base = std::fs::read_to_string(&section.recipe).unwrap_or_default();
                let mut studies = Vec::new();
                let names = distinct(&section.models).into_iter().zip(&section.models);
                for (model_name, model) in names {
                    for task in &section.tasks {
                        if find_task(task).is_none() {
                            let problem = format!("names `{task}`, which is no task");
                            return Err(file.invalid("finetune.tasks", problem));
                        }
                        let name = format!("{}/{model_name}/{task}", file.recipe.name);
                        let model = model.to_string_lossy().into_owned();
                        studies.push((name, Part::Finetune { model, task: task.clone() }));
                    }
                }
                Self { base, studies, file }
            }
            (None, None) => return Err(file.invalid("recipe", "is missing")),
        };
        if draft.studies.is_empty() {
            return Err(draft.file.invalid("finetune", "names no model and task"));
        }
        Ok(draft)
    }

    /// Writes the folder and the store's studies; what is there of the same recipe stays.
    ///
    /// # Errors
    /// When the folder holds something else, or the studies are of another recipe.
    pub fn create(&self, folder: &Path, address: &Address) -> Result<()> {
        check_folder(folder, &self.file.recipe.name)?;
        let before = stored_address(folder)?;
        if let Some(before) = before.filter(|before| !before.is_same(address)) {
            return refuse(format_args!(
                "the sweep in {} has its trials in {before}, not in {address}",
                folder.display()
            ));
        }
        self.check()?;
        let mut store = Store::create(address)?;
        for (name, part) in &self.studies {
            let definition = Definition::of(&self.file, self.base.clone(), part.clone())?;
            definition.store(&mut store, name, direction(&self.file, part))?;
        }
        std::fs::create_dir_all(folder).at("make", folder)?;
        write(folder, place::SWEEP, &self.file.text()?)?;
        write(folder, place::BASE, &self.base)?;
        write_address(folder, address)
    }

    /// Checks the points that are known, the middle of the space, and every value of its lists
    /// against the recipe that varies, before anything is stored.
    ///
    /// # Errors
    /// When something that trials read is missing, or a value cannot be used.
    pub fn check(&self) -> Result<()> {
        let folder = tempfile::tempdir().at("make a folder for", Path::new("a check"))?;
        let folder = folder.path();
        write(folder, place::BASE, &self.base)?;
        let space = &self.file.space;
        let middle = space.middle();
        let mut points = vec![(None, space.stored(&space.complete(middle.clone())))];
        for (place, parameter) in space.parameters().values().enumerate() {
            for value in 1..parameter.categories().unwrap_or(0) {
                let mut point = middle.clone();
                point[place] = Some(value as f64);
                points.push((None, space.stored(&space.complete(point))));
            }
        }
        let middle = space.complete(middle);
        for (index, own) in self.file.enqueue.iter().enumerate() {
            let key = format!("enqueue[{index}]");
            let invalid =
                |error: crate::space::SpaceError| self.file.invalid(&key, error.to_string());
            let given = space.stored_of_values(&own.values).map_err(invalid)?;
            points.push((Some(key.clone()), space.fill(&given, &middle).map_err(invalid)?));
        }
        for (_, part) in &self.studies {
            let target = target(&self.file, part, folder, cpu())?;
            target.check_inputs()?;
            for (key, stored) in &points {
                let assignment = Assignment { settings: space.settings(stored), seed: 1 };
                let key = key.as_deref().unwrap_or("space");
                target.check(&assignment).map_err(|error| {
                    let is_of_test = matches!(error, SweepError::NoTestLoss { .. });
                    self.file.invalid(if is_of_test { "test" } else { key }, plain(&error))
                })?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a trial's settings, without the override that it is written as.
fn plain(error: &SweepError) -> String {
    match error {
        SweepError::Recipe(RecipeError::Fault { fault, .. }) => format!("cannot be used: {fault}"),
        error => format!("cannot be used: {error}"),
    }
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

/// The model that the recipe names, or the only one of the recipe that varies.
fn choose_model(file: &SweepFile, base: &Recipe) -> Result<String> {
    let known: Vec<&str> = base.models.keys().map(String::as_str).collect();
    match (&file.recipe.model, &known[..]) {
        (Some(model), _) if base.models.contains_key(model) => Ok(model.clone()),
        (Some(model), _) => {
            let hint = recipe::suggestion(model, known.iter().copied());
            Err(file.invalid("model", format!("is `{model}`, which the recipe has not; {hint}")))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => {
            let known = known.join(", ");
            Err(file.invalid("model", format!("is missing; give one of: {known}")))
        }
    }
}

/// Refuses a metric that the recipe does not measure.
fn check_metric(file: &SweepFile, base: &Recipe) -> Result<()> {
    let metric = file.recipe.objective.metric.as_str();
    let pairs = base.evaluate.blimp.iter().flatten().cloned().map(String::from);
    let known: Vec<String> = pairs.chain([VALIDATION_LOSS.to_owned()]).collect();
    if known.iter().any(|name| name == metric) {
        return Ok(());
    }
    let hint = recipe::suggestion(metric, known.iter().map(String::as_str));
    Err(file.invalid("objective.metric", format!("is `{metric}`, which no trial measures; {hint}")))
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
            let Some(section) = &file.recipe.finetune else {
                return Err(file.invalid("finetune", "is missing"));
            };
            let base = match Path::new(&section.recipe).is_file() {
                true => folder.join(place::BASE).to_string_lossy().into_owned(),
                false => section.recipe.clone(),
            };
            let (model, task, data) = (PathBuf::from(model), task.clone(), section.data.clone());
            let set = file.base_overrides();
            Ok(Box::new(FinetuneTarget { base, set, model, task, data, device }))
        }
    }
}

/// Refuses a folder that holds something else than this sweep.
fn check_folder(folder: &Path, name: &str) -> Result<()> {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let known = [place::SWEEP, place::BASE, place::STORE];
    if let Some(other) = name_in(folder)?.filter(|other| other != name) {
        return refuse(format_args!(
            "{} holds the sweep `{other}`; name a new folder with --output",
            folder.display()
        ));
    }
    // What is left of one that was ended before it had a recipe: its store, or a part of a file.
    let is_begun = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(place::DATABASE) || name.ends_with(".partial") || name == "lock"
        })
    };
    if known.iter().any(|name| folder.join(name).is_file()) || entries.all(is_begun) {
        return Ok(());
    }
    refuse(format_args!(
        "{} holds other files and no sweep; name a new folder with --output",
        folder.display()
    ))
}

/// The name of the sweep that a folder holds.
///
/// # Errors
/// When its recipe cannot be used.
pub fn name_in(folder: &Path) -> Result<Option<String>> {
    let place = folder.join(place::SWEEP);
    match std::fs::read_to_string(&place) {
        Ok(text) => Ok(Some(SweepFile::parse(&place, &text)?.recipe.name)),
        Err(_) => Ok(None),
    }
}

/// The name of the sweep whose trials a store has, of a folder that has no recipe: the folder's own
/// name, or that of the only sweep of the store.
pub fn name_in_store(folder: &Path, address: &Address) -> String {
    let own = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut names = stored_names(address).unwrap_or_default();
    match names.len() {
        1 => names.pop_first().unwrap_or(own),
        _ => own,
    }
}

/// The names of all sweeps of a store.
fn stored_names(address: &Address) -> Result<BTreeSet<String>> {
    let mut store = Store::open(address)?;
    let mut names = BTreeSet::new();
    for name in store.studies()? {
        let study = store.study(&name)?;
        // What others have made is no sweep.
        let file = Definition::read(&mut store, study, &name).and_then(|found| found.file());
        names.extend(file.map(|file| file.recipe.name));
    }
    Ok(names)
}

/// The store of a sweep's folder.
///
/// # Errors
/// When the file that names it cannot be read.
pub fn stored_address(folder: &Path) -> Result<Option<Address>> {
    let path = folder.join(place::STORE);
    match std::fs::read_to_string(&path) {
        // The folder may have been moved since.
        Ok(text) => Ok(Some(match Address::parse(text.trim())? {
            Address::Sqlite(file) => Address::Sqlite(folder.join(file)),
            server => server,
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", &path),
    }
}

/// Notes where a sweep has its store: in its own folder by the file's name, elsewhere by the whole
/// path.
fn write_address(folder: &Path, address: &Address) -> Result<()> {
    let address = match address {
        Address::Sqlite(path) => Address::Sqlite(match path.strip_prefix(folder) {
            Ok(inside) => inside.to_owned(),
            Err(_) => std::path::absolute(path).at("find", path)?,
        }),
        server => server.clone(),
    };
    write(folder, place::STORE, &format!("{address}\n"))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    Ok(experiment::files::write_text(&folder.join(name), text)?)
}

/// Whether a folder in that of trials is a trial's, by its name, and not that of a study.
pub fn is_trial_folder(name: &str) -> bool {
    name.len() >= TRIAL_DIGITS && name.bytes().all(|letter| letter.is_ascii_digit())
}

/// The digits of a trial's number in the name of its folder, or more.
const TRIAL_DIGITS: usize = 5;

impl Sweep {
    /// Opens a study of a store; where `name` is `None`, the one of the folder's recipe.
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
        self.folder.join(place::TRIALS).join(below).join(format!("{number:0TRIAL_DIGITS$}"))
    }

    /// The settings and the seed of a trial.
    pub fn assignment(&self, stored: &[Stored], seed: u64) -> Assignment {
        Assignment { settings: self.file.space.settings(stored), seed }
    }
}
