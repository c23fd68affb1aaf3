//! Every available benchmark, for every model, and one table.
//!
//! Each benchmark of each model is a stage: what is done already is skipped, so that an evaluation
//! that was cut goes on. What fails by itself does not end the rest.

mod available;
pub(crate) mod differences;
mod exports;
pub(crate) mod model_scores;
pub(crate) mod parts;
pub(crate) mod report;
pub(crate) mod scoring;
mod task_table;

use std::path::PathBuf;
use std::sync::Arc;

use engine::Device;
use eval::{Benchmark, Rules};

use super::loss::HeldoutText;
use super::results::{claim_folders, names_of};
use super::{ModelSelection, label};
use crate::error::{FileContext, Result, wrong_usage};
use crate::failures::Failures;
use crate::files::{make_folder, write_text};
use crate::lock::RunLock;
use crate::observer::Observer;
use crate::outputs::{self, Kind};
use crate::recipe::FinetuneRecipe;
use model_scores::ModelScores;
use scoring::Scoring;

pub use available::searchable;
pub use report::Report;

const TABLE: &str = "table.md";
pub(crate) const SCORES: &str = "scores.csv";

/// What is measured, with which data, and where the results go.
#[derive(Clone, Debug)]
pub struct AllSettings {
    /// Holds the benchmarks' folders, under the names of BabyLM's pipelines.
    pub data: PathBuf,
    /// Held-out text, for the loss.
    pub text: Option<PathBuf>,
    /// Whether each file of the held-out text is cleaned by the rules of its source first.
    pub clean: bool,
    /// Tokens per sequence of held-out text.
    pub sequence_length: usize,
    /// Child-directed text, for the age of acquisition.
    pub contexts: Option<PathBuf>,
    /// Whether the age of acquisition is computed as the pipeline's code does.
    pub as_published: bool,
    /// Whose pipeline to follow.
    pub rules: Rules,
    /// Settings of fine-tuning.
    pub finetuning: FinetuneRecipe,
    /// Seeds of fine-tuning; none for the recipe's.
    pub seeds: Vec<u64>,
    /// Steps of fine-tuning instead of the recipe's epochs.
    pub max_steps: Option<u64>,
    /// The benchmarks to measure, as far as their data is available.
    pub benchmarks: Vec<&'static dyn Benchmark>,
    /// Gets the table and a folder for each model; what is done there already is not done again.
    pub output: PathBuf,
}

/// What an evaluation came to.
pub struct AllOutcome {
    /// The table in all its forms.
    pub report: Report,
    /// What failed by itself.
    pub failures: Failures,
}

/// Scores all models. `device` opens the device once the settings have been checked.
///
/// # Errors
/// When settings, data or models do not fit together, or something fails that concerns all
/// benchmarks.
pub fn evaluate_all(
    selection: &ModelSelection,
    settings: &AllSettings,
    device: impl FnOnce() -> Result<Arc<dyn Device>>,
    observer: &dyn Observer,
) -> Result<AllOutcome> {
    let wanted = |benchmark: &dyn Benchmark| settings.benchmarks.contains(&benchmark);
    let found = available::find(&settings.data, settings.text.as_deref(), wanted)?;
    for (benchmark, why) in &found.missing {
        observer.warn(format_args!("{} is left out: {why}", benchmark.name()));
    }
    if !found.unknown.is_empty() {
        let unknown = found.unknown.join(", ");
        observer.warn(format_args!("no benchmark is known by the folder names: {unknown}"));
    }
    settings.check(found.finetunes())?;
    outputs::check_no_model(&settings.output)?;
    let read = [Some(&settings.data), settings.text.as_ref(), settings.contexts.as_ref()];
    let read: Vec<PathBuf> = read.into_iter().flatten().cloned().collect();
    outputs::check_folder(&settings.output, &read)?;
    Kind::Beginning(report::HEADING).check(&settings.output.join(TABLE))?;
    Kind::Beginning(exports::CSV_HEADING).check(&settings.output.join(SCORES))?;
    make_folder(&settings.output)?;
    let _lock = RunLock::acquire(&settings.output)?;
    let models = selection.load(&device()?, observer)?;
    let groups = selection.groups(&models);
    // Whatever is wrong with a model's folder is known before the first is scored.
    let identities = groups.iter().map(|group| scoring::identities(group, observer));
    let identities = identities.collect::<Result<Vec<_>>>()?;
    let folders = claim_folders(selection, &settings.output, &read)?;
    let names = names_of(&folders);
    let (mut scores, mut failures) = (Vec::new(), Failures::default());
    for (index, group) in groups.into_iter().enumerate() {
        let (folder, identity) = (&folders[index], &identities[index]);
        let empty = ModelScores::new(&names[index], &label(group), group);
        let mut scoring = Scoring::new(settings, observer, group, identity, folder, empty)?;
        for benchmark in &found.available {
            scoring.perform(benchmark, &mut failures)?;
        }
        scoring.write_samples()?;
        let model = scoring.finish();
        exports::write(&model, folder, &found.available, settings.rules, &failures, observer)?;
        scores.push(model);
    }
    failures.keep(&settings.output)?;
    let report = Report::new(scores, settings.rules, &failures)?;
    write_text(&settings.output.join(TABLE), &report.markdown)?;
    write_text(&settings.output.join(SCORES), &report.csv)?;
    Ok(AllOutcome { report, failures })
}

impl AllSettings {
    fn check(&self, finetunes: bool) -> Result<()> {
        if let Some(data) = &self.text {
            let (clean, sequence_length) = (self.clean, self.sequence_length);
            HeldoutText { data, raw_tokens: false, clean, sequence_length }.check()?;
        }
        if finetunes && self.finetuning.rules != self.rules {
            let (recipe, rules) = (self.finetuning.rules.name(), self.rules.name());
            return wrong_usage(format_args!(
                "the recipe fine-tunes by the rules of {recipe}, and --rules is {rules}"
            ));
        }
        let named = self.contexts.iter().chain(&self.text);
        named.into_iter().try_for_each(|path| std::fs::metadata(path).map(drop).at("read", path))
    }
}
