//! The tasks of the challenge and the folders of their data.

use std::path::{Path, PathBuf};

use eval::challenge::{ChallengeTask, ChallengeYear, TASKS};
use eval::classification::CHALLENGE_GLUE;
use eval::glue_items;

use crate::error::{Context, FileContext, Result, refuse};
use crate::observer::Observer;

/// A task of the challenge.
#[derive(Clone, Copy)]
pub enum AnyTask {
    /// Choices between texts.
    Choices(&'static ChallengeTask),
    /// Prediction of reading times.
    Reading,
    /// Ages at which words are acquired, in the course of a training.
    Aoa,
    /// (Super)GLUE, for which the model is fine-tuned by another command.
    Glue,
}

/// The file of the reading task, in its folder.
const READING_FILE: &str = "reading_data.csv";

/// The files of the age-of-acquisition task, in its folder: texts, and what children say.
pub(super) const AOA_FILES: [&str; 2] = ["cdi_childes.json", "cdi_human.csv"];

/// All tasks, in the order in which they stand in tables and in the file of all answers.
pub fn all_tasks() -> impl Iterator<Item = AnyTask> {
    TASKS.iter().map(AnyTask::Choices).chain([AnyTask::Reading, AnyTask::Aoa, AnyTask::Glue])
}

impl AnyTask {
    /// The name of its folder of data, and of its scores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Choices(task) => task.name,
            Self::Reading => "reading",
            Self::Aoa => "aoa",
            Self::Glue => "glue",
        }
    }

    /// Whether it is scored from a folder of data.
    pub fn has_data(self) -> bool {
        !matches!(self, Self::Glue)
    }

    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Choices(task) => task.title,
            Self::Reading => "Reading",
            Self::Aoa => "Age of acquisition",
            Self::Glue => "GLUE",
        }
    }

    /// The name of its folder of data for checkpoints; none where these are not scored on it.
    pub(super) fn fast_name(self) -> Option<&'static str> {
        match self {
            Self::Choices(task) => task.fast_name,
            Self::Reading => Some("reading"),
            Self::Aoa | Self::Glue => None,
        }
    }

    /// Its keys in the file of all answers, that of its answers first.
    pub(super) fn sections(self, year: ChallengeYear) -> Vec<&'static str> {
        match (self, year) {
            (Self::Choices(task), _) => vec![(task.section)(year)],
            (Self::Reading, _) => vec!["reading"],
            (Self::Glue, _) => vec!["glue"],
            (Self::Aoa, ChallengeYear::Year2025) => vec!["aoa"],
            (Self::Aoa, ChallengeYear::Year2026) => vec!["aoa_surprisals", "aoa"],
        }
    }

    /// How many answers the pipeline expects, of each checkpoint where there are several.
    pub(super) fn expected_items(self, year: ChallengeYear) -> usize {
        match self {
            Self::Choices(task) => (task.items)(year),
            Self::Reading => 1726,
            Self::Aoa => 8005,
            Self::Glue => CHALLENGE_GLUE.into_iter().filter_map(glue_items).sum(),
        }
    }

    /// What a model that knows nothing scores; not known where it depends on the training items.
    pub(super) fn chance(self) -> Option<f64> {
        match self {
            Self::Choices(task) => Some(task.chance),
            Self::Reading | Self::Aoa => Some(0.0),
            Self::Glue => None,
        }
    }

    /// Whether a year's pipeline has the task.
    pub(super) fn is_of(self, year: ChallengeYear) -> bool {
        match self {
            Self::Choices(task) => task.is_of(year),
            Self::Reading | Self::Aoa | Self::Glue => true,
        }
    }

    /// Whether it takes the checkpoints of a training.
    pub(super) fn is_of_trainings(self) -> bool {
        matches!(self, Self::Aoa)
    }

    /// The folder of its results below that of a back end.
    pub(super) fn place(self, data: &Path) -> PathBuf {
        match self {
            Self::Choices(task) => Path::new(task.kind).join(data.file_name().unwrap_or_default()),
            Self::Reading => PathBuf::from("reading"),
            Self::Aoa => PathBuf::from("AoA_word"),
            Self::Glue => PathBuf::from("glue"),
        }
    }

    /// What it lacks of its data: the folder or a file.
    fn absent(self, folder: &Path) -> Option<PathBuf> {
        if !folder.is_dir() {
            return Some(folder.to_owned());
        }
        let needed: &[&str] = if self.is_of_trainings() { &AOA_FILES } else { &[] };
        needed.iter().map(|name| folder.join(name)).find(|file| !file.exists())
    }

    /// The files of its data.
    pub(super) fn files(self, folder: &Path) -> Result<Vec<PathBuf>> {
        match self {
            Self::Choices(task) => Ok(task.files(folder)?),
            Self::Reading => Ok(vec![folder.join(READING_FILE)]),
            Self::Aoa => Ok(AOA_FILES.map(|name| folder.join(name)).to_vec()),
            Self::Glue => Ok(Vec::new()),
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
/// are warned of.
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
    for task in all_tasks().filter(|task| task.is_of(year) && task.has_data()) {
        let name = if fast { task.fast_name() } else { Some(task.name()) };
        let Some(name) = name else { continue };
        let folder = data.join(name);
        let is_wanted = only.is_empty() || only.iter().any(|name| name == task.name());
        match task.absent(&folder) {
            None => available.push(AvailableTask { task, folder, is_wanted }),
            Some(absent) if is_wanted => {
                let (title, absent) = (task.title(), absent.display());
                observer.warn(format_args!("{title} is left out: there is no {absent}"));
            }
            Some(_) => (),
        }
    }
    Ok(available)
}

/// Refuses data without a task that is to be scored.
pub(super) fn require_wanted(data: &Path, available: &[AvailableTask]) -> Result<()> {
    match available.iter().any(|found| found.is_wanted) {
        true => Ok(()),
        false => {
            refuse(format_args!("{} has no folder of a task that is asked for", data.display()))
                .advise(
                    "name the folder full_eval of the pipeline's evaluation_data with --data, and \
                     fast_eval for checkpoints",
                )
        }
    }
}
