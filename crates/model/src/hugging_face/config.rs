//! `config.json` and `generation_config.json`.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config_keys::SHARED;
use crate::error::ModelError;
use crate::families::{Architecture, FAMILIES, ModelConfig};
use crate::keys::{Keys, decimal, listed};

/// How the names of transformers' classes for encoders without their decoders end.
const ENCODER: &str = "EncoderModel";

/// Reads a language model's `config.json`.
pub(super) fn parse(path: &Path) -> Result<ModelConfig, ModelError> {
    language_model(Keys::read(path)?)
}

/// The language model that a configuration describes.
pub(super) fn language_model(keys: Keys<'_>) -> Result<ModelConfig, ModelError> {
    if keys.is_classifier()? {
        let found = keys.classes()?;
        return Err(ModelError::NotALanguageModel { path: keys.path.to_owned(), found });
    }
    if let Some(found) = keys.classes()?.into_iter().find(|name| name.ends_with(ENCODER)) {
        return Err(ModelError::EncoderOnly { path: keys.path.to_owned(), found });
    }
    decoder(keys)
}

/// The model that a configuration describes, whatever it is used for.
pub(super) fn decoder(keys: Keys<'_>) -> Result<ModelConfig, ModelError> {
    let path = keys.path.to_owned();
    let name: Option<String> = keys.optional("model_type")?;
    let Some(family) = Architecture::of_keys(name.as_deref().unwrap_or_default(), &keys) else {
        let name: String = keys.required("model_type")?;
        let known = FAMILIES.iter().map(|family| json!(family.model_type()).to_string());
        let known = listed(&known.collect::<Vec<_>>());
        return Err(keys.unsupported("model_type", json!(name).to_string(), known));
    };
    keys.check(family.config_keys())?;
    // A family's own rule for a key counts.
    let is_own = |name| family.config_keys().iter().any(|own| own.name == name);
    keys.check(SHARED.iter().filter(|key| !is_own(key.name)))?;
    let config = family.read_config(&keys.with_own_spelling(family.config_keys())?)?;
    let checked = config.validate().and_then(|()| config.check_sparse_layers());
    checked.map_err(|error| error.of_file(&path))?;
    Ok(config)
}

/// `config.json` as `AutoModelForCausalLM` and, of a masked model, `AutoModelForMaskedLM` read it.
pub(super) fn to_json(config: &ModelConfig) -> Value {
    let family = config.architecture;
    let mut object = Map::new();
    object.insert("architectures".to_owned(), json!([family.language_model_class()]));
    object.insert("model_type".to_owned(), json!(family.model_type()));
    if let Value::Object(own) = family.write_config(config) {
        object.extend(own);
    }
    let shared = [
        ("tie_word_embeddings", json!(config.tie_word_embeddings)),
        ("initializer_range", decimal(config.initializer_range)),
        ("bos_token_id", json!(config.bos_token_id)),
        ("eos_token_id", one_or_several(&config.eos_token_ids)),
        ("pad_token_id", json!(config.pad_token_id)),
        ("torch_dtype", json!("float32")),
        ("use_cache", json!(true)),
    ];
    object.extend(shared.map(|(key, value)| (key.to_owned(), value)));
    if let Some(dropout) = config.classifier_dropout {
        object.insert("classifier_dropout".to_owned(), decimal(dropout));
    }
    Value::Object(object)
}

/// Token ids as transformers writes them.
fn one_or_several(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [one] => json!(one),
        several => json!(several),
    }
}

