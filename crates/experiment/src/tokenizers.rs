//! Tokenizers of models that are used together, and how pipelines use them.

use std::borrow::Cow;
use std::path::Path;

use corpus::Tokenizer;
use corpus::tokenizer::{Role, sentinel};
use eval::{EvalError, Rules};
use model::{Architecture, EncoderDecoderTokens, HiddenTokens, MaskedTokens, SentinelTokens};

use crate::error::{Context, Result, refuse};

/// The tokens of a text, for the functions of `eval`.
///
/// # Errors
/// When the tokenizer fails at the text.
pub(crate) fn encode(
    tokenizer: &Tokenizer,
    text: &str,
) -> std::result::Result<Vec<u32>, EvalError> {
    tokenizer.encode(text).map_err(|cause| EvalError::Encoding { cause: cause.to_string() })
}

/// Refuses a model folder whose tokenizer is not the given one: equal sizes are not enough, since
/// ids would mean other words. `role` is what the folder is used as, such as `teacher`.
///
/// # Errors
/// When the folder has no tokenizer, or another one.
pub fn require_same(folder: &Path, role: &str, tokenizer: &Tokenizer) -> Result<()> {
    let shown = folder.display();
    let theirs = Tokenizer::from_folder(folder)
        .within(|| format!("cannot compare the tokenizer of {role} {shown}"))
        .advise("put the tokenizer.json that it was trained with into its folder")?;
    match theirs.first_difference(tokenizer) {
        None => Ok(()),
        Some(difference) => {
            refuse(format_args!("{role} {shown} was trained with another tokenizer: {difference}"))
                .advise(
                    "give the recipe that tokenizer with tokenizer.path, or train the teacher \
                     within the recipe",
                )
        }
    }
}

/// The id of the token that a pipeline puts before a text: in 2023 the one that ends texts, in 2024
/// the one that begins them, or else the next that the tokenizer has.
///
/// # Errors
/// When the tokenizer has none of them, or names one that its vocabulary does not have.
pub fn prefix(rules: Rules, tokenizer: &Tokenizer) -> Result<u32> {
    let roles = match rules == Rules::Year2023 {
        true => &[Role::End][..],
        false => &[Role::Begin, Role::End, Role::Padding],
    };
    for &role in roles {
        if let Some(id) = tokenizer.role_id(role) {
            return Ok(id);
        }
        // Transformers' id of it leads to no row of the model's embedding.
        if let Some(token) = tokenizer.role_outside(role) {
            Err(EvalError::PrefixOutside { role: role.key(), token: token.to_owned() })?;
        }
    }
    let (token, rules) = (rules.prefix_token(), rules.name());
    Err(EvalError::NoPrefixToken { token, rules })?
}

/// The special tokens of a masked model.
///
/// # Errors
/// When the tokenizer lacks one.
pub fn masked_tokens(tokenizer: &Tokenizer) -> std::result::Result<MaskedTokens, EvalError> {
    let id = |role, name| tokenizer.role_id(role).ok_or(EvalError::NoMaskedToken { role: name });
    Ok(MaskedTokens {
        start: id(Role::Classifier, "token to begin texts")?,
        mask: id(Role::Mask, "mask token")?,
        end: id(Role::Separator, "token to end texts")?,
    })
}

/// The special tokens of an encoder-decoder. What stands for hidden tokens is the mask token or, as
/// in T5's tokenizers, which have none, the first sentinel (`enc_dec_mask` of
/// github.com/babylm/evaluation-pipeline-2025).
///
/// # Errors
/// When the tokenizer lacks one.
pub fn encoder_decoder_tokens(
    tokenizer: &Tokenizer,
) -> std::result::Result<EncoderDecoderTokens, EvalError> {
    let mask = tokenizer.role_id(Role::Mask);
    let hidden = mask.or_else(|| tokenizer.token_id(&sentinel(0)));
    Ok(EncoderDecoderTokens {
        begin: tokenizer.role_id(Role::Begin),
        hidden: hidden.ok_or(EvalError::NoEncoderDecoderToken {
            role: "mask token or sentinel (<extra_id_0>)",
        })?,
        end: encoder_decoder_end(tokenizer)?,
    })
}

/// What stands for hidden parts of texts in training, by the kind of the model.
///
/// # Errors
/// When the tokenizer lacks a token that every such model needs.
pub(crate) fn hidden_tokens(
    tokenizer: &Tokenizer,
    family: Architecture,
) -> std::result::Result<HiddenTokens, EvalError> {
    if !family.is_encoder_decoder() {
        return Ok(masked_tokens(tokenizer)?.into());
    }
    let sentinels = (0..).map_while(|number| tokenizer.token_id(&sentinel(number))).collect();
    Ok(HiddenTokens::Spans(SentinelTokens { end: encoder_decoder_end(tokenizer)?, sentinels }))
}

/// The token that ends every text of an encoder-decoder.
///
/// # Errors
/// When the tokenizer has none.
pub(crate) fn encoder_decoder_end(tokenizer: &Tokenizer) -> std::result::Result<u32, EvalError> {
    let end = tokenizer.role_id(Role::End);
    end.ok_or(EvalError::NoEncoderDecoderToken { role: "token to end texts" })
}

/// The tokenizer as a pipeline uses it: that of 2023 does not normalise, but with T5's.
///
/// # Errors
/// When the tokenizer cannot do without its normalizer.
pub fn of_rules(rules: Rules, tokenizer: &Tokenizer) -> Result<Cow<'_, Tokenizer>> {
    Ok(match rules == Rules::Year2023 && !tokenizer.is_unigram() {
        true => Cow::Owned(tokenizer.without_normalizer()?),
        false => Cow::Borrowed(tokenizer),
    })
}
