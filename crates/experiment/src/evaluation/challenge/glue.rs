//! (Super)GLUE as the pipelines of 2025 and 2026 fine-tune for it: the answers that `finetune` has
//! left, in their files.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eval::challenge::ChallengeYear;
use eval::challenge::files::to_text;
use eval::classification::CHALLENGE_GLUE;
use eval::{Rules, glue_items};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::scoring::{AnyScore, TaskOutcome};
use super::task::AnyTask;
use super::{MAIN, PREDICTIONS};
use crate::error::{Context, FileContext, Result, refuse};
use crate::files;
use crate::finetuning::result::FinetuneResult;
use crate::identity;
use crate::observer::Observer;
use crate::recipe::FinetuneRecipe;

/// The scores of a model that was fine-tuned for each task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GlueScore {
    /// The mean of the tasks' scores, a share.
    pub glue: f64,
    /// The tasks' scores: F1 of `mrpc` and `qqp`, accuracy of the others.
    pub tasks: BTreeMap<String, f64>,
    /// The answers to all tasks.
    pub answers: usize,
}

/// The seed of the pipelines.
const SEED: u64 = 42;

/// The fine-tuning of a model for a task, and the folder of its answers.
struct Finetuning {
    folder: PathBuf,
    result: FinetuneResult,
}

impl Finetuning {
    fn seed(&self) -> u64 {
        self.result.course.settings.seed
    }
}

/// The fine-tunings of a model, all of one seed.
pub(super) struct Glue(Vec<Finetuning>);

impl Glue {
    /// Looks for a model's fine-tunings by the rules of a year, in a folder that `finetune` has
    /// written or in those of its models. Of several seeds that with the most tasks counts, then
    /// that of the pipelines, then the lowest. Another seed, other settings and damage are
    /// warned of.
    ///
    /// # Errors
    /// When there is none, or a file cannot be read.
    pub(super) fn find(
        place: &Path,
        model: &Path,
        year: ChallengeYear,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let identity = identity::hash_of_model(&identity::model(model, observer)?);
        let fits = |result: &FinetuneResult| {
            let course = &result.course;
            course.model.as_ref() == Some(&identity) && course.rules == rules(year)
        };
        std::fs::read_dir(place).at("read", place)?;
        let mut places = vec![place.to_owned()];
        places.extend(files::entries(place)?);
        let mut by_seed: BTreeMap<u64, Vec<Finetuning>> = BTreeMap::new();
        for task in CHALLENGE_GLUE {
            for place in &places {
                for folder in files::entries(&place.join(task))? {
                    let fits = |result: &FinetuneResult| fits(result) && result.score.name == task;
                    let Some(result) = FinetuneResult::read_if(&folder, fits)? else {
                        if FinetuneResult::is_damaged(&folder, fits)? {
                            warn_of_damage(&folder, observer);
                        }
                        continue;
                    };
                    let found = Finetuning { folder, result };
                    let of_seed = by_seed.entry(found.seed()).or_default();
                    if of_seed.iter().all(|other| other.result.score.name != task) {
                        of_seed.push(found);
                    }
                }
            }
        }
        let rank = |(seed, found): &(&u64, &Vec<Finetuning>)| {
            (found.len(), **seed == SEED, Reverse(**seed))
        };
        let best = by_seed.iter().max_by_key(rank).map(|(seed, _)| *seed);
        match best.and_then(|seed| by_seed.remove(&seed)) {
            Some(found) => {
                warn_of_differences(&found, model, year, observer)?;
                Ok(Self(found))
            }
            None => {
                let (place, model, year) = (place.display(), model.display(), year.name());
                refuse(format_args!(
                    "{place} has no fine-tuning of {model} by the rules of {year}, with these \
                     weights and this tokenizer"
                ))
                .advise(format!(
                    "make them with `babyllama finetune {model} --recipe {year} --data FOLDER \
                     --output FOLDER`, and name that output"
                ))
            }
        }
    }

