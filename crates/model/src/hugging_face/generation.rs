//! How a folder's model writes text: `generation_config.json`, or, where a folder has none, the
//! same keys of `config.json`.

use std::path::Path;

use serde_json::json;

use super::config_path;
use crate::ModelConfig;
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::error::ModelError;
use crate::keys::Keys;

/// Beside `config.json`.
pub(super) const FILE: &str = "generation_config.json";

/// What a folder states for generation; nothing where it does not state it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// The token that an empty prompt begins with.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// Whether tokens are drawn; otherwise the most probable one is taken.
    pub do_sample: Option<bool>,
    /// Divides the logits.
    pub temperature: Option<f32>,
    /// Only the this many most probable tokens; 0 means all.
    pub top_k: Option<usize>,
    /// Only the most probable tokens that together reach this probability.
    pub top_p: Option<f32>,
    /// Divides the positive logits of tokens that the text already has, and multiplies the negative
    /// ones (Keskar et al., arXiv 1909.05858).
    pub repetition_penalty: Option<f32>,
    /// How many tokens are written at most, unless the command states it.
    pub max_new_tokens: Option<usize>,
    /// The longest text, its prompt included; `max_new_tokens` counts before it.
    pub max_length: Option<usize>,
}

/// The keys of `generation_config.json`, from transformers' `GenerationConfig` of 4.31 to 5.24.
pub(crate) static KEYS: &[ConfigKey] = &[
    followed("bos_token_id"),
    followed("eos_token_id"),
    followed("do_sample"),
    followed("temperature"),
    followed("top_k"),
    followed("top_p"),
    followed("repetition_penalty"),
    followed("max_new_tokens"),
    followed("max_length"),
    only("num_beams", &["1"]),
    only("num_beam_groups", &["1"]),
    only("diversity_penalty", &["0"]),
    only("penalty_alpha", &["0"]),
    only("dola_layers", &[]),
    only("max_time", &[]),
    only("min_length", &["0"]),
    only("min_new_tokens", &["0"]),
    only("min_p", &["0"]),
    only("top_h", &[]),
    only("typical_p", &["1"]),
    only("epsilon_cutoff", &["0"]),
    only("eta_cutoff", &["0"]),
    only("no_repeat_ngram_size", &["0"]),
    only("bad_words_ids", &["[]"]),
    only("force_words_ids", &["[]"]),
    only("constraints", &["[]"]),
    only("sequence_bias", &["{}", "[]"]),
    only("suppress_tokens", &["[]"]),
    only("begin_suppress_tokens", &["[]"]),
    only("forced_bos_token_id", &[]),
    only("forced_eos_token_id", &[]),
    only("force_bos_token_to_be_generated", &["false"]),
    only("exponential_decay_length_penalty", &[]),
    only("stop_strings", &["[]"]),
    only("token_healing", &["false"]),
    only("guidance_scale", &["1"]),
    only("watermarking_config", &[]),
    no_effect("length_penalty"),
    no_effect("early_stopping"),
    no_effect("encoder_repetition_penalty"),
    no_effect("encoder_no_repeat_ngram_size"),
    no_effect("renormalize_logits"),
    no_effect("remove_invalid_values"),
    no_effect("num_return_sequences"),
    no_effect("output_scores"),
    no_effect("output_logits"),
    no_effect("output_attentions"),
    no_effect("output_hidden_states"),
    no_effect("return_dict_in_generate"),
    no_effect("pad_token_id"),
    no_effect("decoder_start_token_id"),
    no_effect("use_cache"),
    no_effect("cache_implementation"),
    no_effect("cache_config"),
    no_effect("max_cache_len"),
    no_effect("low_memory"),
    no_effect("transformers_version"),
    no_effect("_from_model_config"),
    no_effect("_commit_hash"),
];

/// Reads how a folder's model writes text. As in transformers, `generation_config.json` alone
/// counts where there is one: what it does not name as the end of a text ends none. Without it the
/// ends are the configuration's, or else the family's.
///
/// # Errors
/// When the file cannot be read, or states something that is not followed.
pub fn load_generation(
    folder: &Path,
    config: &ModelConfig,
) -> Result<GenerationConfig, ModelError> {
    let own = folder.join(FILE);
    // Also a link to nothing is to be named, not passed over.
    let path = match own.symlink_metadata() {
        Ok(_) => own,
        Err(_) => config_path(folder)?,
    };
    parse(&Keys::read(&path)?, config)
}

