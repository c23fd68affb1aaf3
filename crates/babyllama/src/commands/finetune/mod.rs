//! `babyllama finetune`: language models as classifiers, on the tasks of (Super)GLUE and MSGS.

mod items;
pub mod jobs;
mod listener;
pub mod result;
pub mod summary;
pub mod tuner;

use anyhow::Context;
use eval::Rules;
use model::hugging_face;
use serde_json::Value;

use self::jobs::{Jobs, select_tasks};
use self::summary::ModelResults;
use self::tuner::{Subject, Tuner};
use super::evaluate::results::{claim, distinct};
use crate::args::{DeviceArgs, FinetuneArgs};
use crate::console;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::lock::RunLock;
use crate::recipe::FinetuneRecipe;
use crate::setbacks::Setbacks;
use base::atomic_file;

/// Fine-tunes every model for every task with every seed, and shows the scores. What fails by
/// itself does not end the rest.
pub fn finetune(args: &FinetuneArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let recipe = FinetuneRecipe::load(&args.recipe, &args.overrides)?;
    let rules = Rules::from(recipe.rules);
    let found = Jobs::read(&args.data, &select_tasks(&args.tasks)?, rules, !args.tasks.is_empty())?;
    let Jobs { jobs, broken, skipped } = found.require_any(&args.data)?;
    skipped.iter().for_each(console::note);
    let subjects = distinct(&args.models)
        .into_iter()
        .zip(&args.models)
        .map(|(name, path)| Subject::open(name, path));
    let subjects: Vec<Subject> = subjects.collect::<anyhow::Result<_>>()?;
    let device = device.open()?;
    // Weights that cannot be read end the command before anything is trained.
    args.models.iter().try_for_each(|folder| hugging_face::load_any(folder, &device).map(drop))?;
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot make {}", args.output.display()))?;
    let _lock = RunLock::acquire(&args.output)?;
    for (subject, folder) in subjects.iter().zip(&args.models) {
        claim(&args.output.join(&subject.name), std::slice::from_ref(folder))?;
    }
    let interrupt = Interrupt::listen().context("cannot listen to signals")?;
    let tuner = Tuner {
        recipe: &recipe,
        max_steps: args.max_steps,
        keep: args.keep,
        device,
        interrupt: &interrupt,
    };
    let seeds = seeds(&args.seeds);
    let (mut models, mut setbacks) = (Vec::new(), Setbacks::default());
    for (subject, folder) in subjects.iter().zip(&args.models) {
        broken.iter().for_each(|broken| {
            setbacks.add(broken.part(&subject.name), Failure::from(&broken.why))
        });
        let mut results = vec![Vec::new(); seeds.len()];
        for job in &jobs {
            for (results, seed) in results.iter_mut().zip(&seeds) {
                let work =
                    || tuner.finetune_task(subject, job, *seed, &args.output.join(&subject.name));
                results.extend(
                    setbacks.attempt(tuner.part(subject, job, *seed), work)?.into_iter().flatten(),
                );
            }
        }
        models.push(ModelResults {
            name: subject.name.clone(),
            folder: folder.clone(),
            seeds: results,
        });
    }
    let table = summary::table(&models, rules, args.msgs_all_rows, &setbacks).to_text();
    console::print(format_args!("{}", [table, setbacks.footnotes()].join("\n").trim_end()))?;
    write_json(args, &summary::to_json(&models, rules, args.msgs_all_rows, &setbacks))?;
    setbacks.conclude()
}

fn write_json(args: &FinetuneArgs, value: &Value) -> anyhow::Result<()> {
    match &args.json {
        None => Ok(()),
        Some(path) => atomic_file::write(path, format!("{value:#}\n").as_bytes())
            .with_context(|| format!("cannot write {}", path.display())),
    }
}

/// The seeds that were asked for, each once; none stands for the recipe's.
pub fn seeds(asked: &[u64]) -> Vec<Option<u64>> {
    let mut seeds: Vec<Option<u64>> = Vec::new();
    for &seed in asked {
        if !seeds.contains(&Some(seed)) {
            seeds.push(Some(seed));
        }
    }
    if seeds.is_empty() { vec![None] } else { seeds }
}
