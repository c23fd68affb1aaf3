//! The models that are measured: those of the papers' recipes, which are part of the program, or of
//! the user's own.

use std::path::{Path, PathBuf};

use model::{ModelConfig, hugging_face};
use train::optimizers::OptimizerKind;
use train::{DistillSettings, TrainError, TrainSettings};

use crate::args::bench::{
    ModelChoice, Preset, StepShape, StudentChoice, StudentPreset, TeacherSignal,
};
use crate::failure::WrongUsage;
use experiment::recipe::{self, ModelSection, Recipe};

/// A recipe that is part of the program: its path in the repository and its text.
type Embedded = (&'static str, &'static str);

macro_rules! embedded {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../../../", $path)))
    };
}

const SMALL_MODELS: Embedded = embedded!("recipes/babyllama-1/small-models.toml");
const BABYLLAMA_1: Embedded = embedded!("recipes/babyllama-1/strict-small.toml");
const BABYLLAMA_2: Embedded = embedded!("recipes/babyllama-2/strict-small.toml");

/// More than any memory holds, and few enough that no count of tokens overflows.
const MOST_TOKENS: usize = 1 << 30;

/// A model and the steps that it takes.
#[derive(Debug)]
pub struct Subject {
    pub name: String,
    pub config: ModelConfig,
    pub settings: TrainSettings,
    /// A student's teachers, by name; empty for a model that is trained alone.
    pub teachers: Vec<(String, ModelConfig)>,
    pub distill: Option<DistillSettings>,
    /// The kind of teacher outputs.
    pub signal: Option<TeacherSignal>,
    pub tokens_per_step: usize,
}

impl Subject {
    /// A model by itself, whether or not its recipe gives it teachers.
    pub fn model(choice: &ModelChoice, shape: &StepShape) -> anyhow::Result<Self> {
        let preset = match choice.preset.unwrap_or_default() {
            Preset::Llama16m => (SMALL_MODELS, "llama-16m", 2048),
            Preset::Llama58m => (BABYLLAMA_1, "llama-58m", 4096),
            Preset::Llama345m => (BABYLLAMA_2, "teacher-1", 2048),
            Preset::Gpt2 => (SMALL_MODELS, "gpt-97m", 2048),
            Preset::Gptj => (SMALL_MODELS, "gptj-97m", 2048),
        };
        let subject = Self::choose(&choice.config, &choice.model, preset)?;
        Self { teachers: Vec::new(), distill: None, ..subject }.shaped(shape)
    }

    /// A student with its teachers.
    pub fn student(
        choice: &StudentChoice,
        signal: TeacherSignal,
        shape: &StepShape,
    ) -> anyhow::Result<Self> {
        let preset = match choice.preset.unwrap_or_default() {
            StudentPreset::BabyLlama1 => (BABYLLAMA_1, "llama-58m", 4096),
            StudentPreset::BabyLlama2 => (BABYLLAMA_2, "student", 2048),
        };
        let subject = Self::choose(&choice.config, &choice.model, preset)?;
        if subject.teachers.is_empty() {
            let name = subject.name;
            let why = format!(
                "{name} has no teachers; give it some in [models.{name}.distill], or try `bench \
                 train`"
            );
            anyhow::bail!(WrongUsage(why));
        }
        Self { signal: Some(signal), ..subject }.shaped(shape)
    }

    /// The model of the user's recipe, or else of a preset: recipe, name and tokens per step.
    fn choose(
        config: &Option<PathBuf>,
        model: &Option<String>,
        preset: (Embedded, &str, usize),
    ) -> anyhow::Result<Self> {
        match (config, model) {
            (Some(path), Some(name)) => Self::of_recipe(&own(path, name)?, name, None),
            _ => {
                let ((path, text), name, tokens) = preset;
                Self::of_recipe(&recipe::embedded(path, text)?, name, Some(tokens))
            }
        }
    }

    fn of_recipe(recipe: &Recipe, name: &str, tokens: Option<usize>) -> anyhow::Result<Self> {
        let section = &recipe.models[name];
        let distill = section.distill.clone();
        let teachers = distill.iter().flat_map(|distill| &distill.teachers);
        let teacher_config = |teacher: &String| {
            let config = match recipe.models.get(teacher) {
                Some(section) => config(recipe, section)?,
                None => hugging_face::load_config(Path::new(teacher))?,
            };
            Ok((teacher.clone(), config))
        };
        Ok(Self {
            name: name.to_owned(),
            config: config(recipe, section)?,
            settings: section.train.clone(),
            teachers: teachers.map(teacher_config).collect::<anyhow::Result<_>>()?,
            distill,
            signal: None,
            tokens_per_step: tokens.unwrap_or_else(|| {
                section.train.batch_size.saturating_mul(section.train.sequence_length)
            }),
        })
    }

    /// This subject with the requested tokens per step and per sequence.
    fn shaped(mut self, shape: &StepShape) -> anyhow::Result<Self> {
        let length = shape.sequence_length.unwrap_or(self.settings.sequence_length);
        let tokens = shape.tokens_per_step.unwrap_or(self.tokens_per_step);
        if length < 2 {
            anyhow::bail!(WrongUsage(format!(
                "--sequence-length is {length}; it must be at least 2"
            )));
        }
        if tokens > MOST_TOKENS {
            anyhow::bail!(WrongUsage(format!(
                "--tokens-per-step is {tokens}; it must be at most {MOST_TOKENS}"
            )));
        }
        if tokens == 0 || !tokens.is_multiple_of(length) {
            let why = format!(
                "--tokens-per-step is {tokens}; it must be a multiple of the sequence's {length} \
                 tokens"
            );
            anyhow::bail!(WrongUsage(why));
        }
        let models = [(&self.name, &self.config)].into_iter();
        for (name, config) in
            models.chain(self.teachers.iter().map(|(name, config)| (name, config)))
        {
            if config.max_positions < length {
                let (model, max_positions) = (name.clone(), config.max_positions);
                Err(TrainError::TooManyPositions {
                    sequence_length: length,
                    model,
                    max_positions,
                })?;
            }
        }
        self.settings.sequence_length = length;
        self.settings.batch_size = tokens / length;
        self.settings.micro_batch_size =
            shape.micro_batch_size.unwrap_or(self.settings.micro_batch_size);
        self.tokens_per_step = tokens;
        Ok(self)
    }