/// The settings of the keys of either file.
pub(super) fn parse(keys: &Keys<'_>, config: &ModelConfig) -> Result<GenerationConfig, ModelError> {
    keys.check(KEYS)?;
    let is_own = keys.path.ends_with(FILE);
    let otherwise = if is_own { Vec::new() } else { config.eos_token_ids.clone() };
    let stated = GenerationConfig {
        bos_token_id: keys.token("bos_token_id", config.bos_token_id)?,
        eos_token_ids: keys.tokens("eos_token_id")?.unwrap_or(otherwise),
        do_sample: keys.optional("do_sample")?,
        temperature: keys.optional("temperature")?,
        top_k: keys.optional("top_k")?,
        top_p: keys.optional("top_p")?,
        repetition_penalty: keys.optional("repetition_penalty")?,
        max_new_tokens: keys.optional("max_new_tokens")?,
        max_length: keys.optional("max_length")?,
    };
    check(keys, &stated, config)?;
    Ok(stated)
}

/// Refuses numbers that no draw can follow, and ends in `generation_config.json` that the model
/// does not have: its text would never end there.
fn check(
    keys: &Keys<'_>,
    stated: &GenerationConfig,
    config: &ModelConfig,
) -> Result<(), ModelError> {
    for (key, value, most) in [
        ("temperature", stated.temperature, f32::MAX),
        ("top_p", stated.top_p, 1.0),
        ("repetition_penalty", stated.repetition_penalty, f32::MAX),
    ] {
        let is_wrong = |value: &f32| !(*value > 0.0 && *value <= most);
        if let Some(value) = value.filter(is_wrong) {
            let bound = if most == 1.0 { " and at most 1" } else { "" };
            let known = format!("numbers larger than 0{bound}");
            return Err(keys.unsupported(key, json!(value).to_string(), known));
        }
    }
    let lengths = [("max_new_tokens", stated.max_new_tokens), ("max_length", stated.max_length)];
    if let Some((key, _)) = lengths.iter().find(|(_, length)| *length == Some(0)) {
        let known = "numbers larger than 0".to_owned();
        return Err(keys.unsupported(key, "0".to_owned(), known));
    }
    let outside = |id: &&u32| **id as usize >= config.vocab_size;
    match stated.eos_token_ids.iter().find(outside).filter(|_| keys.path.ends_with(FILE)) {
        Some(id) => {
            let known = format!("token ids below the vocabulary's {}", config.vocab_size);
            Err(keys.unsupported("eos_token_id", id.to_string(), known))
        }
        None => Ok(()),
    }
}

