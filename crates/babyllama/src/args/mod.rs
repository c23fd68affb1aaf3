//! What the command line understands.

mod ages;
mod all;
pub mod bench;
mod challenge;
mod check;
mod compare;
mod device;
mod evaluate;
mod export;
mod finetune;
mod parse;
mod recipe;
mod report;
mod runs;
mod sweep;
mod train;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use engine::cpu::Cpu;
use engine::{Arithmetic, Device};
use experiment::outputs;

pub use bench::BenchArgs;

pub use ages::AgesArgs;
pub use all::AllArgs;
pub use challenge::ChallengeArgs;
pub use check::CheckArgs;
pub use compare::CompareArgs;
pub use device::{DeviceArgs, Precision};
pub use evaluate::{EvaluateArgs, EvaluateCommand, EwokVariant, Rules};
pub use export::ExportArgs;
pub use finetune::FinetuneArgs;
pub use parse::parse;
pub use recipe::RecipeCommand;
pub use report::ReportArgs;
pub use runs::{CleanArgs, CompareRunsArgs, ListArgs, PlanArgs, RunArgs, StatusArgs, WatchArgs};
pub use sweep::{
    ExportFormat, StoreArgs, SweepBestArgs, SweepCommand, SweepConfirmArgs, SweepCreateArgs,
    SweepEnqueueArgs, SweepExportArgs, SweepImportArgs, SweepPlaceArgs, SweepRecipeArgs,
    SweepRetryArgs, SweepRunArgs, SweepStatusArgs, SweepStopArgs, SweepWorkArgs,
};
pub use train::{DistillArgs, PretrainArgs, TrainArgs};

/// Pretrain, distil and score small language models on little text.
#[derive(Debug, Parser)]
#[command(
    name = "babyllama",
    version,
    long_version = long_version(),
    arg_required_else_help = true,
    after_help = "\
Examples:
  babyllama run recipes/quickstart.toml
  babyllama plan recipes/babylm-1m.toml
  babyllama generate runs/quickstart/models/student/final --prompt 'The little dog'"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// CPU threads, at most 1024; 0 takes all cores. Results do not depend on it.
    #[arg(
        long,
        global = true,
        value_name = "N",
        default_value_t = 0,
        value_parser = clap::value_parser!(u16).range(..=1024),
        display_order = 100
    )]
    pub threads: u16,
    /// Show no progress: results, warnings and errors alone.
    #[arg(long, global = true, display_order = 100)]
    pub quiet: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// The version, and what products are computed with on this machine's CPU.
fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let products = |arithmetic| Cpu::new().multiplying_in(arithmetic).products();
        format!(
            "{}\nthis CPU: f32 by {}, {}, {}",
            env!("CARGO_PKG_VERSION"),
            products(Arithmetic::F32),
            products(Arithmetic::Bf16),
            products(Arithmetic::Bf16x3)
        )
    });
    &TEXT
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Do everything that a recipe describes; stages that are done already are skipped, a stage
    /// that was cut continues.
    Run(RunArgs),
    /// Show how far a run is: stages, models, losses, time.
    Status(StatusArgs),
    /// Show a run's report in the browser and follow its training.
    Watch(WatchArgs),
    /// List the runs of a folder.
    List(ListArgs),
    /// Show final losses and scores of runs side by side.
    Compare(CompareRunsArgs),
    /// Write a page about runs that any browser opens: curves, tables, figures, recipes.
    Report(ReportArgs),
    /// Remove what takes room in a run and is not needed: teacher caches, checkpoints of finished
    /// models, models of other settings.
    Clean(CleanArgs),
    /// Run the teachers of a recipe's students on all the text once and store their outputs;
    /// repairs a damaged cache.
    #[command(alias = "teach")]
    CacheTeachers(CacheTeachersArgs),
    /// Show parameters, tokens, work, memory, disk and time of a recipe before anything runs.
    Plan(PlanArgs),
    /// Write a recipe to begin with, or list the keys that recipes have.
    #[command(subcommand)]
    Recipe(RecipeCommand),
    /// Clean text, count it, or write the built-in corpus.
    #[command(subcommand)]
    Corpus(CorpusCommand),
    /// Make tokenizers.
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Make token files of text, as `pretrain` and `distill` take them.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Train one model on a token file.
    Pretrain(PretrainArgs),
    /// Train one model on a token file with the help of teachers.
    Distill(Box<DistillArgs>),
    /// Score models.
    #[command(subcommand)]
    Evaluate(EvaluateCommand),
    /// Train models as classifiers on the tasks of (Super)GLUE and MSGS, and score them.
    Finetune(FinetuneArgs),
    /// Search for the settings that train the best model.
    #[command(subcommand)]
    Sweep(SweepCommand),
    /// Continue a text.
    Generate(GenerateArgs),
    /// Write a model's best weights as a Hugging Face folder.
    Export(ExportArgs),
    /// Measure the machine, training steps, scoring and encoding.
    Bench(BenchArgs),
    /// Check that a device computes what the CPU does.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub struct RecipeArgs {
    /// The recipe, a TOML file.
    pub recipe: PathBuf,
    /// Override a value, such as student.train.epochs=4; may be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  babyllama cache-teachers recipes/quickstart.toml --set student.distill.signal=hidden
  babyllama cache-teachers recipes/quickstart.toml --model student \\
      --set student.distill.signal=sampled --output runs/trial")]
