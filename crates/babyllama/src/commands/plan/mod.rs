//! `babyllama plan`: what a recipe will take, before anything runs.

mod memory;
mod signals;
mod speed;

use std::sync::Arc;

use anyhow::Context;
use corpus::text;
use engine::{Arithmetic, Device, DeviceChoice, DeviceError};
use model::{ModelConfig, hugging_face};
use report::format::{NOTHING, duration, grouped, short};
use report::{Align, Table};
use train::TrainSettings;

use crate::args::{DeviceArgs, RecipeArgs};
use crate::console;
use crate::recipe::{self, ModelSection, Recipe, Source, Start};
use memory::TrainingMemory;
use signals::{Choice, choices, cost};
use speed::measured_flops;

/// Tokens per word of BabyLM text under a byte-level BPE of 16,000 entries (14.7 M tokens of 9.88 M
/// words).
const TOKENS_PER_WORD: f64 = 1.49;

/// What one model takes.
struct Estimate {
    parameters: usize,
    tokens: f64,
    flops: f64,
    /// Bytes.
    memory: f64,
    /// Bytes, with what is kept of its teachers.
    disk: f64,
    /// The ways in which a student can listen to its teachers; none without teachers.
    choices: Vec<Choice>,
    /// Of the model alone, without its teachers.
    own_flops: f64,
    /// What a GPU must hold.
    on_device: TrainingMemory,
}

/// Prints parameters, tokens, work, memory, disk and expected time of every model of a recipe.
pub fn plan(args: &RecipeArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let recipe = recipe::load(&args.recipe, &args.overrides)?;
    let words = training_words(&recipe)?;
    let tokens = words * TOKENS_PER_WORD;
    let arithmetic = device.arithmetic();
    let device = open(device)?;
    let speed = device.as_ref().map(measured_flops).transpose()?;
    console::print(format_args!(
        "{} words, about {} tokens",
        grouped(words as u64),
        short(tokens)
    ))?;
    if let (Some(device), Some(speed)) = (&device, speed) {
        console::print(format_args!(
            "this machine, {}, trains at about {}FLOP/s (a small model, measured now)\n",
            device.name(),
            short(speed)
        ))?;
    }
    let time = |flops: f64| speed.map_or(NOTHING.to_owned(), |speed| duration(flops / speed));
    let of_one = |(name, section): (_, _)| {
        Ok((name, section, estimate(&recipe, section, tokens, arithmetic)?))
    };
    let estimates: Vec<Planned<'_>> =
        recipe.models.iter().map(of_one).collect::<anyhow::Result<_>>()?;
    console::print(models_table(&estimates, &time).to_text())?;
    memory::print(&estimates, device.as_ref(), arithmetic)?;
    if recipe.models.values().any(|section| section.distill.is_some()) {
        console::print(
            "\nWays to listen to teachers (`signal`, `codec`, `samples`); * is the recipe's, and \
             in the table above:\n",
        )?;
        console::print(signals_table(&estimates, &time).to_text())?;
        console::print(
            "The disk above counts what is kept for each student. Where students of the same \
             teachers share it, it is \
             needed once, and only the first of them takes this long.\n",
        )?;
    }
    console::print(format_args!(
        "Tokens are estimated at {TOKENS_PER_WORD} a word; smaller vocabularies make more of them."
    ))
}

/// A model's name, what the recipe says of it, and what it takes.
type Planned<'a> = (&'a String, &'a ModelSection, Estimate);

