//! How far a run is, by the files in its folder; and the runs of a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use report::metrics;
use serde::Deserialize;
use train::TrainSettings;

use super::clean::{is_run, require_run};
use crate::error::{FileContext, Result};
use crate::files::entries;
use crate::lock;
use crate::recipe::{self, Recipe};
use crate::stage::Stages;
use crate::training_log::MetricsRecord;

/// How far a run is.
#[derive(Clone, Debug)]
pub struct RunStatus {
    /// The run's folder.
    pub folder: PathBuf,
    /// The process that works on it.
    pub process: Option<u32>,
    /// The stages that are done, by the time of their end.
    pub stages: Vec<(String, SystemTime)>,
    /// The recipe's models, in its order.
    pub models: Vec<ModelStatus>,
}

/// How far a model is.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// Whether its training has ended.
    pub is_finished: bool,
    /// Steps done.
    pub step: u64,
    /// Share of the training that is done, 0 to 1.
    pub share: f64,
    /// The lowest held-out cross-entropy.
    pub held_out_loss: Option<f64>,
    /// Of all steps.
    pub losses: Vec<f64>,
    /// Cross-entropies of all evaluations.
    pub held_out_losses: Vec<f64>,
    /// Time in steps.
    pub seconds: f64,
    /// Time in evaluations.
    pub evaluation_seconds: f64,
    /// Of a finished model, the precision and what computed the products, where that is known.
    pub products: Option<String>,
}

impl RunStatus {
    /// Reads a run's folder; a run under way may go on meanwhile.
    ///
    /// # Errors
    /// When the folder is no run or cannot be read.
    pub fn read(run: &Path) -> Result<Self> {
        require_run(run)?;
        let recipe = recipe::load(&super::preview::recipe_of(run), &[])?;
        let mut stages = Vec::new();
        for path in entries(&run.join("stages"))? {
            let time = fs::metadata(&path).and_then(|metadata| metadata.modified());
            if let (Some(name), Ok(time)) = (path.file_stem(), time)
                && path.extension().is_some_and(|ending| ending == "json")
            {
                stages.push((name.to_string_lossy().into_owned(), time));
            }
        }
        stages.sort_by_key(|(_, time)| *time);
        let models = recipe.models.keys().map(|name| ModelStatus::read(run, name, &recipe));
        let (folder, models) = (run.to_owned(), models.collect());
        Ok(Self { folder, process: lock::holder_of(run), stages, models })
    }

    /// How many models are finished.
    pub fn finished_models(&self) -> usize {
        self.models.iter().filter(|model| model.is_finished).count()
    }

    /// The end of the last stage.
    pub fn last_change(&self) -> Option<SystemTime> {
        self.stages.last().map(|(_, time)| *time)
    }
}

/// A line of the log; of a step whose loss is no number what is left of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Record(MetricsRecord),
    StepWithoutLoss {
        step: u64,
        epoch: f64,
        /// Evaluations have none.
        #[serde(rename = "learning_rate")]
        _learning_rate: f64,
    },
}

impl ModelStatus {
    /// A log that cannot be read counts as none, and lines that are no records are passed over.
    fn read(run: &Path, name: &str, recipe: &Recipe) -> Self {
        let train = &recipe.models[name].train;
        let mut status = Self {
            name: name.to_owned(),
            is_finished: run.join("stages").join(format!("model-{name}.json")).is_file(),
            step: 0,
            share: 0.0,
            held_out_loss: None,
            losses: Vec::new(),
            held_out_losses: Vec::new(),
            seconds: 0.0,
            evaluation_seconds: 0.0,
            products: Stages::look(run).products(&format!("model-{name}")),
        };
        let log = run.join("models").join(name).join("metrics.jsonl");
        for line in metrics::read_known::<Line>(&log).unwrap_or_default() {
            match line {
                Line::Record(MetricsRecord::Step(step)) => {
                    status.step = step.step;
                    status.share = share(train, step.step, step.epoch);
                    status.losses.push(step.loss);
                    status.seconds += step.seconds;
                }
                Line::StepWithoutLoss { step, epoch, .. } => {
                    status.step = step;
                    status.share = share(train, step, epoch);
                    status.losses.push(f64::NAN);
                }
                Line::Record(MetricsRecord::Evaluation(found)) => {
                    if found.best {
                        status.held_out_loss = Some(found.lowest());
                    }
                    status.held_out_losses.push(found.cross_entropy);
                    status.evaluation_seconds += found.seconds;
                }
            }
        }
        if status.is_finished {
            status.share = 1.0;
        }
        status
    }

    /// Seconds until the training ends, by its speed so far; of one that has begun and not ended.
    pub fn seconds_left(&self) -> Option<f64> {
        let left = (self.seconds + self.evaluation_seconds) * (1.0 / self.share - 1.0);
        (!self.is_finished && self.step > 0 && left.is_finite()).then_some(left.max(0.0))
    }
}

/// How much of a training is done, by its steps or its epochs.
pub(super) fn share(train: &TrainSettings, step: u64, epoch: f64) -> f64 {
    if let Some(buckets) = train.buckets {
        return (epoch / buckets.total_epochs()).min(1.0);
    }
    match (train.max_steps, &train.phases[..]) {
        (0, []) => epoch / train.epochs,
        (steps, []) => step as f64 / steps as f64,
        // Phases by steps add parts of epochs, which are not known here.
        (_, phases) if phases.iter().any(|phase| phase.epochs.is_some()) => {
            let epochs: f64 = phases.iter().filter_map(|phase| phase.epochs).sum();
            (epoch / epochs).min(1.0)
        }
        (_, phases) => {
            let steps: u64 = phases.iter().filter_map(|phase| phase.max_steps).sum();
            step as f64 / steps as f64
        }
    }
}

/// The runs in a folder, by name, each with its status or why that cannot be read.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<(PathBuf, Result<RunStatus>)>> {
    std::fs::read_dir(folder).at("read", folder)?;
    let runs = entries(folder)?.into_iter().filter(|path| is_run(path));
    Ok(runs.map(|run| (run.clone(), RunStatus::read(&run))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_from_the_share_and_the_time_so_far() {
        let status = ModelStatus {
            name: "student".to_owned(),
            is_finished: false,
            step: 10,
            share: 0.25,
            held_out_loss: None,
            losses: Vec::new(),
            held_out_losses: Vec::new(),
            seconds: 30.0,
            evaluation_seconds: 10.0,
            products: None,
        };
        assert_eq!(status.seconds_left(), Some(120.0));
        let others = [
            ModelStatus { step: 0, share: 0.0, seconds: 0.0, ..status.clone() },
            ModelStatus { is_finished: true, share: 1.0, ..status.clone() },
            ModelStatus { share: 0.0, ..status.clone() },
        ];
        assert!(others.iter().all(|other| other.seconds_left().is_none()));
        assert_eq!(ModelStatus { share: 1.5, ..status }.seconds_left(), Some(0.0));
    }
}
