//! A sweep before it is stored: its recipe and the one that it varies, read and checked.

use std::path::Path;

use eval::classification::find_task;
use experiment::evaluation::results::distinct;
use experiment::recipe::RecipeError;
use experiment::{Recipe, recipe};

use super::folder::{check_folder, place, stored_address, write, write_address};
use super::{cpu, direction, target};
use crate::definition::{Definition, Part};
use crate::error::{FileContext, Result, SweepError, refuse};
use crate::recipe::{FinetuneSection, SweepFile, VALIDATION_LOSS};
use crate::space::{Point, SpaceError, Stored};
use crate::store::{Address, Store};
use crate::target::Assignment;

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
                let studies = finetunings(&file, section)?;
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
        let points = self.known_points()?;
        for (_, part) in &self.studies {
            let target = target(&self.file, part, folder, cpu())?;
            target.check_inputs()?;
            for (key, stored) in &points {
                let settings = self.file.space.settings(stored);
                let assignment = Assignment { settings, seed: 1 };
                target.check(&assignment).map_err(|error| {
                    let is_of_test = matches!(error, SweepError::NoTestLoss { .. });
                    self.file.invalid(if is_of_test { "test" } else { key }, plain(&error))
                })?;
            }
        }
        Ok(())
    }

    /// The points that are checked, each with the key that a message names.
    fn known_points(&self) -> Result<Vec<(String, Vec<Stored>)>> {
        let space = &self.file.space;
        let middle = space.middle();
        let complete = |point: Point| ("space".to_owned(), space.stored(&space.complete(point)));
        let mut points = vec![complete(middle.clone())];
        for (place, parameter) in space.parameters().values().enumerate() {
            for value in 1..parameter.categories().unwrap_or(0) {
                let mut point = middle.clone();
                point[place] = Some(value as f64);
                points.push(complete(point));
            }
        }
        let middle = space.complete(middle);
        for (index, own) in self.file.enqueue.iter().enumerate() {
            let key = format!("enqueue[{index}]");
            let invalid = |error: SpaceError| self.file.invalid(&key, error.to_string());
            let given = space.stored_of_values(&own.values).map_err(invalid)?;
            let stored = space.fill(&given, &middle).map_err(invalid)?;
            points.push((key, stored));
        }
        Ok(points)
    }
}

/// A study for each model and task.
fn finetunings(file: &SweepFile, section: &FinetuneSection) -> Result<Vec<(String, Part)>> {
    let mut studies = Vec::new();
    for (model_name, model) in distinct(&section.models).into_iter().zip(&section.models) {
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
    Ok(studies)
}

/// What is wrong with a trial's settings, without the override that it is written as.
fn plain(error: &SweepError) -> String {
    match error {
        SweepError::Recipe(RecipeError::Fault { fault, .. }) => format!("cannot be used: {fault}"),
        error => format!("cannot be used: {error}"),
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
