//! The tasks of the challenge and the folders of their data.

use std::path::{Path, PathBuf};

use eval::challenge::{ChallengeTask, ChallengeYear, TASKS};

use crate::error::{Context, FileContext, Result, refuse};
use crate::observer::Observer;

/// A task of the challenge.
#[derive(Clone, Copy)]
pub enum AnyTask {
    /// Choices between texts.
    Choices(&'static ChallengeTask),
    /// Prediction of reading times.
    Reading,
}

/// The file of the reading task, in its folder.
const READING_FILE: &str = "reading_data.csv";

/// All tasks, in the order in which they stand in tables and in the file of all answers.
pub fn all_tasks() -> impl Iterator<Item = AnyTask> {
    TASKS.iter().map(AnyTask::Choices).chain([AnyTask::Reading])
}

impl AnyTask {
    /// The name of its folder of data.
    pub fn name(self) -> &'static str {
        match self {
            Self::Choices(task) => task.name,
            Self::Reading => "reading",
        }
    }

    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Choices(task) => task.title,
            Self::Reading => "Reading",
        }
    }

    /// The name of its folder of data for checkpoints; none where these are not scored on it.
    pub(super) fn fast_name(self) -> Option<&'static str> {
        match self {
            Self::Choices(task) => task.fast_name,
            Self::Reading => Some("reading"),
        }
    }

    /// Its key in the file of all answers.
    pub(super) fn section(self, year: ChallengeYear) -> &'static str {
        match self {
            Self::Choices(task) => (task.section)(year),
            Self::Reading => "reading",
        }
    }

    /// How many answers the pipeline expects.
    pub(super) fn expected_items(self, year: ChallengeYear) -> Option<usize> {
        match self {
            Self::Choices(task) => (task.items)(year),
            Self::Reading => Some(1726),
        }
    }

    /// What a model that knows nothing scores.
    pub(super) fn chance(self) -> f64 {
        match self {
            Self::Choices(task) => task.chance,
            Self::Reading => 0.0,
        }
    }

    /// Whether a year's pipeline has the task.
    pub(super) fn is_of(self, year: ChallengeYear) -> bool {
        match self {
            Self::Choices(task) => task.is_of(year),
            Self::Reading => true,
        }
    }

    /// The folder of its results below that of a back end.
    pub(super) fn place(self, data: &Path) -> PathBuf {
        match self {
            Self::Choices(task) => Path::new(task.kind).join(data.file_name().unwrap_or_default()),
            Self::Reading => PathBuf::from("reading"),
        }
    }

    /// The files of its data.
    pub(super) fn files(self, folder: &Path) -> Result<Vec<PathBuf>> {
        match self {
            Self::Choices(task) => Ok(task.files(folder)?),
            Self::Reading => Ok(vec![folder.join(READING_FILE)]),
        }
    }
}

/// A task and the folder of its data.
pub(super) struct AvailableTask {
    pub task: AnyTask,
    pub folder: PathBuf,
    /// Whether it is to be scored; of another one only what is done already is taken.
    pub is_wanted: bool,
}

/// The tasks whose data is there, which is that for checkpoints where `fast` is true. The others
/// are noted.
pub(super) fn find(
    data: &Path,
    year: ChallengeYear,
    only: &[String],
    fast: bool,
    observer: &dyn Observer,
) -> Result<Vec<AvailableTask>> {
    std::fs::read_dir(data)
        .at("read", data)
        .advise("name the folder that holds blimp_filtered, comps and the like")?;
    let mut available = Vec::new();
    for task in all_tasks().filter(|task| task.is_of(year)) {
        let name = if fast { task.fast_name() } else { Some(task.name()) };
        let Some(name) = name else { continue };
        let folder = data.join(name);
        let is_wanted = only.is_empty() || only.iter().any(|name| name == task.name());
        if folder.is_dir() {
            available.push(AvailableTask { task, folder, is_wanted });
        } else if is_wanted {
            let (title, folder) = (task.title(), folder.display());
            observer.note(format_args!("{title} is left out: there is no folder {folder}"));
        }
    }
    match available.iter().any(|found| found.is_wanted) {
        true => Ok(available),
        false => {
            refuse(format_args!("{} has no folder of a task that is asked for", data.display()))
                .advise(
                    "name the folder full_eval of the pipeline's evaluation_data with --data, and \
                     fast_eval for checkpoints",
                )
        }
    }
}
