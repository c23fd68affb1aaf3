//! Scores of model folders, alone or as an ensemble: one file a benchmark, and every available
//! benchmark at once in [`all`].

pub mod ages;
pub mod all;
pub mod challenge;
pub mod choices;
pub mod ewok_filter;
pub mod loss;
mod progress;
pub mod results;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::Tokenizer;
use engine::Device;
use eval::{Backend, EncoderDecoderRule, EvalError, Method, Rules, Scorer};
use model::{Model, ModelError, hugging_face};
use report::format::in_one_line;

use crate::error::Result;
use crate::tokenizers;
use crate::{Observer, position_heads, remarks, verify};

/// Models to score.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSelection {
    /// Model folders.
    pub folders: Vec<PathBuf>,
    /// Whether all are scored as one, by the mean of their logits, instead of each by itself.
    pub ensemble: bool,
}

/// A model folder's model.
pub struct LoadedModel {
    /// The folder.
    pub path: PathBuf,
    /// The model with its weights.
    pub model: Model,
}

impl ModelSelection {
    /// Loads models that predict the next token.
    ///
    /// # Errors
    /// When a folder cannot be read or holds another kind of model.
    pub fn load_causal(
        &self,
        device: &Arc<dyn Device>,
        observer: &dyn Observer,
    ) -> Result<Vec<LoadedModel>> {
        self.load_by(device, observer, hugging_face::load)
    }

    /// Loads models of any kind, masked ones too.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn load(
        &self,
        device: &Arc<dyn Device>,
        observer: &dyn Observer,
    ) -> Result<Vec<LoadedModel>> {
        self.load_by(device, observer, hugging_face::load_any)
    }

    fn load_by(
        &self,
        device: &Arc<dyn Device>,
        observer: &dyn Observer,
        load: impl Fn(&Path, &Arc<dyn Device>) -> std::result::Result<Model, ModelError>,
    ) -> Result<Vec<LoadedModel>> {
        let load = |path: &PathBuf| {
            verify::model_folder(path)?;
            let model = position_heads::settle(path, load(path, device)?, observer)?;
            remarks::warn(path, observer)?;
            Ok(LoadedModel { path: path.clone(), model })
        };
        self.folders.iter().map(load).collect()
    }

    /// The loaded models that are scored together: each by itself, or all as one.
    pub fn groups<'a>(&self, models: &'a [LoadedModel]) -> Vec<&'a [LoadedModel]> {
        if self.ensemble { vec![models] } else { models.chunks(1).collect() }
    }
}

/// What a group of models is called: its folders.
pub fn label(group: &[LoadedModel]) -> String {
    let name = |model: &LoadedModel| in_one_line(&model.path.display().to_string());
    group.iter().map(name).collect::<Vec<_>>().join(" + ")
}

/// The models of a group.
pub fn models(group: &[LoadedModel]) -> Vec<&Model> {
    group.iter().map(|loaded| &loaded.model).collect()
}

/// The tokenizer of a group of models.
///
/// # Errors
/// When a folder has none, or the models' tokenizers differ.
pub fn tokenizer(group: &[LoadedModel]) -> Result<Tokenizer> {
    let tokenizer = Tokenizer::from_folder(&group[0].path)?;
    for other in &group[1..] {
        tokenizers::require_same(&other.path, "model", &tokenizer)?;
    }
    Ok(tokenizer)
}

/// A scorer of models that read with one tokenizer, and the id of the token that stands before a
/// text without a context: by the rules where they predict the next token; of masked models in 2023
/// the one that begins every text, and in 2024 the one that ends it, as of encoder-decoders always.
/// By the back end `mntp` it is the one that begins every text.
///
/// # Errors
/// When the tokenizer lacks such a token, or the models cannot be scored together.
pub fn scorer<'a>(
    models: &[&'a Model],
    Method { rules, backend }: Method,
    tokenizer: &Tokenizer,
) -> Result<(Scorer<'a>, u32)> {
    if backend == Backend::Mntp {
        if !models.iter().all(|model| model.config().architecture.is_causal()) {
            return Err(EvalError::NotMaskedNext.into());
        }
        let tokens = tokenizers::masked_tokens(tokenizer)?;
        return Ok((Scorer::masked_next(models.to_vec(), tokens)?, tokens.start));
    }
    if models.iter().all(|model| model.config().architecture.is_causal()) {
        return Ok((Scorer::new(models.to_vec())?, tokenizers::prefix(rules, tokenizer)?));
    }
    if models.iter().any(|model| model.config().architecture.is_encoder_decoder()) {
        let tokens = tokenizers::encoder_decoder_tokens(tokenizer)?;
        // The pipeline of 2024 has nothing for them, and that of 2025 this.
        let rule = match rules == Rules::Year2023 {
            true => EncoderDecoderRule::Continuation,
            false => EncoderDecoderRule::HiddenTokens,
        };
        return Ok((Scorer::encoder_decoder(models.to_vec(), tokens, rule)?, tokens.end));
    }
    let tokens = tokenizers::masked_tokens(tokenizer)?;
    let scorer = Scorer::masked(models.to_vec(), tokens)?;
    Ok(match rules == Rules::Year2023 {
        true => (scorer, tokens.start),
        // minicons scores a text after that of the token that ends texts.
        false => (scorer.by_mean(), tokens.end),
    })
}
