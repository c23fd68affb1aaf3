//! The table of `config.json`: every key of transformers' configurations that a model folder may
//! have, and whether its value is followed, refused or without effect.
//!
//! The keys of a family are in the family's file ([`Family::config_keys`](crate::Family)); here are
//! those that all families share. A key that is in no table is one that transformers keeps without
//! reading it; [`passed_over`] names it.

use crate::Architecture;
use crate::keys::Keys;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The key's value is in the configuration.
    Followed,
    /// Another spelling of a key that is followed.
    Spelling(&'static str),
    /// Other values than these (JSON; null is always one) change numbers in a way that is not
    /// followed, so that they are refused.
    Only(&'static [&'static str]),
    /// Changes no number that is computed here.
    NoEffect,
}

/// A key of `config.json` with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// The key.
    pub name: &'static str,
    /// What it does.
    pub meaning: Meaning,
}

/// A key whose value is followed.
pub const fn followed(name: &'static str) -> ConfigKey {
    ConfigKey { name, meaning: Meaning::Followed }
}

/// Another spelling of a key.
pub const fn spelling(name: &'static str, own: &'static str) -> ConfigKey {
    ConfigKey { name, meaning: Meaning::Spelling(own) }
}

/// A key of which only these values (JSON) are known.
pub const fn only(name: &'static str, values: &'static [&'static str]) -> ConfigKey {
    ConfigKey { name, meaning: Meaning::Only(values) }
}

/// A key that changes no number.
pub const fn no_effect(name: &'static str) -> ConfigKey {
    ConfigKey { name, meaning: Meaning::NoEffect }
}

/// The keys of all families, from transformers' `PreTrainedConfig` of 4.31 to 5.24.
pub static SHARED: &[ConfigKey] = &[
    followed("model_type"),
    followed("architectures"),
    followed("vocab_size"),
    followed("tie_word_embeddings"),
    followed("initializer_range"),
    followed("bos_token_id"),
    followed("eos_token_id"),
    followed("pad_token_id"),
    followed("num_labels"),
    followed("id2label"),
    only("is_encoder_decoder", &["false"]),
    only("add_cross_attention", &["false"]),
    only("is_causal", &["true"]),
    only("transformers_weights", &[]),
    only("quantization_config", &[]),
    only("compression_config", &[]),
    only("pruned_heads", &["{}"]),
    only("per_layer_config", &["{}"]),
    // Both cut what a token sees, in caches of 5.x by the configuration of any family.
    only("sliding_window", &[]),
    only("attention_chunk_size", &[]),
    only("kv_sharing_modes", &[]),
    // Weights are widened to f32 and computed with, whatever type they were trained in.
    no_effect("dtype"),
    no_effect("torch_dtype"),
    no_effect("use_bfloat16"),
    no_effect("label2id"),
    no_effect("is_decoder"),
    no_effect("base_model_tp_plan"),
    no_effect("vocab_file"),
    no_effect("problem_type"),
    no_effect("finetuning_task"),
    no_effect("use_cache"),
    no_effect("use_sliding_window"),
    no_effect("output_hidden_states"),
    no_effect("output_attentions"),
    no_effect("output_past"),
    no_effect("return_dict"),
    no_effect("chunk_size_feed_forward"),
    no_effect("gradient_checkpointing"),
    no_effect("torchscript"),
    no_effect("tf_legacy_loss"),
    no_effect("tie_encoder_decoder"),
    no_effect("cross_attention_hidden_size"),
    no_effect("decoder_start_token_id"),
    no_effect("sep_token_id"),
    no_effect("cls_token_id"),
    no_effect("mask_token_id"),
    no_effect("unk_token_id"),
    no_effect("prefix"),
    no_effect("tokenizer_class"),
    no_effect("task_specific_params"),
    no_effect("transformers_version"),
    no_effect("name_or_path"),
    no_effect("_name_or_path"),
    no_effect("_commit_hash"),
    no_effect("_attn_implementation_autoset"),
    no_effect("attn_implementation"),
    no_effect("_attn_implementation"),
    no_effect("tie_last_hidden_states"),
];

/// What a key means to a family: by its own table, by the shared one, or by that of generation.
pub fn meaning(architecture: Architecture, name: &str) -> Option<Meaning> {
    let own = architecture.config_keys().iter();
    let all = own.chain(SHARED).chain(crate::hugging_face::generation::KEYS);
    all.into_iter().find(|key| key.name == name).map(|key| key.meaning)
}

/// The keys of a `config.json` that transformers keeps without reading them, in the order of the
/// file.
pub fn passed_over(keys: &Keys<'_>, architecture: Architecture) -> Vec<String> {
    keys.names().filter(|name| meaning(architecture, name).is_none()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::hugging_face::{bytes, config_to_json};
    use crate::{ModelConfig, ModelError};

    fn read(object: &Value) -> Result<ModelConfig, ModelError> {
        bytes::config(object.to_string().as_bytes())
    }

    fn tables() -> impl Iterator<Item = (Architecture, &'static ConfigKey)> {
        Architecture::all().flat_map(|architecture| {
            let own = architecture.config_keys().iter();
            let shared = SHARED.iter().filter(move |key| {
                architecture.config_keys().iter().all(|own| own.name != key.name)
            });
            own.chain(shared).map(move |key| (architecture, key))
        })
    }

    fn tiny(architecture: Architecture) -> Value {
        config_to_json(&ModelConfig::tiny(architecture))
    }

    fn with(architecture: Architecture, key: &str, value: &Value) -> Value {
        let mut object = tiny(architecture);
        object[key] = value.clone();
        object
    }

    /// Another value for each key that is followed.
    fn another(key: &str) -> Value {
        match key {
            "tie_word_embeddings"
            | "word_embed_proj_dim"
            | "architectures"
            | "id2label"
            | "layer_types" => Value::Null,
            "rope_parameters" | "rope_scaling" => json!({"rope_theta": 77.0}),
            "num_key_value_heads" => json!(1),
            "bos_token_id" | "eos_token_id" | "pad_token_id" => json!(7),
            name if name.contains("drop") => json!(0.25),
            name if name.contains("eps") => json!(0.125),
            "position_heads" => json!("interleaved"),
            "feed_forward_proj" => json!("gated-gelu"),
            "elc_variant" => json!("zero"),
            "rope_theta" | "initializer_range" | "init_std" => json!(0.5),
            _ => json!(64),
        }
    }

    #[test]
    fn followed_keys_change_the_configuration() {
        // Read elsewhere, or only one value is possible in a language model of this size.
        let elsewhere = [
            "model_type",
            "architectures",
            "num_labels",
            "id2label",
            "tie_word_embeddings",
            "word_embed_proj_dim",
            "layer_types",
            "is_gated_act",
            "dense_act_fn",
        ];
        for (architecture, key) in tables() {
            if key.meaning != Meaning::Followed || elsewhere.contains(&key.name) {
                continue;
            }
            // They have keys of their own for it.
            let own = [Architecture::OPT, Architecture::T5];
            if own.contains(&architecture) && key.name == "initializer_range" {
                continue;
            }
            // The width of dense layers, of which there is none.
            if architecture == Architecture::SWITCH_LLAMA && key.name == "intermediate_size" {
                continue;
            }
            let before = read(&tiny(architecture)).unwrap();
            match read(&with(architecture, key.name, &another(key.name))) {
                Ok(after) => assert_ne!(before, after, "{architecture:?} {}", key.name),
                // Sizes that no longer fit the others are read, too.
                Err(error) => {
                    let message = error.to_string();
                    let is_size = matches!(error, ModelError::ConfigFile { .. });
                    assert!(is_size || message.contains("`word_embed_proj_dim`"), "{message}");
                }
            }
        }
        let tied = |tied: bool| {
            read(&with(Architecture::LLAMA, "tie_word_embeddings", &json!(tied))).unwrap()
        };
        assert_ne!(tied(true), tied(false));
    }

    #[test]
    fn other_values_are_refused_by_name() {
        for (architecture, key) in tables() {
            let Meaning::Only(values) = key.meaning else { continue };
            let message = read(&with(architecture, key.name, &json!({"x": 1}))).unwrap_err();
            let part = format!("config.json: `{}` is {{\"x\":1}}; babyllama knows ", key.name);
            assert!(message.to_string().starts_with(&part), "{message}");
            assert!(message.to_string().len() > part.len(), "{message}");
            for value in values.iter().chain(&["null"]) {
                let value: Value = serde_json::from_str(value).unwrap();
                let found = read(&with(architecture, key.name, &value));
                assert_eq!(found.unwrap(), read(&tiny(architecture)).unwrap(), "{}", key.name);
            }
        }
    }

    #[test]
    fn other_spellings_are_the_same_key() {
        for (architecture, key) in tables() {
            let Meaning::Spelling(own) = key.meaning else { continue };
            let mut object = tiny(architecture);
            let value = object[own].take();
            object[key.name] = value.clone();
            assert_eq!(read(&object).unwrap(), read(&tiny(architecture)).unwrap());
            object[own] = value;
            assert_eq!(read(&object).unwrap(), read(&tiny(architecture)).unwrap());
            object[own] = json!(12_345);
            let message = read(&object).unwrap_err().to_string();
            let part = format!("babyllama knows 12345 by `{own}`, which is the same key");
            assert!(message.contains(&format!("`{}`", key.name)), "{message}");
            assert!(message.contains(&part), "{message}");
        }
    }

    #[test]
    fn keys_without_effect_change_nothing() {
        for (architecture, key) in tables() {
            if key.meaning == Meaning::NoEffect {
                let found = read(&with(architecture, key.name, &json!("anything"))).unwrap();
                assert_eq!(found, read(&tiny(architecture)).unwrap(), "{}", key.name);
            }
        }
    }

    #[test]
    fn a_table_has_each_key_once_and_all_that_are_written() {
        for architecture in Architecture::all() {
            let own = architecture.config_keys();
            for (index, key) in own.iter().enumerate() {
                assert!(own[..index].iter().all(|other| other.name != key.name), "{}", key.name);
            }
            let text = tiny(architecture).to_string();
            let keys = Keys::parse(Path::new("config.json"), text.as_bytes()).unwrap();
            assert_eq!(passed_over(&keys, architecture), [""; 0]);
            let foreign = with(architecture, "logits_scaling", &json!(8)).to_string();
            let keys = Keys::parse(Path::new("config.json"), foreign.as_bytes()).unwrap();
            assert_eq!(passed_over(&keys, architecture), ["logits_scaling"]);
        }
    }

    #[test]
    fn rotary_positions_have_several_spellings() {
        let base = |keys: Value| {
            let mut object = tiny(Architecture::LLAMA);
            object.as_object_mut().unwrap().remove("rope_theta");
            object.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            read(&object).map(|config| config.rope_theta)
        };
        for (keys, expected) in [
            (json!({}), 10_000.0),
            (json!({"rope_theta": 500}), 500.0),
            (json!({"rope_theta": 500, "rope_scaling": null}), 500.0),
            (json!({"rope_theta": 500, "rope_scaling": {}}), 500.0),
            (json!({"rope_theta": 500, "rope_scaling": {"rope_type": "default"}}), 500.0),
            (json!({"rope_theta": 500, "rope_scaling": {"type": "default"}}), 500.0),
            (json!({"rope_theta": 500, "rope_parameters": {"rope_theta": 70}}), 70.0),
            (json!({"rope_parameters": {"rope_theta": 70, "rope_type": "default"}}), 70.0),
            (json!({"rope_scaling": {"rope_theta": 60, "factor": 1.0}}), 60.0),
            // transformers: what is in `rope_scaling` replaces all of `rope_parameters`.
            (
                json!({
                    "rope_theta": 500,
                    "rope_scaling": {"type": "default"},
                    "rope_parameters": {"rope_theta": 70},
                }),
                500.0,
            ),
        ] {
            assert_eq!(base(keys.clone()).unwrap(), expected, "{keys}");
        }
        for kind in ["linear", "dynamic", "yarn", "longrope", "llama3", "su"] {
            for (outer, inner) in [
                ("rope_scaling", "type"),
                ("rope_scaling", "rope_type"),
                ("rope_parameters", "rope_type"),
            ] {
                let message = base(json!({outer: {inner: kind, "factor": 2.0}})).unwrap_err();
                let expected =
                    format!("`{outer}.{inner}` is \"{kind}\"; babyllama knows \"default\"");
                assert!(message.to_string().ends_with(&expected), "{message}");
            }
        }
        assert!(base(json!({"partial_rotary_factor": 0.5})).is_err());
        assert!(base(json!({"rope_parameters": {"partial_rotary_factor": 0.5}})).is_err());
    }

    #[test]
    fn negative_ids_mean_none() {
        for architecture in Architecture::all() {
            let none = |id: i64| read(&with(architecture, "pad_token_id", &json!(id)));
            match architecture == Architecture::ROBERTA {
                false => assert_eq!(none(-1).unwrap().pad_token_id, None),
                // It counts positions from it.
                true => assert!(none(-1).unwrap_err().to_string().contains("pad_token_id")),
            }
            let config = read(&with(architecture, "bos_token_id", &json!(-1))).unwrap();
            assert_eq!(config.bos_token_id, None);
            let config = read(&with(architecture, "eos_token_id", &json!([-1, 5]))).unwrap();
            assert_eq!(config.eos_token_ids, [5]);
        }
    }
}
