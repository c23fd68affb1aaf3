//! What a run would do, before it does anything: which stages are done, which are to do and why,
//! and which training it would undo.

use std::path::{Path, PathBuf};

use report::format::duration;
use report::metrics;
use train::checkpoint;

use super::status::share;
use super::{Run, RunSettings};
use crate::error::{Context, FileContext, Result, refuse, wrong_usage};
use crate::observer::Observer;
use crate::recipe::{RESOLVED, Recipe, Source};
use crate::stage::{Reason, Stage, Stages, Status};
use crate::training_log::{MetricsRecord, TrainingSummary};

/// Training that a run may undo without being asked to, in seconds of all its models.
const MINOR: f64 = 60.0;

/// A stage, and what a run would do with it.
#[derive(Clone, Debug, PartialEq)]
pub struct StagePreview {
    /// The stage's name.
    pub name: String,
    /// Whether it is done, or why it would run.
    pub status: Status,
    /// The training that its run would undo.
    pub undoes: Option<UndoneTraining>,
    /// Of a model's training: the share that its newest checkpoint has, 0 to 1.
    pub saved_share: f64,
}

/// Training with other settings that a run would set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoneTraining {
    /// The model's name.
    pub model: String,
    /// The model's folder.
    pub folder: PathBuf,
    /// Time in steps.
    pub seconds: f64,
    /// What differs.
    pub reason: Reason,
}

/// Looks at a run as a recipe would have it. Nothing is made or changed; the observer sees how far
/// the reading of large folders is.
///
/// # Errors
/// When something that the recipe names cannot be read.
pub fn preview(
    recipe: Recipe,
    settings: &RunSettings,
    observer: &dyn Observer,
) -> Result<Vec<StagePreview>> {
    Run::look(recipe, settings, observer).preview()
}

impl Run<'_> {
    pub(super) fn preview(&self) -> Result<Vec<StagePreview>> {
        let preparation = self.preparation_stages()?;
        let shared = self.shared_folder(&preparation).map(|folder| Stages::look(&folder));
        let prepared = shared.as_ref().unwrap_or(&self.stages);
        let mut found = Vec::new();
        for stage in preparation.all() {
            found.push(self.look_at(stage, prepared, None)?);
        }
        let models = self.model_stages(preparation.tokens(), &self.chosen_models())?;
        for (name, stage) in &models {
            let undoes = self.undone_training(name, stage)?;
            let saved_share = match &undoes {
                None => self.saved_share(name),
                Some(_) => 0.0,
            };
            found.push(StagePreview { saved_share, ..self.look_at(stage, &self.stages, undoes)? });
        }
        if self.recipe.evaluate.blimp.iter().flatten().any(|source| *source == Source::Builtin) {
            found.push(self.look_at(&self.pairs_stage()?, &self.stages, None)?);
        }
        for subject in self.subjects() {
            let members: Vec<_> =
                models.iter().filter(|(name, _)| subject.contains(name)).collect();
            let members: Vec<&Stage> = members.into_iter().map(|(_, stage)| stage).collect();
            let stage = self.score_stage(&subject, &members, preparation.tokens());
            found.push(match stage? {
                Some(stage) => self.look_at(&stage, &self.stages, None)?,
                None => StagePreview {
                    name: super::scores::stage_name(&subject),
                    status: Status::Run(Reason::NeverFinished),
                    undoes: None,
                    saved_share: 0.0,
                },
            });
        }
        Ok(found)
    }

    fn look_at(
        &self,
        stage: &Stage,
        stages: &Stages<'_>,
        undoes: Option<UndoneTraining>,
    ) -> Result<StagePreview> {
        let (name, status) = (stage.name().to_owned(), stages.status(stage)?);
        let undoes = undoes.filter(|_| status != Status::Done);
        Ok(StagePreview { name, undoes, status, saved_share: 0.0 })
    }

    /// How much of a model's training a run would not do again.
    fn saved_share(&self, name: &str) -> f64 {
        let folder = self.path("models").join(name);
        let saved = checkpoint::newest_step(&folder.join("checkpoints"));
        if saved.is_none() {
            return 0.0;
        }
        // A log that cannot be read counts as no training.
        let records = metrics::read::<MetricsRecord>(&folder.join("metrics.jsonl"));
        let share = |record| match record {
            MetricsRecord::Step(step) if Some(step.step) == saved => {
                Some(share(&self.recipe.models[name].train, step.step, step.epoch))
            }
            _ => None,
        };
        records.unwrap_or_default().into_iter().find_map(share).unwrap_or(0.0)
    }

    /// The training in a model's folder that followed from something else than the stage does.
    fn undone_training(&self, name: &str, stage: &Stage) -> Result<Option<UndoneTraining>> {
        let folder = self.path("models").join(name);
        let Some(reason) = super::claim::difference(&folder, stage) else {
            return Ok(None);
        };
        // A log that cannot be read counts as no training.
        let select_by = self.recipe.models[name].train.select_by;
        let summary = TrainingSummary::of_metrics(&folder, select_by).unwrap_or_default();
        let reason = match self.stages.status(stage)? {
            Status::Run(reason @ Reason::SettingsChanged { .. }) => reason,
            _ => reason,
        };
        Ok(Some(UndoneTraining {
            model: name.to_owned(),
            folder,
            seconds: summary.seconds,
            reason,
        }))
    }
}

/// Refuses to undo more than a minute of training unless that was asked for.
pub(super) fn refuse_undoing(stages: &[StagePreview], folder: &Path) -> Result<()> {
    let undone = major(stages);
    if undone.is_empty() {
        return Ok(());
    }
    let folder = folder.display();
    wrong_usage(format_args!(
        "this would set aside and train again what is in {folder}: {}",
        undone.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    ))
    .advise(format!(
        "give the settings that it was trained with, or `babyllama run --output {folder}` for the \
         run's own recipe, or --replace to train again"
    ))
}

/// The training that a run must not undo without being asked to: all of it, where its models
/// together took long.
pub fn major(stages: &[StagePreview]) -> Vec<UndoneTraining> {
    let undone: Vec<_> = stages.iter().filter_map(|stage| stage.undoes.clone()).collect();
    let seconds: f64 = undone.iter().map(|undone| undone.seconds).sum();
    if seconds > MINOR { undone } else { Vec::new() }
}

impl std::fmt::Display for UndoneTraining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} of training; {})", self.model, duration(self.seconds), self.reason)
    }
}

/// The stored recipe of a run.
pub fn recipe_of(run: &Path) -> PathBuf {
    run.join("recipe.toml")
}

/// What stands before the hash of a stored recipe, after [`RESOLVED`].
const HASH: &str = " BLAKE3 of what follows: ";

/// The text of a recipe as a run stores it.
pub fn stored_form(recipe: &Recipe) -> Result<String> {
    Ok(format!("{RESOLVED}{HASH}{}\n{}", recipe.hash()?, recipe.resolved()?))
}

/// Refuses a stored recipe that is not as the run wrote it: a part of it, or nothing, would be
/// another experiment.
///
/// # Errors
/// When it cannot be read or was changed.
pub fn check_stored(path: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path).at("read", path)?;
    let rest = text.strip_prefix(RESOLVED).and_then(|rest| rest.strip_prefix(HASH));
    let parts = rest.and_then(|rest| rest.split_once('\n'));
    match parts {
        Some((hash, recipe)) if base::hash::of_bytes(recipe.as_bytes()) == hash => Ok(()),
        _ => refuse(format_args!("{} is not as the run wrote it", path.display())).advise(
            "name the recipe that the run began with, as in `babyllama run RECIPE --output RUN`",
        ),
    }
}
