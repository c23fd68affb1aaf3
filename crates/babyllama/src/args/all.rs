//! What `evaluate all` understands.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use eval::Benchmark;
use experiment::evaluation::all::{AllSettings, searchable};
use experiment::finetuning::check_seeds;
use experiment::recipe::FinetuneRecipe;

use super::{EvaluateArgs, Rules, output_path};

/// The names under which the data is looked for.
fn folders() -> String {
    let names = searchable().map(|benchmark| benchmark.folders().join(" or "));
    let names: Vec<String> = names.filter(|names| !names.is_empty()).collect();
    format!(
        "The folders of DATA that are known: {}. The age of acquisition needs word_list.csv, and \
         sent_words.json unless --contexts is given. What is not there is left out. With --only \
         and --skip nothing else is scored; what was scored before and is up to date stays in the \
         table and the files.\n\n",
        names.join(", ")
    )
}

const EXAMPLES: &str = "\
Examples:
  babyllama evaluate all runs/quickstart/models/student/final --data data/eval --output results
  babyllama evaluate all models/a models/b --data data/eval --text data/babylm_dev --clean \\
      --seed 1,2,3 --output results
  babyllama evaluate all models/a --data data/eval --contexts clean/aochildes.train \\
      --rules 2023 --output results-2023
  babyllama evaluate all models/a models/b --ensemble --data data/eval --skip glue,msgs \\
      --output results-of-both

Files: OUTPUT/table.md and scores.csv, OUTPUT/MODEL/results.json (as lm-evaluation-harness writes
it), the answers to every item in OUTPUT/MODEL/BENCHMARK/predictions.jsonl, and by the rules of
2024 MODEL_textonly_predictions.json.gz for BabyLM's track, or .incomplete.json.gz where a task of
the track is missing. Of several seeds these two hold the first.";

#[derive(Debug, Args)]
#[command(after_help = folders() + EXAMPLES)]
pub struct AllArgs {
    #[command(flatten)]
    pub common: EvaluateArgs,
    /// Holds the benchmarks' folders, under the names of BabyLM's pipelines.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// Held-out text, for the loss.
    #[arg(long, value_name = "PATH")]
    pub text: Option<PathBuf>,
    /// Clean each file of the held-out text by the rules of its source first.
    #[arg(long, requires = "text")]
    pub clean: bool,
    /// Tokens per sequence of held-out text.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub sequence_length: usize,
    /// Child-directed text, for the age of acquisition: cleaned, one utterance a line.
    #[arg(long, value_name = "FILE_OR_FOLDER")]
    pub contexts: Option<PathBuf>,
    /// Compute the age of acquisition as the pipeline's code does, its peculiarities included.
    #[arg(long)]
    pub as_published: bool,
    /// Whose pipeline to follow.
    #[arg(long, value_enum, default_value_t = Rules::Babylm2024)]
    pub rules: Rules,
    /// Settings of fine-tuning: 2023, 2024, babyllama-1, babyllama-2, or a TOML file [default: by
    /// the rules].
    #[arg(long, value_name = "NAME_OR_FILE")]
    pub recipe: Option<String>,
    /// Override a setting of fine-tuning, such as rte.epochs=2 or default.batch_size=16; may be
    /// given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Seeds of fine-tuning; several give mean and spread [default: the recipe's].
    #[arg(long = "seed", value_name = "N", value_delimiter = ',')]
    pub seeds: Vec<u64>,
    /// Fine-tune for this many steps instead of the recipe's epochs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_steps: Option<u64>,
    /// Only these benchmarks.
    #[arg(
        long,
        value_name = "BENCHMARK",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(searchable().map(value))
    )]
    pub only: Vec<String>,
    /// All but these benchmarks.
    #[arg(
        long,
        value_name = "BENCHMARK",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(searchable().map(value))
    )]
    pub skip: Vec<String>,
    /// Gets the table and a folder for each model; what is done there already is not done again.
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: PathBuf,
}

/// A benchmark's name on the command line.
fn flag(benchmark: &dyn Benchmark) -> String {
    benchmark.name().replace('_', "-")
}

fn value(benchmark: &dyn Benchmark) -> PossibleValue {
    PossibleValue::new(flag(benchmark)).help(benchmark.about())
}

impl AllArgs {
    /// The settings that the flags select.
    ///
    /// # Errors
    /// When the recipe of fine-tuning does not hold.
    pub fn settings(&self) -> experiment::Result<AllSettings> {
        let rules = eval::Rules::from(self.rules);
        let recipe = self.recipe.as_deref().unwrap_or(rules.name());
        let is_wanted = |benchmark: &&'static dyn Benchmark| {
            let name = flag(*benchmark);
            (self.only.is_empty() || self.only.contains(&name)) && !self.skip.contains(&name)
        };
        check_seeds(&self.seeds)?;
        let finetuning = FinetuneRecipe::load(recipe, &self.overrides)?;
        finetuning.require_all_benchmarks()?;
        Ok(AllSettings {
            data: self.data.clone(),
            text: self.text.clone(),
            clean: self.clean,
            sequence_length: self.sequence_length,
            contexts: self.contexts.clone(),
            as_published: self.as_published,
            rules,
            finetuning,
            seeds: self.seeds.clone(),
            max_steps: self.max_steps,
            benchmarks: searchable().filter(is_wanted).collect(),
            output: self.output.clone(),
        })
    }
}
