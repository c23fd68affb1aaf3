//! The checkpoints of a training, scored on smaller tasks: the fast evaluation of the pipelines.

use std::path::PathBuf;
use std::sync::Arc;

use engine::Device;
use serde_json::{Map, Value, json};

use eval::challenge::ChallengeYear;
use train::settings::ChallengeTrack;

use super::scoring::{AnyScore, AoaTask, Scoring, TaskOutcome};
use super::task::{self, AnyTask, AvailableTask};
use super::{ChallengeSettings, CheckpointSettings};
use crate::error::{Context, FileContext, Result, refuse};
use crate::evaluation::ModelSelection;
use crate::failures::{CHECKPOINT, Failures, Part};
use crate::observer::Observer;

/// A checkpoint of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its name and that of its folder, such as `chck_1M`.
    pub name: String,
    /// Words of text that the model has read, repeated ones counted each time.
    pub words_seen: u64,
}

/// The checkpoints of a track, in their order.
pub(super) fn revisions(track: ChallengeTrack) -> Vec<Revision> {
    let names = track.checkpoints().into_iter().zip(track.millions());
    names.map(|(name, millions)| Revision { name, words_seen: millions * 1_000_000 }).collect()
}

/// The checkpoints that are there, and what they are scored on.
pub(super) struct Checkpoints {
    track: ChallengeTrack,
    /// Each with its folder, in the order of the track.
    folders: Vec<(Revision, PathBuf)>,
    /// The smaller tasks.
    tasks: Vec<AvailableTask>,
    /// The task that takes all checkpoints.
    aoa: Option<AvailableTask>,
}

/// What all checkpoints came to.
#[derive(Default)]
pub(super) struct CheckpointScores {
    /// The scores of each on the smaller tasks, in the order of the track.
    pub tasks: Vec<(String, Vec<TaskOutcome>)>,
    /// The score of the task that takes all checkpoints.
    pub aoa: Option<TaskOutcome>,
}

impl Checkpoints {
    /// Looks for the checkpoints of a track, and for the smaller tasks. What is not there is
    /// warned of.
    ///
    /// # Errors
    /// When there is no checkpoint or no task.
    pub(super) fn find(
        some: &CheckpointSettings,
        aoa: Option<AvailableTask>,
        settings: &ChallengeSettings,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let (folder, track) = (&some.folder, some.track);
        std::fs::read_dir(folder).at("read", folder)?;
        let places = revisions(track).into_iter().map(|revision| {
            let place = folder.join(&revision.name);
            (revision, place)
        });
        let (folders, missing): (Vec<_>, Vec<_>) = places.partition(|(_, place)| place.is_dir());
        if folders.is_empty() {
            return refuse(format_args!("{} has no folder chck_1M or the like", folder.display()))
                .advise("name the folder that holds the checkpoints' folders with --checkpoints");
        }
        if !missing.is_empty() {
            let names = missing.iter().map(|(revision, _)| revision.name.as_str());
            let names = names.collect::<Vec<_>>().join(", ");
            observer.warn(format_args!("checkpoints that are missing: {names}"));
        }
        let tasks = task::find(&some.data, settings.year, &settings.only, true, observer)?;
        // Not every task has a smaller form.
        let takes_all = aoa.as_ref().is_some_and(|aoa| aoa.is_wanted);
        if settings.only.is_empty() && !takes_all {
            task::require_wanted(&some.data, &tasks)?;
        }
        Ok(Self { track, folders, tasks, aoa })
    }

    /// Scores each checkpoint unless that is done, and all of them together. `main` scores the
    /// finished model.
    ///
    /// # Errors
    /// When a checkpoint cannot be loaded, or something happens that concerns all tasks.
    pub(super) fn score(
        &self,
        main: &Scoring<'_>,
        device: &Arc<dyn Device>,
        failures: &mut Failures,
    ) -> Result<CheckpointScores> {
        let aoa = match &self.aoa {
            Some(aoa) => main.attempt(aoa, failures, || Ok(Some(AoaTask::read(aoa)?)))?,
            None => None,
        };
        let aoa = self.aoa.as_ref().zip(aoa);
        let (mut found, mut words) = (CheckpointScores::default(), Vec::new());
        for (revision, place) in &self.folders {
            // A checkpoint that cannot be read fails alone.
            let part = Part::whole(&main.name_at(&revision.name), CHECKPOINT);
            let selection = ModelSelection { folders: vec![place.clone()], ensemble: false };
            let load = || selection.load(device, main.observer());
            let Some(loaded) = failures.attempt(part.clone(), main.observer(), load)? else {
                continue;
            };
            let of_revision = || main.of_revision(&loaded, &revision.name);
            let Some(scoring) = failures.attempt(part, main.observer(), of_revision)? else {
                continue;
            };
            let tasks = scoring.perform_all(&self.tasks, failures)?;
            found.tasks.push((revision.name.clone(), tasks));
            if let Some((task, data)) = &aoa {
                let measure = || scoring.measure_words(data, revision);
                words.extend(scoring.attempt(task, failures, measure)?);
            }
        }
        if let Some((task, data)) = &aoa {
            let score = || main.score_words(data, words, &revisions(self.track));
            found.aoa = main.attempt(task, failures, score)?;
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
        let of = |revision: &str| {
            let (_, outcomes) = checkpoints.iter().find(|(name, _)| name == revision)?;
            let is_of_task = |outcome: &&TaskOutcome| outcome.task.name() == task.name();
            let outcome = outcomes.iter().find(is_of_task)?;
            // What is no answer for the leaderboard is none here either.
            (!outcome.answers.is_empty()).then(|| shares(task, &outcome.score, year))
        };
        let list: Vec<Option<Value>> =
            some.track.checkpoints().iter().map(|name| of(name)).collect();
        if list.iter().any(Option::is_some) {
            results.insert(task.sections(year)[0].to_owned(), json!(list));
        }
    }
    (!results.is_empty()).then_some(Value::Object(results))
}

/// The sub-scores of a task as shares: those of its `UID`s, or a single one.
fn shares(task: AnyTask, score: &AnyScore, year: ChallengeYear) -> Value {
    let section = task.sections(year)[0];
    let score = match score {
        AnyScore::Reading { score, .. } => {
            return json!({ "spr": score.self_paced / 100.0, "rt": score.eye_tracking / 100.0 });
        }
        AnyScore::Choices(score) => score,
        // They have no scores of single checkpoints.
        AnyScore::Aoa(_) | AnyScore::Glue(_) => return Value::Null,
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
