//! `babyllama evaluate`: held-out loss and minimal pairs of any Hugging Face folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use corpus::{Chunks, TokenFile, Tokenizer, text};
use engine::Device;
use engine::cpu::Cpu;
use model::{Model, hugging_face};
use report::{Align, Table};
use serde_json::{Value, json};
use train::TokenSource;
use train::heldout::Heldout;

use crate::args::EvaluateArgs;
use crate::console;
use crate::failure::WrongUsage;
use crate::pipeline::evaluation::score_folder;
use crate::pipeline::models::same_tokenizer;
use crate::recipe::Rules;
use crate::stage::write_whole;

/// A folder's model.
struct Subject {
    path: PathBuf,
    model: Model,
}

fn load(args: &EvaluateArgs) -> anyhow::Result<Vec<Subject>> {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let load = |path: &PathBuf| Ok(Subject { path: path.clone(), model: hugging_face::load(path, &device)? });
    args.models.iter().map(load).collect()
}

/// The models that are scored together: each by itself, or all as one.
fn groups<'a>(args: &EvaluateArgs, subjects: &'a [Subject]) -> Vec<&'a [Subject]> {
    if args.ensemble { vec![subjects] } else { subjects.chunks(1).collect() }
}

fn label(group: &[Subject]) -> String {
    group.iter().map(|subject| subject.path.display().to_string()).collect::<Vec<_>>().join(" + ")
}

/// The tokenizer of a group of models, which must all have the same.
fn tokenizer(group: &[Subject]) -> anyhow::Result<Tokenizer> {
    let tokenizer = Tokenizer::from_folder(&group[0].path)?;
    for other in &group[1..] {
        same_tokenizer(&other.path, "model", &tokenizer)?;
    }
    Ok(tokenizer)
}

fn write_json(args: &EvaluateArgs, value: &Value) -> anyhow::Result<()> {
    match &args.json {
        None => Ok(()),
        Some(path) => write_whole(path, format!("{value:#}\n").as_bytes())
            .with_context(|| format!("cannot write {}", path.display())),
    }
}

/// Held-out cross-entropy over non-overlapping sequences of the whole text.
pub fn loss(args: &EvaluateArgs, data: &Path, raw_tokens: bool, sequence_length: usize) -> anyhow::Result<()> {
    if sequence_length < 2 {
        anyhow::bail!(WrongUsage(format!("--sequence-length is {sequence_length}; it must be at least 2")));
    }
    let subjects = load(args)?;
    let mut table = Table::new([("model", Align::Left), ("held-out loss", Align::Right), ("perplexity", Align::Right)]);
    let mut results = Vec::new();
    for group in groups(args, &subjects) {
        let source = tokens(data, raw_tokens, group)?;
        for subject in group {
            let config = subject.model.config();
            train::data::check(&*source, "held-out", sequence_length, config.vocab_size)?;
            if config.max_positions < sequence_length {
                let (model, max_positions) = (subject.path.display().to_string(), config.max_positions);
                Err(train::TrainError::TooManyPositions { sequence_length, model, max_positions })?;
            }
        }
        let models: Vec<&Model> = group.iter().map(|subject| &subject.model).collect();
        let chunks = Chunks::fixed(source.len(), sequence_length, 0)?;
        let sequences = (0..chunks.count() as u32).collect();
        let found = Heldout { source: &*source, chunks, sequences, batch_size: 32 }.cross_entropy(&models)?;
        let (loss, perplexity) = (found.cross_entropy, found.cross_entropy.exp());
        table.push(vec![label(group), format!("{loss:.4}"), format!("{perplexity:.2}")]);
        results.push(json!({ "model": label(group), "loss": loss, "perplexity": perplexity, "tokens": found.tokens }));
    }
    console::print(table.to_text().trim_end())?;
    write_json(args, &Value::Array(results))
}

/// The tokens of a file, or of a folder of text as the group's tokenizer cuts it.
fn tokens(data: &Path, raw: bool, group: &[Subject]) -> anyhow::Result<Box<dyn TokenSource>> {
    if raw {
        return Ok(Box::new(TokenFile::raw(data)?));
    }
    if data.is_dir() || text::EXTENSIONS.iter().any(|known| data.extension().is_some_and(|ending| ending == *known)) {
        let tokenizer = tokenizer(group)?;
        let mut ids = Vec::new();
        for (_, text) in text::read_corpus(data)? {
            ids.extend(tokenizer.encode_file(&text));
        }
        return Ok(Box::new(ids));
    }
    let file = TokenFile::open(data)?;
    let tokenizer = tokenizer(group)?;
    if file.tokenizer_hash() != Some(tokenizer.content_hash()) {
        anyhow::bail!("{} was made with another tokenizer than {} has", data.display(), label(group));
    }
    Ok(Box::new(file))
}

/// Accuracy on the minimal pairs of a folder.
pub fn blimp(args: &EvaluateArgs, data: &Path, rules: Rules) -> anyhow::Result<()> {
    let subjects = load(args)?;
    let mut results = Vec::new();
    for group in groups(args, &subjects) {
        let models: Vec<&Model> = group.iter().map(|subject| &subject.model).collect();
        results.push((label(group), score_folder(&models, data, rules.into(), &tokenizer(group)?, &label(group))?));
    }
    let heads = results.iter().map(|(label, _)| (label.as_str(), Align::Right));
    let mut table = Table::new([("task", Align::Left)].into_iter().chain(heads));
    let percent = |accuracy: f64| format!("{:.1}", 100.0 * accuracy);
    let rows = results.first().map_or(&[][..], |(_, first)| units(first));
    for (index, unit) in rows.iter().enumerate() {
        let scores = results.iter().map(|(_, result)| percent(units(result)[index].accuracy));
        table.push([unit.name.clone()].into_iter().chain(scores).collect());
    }
    let means = results.iter().map(|(_, result)| percent(result.accuracy));
    table.push(["mean".to_owned()].into_iter().chain(means).collect());
    let ties = results.iter().map(|(_, result)| result.ties.to_string());
    table.push(["ties".to_owned()].into_iter().chain(ties).collect());
    console::print(table.to_text().trim_end())?;
    let values = results.iter().map(|(label, result)| json!({ "model": label, "blimp": result })).collect();
    write_json(args, &Value::Array(values))
}

/// What the rules average over: groups in 2023, tasks in 2024.
fn units(result: &eval::BlimpResult) -> &[eval::TaskResult] {
    if result.groups.is_empty() { &result.tasks } else { &result.groups }
}