impl GenerationConfig {
    /// The tokens that a folder has added to a prompt at most, where it states that: as in
    /// transformers, one at least.
    pub fn most_new_tokens(&self, prompt_tokens: usize) -> Option<usize> {
        let by_length = self.max_length.map(|length| length.saturating_sub(prompt_tokens).max(1));
        self.max_new_tokens.or(by_length)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::save_config;
    use super::*;
    use crate::config_keys::Meaning;
    use crate::{Architecture, ModelConfig};

    /// What a folder with these keys in either file asks for.
    fn load(in_config: &[(&str, Value)], in_own: Option<Value>) -> GenerationConfig {
        let folder = tempfile::tempdir().unwrap();
        let config = ModelConfig::tiny(Architecture::LLAMA);
        save_config(&config, folder.path()).unwrap();
        let path = folder.path().join("config.json");
        let mut object: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (key, value) in in_config {
            object[*key] = value.clone();
        }
        std::fs::write(&path, object.to_string()).unwrap();
        let own = folder.path().join("generation_config.json");
        match in_own {
            Some(value) => std::fs::write(&own, value.to_string()).unwrap(),
            None => std::fs::remove_file(&own).unwrap(),
        }
        let config = super::super::load_config(folder.path()).unwrap();
        load_generation(folder.path(), &config).unwrap()
    }

    #[test]
    fn the_end_of_a_text_is_a_number_a_list_or_none() {
        let ends = |in_config: Value, own: Option<Value>| {
            load(&[("eos_token_id", in_config)], own).eos_token_ids
        };
        let own = |end: Value| Some(json!({ "eos_token_id": end }));
        assert_eq!(ends(json!([2, 16]), None), [2, 16]);
        assert_eq!(ends(json!(7), own(json!([3, 4]))), [3, 4]);
        assert_eq!(ends(json!(7), own(json!(5))), [5]);
        assert_eq!(ends(json!(7), own(Value::Null)), [0u32; 0]);
        assert_eq!(ends(json!(7), Some(json!({}))), [0u32; 0]);
        assert_eq!(ends(Value::Null, None), [0u32; 0]);
        assert_eq!(ends(json!(-1), None), [0u32; 0]);
        assert_eq!(ends(json!([-1, 3]), None), [3]);
    }

    #[test]
    fn families_have_ends_of_their_own() {
        for (architecture, end) in [
            (Architecture::GPT2, 50_256),
            (Architecture::LLAMA, 2),
            (Architecture::OPT, 2),
            (Architecture::ROBERTA, 2),
        ] {
            assert_eq!(architecture.defaults().eos_token_ids, [end]);
        }
    }

    #[test]
    fn settings_of_the_draw_are_followed() {
        let found = load(&[], Some(json!({"do_sample": true, "temperature": 0.7, "top_k": 5})));
        assert_eq!((found.do_sample, found.temperature), (Some(true), Some(0.7)));
        assert_eq!((found.top_k, found.top_p), (Some(5), None));
        let most = |object: Value| load(&[], Some(object)).most_new_tokens(3);
        assert_eq!(most(json!({"max_new_tokens": 7})), Some(7));
        assert_eq!(most(json!({"max_length": 7})), Some(4));
        assert_eq!(most(json!({"max_length": 3})), Some(1));
        assert_eq!(most(json!({"max_length": 5, "max_new_tokens": 7})), Some(7));
        assert_eq!(most(json!({})), None);
        // Without a file of its own, the keys of older folders' config.json.
        assert_eq!(load(&[("top_p", json!(0.9))], None).top_p, Some(0.9));
        assert_eq!(load(&[("top_p", json!(0.9))], Some(json!({}))).top_p, None);
    }

    #[test]
    fn what_is_not_followed_is_refused_by_name() {
        let path = Path::new("generation_config.json");
        let config = ModelConfig::tiny(Architecture::LLAMA);
        let parse = |object: Value| {
            let text = object.to_string();
            parse(&Keys::parse(path, text.as_bytes()).unwrap(), &config)
        };
        for key in KEYS {
            let Meaning::Only(values) = key.meaning else { continue };
            let message = parse(json!({ key.name: [[7, 8]] })).unwrap_err().to_string();
            assert!(message.contains(&format!("`{}` is [[7,8]]", key.name)), "{message}");
            for value in values.iter().chain(&["null"]) {
                let value: Value = serde_json::from_str(value).unwrap();
                assert!(parse(json!({ key.name: value })).is_ok(), "{}", key.name);
            }
        }
        for (key, value) in [("temperature", 0.0), ("top_p", -1.0), ("repetition_penalty", 0.0)] {
            let message = parse(json!({ key: value })).unwrap_err().to_string();
            assert!(message.contains("numbers larger than 0"), "{message}");
        }
        for (key, value) in
            [("top_p", json!(2)), ("max_length", json!(0)), ("eos_token_id", json!([2, 9999]))]
        {
            let message = parse(json!({ key: value })).unwrap_err().to_string();
            assert!(message.contains(&format!("`{key}` is ")), "{message}");
        }
        let message = parse(json!({"eos_token_id": 1e30})).unwrap_err().to_string();
        assert!(
            message.contains("`eos_token_id` is 1e+30; babyllama knows token ids"),
            "{message}"
        );
        assert!(parse(json!({"eos_token_id": 1u64 << 32})).is_err());
    }
}
