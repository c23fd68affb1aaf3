//! `config.json` and `generation_config.json`.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::classifier;
use crate::config::{Architecture, ModelConfig};
use crate::error::ModelError;
use crate::roberta::unused_positions;

/// A JSON object with the path that errors name.
pub(super) struct Keys<'a> {
    pub path: &'a Path,
    object: Map<String, Value>,
}

impl<'a> Keys<'a> {
    /// Those of `config.json`.
    pub fn read(path: &'a Path) -> Result<Self, ModelError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ModelError::Io { path: path.to_owned(), cause })?;
        let object = serde_json::from_str(&text)
            .map_err(|cause| ModelError::Json { path: path.to_owned(), cause })?;
        Ok(Self { path, object })
    }

    /// A key's value, none when it is absent or null.
    pub fn optional<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ModelError> {
        match self.object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|cause| {
                ModelError::Json { path: self.path.to_owned(), cause: with_key(key, cause) }
            }),
        }
    }

    pub fn or<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T, ModelError> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    fn required<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, ModelError> {
        self.optional(key)?
            .ok_or_else(|| ModelError::MissingKey { path: self.path.to_owned(), key })
    }

    /// Refuses a key whose value is neither absent nor one of those that the forward pass follows.
    fn only(&self, key: &str, known: &[Value]) -> Result<(), ModelError> {
        match self.object.get(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if known.contains(value) => Ok(()),
            Some(value) => {
                let known = known.iter().map(Value::to_string).collect::<Vec<_>>().join(" and ");
                Err(ModelError::Unsupported {
                    path: self.path.to_owned(),
                    key: key.into(),
                    found: value.to_string(),
                    known,
                })
            }
        }
    }

    /// A token id; the first when there are several.
    fn token(&self, key: &str) -> Result<Option<u32>, ModelError> {
        match self.object.get(key) {
            Some(Value::Array(several)) => {
                Ok(several.first().and_then(Value::as_u64).map(|id| id as u32))
            }
            _ => self.optional(key),
        }
    }
}

fn with_key(key: &str, cause: serde_json::Error) -> serde_json::Error {
    serde::de::Error::custom(format!("`{key}`: {cause}"))
}

/// Reads a language model's `config.json`.
pub(super) fn parse(path: &Path) -> Result<ModelConfig, ModelError> {
    let keys = Keys::read(path)?;
    if classifier::is_classifier(&keys)? {
        let found = classifier::architectures(&keys)?;
        return Err(ModelError::NotALanguageModel { path: path.to_owned(), found });
    }
    decoder(&keys)
}

/// The decoder that a configuration describes, whatever it is used for.
pub(super) fn decoder(keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
    let config = match keys.required::<String>("model_type")?.as_str() {
        "llama" => llama(keys),
        "gpt2" => gpt2(keys),
        "opt" => opt(keys),
        "roberta" => roberta(keys),
        _ => keys
            .only("model_type", &[json!("gpt2"), json!("llama"), json!("opt"), json!("roberta")])
            .and(Err(ModelError::MissingKey { path: keys.path.to_owned(), key: "model_type" })),
    }?;
    config.validate()?;
    Ok(config)
}

fn llama(keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
    keys.only("hidden_act", &[json!("silu")])?;
    keys.only("attention_bias", &[json!(false)])?;
    keys.only("mlp_bias", &[json!(false)])?;
    keys.only("rope_scaling", &[])?;
    let rope = Keys { path: keys.path, object: keys.or("rope_parameters", Map::new())? };
    rope.only("rope_type", &[json!("default")])?;
    let hidden_size: usize = keys.required("hidden_size")?;
    let num_heads: usize = keys.required("num_attention_heads")?;
    Ok(ModelConfig {
        architecture: Architecture::Llama,
        vocab_size: keys.required("vocab_size")?,
        hidden_size,
        intermediate_size: keys.required("intermediate_size")?,
        num_layers: keys.required("num_hidden_layers")?,
        num_heads,
        num_kv_heads: keys.or("num_key_value_heads", num_heads)?,
        head_dim: keys.or("head_dim", hidden_size / num_heads.max(1))?,
        max_positions: keys.or("max_position_embeddings", 2048)?,
        norm_epsilon: keys.or("rms_norm_eps", 1e-6)?,
        rope_theta: rope.or("rope_theta", keys.or("rope_theta", 10_000.0)?)?,
        tie_word_embeddings: keys.or("tie_word_embeddings", false)?,
        embedding_dropout: 0.0,
        attention_dropout: keys.or("attention_dropout", 0.0)?,
        residual_dropout: 0.0,
        classifier_dropout: None,
        initializer_range: keys.or("initializer_range", 0.02)?,
        bos_token_id: keys.token("bos_token_id")?.unwrap_or(1),
        eos_token_id: keys.token("eos_token_id")?.unwrap_or(2),
        pad_token_id: keys.token("pad_token_id")?,
    })
}

