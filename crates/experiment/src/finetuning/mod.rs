//! Language models as classifiers, on the tasks of (Super)GLUE and MSGS.

#[cfg(test)]
mod golden;
mod items;
pub mod jobs;
mod listener;
pub mod result;
pub mod subject;
pub mod summary;
pub mod tuner;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use eval::Rules;
use eval::classification::classification_tasks;
use model::hugging_face;
use report::Table;
use serde_json::Value;

use self::jobs::{Jobs, select_tasks};
use self::result::FinetuneResult;
use self::subject::FinetuneSubject;
use self::summary::ModelResults;
use self::tuner::Tuner;
use crate::error::{Context, Result, refuse, wrong_usage};
use crate::evaluation::results::{claim, folder_names};
use crate::failures::Failures;
use crate::lock::RunLock;
use crate::observer::Observer;
use crate::outputs;
use crate::recipe::FinetuneRecipe;
use crate::{files, remarks};

/// Which models are fine-tuned, for what, and where the results go.
#[derive(Clone, Debug)]
pub struct FinetuneJob {
    /// Model folders.
    pub models: Vec<PathBuf>,
    /// Holds the tasks' files.
    pub data: PathBuf,
    /// Names of tasks; `glue` and `msgs` stand for those of the recipe's pipeline, none for all.
    pub tasks: Vec<String>,
    /// The settings of every task.
    pub recipe: FinetuneRecipe,
    /// Seeds; none for the recipe's.
    pub seeds: Vec<u64>,
    /// Steps instead of the recipe's epochs.
    pub max_steps: Option<u64>,
    /// Whether the classifiers are kept.
    pub keep: bool,
    /// Whether the tables show MSGS over all its rows.
    pub msgs_all_rows: bool,
    /// Gets a folder for each model; what is done there already is not done again.
    pub output: PathBuf,
}

/// What fine-tunings came to.
pub struct FinetuneOutcome {
    /// The results as a table, tasks by models.
    pub table: Table,
    /// The results as JSON.
    pub json: Value,
    /// What failed by itself.
    pub failures: Failures,
}

/// Fine-tunes every model for every task with every seed. What fails by itself does not end the
/// rest. `device` opens the device once the files have been read.
///
/// # Errors
/// When settings, data or models do not fit together, or something fails that concerns all tasks.
pub fn finetune(
    job: &FinetuneJob,
    device: impl FnOnce() -> Result<Arc<dyn Device>>,
    observer: &dyn Observer,
) -> Result<FinetuneOutcome> {
    outputs::check_no_model(&job.output)?;
    outputs::check_folder(&job.output, std::slice::from_ref(&job.data))?;
    let rules = job.recipe.rules;
    let tasks = select_tasks(&job.tasks, rules)?;
    if job.keep {
        job.recipe.require_savable(tasks.iter().copied())?;
    }
    let found = Jobs::read(&job.data, &tasks, rules, !job.tasks.is_empty())?;
    let Jobs { jobs, broken, skipped } = found.require_any(&job.data)?;
    skipped.iter().for_each(|why| observer.warn(format_args!("{why}")));
    let each: Vec<&[PathBuf]> = job.models.chunks(1).collect();
    let named = folder_names(&each, &job.output).into_iter().zip(&job.models);
    let open =
        |(name, folder): (String, &PathBuf)| FinetuneSubject::open(name, folder, rules, observer);
    let subjects = named.map(open);
    let subjects = subjects.collect::<Result<Vec<_>>>()?;
    for subject in &subjects {
        subject.check_head(&job.recipe, &tasks, observer)?;
    }
    let device = device()?;
    // Weights that cannot be read end the work before anything is trained.
    for folder in &job.models {
        hugging_face::load_any(folder, &device)?;
        remarks::warn(folder, observer)?;
    }
    files::make_folder(&job.output)?;
    let _lock = RunLock::acquire(&job.output)?;
    for (subject, folder) in subjects.iter().zip(&job.models) {
        let (place, model) = (job.output.join(&subject.name), std::slice::from_ref(folder));
        outputs::check_folder(&place, model)?;
        claim(&place, model)?;
        check_rules(&place, rules)?;
    }
    let (recipe, max_steps, keep) = (&job.recipe, job.max_steps, job.keep);
    let tuner = Tuner { recipe, max_steps, keep, device, observer };
    let seeds = seeds(&job.seeds);
    let (mut models, mut failures) = (Vec::new(), Failures::default());
    for (subject, folder) in subjects.iter().zip(&job.models) {
        for broken in &broken {
            failures.add(broken.part(&subject.name), broken.why.clone(), observer);
        }
        let mut results = vec![Vec::new(); seeds.len()];
        for task in &jobs {
            for (results, seed) in results.iter_mut().zip(&seeds) {
                let place = job.output.join(&subject.name);
                let work = || tuner.finetune_task(subject, task, *seed, &place);
                let done = failures.attempt(tuner.part(subject, task, *seed), observer, work)?;
                results.extend(done.into_iter().flatten());
            }
        }
        let (name, folder) = (subject.name.clone(), folder.clone());
        models.push(ModelResults { name, folder, seeds: results });
    }
    failures.keep(&job.output)?;
    Ok(FinetuneOutcome {
        table: summary::table(&models, rules, job.msgs_all_rows, &failures),
        json: summary::to_json(&models, rules, job.msgs_all_rows, &failures),
        failures,
    })
}

/// Refuses to replace a model's fine-tunings by those of another pipeline.
fn check_rules(place: &Path, rules: Rules) -> Result<()> {
    for task in classification_tasks() {
        for seed in files::entries(&place.join(task.name))? {
            let is_other = |found: &FinetuneResult| found.course.rules != rules;
            if let Some(found) = FinetuneResult::read_if(&seed, is_other)? {
                let (place, other) = (place.display(), found.course.rules.name());
                return refuse(format_args!("{place} holds fine-tunings by the rules of {other}"))
                    .advise("name another folder with --output, or delete that one");
            }
        }
    }
    Ok(())
}

/// The seeds in `asked`; none stands for the recipe's.
pub fn seeds(asked: &[u64]) -> Vec<Option<u64>> {
    match asked {
        [] => vec![None],
        asked => asked.iter().copied().map(Some).collect(),
    }
}

/// Refuses a seed that is named twice: the same training again shows no spread.
///
/// # Errors
/// [`WrongUsage`](crate::ExperimentError::WrongUsage) with the seed.
pub fn check_seeds(asked: &[u64]) -> Result<()> {
    match (0..asked.len()).find(|&index| asked[..index].contains(&asked[index])) {
        None => Ok(()),
        Some(index) => wrong_usage(format_args!("--seed names {} twice", asked[index]))
            .advise("name each seed once"),
    }
}
