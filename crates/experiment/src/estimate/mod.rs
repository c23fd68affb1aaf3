//! What a recipe takes, before anything runs: parameters, tokens, FLOPs, memory, disk, time.

mod machine;
pub mod memory;
mod phases;
mod scoring;
pub mod signals;
pub mod speed;
mod text;
pub mod work;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use engine::{Arithmetic, Device};
use model::{ModelConfig, hugging_face};
use train::TrainSettings;
use train::settings::Selection;

use crate::error::{Context, Result};
use crate::observer::Observer;
use crate::recipe::{ModelSection, Recipe, own_teacher};
use crate::run::curriculum::in_buckets;
use memory::TrainingMemory;
use phases::{PhaseText, Reading, optimizer_bytes};
use signals::{Choice, choices, cost};
use speed::{Speed, Subject};
use text::TextSize;
use work::Work;

pub use machine::require_memory;
pub use phases::PhaseDecay;

/// What one model takes.
pub struct Estimate {
    /// Weights.
    pub parameters: usize,
    /// Tokens that are read in all epochs.
    pub tokens: f64,
    /// Passes over the training text.
    pub epochs: f64,
    /// The memory of the model's weights in each phase in which they decay.
    pub decay: Vec<PhaseDecay>,
    /// What a run would refuse once it has the text, as far as an estimate shows.
    pub refusal: Option<String>,
    /// Floating-point operations of the optimizer, which `work` does not have: measured steps have
    /// their time.
    pub optimizer_flops: f64,
    /// Work of the model's training, with its teachers and held-out evaluations.
    pub work: Work,
    /// Work of the model's training and held-out evaluations, without its teachers.
    pub own_work: Work,
    /// Work of the model's scores at the end, alone and in ensembles.
    pub scoring: Work,
    /// Memory of the training, in bytes.
    pub memory: f64,
    /// Disk space that the model takes.
    pub disk: Disk,
    /// The kinds of teacher outputs; none without teachers.
    pub choices: Vec<Choice>,
    /// What a GPU must hold.
    pub on_device: TrainingMemory,
    /// What the model's speed is measured with.
    subject: Subject,
}

impl Estimate {
    /// Whether training ends before weight decay has any effect: whether its epochs, each as a
    /// share of what the weights remember in it, are less than one memory.
    pub fn decay_is_too_slow(&self) -> bool {
        let memories: f64 = self.decay.iter().map(|phase| phase.epochs / phase.tau).sum();
        !self.decay.is_empty() && memories < 1.0
    }
}

/// Bytes that a model takes of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disk {
    /// Bytes while the model is trained: checkpoints and weights.
    pub training: f64,
    /// Bytes of the weights that stay when the training is finished.
    pub finished: f64,
    /// Bytes of the model's teacher cache, which stays too.
    pub cache: f64,
}

impl Disk {
    /// Bytes while the model is trained, with its teacher cache.
    pub fn all(&self) -> f64 {
        self.training + self.cache
    }
}

/// A model's name, its section of the recipe, and what it takes.
pub type ModelEstimate<'a> = (&'a String, &'a ModelSection, Estimate);

