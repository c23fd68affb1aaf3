//! What a recipe takes, before anything runs: parameters, tokens, FLOPs, memory, disk.

mod machine;
pub mod memory;
mod scoring;
pub mod signals;
mod speed;

use std::path::Path;

use corpus::Tokenizer;
use engine::Arithmetic;
use model::{ModelConfig, hugging_face};
use train::TrainSettings;
use train::optimizers::OptimizerSettings;

use crate::error::{Context, Result};
use crate::recipe::{ModelSection, Recipe, Source, Start};
use memory::TrainingMemory;
use scoring::TextTokens;
use signals::{Choice, choices, cost};

pub use machine::require_memory;
pub use speed::measured_flops;

/// Tokens per word of BabyLM text under a byte-level BPE of 16,000 entries (14.7 M tokens of 9.88 M
/// words).
pub const TOKENS_PER_WORD: f64 = 1.49;

/// What one model takes.
pub struct Estimate {
    /// Weights.
    pub parameters: usize,
    /// Tokens that are read in all epochs.
    pub tokens: f64,
    /// Floating-point operations, with those of its teachers and of held-out evaluations.
    pub flops: f64,
    /// Bytes.
    pub memory: f64,
    /// Bytes, with its teacher cache.
    pub disk: f64,
    /// The kinds of teacher outputs; none without teachers.
    pub choices: Vec<Choice>,
    /// Without those of its teachers.
    pub own_flops: f64,
    /// What a GPU must hold.
    pub on_device: TrainingMemory,
}

/// A model's name, its section of the recipe, and what it takes.
pub type ModelEstimate<'a> = (&'a String, &'a ModelSection, Estimate);

/// What a whole recipe takes.
pub struct RecipeEstimate<'a> {
    /// Words of the training text.
    pub words: f64,
    /// Tokens of the training text.
    pub tokens: f64,
    /// In the recipe's order.
    pub models: Vec<ModelEstimate<'a>>,
    /// Operations of the scores at the end, of all models and ensembles.
    pub scoring_flops: f64,
    /// Whether the tokens are those of the run's own files.
    pub tokens_are_known: bool,
}

impl<'a> RecipeEstimate<'a> {
    /// Estimates every model of a recipe, for a device that multiplies in this arithmetic.
    ///
    /// # Errors
    /// When the text or a model folder that the recipe names cannot be read.
    ///
    /// `run` is the run's folder once its tokens are made, which then need no estimate.
    pub fn of(recipe: &'a Recipe, arithmetic: Arithmetic, run: Option<&Path>) -> Result<Self> {
        let words = training_words(recipe)?;
        let text = match run {
            Some(run) => TextTokens::of_run(run)?,
            None => TextTokens::estimated(recipe, words)?,
        };
        let of_one =
            |(name, section)| Ok((name, section, estimate(recipe, section, text, arithmetic)?));
        let models: Vec<ModelEstimate<'a>> =
            recipe.models.iter().map(of_one).collect::<Result<_>>()?;
        let scoring_flops = scoring_flops(recipe, text)?;
        let (tokens, tokens_are_known) = (text.training, run.is_some());
        Ok(Self { words, tokens, models, scoring_flops, tokens_are_known })
    }

    /// The sum of a number over all models.
    pub fn sum(&self, of: impl Fn(&Estimate) -> f64) -> f64 {
        self.models.iter().map(|(_, _, estimate)| of(estimate)).sum()
    }

    /// Whether any model has teachers.
    pub fn has_students(&self) -> bool {
        self.models.iter().any(|(_, section, _)| section.distill.is_some())
    }
}

fn training_words(recipe: &Recipe) -> Result<f64> {
    let section = &recipe.corpus;
    match (&section.source, section.words) {
        (Source::Builtin, words) => Ok(words as f64),
        (Source::Folder(_), words) if words > 0 => Ok(words as f64),
        (Source::Folder(folder), _) => scoring::words_of(folder),
    }
}

/// Operations of the closing table: every model and ensemble on the held-out text and the pairs.
fn scoring_flops(recipe: &Recipe, text: TextTokens) -> Result<f64> {
    let pairs = scoring::pair_tokens(recipe)?;
    let mut all = 0.0;
    for (name, section) in &recipe.models {
        let config = config(recipe, section)?;
        let held_out = match recipe.evaluate.loss {
            true => scoring::evaluated_tokens(&section.train, text.held_out),
            false => 0.0,
        };
        let length = section.train.sequence_length;
        let ensembles = recipe.evaluate.ensembles.iter().filter(|models| models.contains(name));
        let times = 1 + ensembles.count();
        all += times as f64
            * (config.forward_flops_per_token(length) * held_out
                + config.forward_flops_per_token(SENTENCE) * pairs);
    }
    Ok(all)
}

/// About how many tokens a sentence of minimal pairs has.
const SENTENCE: usize = 12;

/// The configuration of a recipe's model. A tokenizer that the recipe names decides the size of the
/// vocabulary.
fn config(recipe: &Recipe, section: &ModelSection) -> Result<ModelConfig> {
    match &section.start {
        Start::Random(shape) => Ok(shape.config(vocab_size(recipe)?)),
        Start::Folder(folder) => Ok(hugging_face::load_config(folder)?),
    }
}

