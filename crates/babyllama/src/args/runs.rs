//! What `run` and the commands on the folders of runs understand.

use std::path::PathBuf;

use clap::Args;

use super::output_path;

#[derive(Debug, Args)]
#[command(after_help = "\
Without a recipe the run in --output goes on with its own, in which --set values of earlier calls
are kept. Training with other settings that took more than a minute is set aside only after a
question, or with --replace.

Examples:
  babyllama run recipes/quickstart.toml
  babyllama run recipes/quickstart.toml --set student.train.learning_rate=3e-4 --output runs/trial
  babyllama run --output runs/trial
  babyllama run recipes/study/distillation.toml --only plain,two
  babyllama run recipes/babylm-1m.toml --set corpus.source=data/babylm_10M --threads 2")]
pub struct RunArgs {
    /// The recipe, a TOML file [default: the one in the run's folder].
    #[arg(required_unless_present = "output")]
    pub recipe: Option<PathBuf>,
    /// Override a value, such as student.train.epochs=4; may be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// The run's folder [default: runs/NAME, by the recipe's name].
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: Option<PathBuf>,
    /// Share cleaned text, tokenizer and tokens with other runs, in FOLDER/FINGERPRINT [default:
    /// each run has its own].
    #[arg(long, value_name = "FOLDER")]
    pub prepared: Option<PathBuf>,
    /// Train and score these models alone, with the teachers that they need. The name of a model
    /// with several `seeds` stands for all of them.
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Set training with other settings aside and train again, without a question.
    #[arg(long)]
    pub replace: bool,
    /// Show which stages are done, to do, or would be done again and why; do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print every event as a line of JSON instead of text.
    #[arg(long, visible_alias = "events", conflicts_with = "quiet")]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What the run has done already takes no time. Without a recipe the one in --output counts.

Examples:
  babyllama plan recipes/quickstart.toml
  babyllama plan recipes/quickstart.toml --set student.train.epochs=4 --output runs/trial
  babyllama plan recipes/study/distillation.toml --only plain,two
  babyllama plan --output runs/trial")]
pub struct PlanArgs {
    /// The recipe, a TOML file [default: the one in the run's folder].
    #[arg(required_unless_present = "output")]
    pub recipe: Option<PathBuf>,
    /// Override a value, such as student.train.epochs=4; may be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// The run's folder [default: runs/NAME, by the recipe's name].
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: Option<PathBuf>,
    /// Plan these models alone, with the teachers that they need, as `run --only` would.
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub only: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  babyllama status runs/quickstart")]
pub struct StatusArgs {
    /// The run's folder.
    pub run: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The page is that of `report`, and takes what is new by itself: curves, tables, samples, scores and
figures. It is at the address that is printed, for this machine alone; from another one, take
`ssh -L 8400:127.0.0.1:8400 HOST` and --port 8400. Ctrl-C ends it; the run goes on.

Examples:
  babyllama watch runs/quickstart
  babyllama watch runs/quickstart --port 8400
  babyllama watch runs/sweeps/quickstart")]
pub struct WatchArgs {
    /// A folder as `report` takes it: of a run, a training, an evaluation or a sweep.
    pub run: PathBuf,
    /// The port to listen on; 0 takes any that is free.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  babyllama list runs")]
pub struct ListArgs {
    /// Holds runs.
    #[arg(default_value = "runs")]
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Whether a difference between two models is more than chance, item by item, is for `evaluate
compare`.

Example:
  babyllama compare runs/quickstart runs/trial")]
pub struct CompareRunsArgs {
    /// The runs' folders.
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub runs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Results, finished models and unfinished training stay, and nothing is trained again for what goes.

Examples:
  babyllama clean runs/quickstart
  babyllama clean runs/quickstart --yes")]
pub struct CleanArgs {
    /// The run's folder.
    pub run: PathBuf,
    /// Remove without a question.
    #[arg(long)]
    pub yes: bool,
}