/// What a whole recipe takes.
pub struct RecipeEstimate<'a> {
    /// Words of the training text.
    pub words: f64,
    /// Tokens of the training text.
    pub tokens: f64,
    /// Tokens of a word, counted in a sample.
    pub tokens_per_word: f64,
    /// The models, in the recipe's order.
    pub models: Vec<ModelEstimate<'a>>,
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
    pub fn of(
        recipe: &'a Recipe,
        arithmetic: Arithmetic,
        run: Option<&Path>,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let text = TextSize::of(recipe, run, observer)?;
        let pairs = scoring::pair_tokens(recipe, text.tokens_per_word)?;
        let of_one = |(name, section): (&'a String, &'a ModelSection)| {
            let mut estimate =
                estimate(recipe, section, &text, arithmetic).within(|| format!("models.{name}"))?;
            estimate.scoring = scoring_work(recipe, name, section, &estimate, &text, pairs);
            Ok((name, section, estimate))
        };
        let models: Vec<ModelEstimate<'a>> =
            recipe.models.iter().map(of_one).collect::<Result<_>>()?;
        Ok(Self {
            words: text.words,
            tokens: text.training,
            tokens_per_word: text.tokens_per_word,
            models,
            tokens_are_known: text.is_known,
        })
    }

    /// How fast a device trains each model, measured in a few steps; models of one shape once.
    ///
    /// # Errors
    /// When a step fails.
    pub fn speeds(&self, device: &Arc<dyn Device>, observer: &dyn Observer) -> Result<Vec<Speed>> {
        let mut known: Vec<(&Subject, Speed)> = Vec::new();
        observer.begin("speeds", "models", self.models.len() as u64, 0);
        for (name, _, Estimate { subject, .. }) in &self.models {
            observer.advance(known.len() as u64, name);
            let same = known.iter().find(|(other, _)| other.is_as_fast(subject));
            let speed = match same {
                Some((_, speed)) => *speed,
                None => Speed::measure(device, subject)?,
            };
            known.push((subject, speed));
        }
        observer.end(known.len() as u64, "");
        Ok(known.into_iter().map(|(_, speed)| speed).collect())
    }

    /// The most bytes of disk at a time: models are trained one after the other, and what is
    /// finished keeps its weights and caches. Students with the same cache share it.
    pub fn peak_disk(&self) -> f64 {
        let (mut kept, mut peak) = (0.0, 0.0f64);
        let mut caches = Vec::new();
        for (_, section, Estimate { disk, .. }) in &self.models {
            let cache = section.distill.as_ref().map(|distill| {
                let settings = &section.train;
                let text = (settings.sequence_length, &settings.chunk_offsets);
                (&distill.teachers, distill.signal, distill.codec, distill.samples, text)
            });
            let is_new = cache.is_some_and(|cache| match caches.contains(&cache) {
                true => false,
                false => {
                    caches.push(cache);
                    true
                }
            });
            kept += if is_new { disk.cache } else { 0.0 };
            peak = peak.max(kept + disk.training);
            kept += disk.finished;
        }
        peak
    }

    /// Whether any model has teachers.
    pub fn has_students(&self) -> bool {
        self.models.iter().any(|(_, section, _)| section.distill.is_some())
    }
}

/// Floating-point operations of the training of each of a recipe's models, with what its teachers
/// read for it; none of a model that starts or learns from a folder that cannot be read any more.
/// `words` are those of the training text, whose tokens are in the folder of the run.
///
/// # Errors
/// When the run's tokens cannot be read.
pub(crate) fn training_flops(
    recipe: &Recipe,
    words: f64,
    run: &Path,
) -> Result<BTreeMap<String, f64>> {
    let text = TextSize::of_run(recipe, words, run)?;
    let of_one = |(name, section): (&String, &ModelSection)| {
        let estimate = estimate(recipe, section, &text, Arithmetic::F32).ok()?;
        Some((name.clone(), estimate.work.flops() + estimate.optimizer_flops))
    };
    Ok(recipe.models.iter().filter_map(of_one).collect())
}

/// The closing table's share of a model: it reads the held-out text and the pairs, alone and in
/// each ensemble.
fn scoring_work(
    recipe: &Recipe,
    name: &str,
    section: &ModelSection,
    estimate: &Estimate,
    text: &TextSize,
    pairs: f64,
) -> Work {
    let config = &estimate.subject.config;
    let held_out = match recipe.evaluate.loss {
        true => scoring::evaluated_tokens(&section.train, text.held_out),
        false => 0.0,
    };
    let ensembles =
        recipe.evaluate.ensembles.iter().filter(|models| models.iter().any(|model| model == name));
    let times = 1 + ensembles.count();
    // Where hidden tokens are predicted, a sentence is read once for each of its tokens.
    let readings = if config.architecture.is_causal() { 1 } else { SENTENCE };
    let reading = section.train.forward_flops_per_token(config) * held_out
        + readings as f64 * config.forward_flops_per_token(SENTENCE) * pairs;
    Work { reading: times as f64 * reading, ..Work::default() }
}

