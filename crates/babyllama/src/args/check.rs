//! What `check` understands.

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Compares the device that --device names with the CPU: every operation forward and backward on many
shapes, the losses of pretraining, distillation and fine-tuning step by step, scores, and runs
that begin on one of the two and end on the other.

Examples:
  babyllama check --device cuda
  babyllama check --device cuda --precision f32 --steps 20 --json")]
pub struct CheckArgs {
    /// Steps of every training run.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(2..=100_000)
    )]
    pub steps: u64,
    /// Leave the single operations out.
    #[arg(long)]
    pub only_models: bool,
    /// Print JSON in place of the table.
    #[arg(long)]
    pub json: bool,
}