fn gpt2(keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
    keys.only("activation_function", &[json!("gelu_new"), json!("gelu_pytorch_tanh")])?;
    keys.only("scale_attn_weights", &[json!(true)])?;
    keys.only("scale_attn_by_inverse_layer_idx", &[json!(false)])?;
    keys.only("add_cross_attention", &[json!(false)])?;
    let hidden_size: usize = keys.required("n_embd")?;
    let num_heads: usize = keys.required("n_head")?;
    Ok(ModelConfig {
        architecture: Architecture::Gpt2,
        vocab_size: keys.required("vocab_size")?,
        hidden_size,
        intermediate_size: keys.or("n_inner", 4 * hidden_size)?,
        num_layers: keys.required("n_layer")?,
        num_heads,
        num_kv_heads: num_heads,
        head_dim: hidden_size / num_heads.max(1),
        max_positions: keys.required("n_positions")?,
        norm_epsilon: keys.or("layer_norm_epsilon", 1e-5)?,
        rope_theta: 10_000.0,
        tie_word_embeddings: keys.or("tie_word_embeddings", true)?,
        embedding_dropout: keys.or("embd_pdrop", 0.1)?,
        attention_dropout: keys.or("attn_pdrop", 0.1)?,
        residual_dropout: keys.or("resid_pdrop", 0.1)?,
        classifier_dropout: None,
        initializer_range: keys.or("initializer_range", 0.02)?,
        bos_token_id: keys.token("bos_token_id")?.unwrap_or(1),
        eos_token_id: keys.token("eos_token_id")?.unwrap_or(2),
        pad_token_id: keys.token("pad_token_id")?,
    })
}

fn opt(keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
    keys.only("activation_function", &[json!("relu")])?;
    keys.only("do_layer_norm_before", &[json!(true)])?;
    keys.only("_remove_final_layer_norm", &[json!(false)])?;
    keys.only("enable_bias", &[json!(true)])?;
    keys.only("layer_norm_elementwise_affine", &[json!(true)])?;
    keys.only("layerdrop", &[json!(0.0), json!(0)])?;
    let hidden_size: usize = keys.required("hidden_size")?;
    keys.only("word_embed_proj_dim", &[json!(hidden_size)])?;
    let num_heads: usize = keys.required("num_attention_heads")?;
    Ok(ModelConfig {
        architecture: Architecture::Opt,
        vocab_size: keys.required("vocab_size")?,
        hidden_size,
        intermediate_size: keys.required("ffn_dim")?,
        num_layers: keys.required("num_hidden_layers")?,
        num_heads,
        num_kv_heads: num_heads,
        head_dim: hidden_size / num_heads.max(1),
        max_positions: keys.or("max_position_embeddings", 2048)?,
        // Not among the keys: every OPT has PyTorch's default.
        norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: keys.or("tie_word_embeddings", true)?,
        embedding_dropout: 0.0,
        attention_dropout: keys.or("attention_dropout", 0.0)?,
        residual_dropout: keys.or("dropout", 0.1)?,
        classifier_dropout: None,
        initializer_range: keys.or("init_std", 0.02)?,
        bos_token_id: keys.token("bos_token_id")?.unwrap_or(2),
        eos_token_id: keys.token("eos_token_id")?.unwrap_or(2),
        pad_token_id: keys.token("pad_token_id")?,
    })
}

fn roberta(keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
    keys.only("hidden_act", &[json!("gelu")])?;
    keys.only("is_decoder", &[json!(false)])?;
    keys.only("add_cross_attention", &[json!(false)])?;
    keys.only("position_embedding_type", &[json!("absolute")])?;
    keys.only("tie_word_embeddings", &[json!(true)])?;
    let hidden_size: usize = keys.required("hidden_size")?;
    let num_heads: usize = keys.required("num_attention_heads")?;
    let pad_token_id = keys.token("pad_token_id")?.unwrap_or(1);
    let positions: usize = keys.or("max_position_embeddings", 512)?;
    let dropout = keys.or("hidden_dropout_prob", 0.1)?;
    Ok(ModelConfig {
        architecture: Architecture::Roberta,
        vocab_size: keys.required("vocab_size")?,
        hidden_size,
        intermediate_size: keys.required("intermediate_size")?,
        num_layers: keys.required("num_hidden_layers")?,
        num_heads,
        num_kv_heads: num_heads,
        head_dim: hidden_size / num_heads.max(1),
        max_positions: positions.saturating_sub(unused_positions(pad_token_id)),
        norm_epsilon: keys.or("layer_norm_eps", 1e-12)?,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        embedding_dropout: dropout,
        attention_dropout: keys.or("attention_probs_dropout_prob", 0.1)?,
        residual_dropout: dropout,
        classifier_dropout: keys.optional("classifier_dropout")?,
        initializer_range: keys.or("initializer_range", 0.02)?,
        bos_token_id: keys.token("bos_token_id")?.unwrap_or(0),
        eos_token_id: keys.token("eos_token_id")?.unwrap_or(2),
        pad_token_id: Some(pad_token_id),
    })
}

