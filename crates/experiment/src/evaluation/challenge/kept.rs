//! The scores of a model as they are kept for reports.

use std::collections::BTreeMap;

use eval::challenge::{ChallengeBackend, ChallengeYear};
use serde::{Deserialize, Serialize};

use super::ChallengeScores;
use super::scoring::{AnyScore, TaskOutcome};
use super::task::AnyTask;

/// The file of a model's scores, in its folder.
pub(crate) const CHALLENGE: &str = "challenge.json";

/// The scores of tasks, by their names.
pub(crate) type Scores = BTreeMap<String, AnyScore>;

/// The scores of a model by the rules of a year.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptScores {
    /// Whose rules counted.
    pub(crate) year: ChallengeYear,
    /// How the model was asked.
    pub(crate) backend: ChallengeBackend,
    /// The scores of the tasks.
    pub(crate) tasks: Scores,
    /// Those of the checkpoints of its training, on smaller tasks, in the order of the track.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) checkpoints: Vec<KeptCheckpoint>,
}

/// The scores of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptCheckpoint {
    /// Its name, such as `chck_1M`.
    pub(crate) checkpoint: String,
    /// The scores of the tasks.
    pub(crate) tasks: Scores,
}

impl KeptScores {
    /// The scores of a model.
    pub(super) fn of(model: &ChallengeScores, year: ChallengeYear) -> Self {
        let scores = |outcomes: &[TaskOutcome]| {
            outcomes.iter().map(|one| (one.task.name().to_owned(), one.score.clone())).collect()
        };
        let checkpoint = |(name, outcomes): &(String, Vec<TaskOutcome>)| KeptCheckpoint {
            checkpoint: name.clone(),
            tasks: scores(outcomes),
        };
        Self {
            year,
            backend: model.backend,
            tasks: scores(&model.tasks),
            checkpoints: model.checkpoints.iter().map(checkpoint).collect(),
        }
    }

    /// The score of a task.
    pub(crate) fn task(&self, task: AnyTask) -> Option<&AnyScore> {
        self.tasks.get(task.name())
    }
}

impl KeptCheckpoint {
    /// The millions of words after which it was taken.
    pub(crate) fn millions(&self) -> Option<f64> {
        self.checkpoint.strip_prefix("chck_")?.strip_suffix('M')?.parse().ok()
    }
}
