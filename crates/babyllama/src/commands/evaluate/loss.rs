//! `babyllama evaluate loss`: cross-entropy and perplexity on held-out text.

use std::path::Path;

use corpus::{Chunks, TokenFile, text};
use model::Model;
use report::{Align, Table};
use serde_json::{Value, json};
use train::TokenSource;
use train::heldout::Heldout;

use super::{Subject, groups, label, load, tokenizer, write_json};
use crate::args::EvaluateArgs;
use crate::console;
use crate::failure::WrongUsage;

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
