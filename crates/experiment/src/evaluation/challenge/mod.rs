//! The evaluation of BabyLM's pipelines of 2025 and 2026: the tasks whose data is there, the files
//! that the pipelines write, and one table.

mod files;
mod report;
mod scoring;
mod tokenizer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use eval::challenge::{ChallengeBackend, ChallengeTask, ChallengeYear, TASKS};

pub use files::AnswerFile;
pub use report::ChallengeReport;
pub use scoring::TaskOutcome;

use super::results::{claim_folders, short_names};
use super::{ModelSelection, label};
use crate::error::{Context, FileContext, Result, refuse};
use crate::failures::Failures;
use crate::files::make_folder;
use crate::lock::RunLock;
use crate::observer::Observer;
use crate::outputs;
use scoring::Scoring;

/// What is scored, with which data, and where the results go.
#[derive(Clone, Debug)]
pub struct ChallengeSettings {
    /// Holds the tasks' folders, under the names of the pipelines.
    pub data: PathBuf,
    /// Whose rules count.
    pub year: ChallengeYear,
    /// How models are asked; none for what suits the model.
    pub backend: Option<ChallengeBackend>,
    /// Names of the tasks that are scored; none for all whose data is there.
    pub only: Vec<String>,
    /// Gets a folder for each model; what is done there already is not done again.
    pub output: PathBuf,
}

/// The scores of a model.
pub struct ChallengeScores {
    /// The model's name in tables.
    pub name: String,
    /// The model's folders.
    pub label: String,
    /// How it was asked.
    pub backend: ChallengeBackend,
    /// The scores of the tasks, in the order of [`TASKS`].
    pub tasks: Vec<TaskOutcome>,
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

/// A task and the folder of its data.
pub(super) struct AvailableTask {
    pub task: &'static ChallengeTask,
    pub folder: PathBuf,
    /// Whether it is to be scored; of another one only what is done already is taken.
    pub is_wanted: bool,
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
    let available = find(settings, observer)?;
    let read = [settings.data.clone()];
    outputs::check_no_model(&settings.output)?;
    outputs::check_folder(&settings.output, &read)?;
    make_folder(&settings.output)?;
    let _lock = RunLock::acquire(&settings.output)?;
    let models = selection.load(&device()?, observer)?;
    let folders = claim_folders(selection, &settings.output, &read)?;
    let (names, mut found) = (short_names(selection), Vec::new());
    let mut failures = Failures::default();
    for (index, group) in selection.groups(&models).into_iter().enumerate() {
        let (name, label) = (names[index].clone(), label(group));
        let scoring = Scoring::new(settings, observer, group, &folders[index], &name)?;
        let mut tasks = Vec::new();
        for task in &available {
            tasks.extend(scoring.perform(task, &mut failures)?);
        }
        let backend = scoring.backend();
        let answers = AnswerFile::write(&folders[index], settings.year, backend, &tasks)?;
        found.push(ChallengeScores { name, label, backend, tasks, answers });
    }
    failures.keep(&settings.output)?;
    Ok(ChallengeOutcome { models: found, failures })
}

/// The tasks whose data is there; the others are noted.
fn find(settings: &ChallengeSettings, observer: &dyn Observer) -> Result<Vec<AvailableTask>> {
    let (data, year) = (&settings.data, settings.year);
    std::fs::read_dir(data)
        .at("read", data)
        .advise("name the folder that holds blimp_filtered, comps and the like with --data")?;
    let is_wanted = |task: &ChallengeTask| {
        settings.only.is_empty() || settings.only.iter().any(|name| name == task.name)
    };
    let mut available = Vec::new();
    for task in TASKS.iter().filter(|task| task.is_of(year)) {
        let (folder, is_wanted) = (data.join(task.name), is_wanted(task));
        if folder.is_dir() {
            available.push(AvailableTask { task, folder, is_wanted });
        } else if is_wanted {
            let (title, folder) = (task.title, folder.display());
            observer.note(format_args!("{title} is left out: there is no folder {folder}"));
        }
    }
    match available.iter().any(|found| found.is_wanted) {
        true => Ok(available),
        false => nothing_to_score(data),
    }
}

fn nothing_to_score(data: &Path) -> Result<Vec<AvailableTask>> {
    refuse(format_args!("{} has no folder of a task that is asked for", data.display()))
        .advise("name the folder full_eval of the pipeline's evaluation_data with --data")
}
