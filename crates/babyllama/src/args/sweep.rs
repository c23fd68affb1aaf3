//! What `babyllama sweep` understands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::output_path;

#[derive(Debug, Subcommand)]
pub enum SweepCommand {
    /// Create a sweep, train all its trials, confirm the best, and print the table: all on this
    /// machine.
    Run(SweepRunArgs),
    /// Show the space, the rungs and the cost of a sweep before anything runs.
    Plan(SweepRecipeArgs),
    /// Make a sweep's folder and its studies in the store; nothing is trained.
    Create(SweepCreateArgs),
    /// Train trials until all are done: any number of workers may, at any time, on any machine.
    Work(SweepWorkArgs),
    /// Show how far a sweep is: the best so far, what runs, what was stopped and why.
    Status(SweepStatusArgs),
    /// Ask all workers to stop after the trial at hand.
    Stop(SweepStopArgs),
    /// Add a point for any worker to train; what it leaves out is proposed.
    Enqueue(SweepEnqueueArgs),
    /// Train failed trials again.
    Retry(SweepRetryArgs),
    /// Print the recipe of the best trial.
    Best(SweepBestArgs),
    /// Train the best and the baseline again with fresh seeds, and rank them by their means.
    Confirm(SweepConfirmArgs),
    /// Write all trials as a table, as lines of JSON, or as a SQLite store.
    Export(SweepExportArgs),
    /// Make a sweep's recipe of a W&B sweep.yaml.
    Import(SweepImportArgs),
    /// Compute every proposal again, from what was there when it was made.
    Check(SweepPlaceArgs),
}

#[derive(Debug, Args)]
pub struct SweepRecipeArgs {
    /// The sweep's recipe, a TOML file.
    pub recipe: PathBuf,
    /// Override a value of the sweep, such as trials=40, or of the recipe that it varies, such as
    /// corpus.words=30000; may be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

#[derive(Debug, Args)]
pub struct JobsArgs {
    /// Workers at a time, each with its share of the threads.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    pub jobs: u16,
}

#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Where the trials are stored: sqlite:FILE or postgresql://USER@HOST/DATABASE, the password
    /// in PGPASSWORD [default: store.db in the sweep's folder].
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The store is an Optuna database: `optuna-dashboard sqlite:///runs/sweeps/quickstart/store.db` shows
it while it grows. Given again, the command goes on where it was.

Examples:
  babyllama sweep run recipes/sweeps/quickstart.toml
  babyllama sweep run recipes/sweeps/quickstart.toml --set trials=8 --output runs/sweeps/short")]
pub struct SweepRunArgs {
    #[command(flatten)]
    pub create: SweepCreateArgs,
    #[command(flatten)]
    pub jobs: JobsArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Given again with another number of trials, it raises (or lowers) that of the sweep.

Examples:
  babyllama sweep create recipes/sweeps/babyllama-2-teachers.toml
  babyllama sweep create recipes/sweeps/quickstart.toml --store postgresql://me@db.host/sweeps")]
pub struct SweepCreateArgs {
    #[command(flatten)]
    pub recipe: SweepRecipeArgs,
    /// The sweep's folder [default: runs/sweeps/NAME, by the recipe's name].
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub store: StoreArgs,
}

#[derive(Debug, Args)]
pub struct SweepPlaceArgs {
    /// The sweep's folder.
    pub sweep: PathBuf,
    #[command(flatten)]
    pub store: StoreArgs,
    /// The study, where the store holds several of the sweep or the folder is new here [default:
    /// all of the sweep's, by its folder's name].
    #[arg(long, value_name = "NAME")]
    pub study: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
SIGTERM, Ctrl-C and the end of the time give the trial at hand back, with its checkpoint; a worker
that is killed is taken for lost after a while, and another goes on.

Examples:
  babyllama sweep work runs/sweeps/quickstart
  babyllama sweep work runs/sweeps/teachers --jobs 4 --for 3h50m
  babyllama sweep work runs/sweeps/teachers --study teachers \\
      --store postgresql://me@db.host/sweeps")]
pub struct SweepWorkArgs {
    #[command(flatten)]
    pub place: SweepPlaceArgs,
    #[command(flatten)]
    pub jobs: JobsArgs,
    /// Stop after this time, such as 3h50m.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub time: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  babyllama sweep status runs/sweeps/quickstart --trials")]
pub struct SweepStatusArgs {
    #[command(flatten)]
    pub place: SweepPlaceArgs,
    /// Show every trial.
    #[arg(long)]
    pub trials: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  babyllama sweep stop runs/sweeps/quickstart
  babyllama sweep stop runs/sweeps/quickstart --undo")]
pub struct SweepStopArgs {
    #[command(flatten)]
    pub place: SweepPlaceArgs,
    /// At once: the trials at hand are given back with their checkpoints.
    #[arg(long, conflicts_with = "undo")]
    pub now: bool,
    /// Let workers begin again.
    #[arg(long)]
    pub undo: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  babyllama sweep enqueue runs/sweeps/quickstart train.learning_rate=3e-3 train.batch_size=16")]
pub struct SweepEnqueueArgs {
    #[command(flatten)]
    pub place: SweepPlaceArgs,
    /// Values by their keys in the space.
    #[arg(required = true, value_name = "KEY=VALUE")]
    pub values: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  babyllama sweep retry runs/sweeps/quickstart 7")]
pub struct SweepRetryArgs {
    #[command(flatten)]
    pub place: SweepPlaceArgs,
    /// Numbers of failed trials [default: all].
    #[arg(value_name = "NUMBER")]
    pub numbers: Vec<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  babyllama sweep best runs/sweeps/quickstart
  babyllama sweep best runs/sweeps/quickstart --round 2 --output best.toml")]
pub struct SweepBestArgs {
    #[command(flatten)]
    pub place: SweepPlaceArgs,
    /// Round numbers to this many significant digits, as the paper did.
    #[arg(long, value_name = "DIGITS", value_parser = clap::value_parser!(u8).range(1..=17))]
    pub round: Option<u8>,
    /// The trial [default: the best].
    #[arg(long, value_name = "NUMBER")]
    pub trial: Option<u64>,
    /// Write to a file.
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A gain counts as confirmed when it is more than twice the standard deviation of the difference to
the baseline over the seeds. How many of the best, and how many seeds, is `confirm` of the recipe.

Example:
  babyllama sweep confirm runs/sweeps/quickstart")]
pub struct SweepConfirmArgs {
    #[command(flatten)]
    pub work: SweepWorkArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A table with a column for each setting and score.
    Csv,
    /// A line of JSON for each trial.
    Jsonl,
    /// The whole store as a SQLite file, as Optuna opens it.
    Sqlite,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  babyllama sweep export runs/sweeps/quickstart csv --output trials.csv
  babyllama sweep export runs/sweeps/quickstart sqlite --output copy.db")]
pub struct SweepExportArgs {
    #[command(flatten)]
    pub place: SweepPlaceArgs,
    /// What to write.
    #[arg(value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,
    /// Write to a file.
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  babyllama sweep import sweep.yaml --recipe recipes/babyllama-2/strict-small.toml \\
      --model teacher-1 --output sweep.toml")]
pub struct SweepImportArgs {
    /// W&B's file.
    pub sweep: PathBuf,
    /// The recipe that varies.
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// The model of that recipe that is trained in every trial.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Write to a file.
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub output: Option<PathBuf>,
}