/// A line for each model, and one for all.
fn models_table(estimates: &[Planned<'_>], time: &dyn Fn(f64) -> String) -> Table {
    let heads = ["parameters", "epochs", "tokens", "FLOPs", "memory", "disk", "time"];
    let mut table = Table::new(
        [("model", Align::Left)].into_iter().chain(heads.map(|head| (head, Align::Right))),
    );
    for (name, section, estimate) in estimates {
        table.push(vec![
            name.to_string(),
            grouped(estimate.parameters as u64),
            section.train.epochs.to_string(),
            short(estimate.tokens),
            short(estimate.flops),
            format!("{}B", short(estimate.memory)),
            format!("{}B", short(estimate.disk)),
            time(estimate.flops),
        ]);
    }
    let sum = |of: fn(&Estimate) -> f64| {
        estimates.iter().map(|(_, _, estimate)| of(estimate)).sum::<f64>()
    };
    let mut all = vec![String::new(); heads.len() + 1];
    all[0] = "all".to_owned();
    all[heads.len() - 1] = format!("{}B", short(sum(|estimate| estimate.disk)));
    all[heads.len()] = time(sum(|estimate| estimate.flops));
    table.push(all);
    table
}

/// The ways in which each student can listen to its teachers.
fn signals_table(estimates: &[Planned<'_>], time: &dyn Fn(f64) -> String) -> Table {
    let heads = ["kept on disk", "time"].map(|head| (head, Align::Right));
    let mut table =
        Table::new([("student", Align::Left), ("signal", Align::Left)].into_iter().chain(heads));
    for (name, _, estimate) in estimates {
        for choice in &estimate.choices {
            table.push(signals_row(name, choice, &|flops| time(estimate.own_flops + flops)));
        }
    }
    table
}

fn signals_row(student: &str, choice: &Choice, time: &dyn Fn(f64) -> String) -> Vec<String> {
    let mark = if choice.is_chosen { " *" } else { "" };
    let (disk, time) = match choice.cost {
        Some(cost) => (format!("{}B", short(cost.disk)), time(cost.flops)),
        None => ("not possible".to_owned(), NOTHING.to_owned()),
    };
    vec![student.to_owned(), format!("{}{mark}", choice.name), disk, time]
}

fn training_words(recipe: &Recipe) -> anyhow::Result<f64> {
    let section = &recipe.corpus;
    match (&section.source, section.words) {
        (Source::Builtin, words) => Ok(words as f64),
        (Source::Folder(_), words) if words > 0 => Ok(words as f64),
        (Source::Folder(folder), _) => Ok(text::read_corpus(folder)?
            .iter()
            .map(|(_, text)| text::count_words(text))
            .sum::<usize>() as f64),
    }
}

fn config(recipe: &Recipe, section: &ModelSection) -> anyhow::Result<ModelConfig> {
    match &section.start {
        Start::Random(shape) => Ok(shape.config(recipe.tokenizer.vocab_size)),
        Start::Folder(folder) => Ok(hugging_face::load_config(folder)?),
    }
}

/// The device; none where a GPU is asked for that is not here, which is no reason not to plan for
/// it.
fn open(device: &DeviceArgs) -> anyhow::Result<Option<Arc<dyn Device>>> {
    match device.open() {
        Ok(device) => Ok(Some(device)),
        Err(error)
            if matches!(device.device, DeviceChoice::Cuda(_)) && error.is::<DeviceError>() =>
        {
            console::note(format_args!(
                "{error}; what follows is estimated from sizes alone, without times"
            ));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn estimate(
    recipe: &Recipe,
    section: &ModelSection,
    tokens: f64,
    arithmetic: Arithmetic,
) -> anyhow::Result<Estimate> {
    let (config, settings) = (config(recipe, section)?, &section.train);
    let (length, parameters) = (settings.sequence_length, config.parameter_count());
    let seen = match settings.max_steps {
        0 => settings.epochs * tokens,
        steps => steps as f64 * (settings.batch_size * length) as f64,
    };
    // A backward pass is two products for each of the forward's.
    let own_flops = 3.0 * config.forward_flops_per_token(length) * seen;
    let (mut flops, mut found) = (own_flops, Vec::new());
    let mut memory = 16.0 * parameters as f64 + activation_bytes(&config, settings);
    // Two checkpoints of weights and both moments, and one more while it is written; the best and
    // the final weights.
    let mut disk = (3.0 * 12.0 + 2.0 * 4.0) * parameters as f64;
    let mut on_device = TrainingMemory::of(&config, &[], None, arithmetic);
    if let Some(distill) = &section.distill {
        let teachers = distill
            .teachers
            .iter()
            .map(|name| teacher(recipe, name))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let cost = cost(distill, settings, &teachers, tokens, seen);
        flops += cost.flops;
        disk += cost.disk;
        found = choices(distill, settings, &teachers, tokens, seen);
        on_device = TrainingMemory::of(&config, &teachers, Some(distill.signal), arithmetic);
        // Until everything is kept, the teachers are in memory whatever the signal is.
        memory +=
            teachers.iter().map(|teacher| 4.0 * teacher.parameter_count() as f64).sum::<f64>();
    }
    Ok(Estimate {
        parameters,
        tokens: seen,
        flops,
        memory,
        disk,
        choices: found,
        own_flops,
        on_device,
    })
}

fn teacher(recipe: &Recipe, name: &str) -> anyhow::Result<ModelConfig> {
    match recipe.models.get(name) {
        Some(section) => config(recipe, section),
        None => hugging_face::load_config(std::path::Path::new(name))
            .with_context(|| format!("teacher {name}")),
    }
}

/// What a step keeps for its backward: per layer about ten rows of hidden size and three of the
/// intermediate size, and blocks of logits.
fn activation_bytes(config: &ModelConfig, settings: &TrainSettings) -> f64 {
    let sequences =
        if settings.micro_batch_size > 0 { settings.micro_batch_size } else { settings.batch_size };
    let per_token = config.num_layers * (10 * config.hidden_size + 3 * config.intermediate_size);
    4.0 * (sequences * settings.sequence_length * per_token) as f64 + 64e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_teachers_counts_as_disk() {
        let model = "architecture = 'llama'\nhidden_size = 64\nintermediate_size = 96\nnum_layers \
         = 2\nnum_heads = 4";
        let disk = |distill: &str| {
            let text = format!(
                "[models.a]\n{model}\n[models.b]\n{model}\n[models.b.distill]\nteachers = \
                 ['a']\n{distill}"
            );
            let recipe = recipe::embedded("two.toml", &text).unwrap();
            estimate(&recipe, &recipe.models["b"], 1e6, Arithmetic::F32).unwrap().disk
        };
        let alone = disk("");
        assert_eq!(disk("signal = 'hidden'") - alone, 1e6 * 64.0 * 4.0);
        assert_eq!(disk("signal = 'hidden'\ncodec = 'bf16'") - alone, 1e6 * 64.0 * 2.0);
        assert_eq!(disk("signal = 'sampled'\nsamples = 10") - alone, 1e6 * 24.0);
    }
}
