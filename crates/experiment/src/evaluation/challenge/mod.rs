//! The evaluation of BabyLM's pipelines of 2025 and 2026: the tasks whose data is there, the files
//! that the pipelines write, and one table.

mod checkpoints;
mod collected;
mod glue;
mod kept;
mod report;
mod scoring;
mod task;
mod tokenizer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use eval::challenge::reading::ReadingMode;
use eval::challenge::{ChallengeBackend, ChallengeYear};
use train::settings::ChallengeTrack;

pub use checkpoints::Revision;
pub use collected::AnswerFile;
pub use glue::GlueScore;
pub(crate) use kept::{CHALLENGE, KeptScores};
pub use report::ChallengeReport;
pub(crate) use report::table;
pub use scoring::{AnyScore, TaskOutcome};
pub use task::{AnyTask, all_tasks};

use super::results::{claim_folders, names_of};
use super::{ModelSelection, label};
use crate::error::{Context, Result, refuse, wrong_usage};
use crate::failures::Failures;
use crate::files::{make_folder, remove, write_json};
use crate::lock::RunLock;
use crate::observer::Observer;
use crate::outputs;
use checkpoints::{Checkpoints, fast_results};
use glue::Glue;
use scoring::{Scoring, suitable_backend};
use task::AvailableTask;

/// What is scored, with which data, and where the results go.
#[derive(Clone, Debug)]
pub struct ChallengeSettings {
    /// Holds the tasks' folders, under the names of the pipelines.
    pub data: PathBuf,
    /// Whose rules count.
    pub year: ChallengeYear,
    /// How models are asked; none for what suits the model.
    pub backend: Option<ChallengeBackend>,
    /// Which tokens stand for a word of the reading task.
    pub reading: ReadingMode,
    /// Names of the tasks that are scored; none for all whose data is there.
    pub only: Vec<String>,
    /// The checkpoints of the model's training, if they are scored too.
    pub checkpoints: Option<CheckpointSettings>,
    /// Holds the models' fine-tunings for GLUE, if their answers are collected.
    pub finetuned: Option<PathBuf>,
    /// Gets a folder for each model; what is done there already is not done again.
    pub output: PathBuf,
}

/// The checkpoints of a training, which are scored on smaller tasks.
#[derive(Clone, Debug)]
pub struct CheckpointSettings {
    /// Holds a model folder for each checkpoint, `chck_1M` and so on.
    pub folder: PathBuf,
    /// Holds the folders of the smaller tasks.
    pub data: PathBuf,
    /// The track, which states which checkpoints there are to be.
    pub track: ChallengeTrack,
}

/// The scores of a model.
pub struct ChallengeScores {
    /// The model's name in tables.
    pub name: String,
    /// The model's folders.
    pub label: String,
    /// How it was asked.
    pub backend: ChallengeBackend,
    /// The scores of the tasks, in the order of [`all_tasks`].
    pub tasks: Vec<TaskOutcome>,
    /// The scores of each checkpoint that is there, in the order of the track.
    pub checkpoints: Vec<(String, Vec<TaskOutcome>)>,
    /// The file of all answers.
    pub answers: AnswerFile,
}

/// What an evaluation came to.
pub struct ChallengeOutcome {
    /// The scores of each model.
    pub models: Vec<ChallengeScores>,
    /// What failed by itself.
    pub failures: Failures,
}

