//! What `report` understands.

use std::path::PathBuf;

use clap::Args;

use super::output_path;

#[derive(Debug, Args)]
#[command(after_help = "\
The page needs no network and nothing beside it. `run`, `evaluate all`, `finetune` and `sweep` write
one into their folder when they end. What a folder lacks, because a run has not ended or files are
damaged, the page names. The sections of sweeps stand behind those of runs.

Examples:
  babyllama report runs/quickstart
  babyllama report runs/quickstart runs/trial --output compared.html
  babyllama report runs/quickstart --figures figures --png
  babyllama report runs/quickstart --csv metrics.csv
  babyllama report runs/sweeps/quickstart --csv trials.csv
  babyllama report runs/sweeps/two --csv trials.csv --study two/student")]
pub struct ReportArgs {
    /// Folders that `run`, `pretrain`, `distill`, `evaluate`, `finetune` or `sweep` filled; several
    /// are shown side by side.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The page [default: report.html in the folder, or in the current one of several].
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub output: Option<PathBuf>,
    /// Also write every figure as SVG with its data as CSV, and every table as Markdown, LaTeX and
    /// CSV, into this folder, which holds no run, model or text.
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub figures: Option<PathBuf>,
    /// The figures as PNG too.
    #[arg(long, requires = "figures")]
    pub png: bool,
    /// Also write the metrics of every step of all models, or the trials of a sweep, as one table,
    /// for pandas and R.
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub csv: Option<PathBuf>,
    /// The study whose trials --csv writes, where the sweep has several.
    #[arg(long, value_name = "NAME", requires = "csv")]
    pub study: Option<String>,
}
