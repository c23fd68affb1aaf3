//! `babyllama tokenizer train`.

use std::path::{Path, PathBuf};

use corpus::{Tokenizer, TokenizerSettings, text};

use experiment::outputs;

use super::corpus::note_left_out;
use crate::console;

/// Sequences as the papers cut them; what `tokenizer_config.json` states until a model is trained.
const SEQUENCE_LENGTH: usize = 128;

/// Trains a byte-level BPE on files and folders, in a fixed order.
pub fn train(
    paths: &[PathBuf],
    output: &Path,
    vocab_size: usize,
    min_frequency: u64,
) -> anyhow::Result<()> {
    outputs::prepare_folder(output)?;
    let mut texts = Vec::new();
    for path in paths {
        texts.extend(text::read_corpus(path)?);
        note_left_out(path)?;
    }
    let tokenizer = Tokenizer::train(&texts, &TokenizerSettings { vocab_size, min_frequency })?;
    tokenizer.save_folder(output, SEQUENCE_LENGTH)?;
    let file = output.join("tokenizer.json");
    console::print(format_args!("{} entries in {}", tokenizer.vocab_size(), file.display()))
}
