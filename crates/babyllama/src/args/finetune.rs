//! What `finetune` understands.

use std::path::PathBuf;

use clap::Args;
use experiment::finetuning::{FinetuneJob, check_seeds};
use experiment::recipe::FinetuneRecipe;

use super::output_path;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  babyllama finetune runs/quickstart/models/student/final --data data/eval/glue_filtered \\
      --output runs/finetune
  babyllama finetune models/a models/b --data data/eval --tasks rte,wsc --seed 1,2,3 \\
      --output runs/finetune
  babyllama finetune models/a --data data/eval/glue_filtered --tasks glue --recipe babyllama-2 \\
      --output runs/finetune
  babyllama finetune models/a --data data/eval --tasks msgs --recipe babyllama-1 \\
      --output runs/finetune --keep
  babyllama finetune models/a --data data/eval --tasks rte --set rte.epochs=2 \\
      --output runs/trial --json rte.json
  babyllama finetune models/a --data evaluation_data/full_eval --recipe 2026 --output runs/glue-2026

Files of OUTPUT/MODEL/TASK/seed-N: result.json, predictions.txt (as the pipeline of 2024 writes
it, all validation items), predictions.jsonl (logits of the items that the score counts), and with
--keep model/, a Hugging Face folder.")]
pub struct FinetuneArgs {
    /// Hugging Face folders of language models (ELC-BERT, GPT-2, GPT-BERT, GPT-J, LLaMA, LTG-BERT,
    /// OPT, Qwen3, RoBERTa, Switch, T5) with their tokenizers, each fine-tuned by itself.
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// A folder of TASK.train.jsonl and TASK.valid.jsonl (or the names of 2023), or one that holds
    /// glue_filtered/ and msgs/.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// Tasks such as rte,wsc; glue stands for those of the recipe's pipeline (eleven, by 2025 and
    /// 2026 seven), msgs for eleven [default: both, as far as files are there].
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// Settings of every task: 2023, 2024, 2025, 2026, babyllama-1, babyllama-2, or a TOML file.
    #[arg(long, value_name = "NAME_OR_FILE", default_value = "2024")]
    pub recipe: String,
    /// Override a setting, such as rte.epochs=2 or default.batch_size=16; may be given more than
    /// once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Seeds of head, order and dropout; several give mean and spread [default: the recipe's].
    #[arg(long = "seed", value_name = "N", value_delimiter = ',')]
    pub seeds: Vec<u64>,
    /// Gets MODEL/TASK/seed-N/; what is done there already is not done again.
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: PathBuf,
    /// Keep the fine-tuned classifiers.
    #[arg(long)]
    pub keep: bool,
    /// Train for this many steps instead of the recipe's epochs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_steps: Option<u64>,
    /// Show MSGS's scores over all validation items, as its pipeline did before 2023-10-06.
    #[arg(long)]
    pub msgs_all_rows: bool,
    /// Write all results here too, as JSON.
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub json: Option<PathBuf>,
    /// Print every event as a line of JSON instead of text, the last with the scores.
    #[arg(long, conflicts_with = "quiet")]
    pub events: bool,
}

impl FinetuneArgs {
    /// The settings that the flags select.
    ///
    /// # Errors
    /// When the recipe does not hold.
    pub fn job(&self) -> experiment::Result<FinetuneJob> {
        check_seeds(&self.seeds)?;
        Ok(FinetuneJob {
            models: self.models.clone(),
            data: self.data.clone(),
            tasks: self.tasks.clone(),
            recipe: FinetuneRecipe::load(&self.recipe, &self.overrides)?,
            seeds: self.seeds.clone(),
            max_steps: self.max_steps,
            keep: self.keep,
            msgs_all_rows: self.msgs_all_rows,
            output: self.output.clone(),
        })
    }
}