fn vocab_size(recipe: &Recipe) -> Result<usize> {
    match &recipe.tokenizer.path {
        Some(path) => Ok(Tokenizer::load(path)?.vocab_size()),
        None => Ok(recipe.tokenizer.vocab_size),
    }
}

/// Refuses a recipe's models that the memory cannot hold ([`require_memory`]).
///
/// # Errors
/// Names the first such model; also when a folder or tokenizer that the recipe names cannot be
/// read.
pub fn require_memory_for_all(recipe: &Recipe) -> Result<()> {
    recipe.models.iter().try_for_each(|(name, section)| {
        require_memory(&format!("models.{name}"), &config(recipe, section)?, &section.train)
    })
}

fn estimate(
    recipe: &Recipe,
    section: &ModelSection,
    text: TextTokens,
    arithmetic: Arithmetic,
) -> Result<Estimate> {
    let tokens = text.training;
    let (config, settings) = (config(recipe, section)?, &section.train);
    let (length, parameters) = (settings.sequence_length, config.parameter_count());
    let seen = match settings.max_steps {
        0 => settings.epochs * tokens,
        steps => steps as f64 * (settings.batch_size * length) as f64,
    };
    // A backward pass is two products for each of the forward's.
    let evaluated =
        scoring::evaluations(seen, tokens) * scoring::evaluated_tokens(settings, text.held_out);
    let own_flops = config.forward_flops_per_token(length) * (3.0 * seen + evaluated);
    let (mut flops, mut found) = (own_flops, Vec::new());
    let optimizer = OptimizerSettings::from(settings);
    let state = optimizer.bytes_per_weight() as f64;
    let mut memory = state_bytes(&config, &optimizer) + activation_bytes(&config, settings);
    // Two checkpoints of weights and optimizer state, and one more while it is written; the best
    // and the final weights.
    let mut disk = (3.0 * (4.0 + state) + 2.0 * 4.0) * parameters as f64;
    let mut on_device = TrainingMemory::of(&config, settings, &[], None, arithmetic);
    if let Some(distill) = &section.distill {
        let teachers = distill
            .teachers
            .iter()
            .map(|name| teacher(recipe, name))
            .collect::<Result<Vec<_>>>()?;
        let cost = cost(distill, settings, &teachers, tokens, seen);
        flops += cost.flops;
        disk += cost.disk;
        found = choices(distill, settings, &teachers, tokens, seen);
        on_device =
            TrainingMemory::of(&config, settings, &teachers, Some(distill.signal), arithmetic);
        // Until everything is kept, the teachers are in memory whatever the signal is.
        memory +=
            teachers.iter().map(|teacher| 4.0 * teacher.parameter_count() as f64).sum::<f64>();
    }
    Ok(Estimate {
        parameters,
        tokens: seen,
        flops,
        memory,
        disk,
        choices: found,
        own_flops,
        on_device,
    })
}

fn teacher(recipe: &Recipe, name: &str) -> Result<ModelConfig> {
    match recipe.models.get(name) {
        Some(section) => config(recipe, section),
        None => hugging_face::load_config(Path::new(name)).within(|| format!("teacher {name}")),
    }
}

/// Bytes of weights, gradient and optimizer state.
fn state_bytes(config: &ModelConfig, optimizer: &OptimizerSettings) -> f64 {
    (8 + optimizer.bytes_per_weight()) as f64 * config.parameter_count() as f64
}

/// What a step keeps for its backward: per layer about ten rows of hidden size and three of the
/// intermediate size, and blocks of logits.
fn activation_bytes(config: &ModelConfig, settings: &TrainSettings) -> f64 {
    let sequences =
        if settings.micro_batch_size > 0 { settings.micro_batch_size } else { settings.batch_size };
    let per_token = config.num_layers * (10 * config.hidden_size + 3 * config.intermediate_size);
    4.0 * sequences as f64 * settings.sequence_length as f64 * per_token as f64 + 64e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe;

    #[test]
    fn what_is_kept_of_teachers_counts_as_disk() {
        let model = "architecture = 'llama'\nhidden_size = 64\nintermediate_size = 96\nnum_layers \
         = 2\nnum_heads = 4";
        let disk = |distill: &str| {
            let text = format!(
                "[models.a]\n{model}\n[models.b]\n{model}\n[models.b.distill]\nteachers = \
                 ['a']\n{distill}"
            );
            let recipe = recipe::embedded("two.toml", &text).unwrap();
            let text = TextTokens { training: 1e6, held_out: 1e5 };
            estimate(&recipe, &recipe.models["b"], text, Arithmetic::F32).unwrap().disk
        };
        let alone = disk("");
        assert_eq!(disk("signal = 'hidden'") - alone, 1e6 * 64.0 * 4.0);
        assert_eq!(disk("signal = 'hidden'\ncodec = 'bf16'") - alone, 1e6 * 64.0 * 2.0);
        assert_eq!(disk("signal = 'sampled'\nsamples = 10") - alone, 1e6 * 24.0);
    }
}
