//! What a benchmark is. Each has a file or folder in [`benchmarks`](crate::benchmarks) and a line
//! in [`BENCHMARKS`](crate::BENCHMARKS); everything else learns about it from there.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::choices::Task;
use crate::classification::ClassificationTask;
use crate::coverage::Coverage;
use crate::error::EvalError;
use crate::minimal_pairs;
use crate::reference::ReferenceTable;
use crate::results::{Metric, Prediction, TaskResult};
use crate::rules::Rules;
use crate::statistics::Items;

/// A named set of tasks: where its data is, how its scores are aggregated and what they are called
/// in the files of others. In JSON it is its name.
pub trait Benchmark: Sync {
    /// Name in files and folders: lower case with underscores.
    fn name(&self) -> &'static str;

    /// Name in tables.
    fn title(&self) -> &'static str;

    /// What it measures, in one line for help texts.
    fn about(&self) -> &'static str;

    /// How it is run.
    fn kind(&self) -> Kind;

    /// Names of the folders in which its data is looked for, those of both pipelines and of the
    /// benchmark itself; the first that exists is taken. Without any it is scored only where its
    /// data is named.
    fn folders(&self) -> &'static [&'static str] {
        &[]
    }

    /// A file without which such a folder does not count.
    fn required_file(&self) -> Option<&'static str> {
        None
    }

    /// The rules by which it is scored where a command names those of `asked`. A benchmark that
    /// only one year's pipeline has is always scored by that year's.
    fn rules(&self, asked: Rules) -> Rules {
        asked
    }

    /// How much of the benchmark some tasks are, by a pipeline's rules; none where tasks of any
    /// names make it up.
    fn coverage(&self, tasks: &[TaskResult], rules: Rules) -> Option<Coverage> {
        let _ = (tasks, rules);
        None
    }

    /// The group that pools the items of a task and of others; none where each task counts by
    /// itself.
    fn group_of<'a>(&self, task: &'a str, rules: Rules) -> Option<&'a str> {
        let _ = (task, rules);
        None
    }

    /// The score over all tasks or, where there are any, groups: their unweighted mean.
    fn mean(&self, units: &[TaskResult]) -> f64 {
        units.iter().map(|unit| unit.score).sum::<f64>() / units.len().max(1) as f64
    }

    /// Papers' name of the mean over all of the benchmark's tasks.
    fn mean_title(&self) -> &'static str {
        self.title()
    }

    /// The answers in the form that resampling needs, so that their
    /// [`macro_score`](crate::statistics::macro_score) is the score: one list for each task or
    /// group with the metric of each.
    fn resampled(&self, units: &[(Metric, &[Prediction])]) -> Vec<Items> {
        units.iter().map(|(metric, answers)| Items::of_predictions(*metric, answers)).collect()
    }

    /// The name of the whole in the `results.json` of lm-evaluation-harness.
    fn harness_group(&self) -> &'static str {
        self.name()
    }

    /// The name of a task in the `results.json` of lm-evaluation-harness.
    fn harness_task(&self, task: &str) -> String {
        format!("{}_{task}", self.name())
    }

    /// The part of the 2024 track's file of answers that it fills, if that has one.
    fn section(&self) -> Option<Section> {
        None
    }

    /// Scores that papers print.
    fn reference(&self) -> &'static [ReferenceTable] {
        &[]
    }
}

/// How a benchmark is run.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Choices between texts by their log-probabilities, without training.
    ZeroShot(&'static dyn ZeroShot),
    /// Tasks for which a classifier is fine-tuned, by the caller.
    FineTuned(&'static [ClassificationTask]),
    /// Cross-entropy on text that is named, measured by the caller.
    HeldOutLoss,
    /// Surprisals of words, and the ages that they predict
    /// ([`age_of_acquisition`](crate::age_of_acquisition)).
    AgeOfAcquisition,
}

impl Kind {
    /// Whether it needs models that predict the next token.
    pub fn is_causal_only(self) -> bool {
        matches!(self, Kind::HeldOutLoss | Kind::AgeOfAcquisition)
    }

    /// Whether something is trained for it.
    pub fn is_fine_tuned(self) -> bool {
        matches!(self, Kind::FineTuned(_))
    }
}

/// A benchmark of choices between texts. Its items are read here and scored by
/// [`score_choices`](crate::score_choices).
pub trait ZeroShot: Benchmark {
    /// Reads the items from a folder, or from a file where the benchmark can be one.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged; the file and the line are named.
    fn read(&self, path: &Path) -> Result<Vec<Task>, EvalError>;

    /// The files that [`read`](Self::read) reads, in their order.
    ///
    /// # Errors
    /// When there is none.
    fn files(&self, path: &Path) -> Result<Vec<PathBuf>, EvalError> {
        minimal_pairs::files(path)
    }

    /// The score of a task's answers, of which `truncated` texts were cut.
    fn task_result(&self, task: &str, answers: &[Prediction], truncated: usize) -> TaskResult {
        TaskResult::of_choices(task, answers, truncated)
    }

    /// Whether minimal pairs that were read from a folder of any name are of this benchmark.
    fn recognizes(&self, folder: &Path, tasks: &[Task]) -> bool {
        let _ = (folder, tasks);
        false
    }
}

/// A part of the file of answers that BabyLM's 2024 track takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The section's key in the file.
    pub name: &'static str,
    /// The tasks that the track's verifier requires.
    pub tasks: Vec<&'static str>,
}

impl fmt::Debug for dyn Benchmark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl<'a> PartialEq<dyn Benchmark + 'a> for dyn Benchmark + '_ {
    fn eq(&self, other: &(dyn Benchmark + 'a)) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Benchmark + '_ {}

impl Serialize for dyn Benchmark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