/// A short decimal for a single-precision number, so that 1e-6 is not written as 9.99999997e-7.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |value| json!(value))
}

/// `config.json` as `AutoModelForCausalLM` and, of a masked model, `AutoModelForMaskedLM` read it.
pub(super) fn to_json(config: &ModelConfig) -> Value {
    let mut object = match config.architecture {
        Architecture::Llama => json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "num_key_value_heads": config.num_kv_heads,
            "head_dim": config.head_dim,
            "max_position_embeddings": config.max_positions,
            "hidden_act": "silu",
            "rms_norm_eps": decimal(config.norm_epsilon),
            "rope_theta": decimal(config.rope_theta),
            "attention_bias": false,
            "attention_dropout": decimal(config.attention_dropout),
            "mlp_bias": false,
        }),
        Architecture::Gpt2 => json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "vocab_size": config.vocab_size,
            "n_embd": config.hidden_size,
            "n_inner": config.intermediate_size,
            "n_layer": config.num_layers,
            "n_head": config.num_heads,
            "n_positions": config.max_positions,
            "n_ctx": config.max_positions,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": decimal(config.norm_epsilon),
            "embd_pdrop": decimal(config.embedding_dropout),
            "attn_pdrop": decimal(config.attention_dropout),
            "resid_pdrop": decimal(config.residual_dropout),
        }),
        Architecture::Opt => json!({
            "architectures": ["OPTForCausalLM"],
            "model_type": "opt",
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "word_embed_proj_dim": config.hidden_size,
            "ffn_dim": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "max_position_embeddings": config.max_positions,
            "activation_function": "relu",
            "do_layer_norm_before": true,
            "enable_bias": true,
            "dropout": decimal(config.residual_dropout),
            "attention_dropout": decimal(config.attention_dropout),
            "layerdrop": 0.0,
            "init_std": decimal(config.initializer_range),
        }),
        Architecture::Roberta => json!({
            "architectures": ["RobertaForMaskedLM"],
            "model_type": "roberta",
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "max_position_embeddings":
                config.max_positions + unused_positions(config.pad_token_id.unwrap_or(1)),
            "type_vocab_size": 1,
            "hidden_act": "gelu",
            "layer_norm_eps": decimal(config.norm_epsilon),
            "hidden_dropout_prob": decimal(config.residual_dropout),
            "attention_probs_dropout_prob": decimal(config.attention_dropout),
        }),
    };
    let shared = [
        ("tie_word_embeddings", json!(config.tie_word_embeddings)),
        ("initializer_range", decimal(config.initializer_range)),
        ("bos_token_id", json!(config.bos_token_id)),
        ("eos_token_id", json!(config.eos_token_id)),
        ("pad_token_id", json!(config.pad_token_id)),
        ("torch_dtype", json!("float32")),
        ("use_cache", json!(true)),
    ];
    for (key, value) in shared {
        object[key] = value;
    }
    if let Some(dropout) = config.classifier_dropout {
        object["classifier_dropout"] = decimal(dropout);
    }
    object
}

/// `generation_config.json`.
pub(super) fn generation(config: &ModelConfig) -> Value {
    json!({
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
        "pad_token_id": config.pad_token_id.unwrap_or(config.eos_token_id),
        "do_sample": true,
        "temperature": 1.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{gpt2, llama, opt, roberta};

    fn parse_text(text: &str) -> Result<ModelConfig, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        parse(&path)
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
            (r#", "rope_scaling": {"factor": 2}"#, "`rope_scaling`"),
            (r#", "rope_parameters": {"rope_type": "yarn"}"#, "`rope_type` is \"yarn\""),
            (r#", "head_dim": "big""#, "`head_dim`"),
        ] {
            let message = llama(extra).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
        let bert = parse_text(r#"{"model_type": "bert"}"#).unwrap_err().to_string();
        assert!(bert.contains("\"gpt2\" and \"llama\" and \"opt\" and \"roberta\""), "{bert}");
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
