//! `babyllama tokenizer train`.

use std::path::{Path, PathBuf};

use corpus::{Tokenizer, TokenizerSettings};
use experiment::{Observer, outputs};

use super::corpus::open_all;
use crate::console::{self, Console};
use crate::failure::Abandon;

/// Sequences as the papers cut them; what `tokenizer_config.json` states until a model is trained.
const SEQUENCE_LENGTH: usize = 128;

/// Trains a byte-level BPE on files and folders, in a fixed order.
pub fn train(
    paths: &[PathBuf],
    output: &Path,
    vocab_size: usize,
    min_frequency: u64,
) -> anyhow::Result<()> {
    let console = Console::stopping_on_signals()?;
    outputs::prepare_folder(output)?;
    let texts = open_all(paths)?;
    let settings = TokenizerSettings { vocab_size, min_frequency };
    let tokenizer = Tokenizer::train_unless(&|| console.should_stop(), &texts, &settings);
    let tokenizer = tokenizer.or_abandoned()?;
    tokenizer.save_folder(output, SEQUENCE_LENGTH)?;
    let file = output.join("tokenizer.json");
    console::print(format_args!("{} entries in {}", tokenizer.vocab_size(), file.display()))
}
