//! What `evaluate` understands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use eval::{Ewok, EwokOfficial, ZeroShot};

use super::{AgesArgs, AllArgs, ChallengeArgs, CompareArgs, output_path};
use experiment::evaluation::ModelSelection;

/// What all evaluations have in common.
#[derive(Clone, Debug, Args)]
pub struct EvaluateArgs {
    /// Hugging Face folders, each scored by itself.
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// Score all models as one, by the mean of their logits.
    #[arg(long)]
    pub ensemble: bool,
    /// Write the scores here too, as JSON.
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub json: Option<PathBuf>,
    /// Print every event as a line of JSON instead of text, the last with the scores.
    #[arg(long, conflicts_with = "quiet")]
    pub events: bool,
}

impl EvaluateArgs {
    /// The models that the flags name.
    pub fn selection(&self) -> ModelSelection {
        ModelSelection { folders: self.models.clone(), ensemble: self.ensemble }
    }
}

/// Whose evaluation pipeline scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rules {
    /// BabyLM 2023: sentences begin after `</s>`.
    #[value(name = "2023")]
    Babylm2023,
    /// BabyLM 2024: sentences begin after `<s>`.
    #[value(name = "2024")]
    Babylm2024,
}

/// How the probability of a text is computed by models that predict the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Each token from those before it; of masked models, from all others.
    Causal,
    /// Each token, hidden, from all others, at the token before it: for models that have learned
    /// it, such as GPT-BERT.
    Mntp,
}

impl From<Backend> for eval::Backend {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Causal => Self::Causal,
            Backend::Mntp => Self::Mntp,
        }
    }
}

impl From<Rules> for eval::Rules {
    fn from(rules: Rules) -> Self {
        match rules {
            Rules::Babylm2023 => Self::Year2023,
            Rules::Babylm2024 => Self::Year2024,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum EvaluateCommand {
    /// Every available benchmark, for every model, and one table; goes on where it was cut.
    All(AllArgs),
    /// Cross-entropy and perplexity on held-out text, of each file and over all.
    #[command(after_help = "\
Examples:
  babyllama evaluate loss runs/quickstart/models/student/final \\
      --data runs/quickstart/tokens/validation.bin
  babyllama evaluate loss models/a models/b --ensemble --data data/clean_dev --json loss.json
  babyllama evaluate loss models/a --data data/babylm_dev --clean")]
    Loss {
        #[command(flatten)]
        common: EvaluateArgs,
        /// A folder of cleaned text, or a token file.
        #[arg(long, value_name = "PATH")]
        data: PathBuf,
        /// The token file has no header: little-endian 16-bit ids and nothing else.
        #[arg(long)]
        raw_tokens: bool,
        /// Clean each file of text by the rules of its source first.
        #[arg(long)]
        clean: bool,
        /// Tokens per sequence.
        #[arg(long, value_name = "N", default_value_t = 128)]
        sequence_length: usize,
    },
    /// Share of minimal pairs of which the model prefers the right sentence.
    #[command(after_help = "\
Examples:
  babyllama evaluate blimp runs/quickstart/models/student/final --data data/blimp_filtered
  babyllama evaluate blimp models/a models/b --ensemble --data data/blimp_filtered \\
      --rules 2023 --json blimp.json
  babyllama evaluate blimp models/a models/b --data data/supplement_filtered --output results
  babyllama evaluate blimp models/gpt-bert --data data/blimp_filtered --backend mntp")]
    Blimp {
        #[command(flatten)]
        common: EvaluateArgs,
        /// A folder of *.jsonl files in BLiMP's format.
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
        /// Whose pipeline to follow.
        #[arg(long, value_enum, default_value_t = Rules::Babylm2024)]
        rules: Rules,
        /// How the models are asked.
        #[arg(long, value_enum, default_value_t = Backend::Causal)]
        backend: Backend,
        /// Keep scores and the answer to every pair in FOLDER/MODEL/blimp_filtered (or whatever the
        /// pairs are).
        #[arg(long, value_name = "FOLDER", value_parser = output_path())]
        output: Option<PathBuf>,
    },
    /// Share of EWoK's questions about the world that the model answers rightly.
    #[command(after_help = "\
EWoK's authors ask that its items not be published, so that this takes your own copy: a folder of
the 2024 pipeline's DOMAIN.jsonl, or the official data set as one .jsonl or .csv file. `evaluate
filter-ewok` makes the former of the latter.

Examples:
  babyllama evaluate ewok models/a models/b --data data/ewok_filtered
  babyllama evaluate ewok models/a --data ewok-core-1.0.csv --variant official --output results")]
    Ewok {
        #[command(flatten)]
        common: EvaluateArgs,
        /// A file, or a folder of *.jsonl and *.csv files, with Context1, Context2, Target1 and
        /// Target2.
        #[arg(long, value_name = "PATH")]
        data: PathBuf,
        /// What a question compares.
        #[arg(long, value_enum, default_value_t = EwokVariant::Pipeline2024)]
        variant: EwokVariant,
        /// How the models are asked.
        #[arg(long, value_enum, default_value_t = Backend::Causal)]
        backend: Backend,
        /// Keep scores and the answer to every question in FOLDER/MODEL/ewok (or ewok_official).
        #[arg(long, value_name = "FOLDER", value_parser = output_path())]
        output: Option<PathBuf>,
    },
    /// Make the folder ewok_filtered of the 2024 pipeline from your own copy of EWoK.
    #[command(after_help = "\
The pipeline keeps an item when every word of its four texts, as NLTK's word_tokenize finds them
in lower case, is in its file ewok/vocab.txt (github.com/babylm/evaluation-pipeline-2024). Its
folder has 7,618 questions in 11 domains.

Example:
  babyllama evaluate filter-ewok --data ewok-core-1.0.csv --vocabulary vocab.txt \\
      --output data/ewok_filtered")]
    FilterEwok {
        /// A file, or a folder of *.jsonl and *.csv files, with Context1, Context2, Target1 and
        /// Target2.
        #[arg(long, value_name = "PATH")]
        data: PathBuf,
        /// The words that may occur, one a line.
        #[arg(long, value_name = "FILE")]
        vocabulary: PathBuf,
        /// Gets a file for each domain; must be empty, or not there.
        #[arg(long, value_name = "FOLDER", value_parser = output_path())]
        output: PathBuf,
    },
    /// How well surprisals help to predict the age at which children learn words (2023).
    Aoa(AgesArgs),
    /// The tasks of the challenge of 2025 or 2026, scored as its pipeline does, with the files that
    /// it writes; goes on where it was cut.
    Challenge(ChallengeArgs),
    /// Compare two models' answers to the same items: differences, intervals, tests.
    Compare(CompareArgs),
}

/// What EWoK's questions compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EwokVariant {
    /// BabyLM 2024: two targets after one context; the mean of the domains.
    #[value(name = "pipeline-2024")]
    Pipeline2024,
    /// EWoK's authors: one target after two contexts; ties count half; the mean of all questions.
    Official,
}

impl EwokVariant {
    /// The benchmark that compares so.
    pub fn benchmark(self) -> &'static dyn ZeroShot {
        match self {
            EwokVariant::Pipeline2024 => &Ewok,
            EwokVariant::Official => &EwokOfficial,
        }
    }
}