/// `generation_config.json`.
pub(super) fn generation(config: &ModelConfig) -> Value {
    let mut object = json!({
        "bos_token_id": config.bos_token_id,
        "eos_token_id": one_or_several(&config.eos_token_ids),
        "pad_token_id": config.padding_or_end(),
        "do_sample": true,
        "temperature": 1.0,
        // Left out, transformers draws from the 50 most probable tokens.
        "top_k": 0,
    });
    if let Some(own) = &config.encoder_decoder {
        object["decoder_start_token_id"] = json!(own.decoder_start_token_id);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::EncoderDecoder;
    use crate::families::config::tests::{gpt2, llama, opt, roberta};

    fn parse_text(text: &str) -> Result<ModelConfig, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        parse(&path)
    }

    /// What transformers draws with, where a file leaves it out, is not what this program does.
    #[test]
    fn transformers_writes_from_all_tokens_and_begins_a_decoder_as_trained() {
        let own = EncoderDecoder { decoder_start_token_id: 7, ..EncoderDecoder::with_layers(2) };
        let pair = ModelConfig { encoder_decoder: Some(own), ..gpt2(64, 96, 2, 4, 32) };
        assert_eq!(generation(&pair)["decoder_start_token_id"], 7);
        let alone = generation(&llama(64, 96, 2, 4, 2));
        assert_eq!((&alone["top_k"], alone.get("decoder_start_token_id")), (&json!(0), None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let grouped =
            ModelConfig { rope_theta: 500.0, attention_dropout: 0.1, ..llama(64, 96, 2, 4, 2) };
        let silent = ModelConfig {
            embedding_dropout: 0.0,
            residual_dropout: 0.25,
            ..gpt2(64, 96, 2, 4, 32)
        };
        let causal =
            ModelConfig { attention_dropout: 0.1, residual_dropout: 0.3, ..opt(64, 96, 2, 4, 32) };
        let masked =
            ModelConfig { norm_epsilon: 1e-12, pad_token_id: Some(3), ..roberta(64, 96, 2, 4, 32) };
        let own = ModelConfig { classifier_dropout: Some(0.3), ..masked.clone() };
        for config in [grouped, silent, causal, masked, own] {
            assert_eq!(parse_text(&to_json(&config).to_string()).unwrap(), config);
        }
    }

    #[test]
    fn what_the_forward_pass_does_not_follow_is_refused() {
        let llama = |extra: &str| {
            parse_text(&format!(
                r#"{{"model_type": "llama", "vocab_size": 9, "hidden_size": 8,
                    "intermediate_size": 8, "num_hidden_layers": 1,
                    "num_attention_heads": 2{extra}}}"#
            ))
        };
        assert!(llama("").is_ok());
        for (extra, word) in [
            (r#", "hidden_act": "relu""#, "`hidden_act` is \"relu\""),
            (r#", "attention_bias": true"#, "`attention_bias` is true"),
            (r#", "rope_scaling": {"factor": 2}"#, "`rope_scaling.factor` is 2; babyllama knows 1"),
            (
                r#", "rope_parameters": {"rope_type": "yarn"}"#,
                "`rope_parameters.rope_type` is \"yarn\"; babyllama knows \"default\"",
            ),
            (r#", "rope_scaling": {"type": "dynamic", "factor": 2}"#, "`rope_scaling.type`"),
            (r#", "rope_parameters": {"full_attention": {}}"#, "`rope_parameters.full_attention`"),
            (r#", "head_dim": "big""#, "`head_dim`"),
        ] {
            let message = llama(extra).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
        let bert = parse_text(r#"{"model_type": "bert"}"#).unwrap_err().to_string();
        assert!(bert.contains("\"gpt2\", \"gptj\", \"llama\", \"ltgbert\", \"opt\""), "{bert}");
        assert!(parse_text("{}").unwrap_err().to_string().contains("`model_type` is missing"));
        assert!(parse_text("{").unwrap_err().to_string().contains("bad JSON"));
    }

    #[test]
    fn what_other_opt_and_roberta_models_do_is_refused() {
        let with = |config: &ModelConfig, key: &str, value: Value| {
            let mut object = to_json(config);
            object[key] = value;
            parse_text(&object.to_string())
        };
        let message = |config: &ModelConfig, key: &str, value: Value| {
            with(config, key, value).unwrap_err().to_string()
        };
        let (causal, masked) = (opt(64, 96, 2, 4, 32), roberta(64, 96, 2, 4, 32));
        // OPT-350M: norms behind the sums, and narrower embeddings.
        assert!(
            message(&causal, "do_layer_norm_before", json!(false))
                .contains("is false; babyllama knows true")
        );
        assert!(
            message(&causal, "word_embed_proj_dim", json!(32))
                .contains("is 32; babyllama knows 64")
        );
        assert!(
            message(&causal, "activation_function", json!("gelu"))
                .contains("`activation_function`")
        );
        assert!(message(&causal, "enable_bias", json!(false)).contains("`enable_bias`"));
        assert!(message(&causal, "layerdrop", json!(0.1)).contains("`layerdrop` is 0.1"));
        assert!(with(&causal, "layerdrop", json!(0)).is_ok());
        assert!(message(&masked, "hidden_act", json!("gelu_new")).contains("`hidden_act`"));
        assert!(message(&masked, "is_decoder", json!(true)).contains("`is_decoder`"));
        assert!(
            message(&masked, "position_embedding_type", json!("relative_key"))
                .contains("`position_embedding_type`")
        );
        assert!(
            message(&masked, "tie_word_embeddings", json!(false)).contains("`tie_word_embeddings`")
        );
        assert!(
            message(&masked, "max_position_embeddings", json!(2)).contains("max_positions is 0")
        );
        assert!(message(&masked, "pad_token_id", json!(50_000_000)).contains("max_positions is 0"));
    }
}