    /// Writes the pipelines' files below a model's folder, and returns the scores.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(super) fn write(&self, folder: &Path) -> Result<TaskOutcome> {
        let place = folder.join(MAIN).join("finetune");
        files::remove(&place)?;
        let (mut all, mut missing, mut scores) = (Map::new(), Vec::new(), BTreeMap::new());
        let mut count = 0;
        for task in CHALLENGE_GLUE {
            let is_of_task = |one: &&Finetuning| one.result.score.name == task;
            let Some(Finetuning { folder, result }) = self.0.iter().find(is_of_task) else {
                missing.push(task.to_owned());
                continue;
            };
            let labels = FinetuneResult::labels(folder)?;
            if Some(labels.len()) != glue_items(task) {
                missing.push(format!("all items of {task}"));
            }
            count += labels.len();
            let answer = |(index, label): (usize, &u32)| {
                let id = format!("{task}_{index}");
                json!({ "id": id, "pred": label })
            };
            let answers: Vec<Value> = labels.iter().enumerate().map(answer).collect();
            let answers = json!({ "predictions": answers });
            let own = place.join(task);
            files::make_folder(&own)?;
            files::write_text(&own.join(PREDICTIONS), &to_text(&json!({ task: answers }))?)?;
            files::write_text(&own.join("results.txt"), &results(result)?)?;
            all.insert(task.to_owned(), answers);
            scores.insert(task.to_owned(), result.score.score);
        }
        let path = place.join(PREDICTIONS);
        files::write_text(&path, &to_text(&Value::Object(all))?)?;
        let glue = scores.values().sum::<f64>() / scores.len().max(1) as f64;
        let score = AnyScore::Glue(GlueScore { glue, tasks: scores, answers: count });
        let answers = vec![("glue", path)];
        Ok(TaskOutcome { task: AnyTask::Glue, score, answers, missing })
    }
}

/// Warns where a seed or settings are not those of the pipeline.
fn warn_of_differences(
    found: &[Finetuning],
    model: &Path,
    year: ChallengeYear,
    observer: &dyn Observer,
) -> Result<()> {
    let model = model.display();
    if let Some(seed) = found.first().map(Finetuning::seed).filter(|&seed| seed != SEED) {
        observer.warn(format_args!("{model}: GLUE is of seed {seed}; the pipeline has {SEED}"));
    }
    let recipe = FinetuneRecipe::load(year.name(), &[])?;
    for Finetuning { result, .. } in found {
        let (task, settings) = (&result.score.name, &result.course.settings);
        let keys = recipe.differing(task, settings);
        if !keys.is_empty() {
            let keys = keys.join(", ");
            observer.warn(format_args!(
                "{model}: {task} was fine-tuned with other settings than the pipeline's: {keys}"
            ));
        }
    }
    Ok(())
}

/// Warns where a fine-tuning does not count because its files are not as they were written.
fn warn_of_damage(folder: &Path, observer: &dyn Observer) {
    observer.warn(format_args!(
        "{} does not count: a file in it is missing or was changed; fine-tune this task again",
        folder.display()
    ));
}

/// A task's scores as the pipelines write them: accuracy and, of two classes, F1 and Matthews'
/// coefficient.
fn results(result: &FinetuneResult) -> Result<String> {
    let score = &result.score;
    let line = |name: &str| {
        let own = (name == score.metric.name()).then_some(score.score);
        let value = own.or(score.others.get(name).copied());
        value.map(|value| Ok(format!("{name}: {}\n", to_text(&value)?))).transpose()
    };
    let lines: Result<Vec<Option<String>>> =
        ["accuracy", "f1", "mcc"].into_iter().map(line).collect();
    Ok(lines?.into_iter().flatten().collect())
}

/// The rules of fine-tuning of a year.
fn rules(year: ChallengeYear) -> Rules {
    match year {
        ChallengeYear::Year2025 => Rules::Year2025,
        ChallengeYear::Year2026 => Rules::Year2026,
    }
}
