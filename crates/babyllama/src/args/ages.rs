//! What `evaluate aoa` understands.

use std::path::PathBuf;

use clap::Args;
use experiment::evaluation::ages::AgeSettings;

use super::{EvaluateArgs, output_path};

#[derive(Debug, Args)]
#[command(after_help = "\
The contexts are a list of {\"sent\": text, \"words\": [text, ...]}, or text with one utterance a
line (clean it first): in order, each line with a word that has fewer than N contexts so far. A word
counts where it stands as a whole word, in any case, with `-`, `_` and apostrophes between letters
as part of it; its surprisal is that of its own tokens.

--as-published computes what the code of 2023 computes: it reads the logits at the word itself
instead of before it, in batches of 32 sentences of at most 50 tokens, with every word of a batch
searched in all its sentences and inside other words.

Examples:
  babyllama evaluate aoa runs/quickstart/models/student/final --words word_list.csv \\
      --contexts clean/aochildes.train
  babyllama evaluate aoa models/a --words word_list.csv --contexts sent_words.json \\
      --as-published --output results")]
pub struct AgesArgs {
    #[command(flatten)]
    pub common: EvaluateArgs,
    /// The word list with ages of acquisition and predictors, the 2023 pipeline's word_list.csv.
    #[arg(long, value_name = "FILE")]
    pub words: PathBuf,
    /// A .json list of sentences with their words, or a file or folder of cleaned text with one
    /// utterance a line.
    #[arg(long, value_name = "FILE_OR_FOLDER")]
    pub contexts: PathBuf,
    /// Contexts that each word gets from text at most.
    #[arg(long, value_name = "N", default_value_t = eval::age_of_acquisition::DEFAULT_CONTEXTS)]
    pub contexts_per_word: usize,
    /// Compute average surprisals as the pipeline's code does, its peculiarities included.
    #[arg(long)]
    pub as_published: bool,
    /// Write the pipeline's two JSON files to FOLDER/MODEL/aoa_prediction.
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: Option<PathBuf>,
}

impl AgesArgs {
    /// The settings that the flags select.
    pub fn settings(&self) -> AgeSettings {
        AgeSettings {
            words: self.words.clone(),
            contexts: self.contexts.clone(),
            contexts_per_word: self.contexts_per_word,
            as_published: self.as_published,
        }
    }
}