pub struct CacheTeachersArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Only the teachers of this student [default: of all students whose signal is hidden or
    /// sampled].
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The run's folder [default: runs/NAME, by the recipe's name].
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: Option<PathBuf>,
    /// Share cleaned text, tokenizer and tokens with other runs, in FOLDER/FINGERPRINT [default:
    /// each run has its own].
    #[arg(long, value_name = "FOLDER")]
    pub prepared: Option<PathBuf>,
    /// Set training with other settings aside and train again, without a question.
    #[arg(long)]
    pub replace: bool,
}

#[derive(Debug, Subcommand)]
pub enum CorpusCommand {
    /// Clean each file by the rules of its source, known by its name; other text is left as it
    /// is.
    #[command(after_help = "\
Examples:
  babyllama corpus clean data/babylm_10M --output data/clean
  babyllama corpus clean data/babylm_10M/qed.train data/babylm_10M/cbt.train --output data/clean")]
    Clean {
        /// Files, or folders of .train, .dev, .test and .txt files.
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<PathBuf>,
        /// Where the cleaned files go, under their own names.
        #[arg(long, value_name = "FOLDER", value_parser = output_path())]
        output: PathBuf,
        /// Replace files that are there with other texts.
        #[arg(long)]
        replace: bool,
    },
    /// Count bytes, characters, lines and words of each file, and tokens with a tokenizer.
    #[command(after_help = "\
Examples:
  babyllama corpus stats data/clean
  babyllama corpus stats data/clean --tokenizer runs/quickstart/tokenizer/tokenizer.json")]
    Stats {
        /// Files or folders.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// A tokenizer.json, to count tokens too.
        #[arg(long, value_name = "FILE")]
        tokenizer: Option<PathBuf>,
    },
    /// Measure how hard text is to read, as textstat 0.7.3 does: Flesch's reading ease, Flesch and
    /// Kincaid's grade, Gunning's fog, the automated readability index, and SMOG.
    #[command(after_help = "\
Examples:
  babyllama corpus readability data/clean
  babyllama corpus readability data/clean/wikipedia.train --documents --json documents.json")]
    Readability {
        /// Files or folders.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Measure every document by itself: a block between blank lines where a file has any, and
        /// otherwise a line.
        #[arg(long)]
        documents: bool,
        /// Also writes the table as JSON.
        #[arg(long, value_name = "FILE", value_parser = output_path())]
        json: Option<PathBuf>,
    },
    /// Write the built-in corpus: text in the raw form of the ten BabyLM sources, and minimal
    /// pairs.
    #[command(after_help = "\
Example:
  babyllama corpus write-builtin --output data/builtin --words 400000")]
    WriteBuiltin {
        /// Gets train/, validation/ and builtin_pairs/.
        #[arg(long, value_name = "FOLDER", value_parser = output_path())]
        output: PathBuf,
        /// Words of training text.
        #[arg(long, value_name = "N", default_value_t = 300_000)]
        words: usize,
        /// Words of validation text.
        #[arg(long, value_name = "N", default_value_t = 15_000)]
        validation_words: usize,
        /// Minimal pairs of each kind.
        #[arg(long, value_name = "N", default_value_t = 100)]
        pairs: usize,
        /// Seed of the text; the same seed writes the same text.
        #[arg(long, value_name = "N", default_value_t = 42)]
        seed: u64,
        /// Replace files that are there with other texts or pairs.
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Train a byte-level BPE on text.
    #[command(after_help = "\
Example:
  babyllama tokenizer train data/clean --vocab-size 16000 --output tokenizers/16k")]
    Train {
        /// Files, or folders of text.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Gets tokenizer.json, tokenizer_config.json and special_tokens_map.json.
        #[arg(long, value_name = "FOLDER", value_parser = output_path())]
        output: PathBuf,
        /// Entries, the three special tokens included.
        #[arg(long, value_name = "N", default_value_t = 16_000)]
        vocab_size: usize,
        /// How often a pair must occur to be merged.
        #[arg(long, value_name = "N", default_value_t = 2)]
        min_frequency: u64,
        /// Have a fourth special token, <mask>, for masked models.
        #[arg(long)]
        mask_token: bool,
        /// Number of further special tokens, <extra_id_0> and on, for hidden spans of
        /// encoder-decoders; T5 has 100.
        #[arg(long, value_name = "N", default_value_t = 0)]
        sentinels: usize,
        /// Have the tokenizer put <s> before texts.
        #[arg(long)]
        begin_token: bool,
        /// Replace another tokenizer that is there, or that of a model's folder.
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Encode text or JSON lines into one token file.
    #[command(after_help = "\
Examples:
  babyllama tokens encode data/clean --tokenizer tokenizers/16k/tokenizer.json \\
      --output tokens/train.bin
  babyllama tokens encode documents.jsonl --field content --end-of-text \\
      --tokenizer tokenizers/16k/tokenizer.json --output tokens/documents.bin")]
    Encode {
        /// Files of text or .jsonl, or folders of them.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// The tokenizer.json.
        #[arg(long, value_name = "FILE")]
        tokenizer: PathBuf,
        /// The token file.
        #[arg(long, value_name = "FILE", value_parser = output_path())]
        output: PathBuf,
        /// The field of a JSON line that has the text.
        #[arg(long, value_name = "NAME", default_value = "text")]
        field: String,
        /// Put the token that begins a text before each document: a file of text, or a JSON line.
        #[arg(long)]
        begin_of_text: bool,
        /// Put the token that ends a text after each document: a file of text, or a JSON line.
        #[arg(long)]
        end_of_text: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  babyllama generate runs/quickstart/models/student/final --prompt 'The little dog' --max-tokens 60
  babyllama generate models/a --prompt 'Once upon a time' --temperature 0.8 \\
      --top-k 40 --top-p 0.95 --seed 7
  babyllama generate models/a --prompt 'Once upon a time' --greedy")]
pub struct GenerateArgs {
    /// A Hugging Face folder with its tokenizer.
    pub model: PathBuf,
    /// The text to continue.
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// Divides the logits: below 1 favours likely tokens, above 1 flattens the distribution. By
    /// default that of generation_config.json, or 1.
    #[arg(long, allow_negative_numbers = true, value_name = "T", value_parser = temperature)]
    pub temperature: Option<f32>,
    /// Draw among the likeliest K tokens; 0 means all. By default that of generation_config.json,
    /// or all.
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Draw among the likeliest tokens that make up this share of the probability. By default that
    /// of generation_config.json, or 1.
    #[arg(long, value_name = "SHARE", value_parser = share_above_zero)]
    pub top_p: Option<f32>,
    /// Tokens to add at most; by default as generation_config.json has it, or 100. The text
    /// also ends at the tokens that generation_config.json or config.json name in eos_token_id.
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// Seed of the draws; the same seed gives the same text.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Always take the likeliest token.
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p", "seed"])]
    pub greedy: bool,
}

/// A path that something is written to: it leads where it will once its folders are made.
fn output_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(outputs::once_made)
}

fn positive(text: &str) -> Option<f32> {
    text.parse().ok().filter(|number: &f32| *number > 0.0 && number.is_finite())
}

fn temperature(text: &str) -> Result<f32, String> {
    let message = "must be a number larger than 0; --greedy always takes the likeliest token";
    positive(text).ok_or_else(|| message.to_string())
}

fn share_above_zero(text: &str) -> Result<f32, String> {
    positive(text)
        .filter(|number| *number <= 1.0)
        .ok_or_else(|| "must be larger than 0 and at most 1".to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;
    use engine::DeviceChoice;

    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["babyllama"].iter().chain(words))
    }

    fn refused(line: &str) -> ErrorKind {
        parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap_err().kind()
    }

    /// The examples of a help text as lists of words; quotes are single and a backslash continues
    /// the line.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let joined = help.replace("\\\n", " ");
        let lines = joined.lines().filter_map(|line| line.trim().strip_prefix("babyllama "));
        let words = |line: &str| {
            let quoted = line.split('\'').enumerate();
            quoted
                .flat_map(|(index, part)| match index % 2 {
                    0 => part.split_whitespace().map(str::to_string).collect::<Vec<_>>(),
                    _ => vec![part.to_string()],
                })
                .collect()
        };
        lines.map(words).collect()
    }

    fn try_examples(command: &clap::Command) -> usize {
        let help = command.get_after_help().map(|help| help.to_string()).unwrap_or_default();
        let examples = examples(&help);
        for words in &examples {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            parse(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        }
        examples.len() + command.get_subcommands().map(try_examples).sum::<usize>()
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_example_of_the_help_texts_parses() {
        assert!(try_examples(&Cli::command()) >= 20);
    }

    #[test]
    fn run_takes_overrides_in_order() {
        let cli =
            parse(&["run", "r.toml", "--set", "a=1", "--set", "b=2", "--threads", "2"]).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        assert_eq!(
            (args.overrides, args.output, cli.threads),
            (vec!["a=1".into(), "b=2".into()], None, 2)
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert_eq!(refused("run"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("rnu x"), ErrorKind::InvalidSubcommand);
        assert_eq!(refused("evaluate blimp m --data d --rules 2025"), ErrorKind::InvalidValue);
        assert_eq!(
            refused("generate m --prompt x --greedy --temperature 2"),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(refused("generate m --prompt x --temperature 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("generate m --prompt x --top-p 1.5"), ErrorKind::ValueValidation);
        let train = "--model m --tokens t --output o";
        assert_eq!(refused(&format!("distill {train}")), ErrorKind::MissingRequiredArgument);
        assert_eq!(
            refused(&format!("distill {train} --teacher t --kl mean")),
            ErrorKind::InvalidValue
        );
    }

    #[test]
    fn devices_are_named_before_or_after_the_command() {
        let device =
            |line: &str| parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap().device;
        assert_eq!(device("run r.toml --device cpu").device, DeviceChoice::Cpu);
        assert_eq!(device("run r.toml --device cuda").device, DeviceChoice::Cuda(0));
        let both = device("--device cuda:1 run r.toml --precision f32");
        assert_eq!((both.device, both.precision), (DeviceChoice::Cuda(1), Some(Precision::F32)));
        assert_eq!(refused("run r.toml --device gpu"), ErrorKind::ValueValidation);
        assert_eq!(refused("run r.toml --device cuda --precision f16"), ErrorKind::InvalidValue);
    }

    #[test]
    fn distill_flags_become_a_request() {
        let line = "distill --model m --tokens t --validation v --output o --teacher a --teacher \
         b --kl batchmean --set epochs=2";
        let cli = parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
        let Command::Distill(args) = cli.command else { panic!("not distill") };
        let request = args.request();
        let distill = request.distill.unwrap();
        assert_eq!(
            (request.model, request.recipe, request.overrides),
            ("m", None, &["epochs=2".to_string()][..])
        );
        assert_eq!(
            (distill.teachers, distill.kl, distill.alpha),
            (&["a".to_string(), "b".to_string()][..], Some("batchmean"), None)
        );
    }
}
