//! What `babyllama bench` understands.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use train::optimizers::OptimizerKind;

/// Steps whose time is kept by operation.
pub const PROFILED_STEPS: usize = 2;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  babyllama bench
  babyllama bench train --preset 16m
  babyllama bench distill --preset babyllama-1 --teachers online --steps 3
  babyllama bench evaluate --preset 58m
  babyllama bench tokenize --data data/clean --tokenizer tokenizers/16k/tokenizer.json
  babyllama bench train --config my.toml --model student --json")]
pub struct BenchArgs {
    /// What to measure; the machine by default.
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
    /// Print JSON in place of tables.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// The machine: products at a training step's shapes, a large square product, memory bandwidth.
    #[command(after_help = "\
Example:
  babyllama bench machine --preset 345m")]
    Machine {
        #[command(flatten)]
        model: ModelChoice,
        #[command(flatten)]
        shape: StepShape,
    },
    /// Whole training steps: tokens/s, share of the product peak, memory, time by operation.
    #[command(after_help = "\
Examples:
  babyllama bench train --preset 58m
  babyllama bench train --preset 345m --steps 3 --only-steps
  babyllama bench train --preset 58m --optimizer muon --tokens-per-step 16384
  babyllama bench train --config my.toml --model student --tokens-per-step 1024")]
    Train {
        #[command(flatten)]
        model: ModelChoice,
        /// The optimizer [default: the preset's or the recipe's].
        #[arg(
            long,
            value_name = "NAME",
            value_parser = PossibleValuesParser::new(OptimizerKind::names())
        )]
        optimizer: Option<String>,
        #[command(flatten)]
        steps: StepArgs,
    },
    /// Whole steps of a student with teachers; all of them have random weights.
    #[command(after_help = "\
Examples:
  babyllama bench distill --preset babyllama-1 --teachers online
  babyllama bench distill --preset babyllama-1 --teachers hidden
  babyllama bench distill --config my.toml --model student --steps 20")]
    Distill {
        #[command(flatten)]
        student: StudentChoice,
        /// Kind of teacher outputs.
        #[arg(long, value_enum, default_value_t = TeacherSignal::Online)]
        teachers: TeacherSignal,
        #[command(flatten)]
        steps: StepArgs,
    },
    /// Scoring of the built-in minimal pairs, by a model with random weights.
    #[command(after_help = "\
Example:
  babyllama bench evaluate --preset 16m")]
    Evaluate {
        #[command(flatten)]
        model: ModelChoice,
        /// Minimal pairs of each kind.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one())]
        pairs: u32,
        /// How often all pairs are scored.
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one())]
        repeats: u32,
    },
    /// Encoding of text, on one thread and on all.
    #[command(after_help = "\
Examples:
  babyllama bench tokenize
  babyllama bench tokenize --data data/clean --tokenizer tokenizers/16k/tokenizer.json")]
    Tokenize {
        /// A folder of text, or one file [default: the built-in corpus].
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
        /// A tokenizer.json [default: one of 16,000 entries, trained on the built-in corpus].
        #[arg(long, value_name = "FILE")]
        tokenizer: Option<PathBuf>,
        /// How often all text is encoded.
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one())]
        repeats: u32,
    },
}

/// Which model is measured.
#[derive(Debug, Default, Args)]
pub struct ModelChoice {
    /// One of the papers' models [default: 58m].
    #[arg(long, value_enum, conflicts_with_all = ["config", "model"])]
    pub preset: Option<Preset>,
    /// A recipe that describes the model and its training.
    #[arg(long, value_name = "RECIPE", requires = "model")]
    pub config: Option<PathBuf>,
    /// The model's name in that recipe.
    #[arg(long, value_name = "NAME", requires = "config")]
    pub model: Option<String>,
}

/// Which student is measured.
#[derive(Debug, Args)]
pub struct StudentChoice {
    /// A paper's student with the paper's teachers [default: babyllama-1].
    #[arg(long, value_enum, conflicts_with_all = ["config", "model"])]
    pub preset: Option<StudentPreset>,
    /// A recipe that describes the student and its teachers.
    #[arg(long, value_name = "RECIPE", requires = "model")]
    pub config: Option<PathBuf>,
    /// The student's name in that recipe.
    #[arg(long, value_name = "NAME", requires = "config")]
    pub model: Option<String>,
}

/// The papers' models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// LLaMA of 16 million parameters, 2,048 tokens a step.
    #[value(name = "16m")]
    Llama16m,
    /// BabyLlama, a LLaMA of 58 million parameters, 4,096 tokens a step.
    #[default]
    #[value(name = "58m")]
    Llama58m,
    /// BabyLlama-2, a LLaMA of 345 million parameters with grouped heads, 2,048 tokens a step.
    #[value(name = "345m")]
    Llama345m,
    /// GPT-2 of 97 million parameters without dropout, 2,048 tokens a step.
    #[value(name = "gpt2-97m")]
    Gpt2,
    /// GPT-J of 97 million parameters, 2,048 tokens a step.
    #[value(name = "gptj-97m")]
    Gptj,
}

/// The papers' distillations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StudentPreset {
    /// LLaMA 58M from LLaMA 360M and GPT-2 705M, 4,096 tokens a step.
    #[default]
    #[value(name = "babyllama-1")]
    BabyLlama1,
    /// LLaMA 345M from two of its own shape, 2,048 tokens a step.
    #[value(name = "babyllama-2")]
    BabyLlama2,
}

/// Where the teacher outputs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TeacherSignal {
    /// The teachers read each batch.
    Online,
    /// The teachers' final hidden states are read from a complete cache, in single precision.
    Hidden,
    /// The teachers' final hidden states are read from a complete cache, in bf16: half the space.
    HiddenBf16,
    /// Tokens drawn from the teachers' distributions are read from a complete cache.
    Sampled,
}

impl TeacherSignal {
    /// The name that selects it.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// How much a step reads.
#[derive(Debug, Default, Args)]
pub struct StepShape {
    /// Tokens of one optimizer step [default: the preset's, or the recipe's batch].
    #[arg(long, value_name = "N")]
    pub tokens_per_step: Option<usize>,
    /// Tokens per sequence [default: the recipe's].
    #[arg(long, value_name = "N")]
    pub sequence_length: Option<usize>,
    /// Sequences per forward and backward pass, 0 for all of a step [default: the recipe's].
    #[arg(long, value_name = "N")]
    pub micro_batch_size: Option<usize>,
}

/// Which steps are taken.
#[derive(Debug, Args)]
pub struct StepArgs {
    #[command(flatten)]
    pub shape: StepShape,
    /// Steps that are timed.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one())]
    pub steps: u32,
    /// Steps before them, which are not.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(..=MOST)
    )]
    pub warmup: u32,
    /// A token file to read in its order, again from the start at its end [default: tokens drawn by
    /// Zipf's law].
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// The token file has no header: little-endian 16-bit ids and nothing else.
    #[arg(long, requires = "tokens")]
    pub raw_tokens: bool,
    /// Time the steps alone: no product peak, no time by operation.
    #[arg(long)]
    pub only_steps: bool,
}

/// Far more than is useful, and few enough that no count of steps or rounds overflows.
const MOST: i64 = 1_000_000;

fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=MOST)
}
