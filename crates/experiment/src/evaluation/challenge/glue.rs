//! (Super)GLUE as the pipelines of 2025 and 2026 fine-tune for it: the answers that `finetune` has
//! left, in their files.

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

/// The fine-tunings of a model.
pub(super) struct Glue(Vec<Finetuning>);

impl Glue {
    /// Looks for a model's fine-tunings by the rules of a year, in a folder that `finetune` has
    /// written or in those of its models. Of several seeds that of the pipelines counts, or else
    /// the lowest.
    ///
    /// # Errors
    /// When there is none, or a file cannot be read.
    pub(super) fn find(
        place: &Path,
        model: &Path,
        year: ChallengeYear,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let weights = identity::weights(model, observer)?;
        let mut places = vec![place.to_owned()];
        places.extend(folders(place)?);
        let mut found = Vec::new();
        for task in CHALLENGE_GLUE {
            let mut of_seeds = Vec::new();
            for folder in places.iter().map(|place| place.join(task)).filter(|it| it.is_dir()) {
                for folder in folders(&folder)? {
                    let fits = |result: &FinetuneResult| {
                        let (course, name) = (&result.course, &result.score.name);
                        let is_of_model = course.model.as_ref() == Some(&weights);
                        is_of_model && course.rules == rules(year) && name == task
                    };
                    let result = FinetuneResult::read_if(&folder, fits)?;
                    of_seeds.extend(result.map(|result| Finetuning { folder, result }));
                }
            }
            let seed = |one: &Finetuning| one.result.course.settings.seed;
            found.extend(of_seeds.into_iter().min_by_key(|one| (seed(one) != SEED, seed(one))));
        }
        if found.is_empty() {
            let (place, model, year) = (place.display(), model.display(), year.name());
            return refuse(format_args!(
                "{place} has no fine-tuning of {model} by the rules of {year}"
            ))
            .advise(format!(
                "make them: babyllama finetune {model} --recipe {year} --data glue_filtered \
                 --output {place}"
            ));
        }
        Ok(Self(found))
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
            let answer = |(index, label): (usize, &u32)| json!({ "id": format!("{task}_{index}"), "pred": label });
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

/// The folders in a folder, in the order of their names.
fn folders(place: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(place).at("read", place)?;
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    found.sort();
    Ok(found)
}
