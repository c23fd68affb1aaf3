//! `babyllama tokenizer train`.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use corpus::{Tokenizer, TokenizerSettings};
use experiment::reading::ReadingProgress;
use experiment::{Observer, outputs};

use super::corpus::{bytes_of, open_all};
use crate::args::TokenizerCommand;
use crate::console::{self, Console};
use crate::failure::{Abandon, Hint};

/// Sequences as the papers cut them; what `tokenizer_config.json` states until a model is trained.
const SEQUENCE_LENGTH: usize = 128;

/// What the command line asks for.
pub fn tokenizer(command: &TokenizerCommand) -> anyhow::Result<()> {
    let TokenizerCommand::Train {
        paths,
        output,
        vocab_size,
        min_frequency,
        mask_token,
        sentinels,
        begin_token,
        replace,
    } = command;
    let settings = TokenizerSettings {
        vocab_size: *vocab_size,
        min_frequency: *min_frequency,
        mask_token: *mask_token,
        sentinels: *sentinels,
        begin_token: *begin_token,
    };
    train(paths, output, &settings, *replace)
}

/// Trains a byte-level BPE on files and folders, in a fixed order.
fn train(
    paths: &[PathBuf],
    output: &Path,
    settings: &TokenizerSettings,
    replace: bool,
) -> anyhow::Result<()> {
    let console = Console::stopping_on_signals()?;
    let file = output.join("tokenizer.json");
    if output.join("config.json").exists() && !replace {
        let there =
            anyhow!("{} holds a model, whose tokenizer this would replace", output.display());
        return Err(there).hint("name another folder with --output, or give --replace");
    }
    if file.exists() && !replace {
        console::note(format_args!(
            "{} stays if the text yields another one; --replace replaces it",
            file.display()
        ));
    }
    let _output = outputs::prepare_folder(output)?;
    let texts = open_all(&|| console.should_stop(), paths)?;
    let progress = ReadingProgress::begin(&console, "tokenizer", bytes_of(paths)?, "merges pairs");
    let texts = progress.count(texts);
    let tokenizer = Tokenizer::train_unless(&|| progress.should_stop(), &texts, settings);
    let tokenizer = tokenizer.or_abandoned()?;
    progress.end();
    match replace {
        true => tokenizer.save_folder(output, SEQUENCE_LENGTH)?,
        false => tokenizer.save_new_folder(output, SEQUENCE_LENGTH)?,
    }
    if tokenizer.vocab_size() < settings.vocab_size {
        console::warn(format_args!(
            "the text yields {} of the {} entries that were asked for",
            tokenizer.vocab_size(),
            settings.vocab_size
        ));
    }
    console::print(format_args!("{} entries in {}", tokenizer.vocab_size(), file.display()))
}
