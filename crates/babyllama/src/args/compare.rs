//! What `evaluate compare` understands.

use std::path::PathBuf;

use clap::Args;

use super::output_path;

#[derive(Debug, Args)]
#[command(after_help = "\
A and B are what `evaluate ... --output` left: folders with predictions.jsonl and result.json, or
the former alone (then every score is an accuracy). For each task and for the mean of all it shows

  interval     range of the difference B - A if the same tasks had other items: paired bootstrap
  McNemar p    exact test of the items that only one of the models answers rightly; the mean has
               those of all tasks
  exchange p   how often the difference would be as large if answers were exchanged between the
               models at random

A small p means that these items separate the models. It does not mean that another seed would.

Examples:
  babyllama evaluate compare results/undistilled/blimp_filtered results/student/blimp_filtered
  babyllama evaluate compare a/predictions.jsonl b/predictions.jsonl --resamples 100000 \\
      --json comparison.json")]
pub struct CompareArgs {
    /// The first model's answers.
    #[arg(value_name = "A")]
    pub first: PathBuf,
    /// The second model's answers to the same items.
    #[arg(value_name = "B")]
    pub second: PathBuf,
    /// Samples for intervals and tests.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub resamples: u32,
    /// Share of the samples inside the interval.
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    pub confidence: f64,
    /// Seed of the samples; the same seed gives the same samples.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Write all numbers here too, as JSON.
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub json: Option<PathBuf>,
}
