//! `babyllama evaluate loss`: cross-entropy and perplexity on held-out text, of each file and over
//! all.

use std::path::Path;

use corpus::{Chunks, ShouldStop, TokenFile, cleaners, text};
use model::Model;
use report::{Align, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use train::TokenSource;
use train::heldout::Heldout;

use super::{Subject, groups, label, load, tokenizer, write_json};
use crate::args::{DeviceArgs, EvaluateArgs};
use crate::console;
use crate::failure::{Hint, WrongUsage};
use crate::interrupt::Interrupt;

/// Where held-out text comes from and how it is cut.
#[derive(Clone, Copy, Debug)]
pub struct HeldoutText<'a> {
    /// A folder or file of text, or a token file.
    pub data: &'a Path,
    /// Whether a token file has no header.
    pub raw_tokens: bool,
    /// Whether text goes through the cleaner of its source first.
    pub clean: bool,
    /// Tokens in a sequence.
    pub sequence_length: usize,
}

/// A loss, in nats per predicted token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossResult {
    pub loss: f64,
    pub perplexity: f64,
    pub tokens: usize,
    /// The files of a text, each with the tokens that lie in it; none for a token file, which does
    /// not tell them apart.
    pub files: Vec<FileLoss>,
}

/// One file's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileLoss {
    pub file: String,
    /// None when no predicted token lies in the file.
    pub loss: Option<f64>,
    pub predicted_tokens: usize,
}

/// Held-out cross-entropy over non-overlapping sequences of the whole text.
pub fn loss(args: &EvaluateArgs, text: HeldoutText<'_>, device: &DeviceArgs) -> anyhow::Result<()> {
    text.check()?;
    let subjects = load(args, device)?;
    let mut results = Vec::new();
    for group in groups(args, &subjects) {
        results.push((label(group), measure(group, text, None)?));
    }
    let mut table = Table::new([
        ("model", Align::Left),
        ("held-out loss", Align::Right),
        ("perplexity", Align::Right),
    ]);
    for (label, result) in &results {
        table.push(vec![
            label.clone(),
            format!("{:.4}", result.loss),
            format!("{:.2}", result.perplexity),
        ]);
    }
    console::print(table.to_text().trim_end())?;
    if results.iter().all(|(_, result)| result.files.len() > 1) {
        console::print(format_args!("\n{}", files_table(&results).to_text().trim_end()))?;
    }
    let as_json = |(label, result): &(String, LossResult)| {
        let LossResult { loss, perplexity, tokens, files } = result;
        json!({ "model": label, "loss": loss, "perplexity": perplexity, "tokens": tokens, "files": files })
    };
    write_json(args, &Value::Array(results.iter().map(as_json).collect()))
}

/// The loss of every file, a column for each model.
fn files_table(results: &[(String, LossResult)]) -> Table {
    let models = results.iter().map(|(label, _)| (label.as_str(), Align::Right));
    let mut table =
        Table::new([("file", Align::Left), ("predicted", Align::Right)].into_iter().chain(models));
    for (index, file) in results[0].1.files.iter().enumerate() {
        let losses = results.iter().map(|(_, result)| {
            let loss = result.files.get(index).and_then(|file| file.loss);
            loss.map_or("-".to_owned(), |loss| format!("{loss:.4}"))
        });
        table.push(
            [file.file.clone(), file.predicted_tokens.to_string()]
                .into_iter()
                .chain(losses)
                .collect(),
        );
    }
    table
}

impl HeldoutText<'_> {
    /// # Errors
    /// When a sequence would have nothing to predict.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.sequence_length {
            0 | 1 => anyhow::bail!(WrongUsage(format!(
                "--sequence-length is {}; it must be at least 2",
                self.sequence_length
            ))),
            _ => Ok(()),
        }
    }

    fn is_text(&self) -> bool {
        let known =
            |ending: &std::ffi::OsStr| text::EXTENSIONS.iter().any(|known| ending == *known);
        self.data.is_dir() || self.data.extension().is_some_and(known)
    }
}

/// The loss of a group of models as one, unless it is interrupted.
pub fn measure(
    group: &[Subject],
    text: HeldoutText<'_>,
    interrupt: Option<&Interrupt>,
) -> anyhow::Result<LossResult> {
    let sequence_length = text.sequence_length;
    let should_stop = || interrupt.is_some_and(Interrupt::is_requested);
    let (source, ends) = tokens(text, group, &should_stop)?;
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
    let mut files = vec![(0.0, 0); ends.len()];
    let heldout = Heldout {
        source: &*source,
        chunks,
        sequences,
        batch_size: 32,
        should_stop: Some(&should_stop),
    };
    let found = heldout.cross_entropy_of_each(&models, |place, log_probabilities| {
        // A sequence may reach from one file into the next: each token counts for its own.
        for (token, log_probability) in (place.start + 1..).zip(log_probabilities) {
            let file = ends.partition_point(|(_, end)| *end <= token);
            if let Some((sum, count)) = files.get_mut(file) {
                *sum -= log_probability;
                *count += 1;
            }
        }
    })?;
    let file = |((file, _), (sum, count)): (&(String, usize), &(f64, usize))| FileLoss {
        file: file.clone(),
        loss: (*count > 0).then(|| sum / *count as f64),
        predicted_tokens: *count,
    };
    Ok(LossResult {
        loss: found.cross_entropy,
        perplexity: found.cross_entropy.exp(),
        tokens: found.tokens,
        files: ends.iter().zip(&files).map(file).collect(),
    })
}

/// The name of each file, and where its tokens end.
type Ends = Vec<(String, usize)>;

/// The tokens of a file, or of a folder of text as the group's tokenizer cuts it, with the name and
/// the end of each text.
fn tokens(
    text: HeldoutText<'_>,
    group: &[Subject],
    should_stop: ShouldStop<'_>,
) -> anyhow::Result<(Box<dyn TokenSource>, Ends)> {
    if text.raw_tokens {
        return Ok((Box::new(TokenFile::raw(text.data)?), Vec::new()));
    }
    if text.is_text() {
        let tokenizer = tokenizer(group)?;
        let mut texts = text::read_corpus(text.data)?;
        if text.clean {
            texts = cleaners::clean_texts_unless(should_stop, &texts)?;
        }
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        for (name, text) in texts {
            ids.extend(tokenizer.encode_file_unless(should_stop, &text)?);
            ends.push((name, ids.len()));
        }
        return Ok((Box::new(ids), ends));
    }
    let file = TokenFile::open(text.data)?;
    let tokenizer = tokenizer(group)?;
    if file.tokenizer_hash() != Some(tokenizer.content_hash()) {
        let failed = format!(
            "{} was made with another tokenizer than {} has",
            text.data.display(),
            label(group)
        );
        return Err(anyhow::anyhow!(failed))
            .hint("name the text itself, or tokens of these models' tokenizer");
    }
    Ok((Box::new(file), Vec::new()))
}
