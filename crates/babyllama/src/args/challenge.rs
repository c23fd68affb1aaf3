//! What `evaluate challenge` understands.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueEnum};
use eval::challenge::reading::ReadingMode;
use eval::challenge::{ChallengeBackend, ChallengeYear};
use experiment::evaluation::challenge::{
    AnyTask, ChallengeSettings, CheckpointSettings, all_tasks,
};
use train::settings::ChallengeTrack;

use super::{EvaluateArgs, output_path};

#[derive(Debug, Args)]
#[command(after_help = "\
DATA is the folder full_eval of the pipeline's evaluation_data; a task whose folder is not there is
left out. Texts are read with the special tokens that the model's own tokenizer puts around texts,
and no other. Of equal scores the first counts in 2025; in 2026 one is drawn, the same every time.
The age of acquisition (aoa) is measured over the checkpoints of a training, with --checkpoints;
GLUE is what finetune --recipe 2026 has left, with --finetuned.

Examples:
  babyllama evaluate challenge runs/quickstart/models/student/final \\
      --data evaluation_data/full_eval --output results
  babyllama evaluate challenge models/a models/b --rules 2025 --data evaluation_data/full_eval \\
      --only blimp-filtered,comps --output results-2025

Files: OUTPUT/MODEL/main/zero_shot/BACKEND/TASK/DATASET/predictions.json and
best_temperature_report.txt, as the pipeline writes them, and of all tasks together
OUTPUT/MODEL/all_full_preds_and_fast_scores_BACKEND.json.")]
pub struct ChallengeArgs {
    #[command(flatten)]
    pub common: EvaluateArgs,
    /// Holds the tasks' folders, under the names of the pipeline.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// Whose pipeline to follow.
    #[arg(long, value_enum, default_value_t = ChallengeRules::Babylm2026)]
    pub rules: ChallengeRules,
    /// How models are asked [default: by the model's kind].
    #[arg(long, value_enum)]
    pub backend: Option<ChallengeBackendFlag>,
    /// Only these tasks.
    #[arg(
        long,
        value_name = "TASK",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(
            all_tasks().filter(|task| task.has_data()).map(value)
        )
    )]
    pub only: Vec<String>,
    /// Read the tokens that a word has in its text, instead of those that the pipeline asks for.
    #[arg(long)]
    pub proper_reading: bool,
    /// Holds the checkpoints of the model's training, chck_1M and so on, which are scored too.
    #[arg(long, value_name = "FOLDER", requires = "fast_data")]
    pub checkpoints: Option<PathBuf>,
    /// Holds the smaller tasks for checkpoints: fast_eval of the pipeline's evaluation_data.
    #[arg(long, value_name = "FOLDER", requires = "checkpoints")]
    pub fast_data: Option<PathBuf>,
    /// The track, which states which checkpoints there are to be.
    #[arg(long, value_enum, default_value_t = TrackFlag::StrictSmall, requires = "checkpoints")]
    pub track: TrackFlag,
    /// Holds the models' fine-tunings for GLUE: the output of finetune --recipe with the same year.
    /// Their answers join the file of all answers.
    #[arg(long, value_name = "FOLDER")]
    pub finetuned: Option<PathBuf>,
    /// Gets a folder for each model; what is done there already is not done again.
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: PathBuf,
}

/// Whose pipeline of the challenge scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChallengeRules {
    /// BabyLM 2025.
    #[value(name = "2025")]
    Babylm2025,
    /// BabyLM 2026.
    #[value(name = "2026")]
    Babylm2026,
}

/// A track of the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TrackFlag {
    /// 10 million words of text: 19 checkpoints, the last after 100 million words.
    #[value(alias = "strict_small")]
    StrictSmall,
    /// 100 million words of text: 28 checkpoints, the last after a billion words.
    Strict,
}

impl From<TrackFlag> for ChallengeTrack {
    fn from(flag: TrackFlag) -> Self {
        match flag {
            TrackFlag::StrictSmall => Self::StrictSmall,
            TrackFlag::Strict => Self::Strict,
        }
    }
}

impl From<ChallengeRules> for ChallengeYear {
    fn from(rules: ChallengeRules) -> Self {
        match rules {
            ChallengeRules::Babylm2025 => Self::Year2025,
            ChallengeRules::Babylm2026 => Self::Year2026,
        }
    }
}

/// How models are asked, by the names of the pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChallengeBackendFlag {
    /// Each token from those before it.
    #[value(name = "causal")]
    Causal,
    /// Each token, hidden, from all others.
    #[value(name = "mlm")]
    Mlm,
    /// Each token, hidden, from all others, at the token before it.
    #[value(name = "mntp")]
    Mntp,
    /// Each token, hidden from the encoder, by the decoder.
    #[value(name = "enc_dec_mask", alias = "enc-dec-mask")]
    EncDecMask,
}

impl From<ChallengeBackendFlag> for ChallengeBackend {
    fn from(flag: ChallengeBackendFlag) -> Self {
        match flag {
            ChallengeBackendFlag::Causal => Self::Causal,
            ChallengeBackendFlag::Mlm => Self::Mlm,
            ChallengeBackendFlag::Mntp => Self::Mntp,
            ChallengeBackendFlag::EncDecMask => Self::EncDecMask,
        }
    }
}

/// A task's name on the command line.
fn flag(task: AnyTask) -> String {
    task.name().replace('_', "-")
}

fn value(task: AnyTask) -> PossibleValue {
    PossibleValue::new(flag(task)).alias(task.name()).help(task.title())
}

impl ChallengeArgs {
    /// The settings that the flags select.
    pub fn settings(&self) -> ChallengeSettings {
        let some = |(folder, data): (&PathBuf, &PathBuf)| CheckpointSettings {
            folder: folder.clone(),
            data: data.clone(),
            track: self.track.into(),
        };
        ChallengeSettings {
            data: self.data.clone(),
            year: self.rules.into(),
            backend: self.backend.map(ChallengeBackend::from),
            reading: match self.proper_reading {
                true => ReadingMode::Proper,
                false => ReadingMode::Published,
            },
            checkpoints: self.checkpoints.as_ref().zip(self.fast_data.as_ref()).map(some),
            finetuned: self.finetuned.clone(),
            only: self.only.iter().map(|name| name.replace('-', "_")).collect(),
            output: self.output.clone(),
        }
    }
}