    /// This subject with another optimizer, at its defaults.
    pub fn with_optimizer(mut self, name: Option<&str>) -> Self {
        if let Some(optimizer) = name.and_then(OptimizerKind::named) {
            self.settings.optimizer = optimizer;
            self.settings.optimizer_options.clear();
        }
        self
    }

    /// Sequences of one forward and backward pass.
    pub fn micro_batch(&self) -> usize {
        match self.settings.micro_batch_size {
            0 => self.settings.batch_size,
            size => size.min(self.settings.batch_size),
        }
    }

    /// Floating-point operations of a training step per token: the student's forward pass and twice
    /// as much for its backward, and of the teachers the forward passes, or the logits alone where
    /// their final states are kept.
    pub fn flops_per_token(&self) -> f64 {
        let length = self.settings.sequence_length;
        let of_teacher = |config: &ModelConfig| match self.signal {
            Some(TeacherSignal::Online) => config.forward_flops_per_token(length),
            Some(TeacherSignal::Hidden | TeacherSignal::HiddenBf16) => {
                2.0 * (config.vocab_size * config.hidden_size) as f64
            }
            Some(TeacherSignal::Sampled) | None => 0.0,
        };
        let teachers: f64 = self.teachers.iter().map(|(_, config)| of_teacher(config)).sum();
        3.0 * self.settings.forward_flops_per_token(&self.config) + teachers
    }
}

/// The user's recipe, which has the named model.
fn own(path: &Path, name: &str) -> anyhow::Result<Recipe> {
    let recipe = recipe::load(path, &[])?;
    if !recipe.models.contains_key(name) {
        let known = recipe.models.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        anyhow::bail!(WrongUsage(format!(
            "{} has no model {name}; it has {known}",
            path.display()
        )));
    }
    Ok(recipe)
}

fn config(recipe: &Recipe, section: &ModelSection) -> anyhow::Result<ModelConfig> {
    let config = section.config(recipe.tokenizer.vocab_size)?;
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(preset: Preset, shape: &StepShape) -> anyhow::Result<Subject> {
        Subject::model(&ModelChoice { preset: Some(preset), ..ModelChoice::default() }, shape)
    }

    #[test]
    fn presets_are_the_papers_models() {
        for (preset, parameters, tokens) in [
            (Preset::Llama16m, 16_584_960, 2048),
            (Preset::Llama58m, 58_343_936, 4096),
            (Preset::Llama345m, 345_355_200, 2048),
            (Preset::Gpt2, 97_540_608, 2048),
            (Preset::Gptj, 97_304_704, 2048),
        ] {
            let subject = model(preset, &StepShape::default()).unwrap();
            assert_eq!(
                (subject.config.parameter_count(), subject.tokens_per_step),
                (parameters, tokens)
            );
            assert_eq!(subject.settings.batch_size * 128, tokens);
            assert!(subject.teachers.is_empty());
            assert_eq!(subject.config.attention_dropout, 0.0);
        }
        let student = |preset| {
            let choice = StudentChoice { preset: Some(preset), config: None, model: None };
            let subject =
                Subject::student(&choice, TeacherSignal::Online, &StepShape::default()).unwrap();
            let sizes: Vec<usize> =
                subject.teachers.iter().map(|(_, config)| config.parameter_count()).collect();
            (subject.config.parameter_count(), sizes)
        };
        assert_eq!(
            student(StudentPreset::BabyLlama1),
            (58_343_936, vec![359_973_888, 704_732_160])
        );
        assert_eq!(
            student(StudentPreset::BabyLlama2),
            (345_355_200, vec![345_355_200, 345_355_200])
        );
    }

    #[test]
    fn steps_that_no_model_can_take_are_refused() {
        let refused = |tokens_per_step, sequence_length| {
            let shape = StepShape { tokens_per_step, sequence_length, micro_batch_size: None };
            model(Preset::Llama16m, &shape).unwrap_err().to_string()
        };
        assert!(
            refused(Some(100), None).contains("--tokens-per-step is 100; it must be a multiple")
        );
        assert!(refused(Some(0), None).contains("--tokens-per-step is 0"));
        assert!(refused(Some(usize::MAX / 128 * 128), None).contains("it must be at most"));
        assert!(refused(None, Some(1)).contains("--sequence-length is 1"));
        assert!(refused(None, Some(512)).contains("llama-16m has 256 positions"));
        let shape = StepShape {
            tokens_per_step: Some(192),
            sequence_length: Some(64),
            ..StepShape::default()
        };
        let subject = model(Preset::Llama16m, &shape).unwrap();
        assert_eq!(
            (subject.settings.batch_size, subject.micro_batch(), subject.tokens_per_step),
            (3, 3, 192)
        );
        let at_a_time = |micro_batch_size| {
            let tokens_per_step = Some(16_384);
            let shape = StepShape { tokens_per_step, micro_batch_size, ..StepShape::default() };
            model(Preset::Llama345m, &shape).unwrap().micro_batch()
        };
        assert_eq!([None, Some(0), Some(5)].map(at_a_time), [32, 128, 5]);
    }
}
