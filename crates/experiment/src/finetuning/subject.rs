//! A language model that is to be fine-tuned: its folder, and what its texts look like.

use std::path::{Path, PathBuf};

use corpus::Tokenizer;
use eval::Rules;
use eval::classification::{Around, ClassificationTask, SpecialTokens};
use model::{Architecture, ModelError, hugging_face};
use serde_json::Value;
use train::finetune::ClassifierHead;

use super::items::JobItems;
use super::jobs::Job;
use crate::error::{Context, Result, refuse};
use crate::identity;
use crate::observer::Observer;
use crate::recipe::FinetuneRecipe;
use crate::{tokenizers, verify};

/// A language model that is to be fine-tuned.
pub struct FinetuneSubject {
    /// A short name, for messages and folders.
    pub name: String,
    pub(super) folder: PathBuf,
    pub(super) tokenizer: Tokenizer,
    /// What stands around texts: what its tokenizer puts there, and by the rules of 2023 and 2024
    /// the ends that masked models and encoder-decoders need.
    pub(super) special_tokens: SpecialTokens,
    /// Everything in the folder that decides.
    pub(super) identity: Value,
    /// Tokens that the model reads at most.
    pub(super) positions: usize,
    vocab_size: usize,
    family: Architecture,
}

impl FinetuneSubject {
    /// Looks at a Hugging Face folder, which must have a tokenizer, for fine-tuning by the rules of
    /// a pipeline.
    ///
    /// # Errors
    /// When the folder cannot be read, or its tokenizer lacks what the rules need.
    pub fn open(
        name: String,
        folder: &Path,
        rules: Rules,
        observer: &dyn Observer,
    ) -> Result<Self> {
        verify::model_folder(folder)?;
        let config = hugging_face::load_any_config(folder)?;
        let tokenizer = Tokenizer::from_folder(folder)?;
        let family = config.architecture;
        let has_ends = rules.score_texts() && family.classifies_both_ways();
        let (tokenizer, special_tokens) = match (has_ends, family.is_encoder_decoder()) {
            (false, _) => {
                let special_tokens = own_special_tokens(&tokenizer)?;
                (tokenizer, special_tokens)
            }
            (true, false) => with_ends(&tokenizer)?,
            (true, true) => {
                let special_tokens = with_end(&tokenizer)?;
                (tokenizer, special_tokens)
            }
        };
        Ok(Self {
            name,
            folder: folder.to_owned(),
            tokenizer,
            special_tokens,
            identity: identity::model(folder, observer)?,
            positions: match rules.score_texts() {
                true => config.max_positions,
                false => config.longest_readable(),
            },
            vocab_size: config.vocab_size,
            family,
        })
    }

    /// A job's items as the model reads them, of `max_length` tokens at most.
    ///
    /// # Errors
    /// When an item cannot be encoded.
    pub(super) fn items(&self, job: &Job, rules: Rules, max_length: usize) -> Result<JobItems> {
        let tokenizer = tokenizers::of_rules(rules, &self.tokenizer)?;
        let max_length = self.positions.min(max_length);
        Ok(JobItems::new(job, &tokenizer, &self.special_tokens, max_length, self.vocab_size)?)
    }

    /// Warns where a head reads the first token of a model that reads from left to right.
    ///
    /// # Errors
    /// When the model cannot have the head of one of the tasks.
    pub fn check_head(
        &self,
        recipe: &FinetuneRecipe,
        tasks: &[&'static ClassificationTask],
        observer: &dyn Observer,
    ) -> Result<()> {
        let has = |head| tasks.iter().any(|task| recipe.settings(task).head == head);
        let (first, last) =
            (ClassifierHead::PerceptronFirstToken, ClassifierHead::PerceptronLastToken);
        if self.family.is_encoder_decoder() && (has(first) || has(last)) {
            let cause = ModelError::HeadOfEncoderDecoder;
            return refuse(format_args!("{}: {cause}", self.name))
                .advise("set default.head=family, whose scores are not the pipeline's");
        }
        if has(first) && !self.family.classifies_both_ways() {
            observer.warn(format_args!(
                "{}: its first token has read nothing else, and is what the recipe classifies \
                 (--set default.head=perceptron_last_token takes the last)",
                self.name
            ));
        }
        Ok(())
    }
}

/// The tokenizer of a masked model, and what it puts around texts.
pub(super) fn with_ends(tokenizer: &Tokenizer) -> Result<(Tokenizer, SpecialTokens)> {
    let tokenizer = tokenizer.of_masked_model()?;
    let special_tokens = own_special_tokens(&tokenizer)?;
    Ok((tokenizer, special_tokens))
}

/// What an encoder-decoder's tokenizer puts around texts: by itself, or else the token that ends
/// texts behind each.
fn with_end(tokenizer: &Tokenizer) -> Result<SpecialTokens> {
    let own = own_special_tokens(tokenizer)?;
    if own != SpecialTokens::default() {
        return Ok(own);
    }
    let end = vec![tokenizers::encoder_decoder_end(tokenizer)?];
    let single = Around { after: end.clone(), ..Around::default() };
    Ok(SpecialTokens { pair: Around { between: end, ..single.clone() }, single })
}

/// What a tokenizer puts around one text and around two.
fn own_special_tokens(tokenizer: &Tokenizer) -> Result<SpecialTokens> {
    let around = |pair| {
        tokenizer.tokens_around(pair).map(|[before, between, after]| Around {
            before,
            between,
            after,
        })
    };
    Ok(SpecialTokens { single: around(false)?, pair: around(true)? })
}