/// An estimated text counts as too short only when it is too short by this factor.
const ESTIMATE_MARGIN: f64 = 1.2;

/// About how many tokens a sentence of minimal pairs has.
const SENTENCE: usize = 12;

/// Refuses a recipe's models that the memory cannot hold ([`require_memory`]).
///
/// # Errors
/// Names the first such model; also when a folder or tokenizer that the recipe names cannot be
/// read.
pub fn require_memory_for_all(recipe: &Recipe) -> Result<()> {
    let vocab_size = text::vocab_size(recipe, None)?;
    recipe.models.iter().try_for_each(|(name, section)| {
        require_memory(&format!("models.{name}"), &section.config(vocab_size)?, &section.train)
    })
}

fn estimate(
    recipe: &Recipe,
    section: &ModelSection,
    text: &TextSize,
    arithmetic: Arithmetic,
) -> Result<Estimate> {
    let tokens = text.training;
    let config = section.config(text.vocab_size)?;
    let settings = &in_buckets(&section.train, &text.readability)?;
    let parameters = config.parameter_count();
    let reading = Reading::of(settings, tokens, |sources| text.share(sources));
    let (seen, evaluations) = (reading.seen(), reading.evaluations);
    let phases = PhaseText::new(settings, text);
    // Only the real number of tokens is as exact as the run.
    let refusal = match text.is_known {
        true => phases.check(1.0).map(|()| None)?,
        false => phases.check(ESTIMATE_MARGIN).err().map(|error| error.to_string()),
    };
    let (decay, optimizer_flops) = (phases.decay(), phases.optimizer_flops(&config.layout()));
    let evaluated = evaluations * scoring::evaluated_tokens(settings, text.held_out);
    let forward = settings.forward_flops_per_token(&config);
    let weights = 4.0 * parameters as f64;
    let averaged = if settings.has_average() { weights } else { 0.0 };
    let state = (optimizer_bytes(settings) * parameters) as f64 + averaged;
    // The best and the final weights stay, and snapshots. Beside them are two checkpoints of
    // weights and optimizer state, and one more while it is written.
    let words_seen = seen * text.words / tokens.max(1.0);
    let of_challenge = settings
        .challenge_checkpoints
        .map_or(0, |track| track.reached(0.0, words_seen, true).len());
    let finished = (2 + settings.snapshots.len() + of_challenge) as f64 * weights;
    let mut disk = Disk { training: 3.0 * (weights + state) + finished, finished, cache: 0.0 };
    let own_work = Work {
        // A backward pass is two products for each of the forward's.
        training: reading
            .phases
            .iter()
            .map(|(tokens, passes)| (*tokens, 3.0 * passes * forward))
            .collect(),
        reading: forward * evaluated,
        // After each evaluation a checkpoint, and the weights where they are the best.
        written: evaluations * (2.0 * weights + state),
    };
    let (mut work, mut found, mut teachers) = (own_work.clone(), Vec::new(), Vec::new());
    let mut memory = state_bytes(&config, settings) + activation_bytes(&config, settings);
    let mut on_device = TrainingMemory::of(&config, settings, &[], None, arithmetic);
    if let Some(distill) = &section.distill {
        let names = distill.teachers.iter();
        teachers =
            names.map(|name| teacher(recipe, name, text.vocab_size)).collect::<Result<Vec<_>>>()?;
        let cost = cost(distill, settings, &teachers, tokens, reading.taught);
        work = own_work.with_teachers(&cost);
        // Held-out text that teachers read too.
        let by_objective = settings.select_by == Selection::Objective;
        let once = scoring::evaluated_tokens(settings, text.held_out);
        let read = if by_objective { evaluated } else { 0.0 };
        let read = read + if distill.fit_weights { once } else { 0.0 };
        let forward =
            |teacher: &ModelConfig| teacher.forward_flops_per_token(settings.sequence_length);
        work.reading += read * teachers.iter().map(forward).sum::<f64>();
        disk.cache = cost.disk;
        found = choices(distill, settings, &teachers, tokens, reading.taught);
        on_device =
            TrainingMemory::of(&config, settings, &teachers, Some(distill.signal), arithmetic);
        // Until everything is kept, the teachers are in memory whatever the signal is.
        memory +=
            teachers.iter().map(|teacher| 4.0 * teacher.parameter_count() as f64).sum::<f64>();
    }
    let (settings, distill) = (settings.clone(), section.distill.clone());
    Ok(Estimate {
        parameters,
        tokens: seen,
        epochs: seen / tokens,
        decay,
        refusal,
        optimizer_flops,
        work,
        own_work,
        scoring: Work::default(),
        memory,
        disk,
        choices: found,
        on_device,
        subject: Subject { config, teachers, settings, distill },
    })
}

