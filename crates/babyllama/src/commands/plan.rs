//! `babyllama plan`: what a recipe will take, before anything runs.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use corpus::text;
use engine::Device;
use engine::cpu::Cpu;
use model::{Batch, Model, ModelConfig, hugging_face};
use report::format::{NOTHING, duration, grouped, short};
use report::{Align, Table};
use train::step::Trainer;
use train::{MicroBatch, TrainSettings};

use super::signals::{Choice, choices, cost};
use crate::args::RecipeArgs;
use crate::console;
use crate::recipe::{self, ModelSection, Recipe, Source, Start};

/// Tokens per word of BabyLM text under a byte-level BPE of 16,000 entries (14.7 M tokens of 9.88 M words).
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
}

/// Prints parameters, tokens, work, memory, disk and expected time of every model of a recipe.
pub fn plan(args: &RecipeArgs) -> anyhow::Result<()> {
    let recipe = recipe::load(&args.recipe, &args.overrides)?;
    let words = training_words(&recipe)?;
    let tokens = words * TOKENS_PER_WORD;
    let speed = measured_flops()?;
    console::print(format_args!("{} words, about {} tokens", grouped(words as u64), short(tokens)))?;
    console::print(format_args!(
        "this machine, {}, trains at about {}FLOP/s (a small model, measured now)\n",
        Cpu::new().name(),
        short(speed)
    ))?;
    let heads = ["parameters", "epochs", "tokens", "FLOPs", "memory", "disk", "time"];
    let mut table = Table::new([("model", Align::Left)].into_iter().chain(heads.map(|head| (head, Align::Right))));
    let mut signals = signals_table();
    let (mut total_seconds, mut total_disk) = (0.0, 0.0);
    for (name, section) in &recipe.models {
        let estimate = estimate(&recipe, section, tokens)?;
        let seconds = estimate.flops / speed;
        total_seconds += seconds;
        total_disk += estimate.disk;
        table.push(vec![
            name.clone(),
            grouped(estimate.parameters as u64),
            section.train.epochs.to_string(),
            short(estimate.tokens),
            short(estimate.flops),
            format!("{}B", short(estimate.memory)),
            format!("{}B", short(estimate.disk)),
            duration(seconds),
        ]);
        for choice in &estimate.choices {
            signals.push(signals_row(name, choice, estimate.own_flops, speed));
        }
    }
    table.push(vec![
        "all".into(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        format!("{}B", short(total_disk)),
        duration(total_seconds),
    ]);
    console::print(table.to_text())?;
    if recipe.models.values().any(|section| section.distill.is_some()) {
        console::print(
            "\nWays to listen to teachers (`signal`, `codec`, `samples`); * is the recipe's, and in the table above:\n",
        )?;
        console::print(signals.to_text())?;
        console::print(
            "The disk above counts what is kept for each student. Where students of the same teachers share it, it is \
             needed once, and only the first of them takes this long.\n",
        )?;
    }
    console::print(format_args!(
        "Tokens are estimated at {TOKENS_PER_WORD} a word; smaller vocabularies make more of them."
    ))
}

fn signals_table() -> Table {
    let heads = ["kept on disk", "time"].map(|head| (head, Align::Right));
    Table::new([("student", Align::Left), ("signal", Align::Left)].into_iter().chain(heads))
}

fn signals_row(student: &str, choice: &Choice, own_flops: f64, speed: f64) -> Vec<String> {
    let mark = if choice.is_chosen { " *" } else { "" };
    let (disk, time) = match choice.cost {
        Some(cost) => (format!("{}B", short(cost.disk)), duration((own_flops + cost.flops) / speed)),
        None => ("not possible".to_owned(), NOTHING.to_owned()),
    };
    vec![student.to_owned(), format!("{}{mark}", choice.name), disk, time]
}

fn training_words(recipe: &Recipe) -> anyhow::Result<f64> {
    let section = &recipe.corpus;
    match (&section.source, section.words) {
        (Source::Builtin, words) => Ok(words as f64),
        (Source::Folder(_), words) if words > 0 => Ok(words as f64),
        (Source::Folder(folder), _) => {
            Ok(text::read_corpus(folder)?.iter().map(|(_, text)| text::count_words(text)).sum::<usize>() as f64)
        }
    }
}

fn config(recipe: &Recipe, section: &ModelSection) -> anyhow::Result<ModelConfig> {
    match &section.start {
        Start::Random(shape) => Ok(shape.config(recipe.tokenizer.vocab_size)),
        Start::Folder(folder) => Ok(hugging_face::load_config(folder)?),
    }
}

fn estimate(recipe: &Recipe, section: &ModelSection, tokens: f64) -> anyhow::Result<Estimate> {
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
    // Two checkpoints of weights and both moments, and one more while it is written; the best and the final weights.
    let mut disk = (3.0 * 12.0 + 2.0 * 4.0) * parameters as f64;
    if let Some(distill) = &section.distill {
        let teachers = distill.teachers.iter().map(|name| teacher(recipe, name)).collect::<anyhow::Result<Vec<_>>>()?;
        let cost = cost(distill, settings, &teachers, tokens, seen);
        flops += cost.flops;
        disk += cost.disk;
        found = choices(distill, settings, &teachers, tokens, seen);
        // Until everything is kept, the teachers are in memory whatever the signal is.
        memory += teachers.iter().map(|teacher| 4.0 * teacher.parameter_count() as f64).sum::<f64>();
    }
    Ok(Estimate { parameters, tokens: seen, flops, memory, disk, choices: found, own_flops })
}

fn teacher(recipe: &Recipe, name: &str) -> anyhow::Result<ModelConfig> {
    match recipe.models.get(name) {
        Some(section) => config(recipe, section),
        None => hugging_face::load_config(std::path::Path::new(name)).with_context(|| format!("teacher {name}")),
    }
}

/// What a step keeps for its backward: per layer about ten rows of hidden size and three of the intermediate size, and
/// blocks of logits.
fn activation_bytes(config: &ModelConfig, settings: &TrainSettings) -> f64 {
    let sequences = if settings.micro_batch_size > 0 { settings.micro_batch_size } else { settings.batch_size };
    let per_token = config.num_layers * (10 * config.hidden_size + 3 * config.intermediate_size);
    4.0 * (sequences * settings.sequence_length * per_token) as f64 + 64e6
}

/// Floating-point operations a second of a short training run of a small model on this machine.
fn measured_flops() -> anyhow::Result<f64> {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let shape = "architecture = 'llama'\nhidden_size = 256\nintermediate_size = 768\nnum_layers = 4\nnum_heads = 4";
    let section: ModelSection = toml::from_str(shape).context("the model that measures the machine")?;
    let Start::Random(shape) = &section.start else { anyhow::bail!("the measuring model has no shape") };
    let config = shape.config(4000);
    let flops = 3.0 * config.forward_flops_per_token(128);
    let mut trainer = Trainer::new(Model::new(config, &device, 0)?, &section.train, 0, None);
    let batch = MicroBatch::from(Batch::from_sequences(
        (0..16u32).map(|row| (0..128u32).map(|at| (row * 131 + at * 17) % 4000).collect::<Vec<_>>()),
    ));
    trainer.step(std::slice::from_ref(&batch), 1, 1e-4)?;
    let (start, mut steps) = (Instant::now(), 0);
    while steps < 2 || start.elapsed().as_secs_f64() < 1.5 {
        steps += 1;
        trainer.step(std::slice::from_ref(&batch), steps + 1, 1e-4)?;
    }
    Ok(flops * (steps as usize * batch.batch.tokens()) as f64 / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_teachers_counts_as_disk() {
        let model = "architecture = 'llama'\nhidden_size = 64\nintermediate_size = 96\nnum_layers = 2\nnum_heads = 4";
        let disk = |distill: &str| {
            let text =
                format!("[models.a]\n{model}\n[models.b]\n{model}\n[models.b.distill]\nteachers = ['a']\n{distill}");
            let recipe = recipe::embedded("two.toml", &text).unwrap();
            estimate(&recipe, &recipe.models["b"], 1e6).unwrap().disk
        };
        let alone = disk("");
        assert_eq!(disk("signal = 'hidden'") - alone, 1e6 * 64.0 * 4.0);
        assert_eq!(disk("signal = 'hidden'\ncodec = 'bf16'") - alone, 1e6 * 64.0 * 2.0);
        assert_eq!(disk("signal = 'sampled'\nsamples = 10") - alone, 1e6 * 24.0);
    }
}