/// Scores all models. `device` opens the device once the settings have been checked.
///
/// # Errors
/// When settings, data or models do not fit together, or something fails that concerns all tasks.
pub fn evaluate_challenge(
    selection: &ModelSelection,
    settings: &ChallengeSettings,
    device: impl FnOnce() -> Result<Arc<dyn Device>>,
    observer: &dyn Observer,
) -> Result<ChallengeOutcome> {
    let mut available = task::find(&settings.data, settings.year, &settings.only, false, observer)?;
    let checkpoints = settings.checkpoints.as_ref();
    if checkpoints.is_none() {
        available.retain(|found| !leaves_out(found, observer));
    }
    if settings.finetuned.is_none() {
        task::require_wanted(&settings.data, &available)?;
    }
    let aoa = available.iter().position(|found| found.task.is_of_trainings());
    let aoa = aoa.map(|place| available.remove(place));
    if checkpoints.is_some() && (selection.folders.len() > 1 || selection.ensemble) {
        return wrong_usage("--checkpoints are those of one model, and there are several");
    }
    let checkpoints = checkpoints.map(|some| Checkpoints::find(some, aoa, settings, observer));
    let checkpoints = checkpoints.transpose()?;
    let finetuned = finetuned(selection, settings, observer)?;
    let read = settings.read();
    outputs::check_no_model(&settings.output)?;
    outputs::check_folder(&settings.output, &read)?;
    make_folder(&settings.output)?;
    let _lock = RunLock::acquire(&settings.output)?;
    let device = device()?;
    let models = selection.load(&device, observer)?;
    let folders = claim_folders(selection, &settings.output, &read)?;
    folders.iter().try_for_each(|folder| check_year(folder, settings.year))?;
    let (names, mut found) = (names_of(&folders), Vec::new());
    let mut failures = Failures::default();
    for (index, group) in selection.groups(&models).into_iter().enumerate() {
        let (name, label, folder) = (names[index].clone(), label(group), &folders[index]);
        let backend = settings.backend.unwrap_or_else(|| suitable_backend(group));
        let scoring = Scoring::new(settings, observer, group, backend, folder, &name, MAIN)?;
        AnswerFile::forget(folder)?;
        remove(&folder.join(CHALLENGE))?;
        scoring.warn_of_first_token();
        let mut tasks = scoring.perform_all(&available, &mut failures)?;
        let score = |some: &Checkpoints| some.score(&scoring, &device, &mut failures);
        let scored = checkpoints.as_ref().map(score).transpose()?.unwrap_or_default();
        tasks.extend(scored.aoa);
        let glue = finetuned.get(index).map(|found| found.write(folder));
        tasks.extend(glue.transpose()?);
        let checkpoints = scored.tasks;
        let fast = fast_results(settings, &checkpoints);
        let answers = AnswerFile::write(folder, settings.year, backend, &tasks, fast.as_ref())?;
        let model = ChallengeScores { name, label, backend, tasks, checkpoints, answers };
        write_json(&folder.join(CHALLENGE), &KeptScores::of(&model, settings.year))?;
        found.push(model);
    }
    failures.keep(&settings.output)?;
    Ok(ChallengeOutcome { models: found, failures })
}

impl ChallengeSettings {
    /// The folders that are read, into which nothing is to be written.
    fn read(&self) -> Vec<PathBuf> {
        let some = self.checkpoints.iter();
        let of_checkpoints = some.flat_map(|some| [some.folder.clone(), some.data.clone()]);
        let finetuned = self.finetuned.clone();
        [self.data.clone()].into_iter().chain(of_checkpoints).chain(finetuned).collect()
    }
}

/// The fine-tunings of each model; none where they are not asked for.
fn finetuned(
    selection: &ModelSelection,
    settings: &ChallengeSettings,
    observer: &dyn Observer,
) -> Result<Vec<Glue>> {
    let Some(place) = &settings.finetuned else { return Ok(Vec::new()) };
    if selection.ensemble {
        return wrong_usage("--finetuned: an ensemble is not fine-tuned");
    }
    let find = |model: &PathBuf| Glue::find(place, model, settings.year, observer);
    selection.folders.iter().map(find).collect()
}

/// Refuses to mix the scores of two years in one folder.
fn check_year(folder: &Path, year: ChallengeYear) -> Result<()> {
    let kept = std::fs::read(folder.join(CHALLENGE)).unwrap_or_default();
    match serde_json::from_slice::<KeptScores>(&kept) {
        Ok(kept) if kept.year != year => {
            let (folder, other) = (folder.display(), kept.year.name());
            refuse(format_args!("{folder} holds scores by the rules of {other}"))
                .advise("name another folder with --output, or take those rules")
        }
        _ => Ok(()),
    }
}

/// Whether a task is left out without checkpoints, with a warning where it is to be scored.
fn leaves_out(found: &AvailableTask, observer: &dyn Observer) -> bool {
    let is_left_out = found.task.is_of_trainings();
    if is_left_out && found.is_wanted {
        observer.warn(format_args!(
            "{} is left out: it compares the checkpoints of a training, and none are given \
             (--checkpoints)",
            found.task.title()
        ));
    }
    is_left_out
}

/// The folder of a finished model's results: the pipelines' name of its revision.
const MAIN: &str = "main";

/// The file with a task's answers, by the name that the pipelines give it.
const PREDICTIONS: &str = "predictions.json";