fn teacher(recipe: &Recipe, name: &str, vocab_size: usize) -> Result<ModelConfig> {
    match own_teacher(recipe, name) {
        Some(own) => Ok(own.model.config(vocab_size)?),
        None => hugging_face::load_config(Path::new(name)).within(|| format!("teacher {name}")),
    }
}

/// Bytes of weights, gradient, optimizer state and copies of the weights.
fn state_bytes(config: &ModelConfig, settings: &TrainSettings) -> f64 {
    let kept = optimizer_bytes(settings) + memory::copies(settings);
    (8 + kept) as f64 * config.parameter_count() as f64
}

/// What a step keeps for its backward: per layer about ten rows of hidden size and three of the
/// intermediate size, and blocks of logits.
fn activation_bytes(config: &ModelConfig, settings: &TrainSettings) -> f64 {
    let batch = settings.phases.iter().filter_map(|phase| phase.batch_size).max();
    let batch = batch.unwrap_or(0).max(settings.batch_size);
    let sequences = if settings.micro_batch_size > 0 { settings.micro_batch_size } else { batch };
    let per_token = config.num_layers * (10 * config.hidden_size + 3 * config.intermediate_size);
    4.0 * sequences as f64 * settings.sequence_length as f64 * per_token as f64 + 64e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe;

    const MODEL: &str = "architecture = 'llama'\nhidden_size = 64\nintermediate_size = \
                         96\nnum_layers = 2\nnum_heads = 4";

    fn text() -> TextSize {
        TextSize {
            words: 8e5,
            training: 1e6,
            held_out: 1e5,
            tokens_per_word: 1.25,
            vocab_size: 1000,
            is_known: true,
            ..TextSize::default()
        }
    }

    #[test]
    fn what_is_kept_of_teachers_counts_as_disk() {
        let disk = |distill: &str| {
            let text_of_recipe = format!(
                "[models.a]\n{MODEL}\n[models.b]\n{MODEL}\n[models.b.distill]\nteachers = \
                 ['a']\n{distill}"
            );
            let recipe = recipe::embedded("two.toml", &text_of_recipe).unwrap();
            let found = estimate(&recipe, &recipe.models["b"], &text(), Arithmetic::F32).unwrap();
            assert_eq!(found.work.written - found.own_work.written, found.disk.cache);
            found.disk.cache
        };
        assert_eq!(disk(""), 0.0);
        assert_eq!(disk("signal = 'hidden'"), 1e6 * 64.0 * 4.0);
        assert_eq!(disk("signal = 'hidden'\ncodec = 'bf16'"), 1e6 * 64.0 * 2.0);
        assert_eq!(disk("signal = 'sampled'\nsamples = 10"), 1e6 * 24.0);
    }

    #[test]
    fn the_memory_of_the_weights_is_compared_with_the_epochs() {
        let found = |train: &str| {
            let recipe = format!("[models.a]\n{MODEL}\n[models.a.train]\n{train}");
            let recipe = recipe::embedded("one.toml", &recipe).unwrap();
            let text = TextSize { is_known: true, ..text() };
            let found = estimate(&recipe, &recipe.models["a"], &text, Arithmetic::F32);
            found.map(|found| {
                let tau = found.decay.first().map(|phase| phase.tau);
                (tau, found.epochs, found.decay_is_too_slow())
            })
        };
        // 7812 sequences are 245 steps of 32.
        let tau = 1.0 / (3e-4 * 0.1 * 245.0);
        assert_eq!(found("weight_decay = 0.1").unwrap(), (Some(tau), 3.0, true));
        assert_eq!(found("epochs = 200\nweight_decay = 0.1").unwrap(), (Some(tau), 200.0, false));
        assert_eq!(found("weight_decay_epochs = 0.3").unwrap(), (Some(0.3), 3.0, false));
        assert_eq!(found("max_steps = 10").unwrap(), (None, 0.04096, false));
        let refused = found("weight_decay_epochs = 0.003").unwrap_err().to_string();
        assert!(refused.contains("0.003 (0.73 steps); it must be more than one step"), "{refused}");
    }

    #[test]
    fn the_peak_of_the_disk_is_not_the_sum() {
        let distill = "teachers = ['a']\nsignal = 'sampled'\nsamples = 10";
        let recipe = format!(
            "[corpus]\nwords = 3000\n[tokenizer]\nvocab_size = 300\n[models.a]\n{MODEL}\n\
             [models.b]\n{MODEL}\n[models.b.distill]\n{distill}\n\
             [models.c]\n{MODEL}\n[models.c.distill]\n{distill}"
        );
        let recipe = recipe::embedded("three.toml", &recipe).unwrap();
        let found = RecipeEstimate::of(&recipe, Arithmetic::F32, None, &crate::Silent).unwrap();
        let disks: Vec<Disk> = found.models.iter().map(|(.., estimate)| estimate.disk).collect();
        assert!(disks[1] == disks[2] && disks[1].cache > 0.0 && disks[0].cache == 0.0);
        // The last is trained beside the weights of two and the cache that both students share.
        let expected = 2.0 * disks[0].finished + disks[1].cache + disks[2].training;
        assert_eq!(found.peak_disk(), expected);
    }

    #[test]
    fn evaluations_scores_and_files_are_part_of_the_work() {
        let recipe = format!(
            "[models.a]\n{MODEL}\ntrain.epochs = 2.5\n[models.b]\n{MODEL}\n[evaluate]\n\
             ensembles = [['a', 'b']]"
        );
        let recipe = recipe::embedded("two.toml", &recipe).unwrap();
        let section = &recipe.models["a"];
        let found = estimate(&recipe, section, &text(), Arithmetic::F32).unwrap();
        let forward = found.subject.config.forward_flops_per_token(128);
        assert_eq!(found.work.training, [(2.5e6, 3.0 * forward)]);
        let evaluated = scoring::evaluated_tokens(&section.train, 1e5);
        assert_eq!(found.work.reading, 3.0 * evaluated * forward);
        assert_eq!(found.work.written, 3.0 * 16.0 * found.parameters as f64);
        let scores = scoring_work(&recipe, "a", section, &found, &text(), 1000.0);
        let sentence = found.subject.config.forward_flops_per_token(SENTENCE);
        assert_eq!(scores.reading, 2.0 * (evaluated * forward + 1000.0 * sentence));
    }

    #[test]
    fn masked_models_read_a_sentence_once_for_each_token() {
        let masked = "[models.a]\narchitecture = 'ltg-bert'\nhidden_size = 64\n\
                      intermediate_size = 128\nnum_layers = 1\nnum_heads = 2";
        let recipe = format!("[tokenizer]\nmask_token = true\n{masked}\n[evaluate]\nloss = false");
        let recipe = recipe::embedded("masked.toml", &recipe).unwrap();
        let section = &recipe.models["a"];
        let found = estimate(&recipe, section, &text(), Arithmetic::F32).unwrap();
        let scores = scoring_work(&recipe, "a", section, &found, &text(), 1000.0);
        let sentence = found.subject.config.forward_flops_per_token(SENTENCE);
        assert_eq!(scores.reading, 1000.0 * SENTENCE as f64 * sentence);
    }
}
