//! The checkpoints of a training, scored on smaller tasks: the fast evaluation of the pipelines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use serde_json::{Map, Value, json};

use eval::challenge::ChallengeYear;

use super::scoring::{AnyScore, Scoring, TaskOutcome};
use super::task::{self, AnyTask, AvailableTask};
use super::{ChallengeSettings, CheckpointSettings};
use crate::error::{Context, FileContext, Result, refuse};
use crate::evaluation::ModelSelection;
use crate::failures::Failures;
use crate::observer::Observer;

/// The checkpoints that are there, and the smaller tasks.
pub(super) struct Checkpoints {
    /// The name and folder of each, in the order of the track.
    folders: Vec<(String, PathBuf)>,
    tasks: Vec<AvailableTask>,
}

impl Checkpoints {
    /// Looks for the checkpoints of a track, and for the smaller tasks. What is not there is noted.
    ///
    /// # Errors
    /// When there is no checkpoint or no task.
    pub(super) fn find(
        some: &CheckpointSettings,
        settings: &ChallengeSettings,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let (folder, names) = (&some.folder, some.track.checkpoints());
        std::fs::read_dir(folder).at("read", folder)?;
        let places = names.into_iter().map(|name| (name.clone(), folder.join(name)));
        let (folders, missing): (Vec<_>, Vec<_>) = places.partition(|(_, place)| place.is_dir());
        if folders.is_empty() {
            return refuse(format_args!("{} has no folder chck_1M or the like", folder.display()))
                .advise("name the folder that holds the checkpoints' folders with --checkpoints");
        }
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
            observer.note(format_args!("checkpoints that are missing: {}", names.join(", ")));
        }
        let tasks = task::find(&some.data, settings.year, &settings.only, true, observer)?;
        Ok(Self { folders, tasks })
    }

    /// Scores each checkpoint unless that is done.
    ///
    /// # Errors
    /// When a checkpoint cannot be loaded, or something happens that concerns all tasks.
    pub(super) fn score(
        &self,
        settings: &ChallengeSettings,
        observer: &dyn Observer,
        device: &Arc<dyn Device>,
        folder: &Path,
        model: &str,
        failures: &mut Failures,
    ) -> Result<Vec<(String, Vec<TaskOutcome>)>> {
        let mut found = Vec::new();
        for (revision, place) in &self.folders {
            let selection = ModelSelection { folders: vec![place.clone()], ensemble: false };
            let loaded = selection.load(device, observer)?;
            let name = format!("{model} at {revision}");
            let scoring = Scoring::new(settings, observer, &loaded, folder, &name, revision)?;
            found.push((revision.clone(), scoring.perform_all(&self.tasks, failures)?));
        }
        Ok(found)
    }
}

/// The scores of all checkpoints as the pipelines collect them: of each task a list, in the order
/// of the track, of shares (not percent) by sub-score, and null where a checkpoint has none. None
/// where no checkpoint was scored.
pub(super) fn fast_results(
    settings: &ChallengeSettings,
    checkpoints: &[(String, Vec<TaskOutcome>)],
) -> Option<Value> {
    let (year, some) = (settings.year, settings.checkpoints.as_ref()?);
    let mut results = Map::new();
    for task in task::all_tasks().filter(|task| task.is_of(year) && task.fast_name().is_some()) {
        let of = |revision: &String| {
            let (_, outcomes) = checkpoints.iter().find(|(name, _)| name == revision)?;
            let outcome = outcomes.iter().find(|outcome| outcome.task.name() == task.name())?;
            Some(shares(task, &outcome.score, year))
        };
        let list: Vec<Option<Value>> = some.track.checkpoints().iter().map(of).collect();
        if list.iter().any(Option::is_some) {
            results.insert(task.section(year).to_owned(), json!(list));
        }
    }
    (!results.is_empty()).then_some(Value::Object(results))
}

/// The sub-scores of a task as shares: those of its `UID`s, or a single one.
fn shares(task: AnyTask, score: &AnyScore, year: ChallengeYear) -> Value {
    let section = task.section(year);
    let score = match score {
        AnyScore::Reading { score, .. } => {
            return json!({ "spr": score.self_paced / 100.0, "rt": score.eye_tracking / 100.0 });
        }
        AnyScore::Choices(score) => score,
    };
    if section.starts_with("global_piqa") || section.starts_with("wug") {
        return json!({ section: score.score });
    }
    let uids = score.groups.iter().find(|(group, _)| group == "UID");
    let uids = uids.into_iter().flat_map(|(_, uids)| uids);
    // Means of entity tracking over its kinds are no sub-scores.
    let is_sub_score = |uid: &str| !section.starts_with("entity") || uid.ends_with("_ops");
    let shares = uids.filter(|(uid, _)| is_sub_score(uid));
    Value::Object(shares.map(|(uid, share)| (uid.clone(), json!(share))).collect())
}
