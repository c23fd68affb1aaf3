//! What `pretrain` and `distill` understand.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use experiment::recipe::{DistillRequest, ModelRequest};
use experiment::training::single::TrainingFiles;
use train::settings::{Divergence, Ensemble, Named};

use super::output_path;

/// What pretrain and distill have in common.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The model: a Hugging Face folder to start from, or with --config the name of one of the
    /// recipe's models.
    #[arg(long, value_name = "FOLDER_OR_NAME")]
    pub model: String,
    /// A recipe that describes the model and its training.
    #[arg(long, value_name = "RECIPE")]
    pub config: Option<PathBuf>,
    /// Training tokens, as written by a run.
    #[arg(long, value_name = "FILE")]
    pub tokens: PathBuf,
    /// Held-out tokens; without them there is no evaluation, and the last weights are the final
    /// ones.
    #[arg(long, value_name = "FILE")]
    pub validation: Option<PathBuf>,
    /// The token files have no header: little-endian 16-bit ids and nothing else.
    #[arg(long)]
    pub raw_tokens: bool,
    /// Size of the vocabulary of a model that starts from random weights, where the token files do
    /// not state it.
    #[arg(long, value_name = "N")]
    pub vocab_size: Option<usize>,
    /// A tokenizer.json to put beside the trained weights.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Gets metrics, a log, checkpoints and the trained model; if it holds a run that was cut, that
    /// run continues.
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: PathBuf,
    /// Override a training setting, such as learning_rate=3e-4; may be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print every event as a line of JSON instead of text.
    #[arg(long, visible_alias = "events", conflicts_with = "quiet")]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  babyllama pretrain --config recipes/babyllama-1/small-models.toml --model llama-16m \\
      --tokens tokens/train.bin --validation tokens/validation.bin --output runs/llama-16m
  babyllama pretrain --model models/llama-16m --set epochs=1 --set learning_rate=1e-4 \\
      --tokens tokens/train.bin --validation tokens/validation.bin --output runs/continued")]
pub struct PretrainArgs {
    #[command(flatten)]
    pub train: TrainArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  babyllama distill --config recipes/babylm-1m.toml --model student-token \\
      --teacher runs/gpt2/final --teacher runs/llama/final --kl token --temperature 2 \\
      --alpha 0.5 --tokens tokens/train.bin --validation tokens/validation.bin \\
      --output runs/student
  babyllama distill --model models/start --teacher models/a --teacher models/b --signal hidden \\
      --codec bf16 --cache caches/a-b --tokens tokens/train.bin --output runs/student")]
pub struct DistillArgs {
    #[command(flatten)]
    pub train: TrainArgs,
    /// A teacher's Hugging Face folder; give it again for an ensemble.
    #[arg(long = "teacher", value_name = "FOLDER", required = true)]
    pub teachers: Vec<String>,
    /// A teacher's weight, as often as --teacher [default: all count alike, whatever weights the
    /// recipe gives to its own].
    #[arg(long = "weight", value_name = "W")]
    pub weights: Vec<f64>,
    /// What the divergence is divided by: tokens as in the papers, or sequences as in the authors'
    /// code.
    #[arg(long, value_parser = ["token", "batchmean"])]
    pub kl: Option<String>,
    /// Softens teachers and student alike [default: 2, or the recipe's].
    #[arg(long, value_name = "T")]
    pub temperature: Option<f64>,
    /// Weight of the cross-entropy against the divergence, 0 to 1 [default: 0.5, or the recipe's].
    #[arg(long, value_name = "SHARE")]
    pub alpha: Option<f64>,
    /// How several teachers become one distribution [default: mean_logits, or the recipe's].
    #[arg(long, value_parser = PossibleValuesParser::new(Ensemble::NAMES))]
    pub ensemble: Option<String>,
    /// How far the student is from its teachers [default: forward_kl, or the recipe's].
    #[arg(long, value_parser = PossibleValuesParser::new(Divergence::NAMES))]
    pub divergence: Option<String>,
    /// Run the teachers on every batch, or cache their outputs on disk: hidden states, or a few
    /// tokens drawn from their distribution [default: online, or the recipe's].
    #[arg(long, value_parser = ["online", "hidden", "sampled"])]
    pub signal: Option<String>,
    /// How hidden states are stored: exactly, or rounded in half the space [default: f32, or the
    /// recipe's].
    #[arg(long, value_parser = ["f32", "bf16"])]
    pub codec: Option<String>,
    /// Tokens drawn at each position [default: 64, or the recipe's].
    #[arg(long, value_name = "N")]
    pub samples: Option<u32>,
    /// The folder of the teacher cache, for runs that share it [default: a folder below
    /// OUTPUT/teachers, or the recipe's].
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<String>,
}

impl PretrainArgs {
    /// The model that the flags describe.
    pub fn request(&self) -> ModelRequest<'_> {
        self.train.request(None)
    }
}

impl DistillArgs {
    /// The model that the flags describe, and how it is distilled.
    pub fn request(&self) -> ModelRequest<'_> {
        self.train.request(Some(DistillRequest {
            teachers: &self.teachers,
            weights: &self.weights,
            kl: self.kl.as_deref(),
            temperature: self.temperature,
            alpha: self.alpha,
            ensemble: self.ensemble.as_deref(),
            divergence: self.divergence.as_deref(),
            signal: self.signal.as_deref(),
            codec: self.codec.as_deref(),
            samples: self.samples,
            cache: self.cache.as_deref(),
        }))
    }
}

impl TrainArgs {
    /// The files that the flags name.
    pub fn files(&self) -> TrainingFiles {
        TrainingFiles {
            tokens: self.tokens.clone(),
            validation: self.validation.clone(),
            raw_tokens: self.raw_tokens,
            tokenizer: self.tokenizer.clone(),
            vocab_size: self.vocab_size,
            output: self.output.clone(),
        }
    }

    fn request<'a>(&'a self, distill: Option<DistillRequest<'a>>) -> ModelRequest<'a> {
        ModelRequest {
            model: &self.model,
            recipe: self.config.as_deref(),
            overrides: &self.overrides,
            distill,
        }
    }
}
