//! T5 (Raffel et al., arXiv 1910.10683) and T5 1.1 (Shazeer, arXiv 2002.05202), the
//! encoder-decoders, as transformers' `T5ForConditionalGeneration` computes them: the encoder reads
//! a text, and the decoder, which sees the encoder's states, predicts another one token by token.
//! No product has a bias, scores of attention are not scaled, and in place of positions they have a
//! learned bias for each bucket of distances, which all layers of a half share.
//!
//! A classifier consists of the encoder alone with the attention pooling of the BabyLM pipeline of
//! 2023.

mod network;

use engine::params::NamedSegment;
use engine::{Layout, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Activations, Architecture, Family, MatrixProduct, ModelConfig, facts};
use crate::config_keys::{ConfigKey, followed, only, spelling};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::head::Head;
use crate::keys::{Keys, decimal};

use network::{AttentionHead, Encoder, EncoderDecoderNetwork};

/// What an encoder-decoder has besides the sizes of its encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderDecoder {
    /// Layers of the decoder; `num_layers` are the encoder's.
    pub decoder_layers: usize,
    /// The distance from which on all share the last bucket.
    pub max_distance: usize,
    /// Whether the feed-forward part is T5 1.1's with a gate (GELU) instead of T5's (ReLU).
    pub is_gated: bool,
    /// The token that the decoder reads first, before any that it has predicted.
    pub decoder_start_token_id: u32,
}

impl EncoderDecoder {
    /// transformers' defaults, with as many layers as the encoder.
    pub fn with_layers(decoder_layers: usize) -> Self {
        Self { decoder_layers, max_distance: 128, is_gated: false, decoder_start_token_id: 0 }
    }
}

/// The family.
pub(super) struct T5;

impl Family for T5 {
    fn name(&self) -> &'static str {
        "t5"
    }

    fn title(&self) -> &'static str {
        "T5"
    }

    fn language_model_class(&self) -> &'static str {
        "T5ForConditionalGeneration"
    }

    /// A classifier's layout is that of the BabyLM pipeline of 2023, for which transformers has no
    /// class: its own of this name reads the decoder.
    fn classifier_class(&self) -> &'static str {
        "T5EncoderForSequenceClassification"
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn is_encoder_decoder(&self) -> bool {
        true
    }

    fn is_made_by_recipes(&self) -> bool {
        true
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig {
            norm_epsilon: 1e-6,
            max_positions: 512,
            position_buckets: Some(32),
            tie_word_embeddings: true,
            embedding_dropout: 0.1,
            attention_dropout: 0.1,
            residual_dropout: 0.1,
            initializer_range: 1.0,
            bos_token_id: None,
            eos_token_ids: vec![1],
            pad_token_id: Some(0),
            encoder_decoder: Some(EncoderDecoder::with_layers(0)),
            ..ModelConfig::unstated(Architecture::T5)
        }
    }

    fn has_padding_row(&self) -> bool {
        false
    }

    fn has_position_buckets(&self) -> bool {
        true
    }

    fn tiny(&self) -> ModelConfig {
        ModelConfig {
            position_buckets: Some(8),
            max_positions: 32,
            encoder_decoder: Some(EncoderDecoder {
                max_distance: 12,
                ..EncoderDecoder::with_layers(1)
            }),
            ..self.defaults().with_tiny_sizes()
        }
    }

    fn is_one_dropout(&self) -> [bool; 2] {
        [true, true]
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        let wrong = |key, problem| Err(ModelError::Config { key, problem });
        let Some(own) = &config.encoder_decoder else {
            return wrong("decoder_layers", "is missing; T5 has a decoder".to_owned());
        };
        let (heads, kv_heads) = (config.num_heads, config.num_kv_heads);
        if heads != kv_heads {
            let problem =
                format!("is {kv_heads}; T5 shares no heads, so it must equal num_heads = {heads}");
            return wrong("num_kv_heads", problem);
        }
        if !(1..=ModelConfig::MOST_LAYERS).contains(&own.decoder_layers) {
            let (found, most) = (own.decoder_layers, ModelConfig::MOST_LAYERS);
            return wrong("decoder_layers", format!("is {found}; it must be from 1 to {most}"));
        }
        let buckets = config.position_buckets.unwrap_or_default();
        if !buckets.is_multiple_of(4) {
            let problem = format!(
                "is {buckets}; half of the encoder's are for each direction and half of those for \
                 near distances, so it must be a multiple of 4"
            );
            return wrong("position_buckets", problem);
        }
        let (far, near) = (own.max_distance, buckets / 2);
        if !(near + 1..=ModelConfig::LARGEST_SIZE).contains(&far) {
            let problem =
                format!("is {far}; it must be more than the {near} distances with own buckets");
            return wrong("max_distance", problem);
        }
        let (start, vocab_size) = (own.decoder_start_token_id, config.vocab_size);
        if start as usize >= vocab_size {
            let problem = format!("is {start}, outside the vocabulary of {vocab_size}");
            return wrong("decoder_start_token_id", problem);
        }
        let share = config.residual_dropout;
        for (key, other) in [
            ("embedding_dropout", config.embedding_dropout),
            ("attention_dropout", config.attention_dropout),
        ] {
            if other != share {
                let problem = format!("is {other}; T5 has one dropout, residual_dropout = {share}");
                return wrong(key, problem);
            }
        }
        Ok(())
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        CONFIG_KEYS
    }

    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
        let defaults = self.defaults();
        let num_heads: usize = keys.required("num_heads")?;
        let num_layers: usize = keys.required("num_layers")?;
        let dropout = keys.or("dropout_rate", defaults.residual_dropout)?;
        let shared = defaults.with_shared_keys(keys)?;
        keys.only("feed_forward_proj", &FORMS.map(|form| json!(form)))?;
        let form: String = keys.or("feed_forward_proj", FORMS[0].to_owned())?;
        let is_gated = form == FORMS[1];
        // What transformers derives from the form, and writes beside it.
        keys.only("is_gated_act", &[json!(is_gated)])?;
        keys.only("dense_act_fn", &[json!(if is_gated { "gelu_new" } else { "relu" })])?;
        let start = keys.token("decoder_start_token_id", shared.pad_token_id)?;
        Ok(ModelConfig {
            vocab_size: keys.required("vocab_size")?,
            hidden_size: keys.required("d_model")?,
            intermediate_size: keys.required("d_ff")?,
            num_layers,
            num_heads,
            num_kv_heads: num_heads,
            head_dim: keys.or("d_kv", 64)?,
            max_positions: keys.or("n_positions", shared.max_positions)?,
            position_buckets: Some(keys.or("relative_attention_num_buckets", 32)?),
            norm_epsilon: keys.or("layer_norm_epsilon", shared.norm_epsilon)?,
            initializer_range: keys.or("initializer_factor", shared.initializer_range)?,
            embedding_dropout: dropout,
            attention_dropout: dropout,
            residual_dropout: dropout,
            classifier_dropout: keys.optional("classifier_dropout")?,
            encoder_decoder: Some(EncoderDecoder {
                decoder_layers: keys.or("num_decoder_layers", num_layers)?,
                max_distance: keys.or("relative_attention_max_distance", 128)?,
                is_gated,
                decoder_start_token_id: start.unwrap_or(0),
            }),
            ..shared
        })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        let own = config.encoder_decoder.unwrap_or(EncoderDecoder::with_layers(config.num_layers));
        json!({
            "is_encoder_decoder": true,
            "vocab_size": config.vocab_size,
            "d_model": config.hidden_size,
            "d_kv": config.head_dim,
            "d_ff": config.intermediate_size,
            "num_layers": config.num_layers,
            "num_decoder_layers": own.decoder_layers,
            "num_heads": config.num_heads,
            "n_positions": config.max_positions,
            "relative_attention_num_buckets": config.position_buckets,
            "relative_attention_max_distance": own.max_distance,
            "feed_forward_proj": FORMS[usize::from(own.is_gated)],
            "layer_norm_epsilon": decimal(config.norm_epsilon),
            "dropout_rate": decimal(config.residual_dropout),
            "initializer_factor": decimal(config.initializer_range),
            "decoder_start_token_id": own.decoder_start_token_id,
        })
    }

    /// The embedding, of which files may have a copy for each half, where transformers puts
    /// `shared` once all is read.
    fn names_in_files(&self, name: &str) -> Vec<String> {
        let mut names = vec![name.to_owned()];
        if name == "shared.weight" {
            names.extend(["encoder", "decoder"].map(|half| format!("{half}.embed_tokens.weight")));
        }
        names
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(EncoderDecoderNetwork::new(config, layout))
    }

    fn backbone(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Backbone> {
        Box::new(Encoder::new(config, layout))
    }

    fn head(&self, config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Box<dyn Head> {
        Box::new(AttentionHead::new(config, num_labels, layout))
    }

    /// `T5PreTrainedModel._init_weights`, times `initializer_range`, which is its
    /// `initializer_factor`.
    fn initial_deviation(&self, config: &ModelConfig, segment: &NamedSegment) -> f32 {
        let (hidden, inner) = (config.hidden_size as f32, config.intermediate_size as f32);
        let name = segment.name.as_str();
        let own = match segment.role {
            Role::Embedding => 1.0,
            _ if name == "lm_head.weight" => 1.0,
            _ if name.ends_with("ttention.q.weight") => hidden * config.head_dim as f32,
            _ if name.ends_with("ttention.o.weight") => (config.num_heads * config.head_dim) as f32,
            _ if name.ends_with("DenseReluDense.wo.weight") => inner,
            _ => hidden,
        };
        config.initializer_range / own.sqrt()
    }

    fn is_gated(&self, config: &ModelConfig) -> bool {
        config.encoder_decoder.is_some_and(|own| own.is_gated)
    }

    /// The products of both halves.
    fn products(&self, config: &ModelConfig) -> Vec<MatrixProduct> {
        let (hidden, of_heads) = (config.hidden_size, config.num_heads * config.head_dim);
        let decoder_layers = config.decoder_layers();
        let mut products = facts::products(&in_one_stack(config));
        for product in &mut products {
            if product.name == "attention_output" {
                product.count += decoder_layers;
            }
        }
        let cross = [("cross_query", of_heads), ("cross_key_value", 2 * of_heads)];
        products.extend(cross.map(|(name, outputs)| MatrixProduct {
            name,
            inputs: hidden,
            outputs,
            count: decoder_layers,
        }));
        products
    }

    /// The values of a token that both halves read: a decoder's layer also keeps a norm with its
    /// statistics, and of cross-attention the queries, keys and values and the output with its
    /// logarithms.
    fn activations(&self, config: &ModelConfig) -> Activations {
        let (hidden, of_heads) = (config.hidden_size, config.num_heads * config.head_dim);
        let layers = config.decoder_layers();
        let mut activations = facts::activations(&in_one_stack(config));
        activations.kept.full += layers * (hidden + 1 + config.num_heads);
        activations.kept.compact += layers * (hidden + 4 * of_heads) + hidden;
        activations
    }
}

/// A configuration with the layers of both halves in one stack.
fn in_one_stack(config: &ModelConfig) -> ModelConfig {
    ModelConfig { num_layers: config.num_layers + config.decoder_layers(), ..config.clone() }
}

/// `feed_forward_proj` of T5 and of T5 1.1.
const FORMS: [&str; 2] = ["relu", "gated-gelu"];

static CONFIG_KEYS: &[ConfigKey] = &[
    // With it transformers gives both halves the same layers.
    only("tie_encoder_decoder", &["false"]),
    followed("d_model"),
    spelling("hidden_size", "d_model"),
    followed("d_kv"),
    spelling("head_dim", "d_kv"),
    followed("d_ff"),
    followed("num_layers"),
    spelling("num_hidden_layers", "num_layers"),
    followed("num_decoder_layers"),
    followed("num_heads"),
    spelling("num_attention_heads", "num_heads"),
    followed("n_positions"),
    followed("relative_attention_num_buckets"),
    followed("relative_attention_max_distance"),
    followed("dropout_rate"),
    followed("classifier_dropout"),
    followed("layer_norm_epsilon"),
    followed("initializer_factor"),
    followed("decoder_start_token_id"),
    followed("feed_forward_proj"),
    // Both follow from it.
    followed("is_gated_act"),
    followed("dense_act_fn"),
    only("is_encoder_decoder", &["true"]),
    only("is_decoder", &["false"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_no_t5_has_are_refused_by_name() {
        let message = |change: &dyn Fn(&mut ModelConfig, &mut EncoderDecoder)| {
            let mut config = T5.tiny();
            let mut own = config.encoder_decoder.unwrap();
            change(&mut config, &mut own);
            config.encoder_decoder = Some(own);
            config.validate().unwrap_err().to_string()
        };
        for (found, expected) in [
            (message(&|_, own| own.decoder_layers = 0), "decoder_layers is 0; it must be from 1"),
            (message(&|of, _| of.position_buckets = Some(6)), "position_buckets is 6"),
            (message(&|of, _| of.position_buckets = None), "position_buckets is missing; T5"),
            (message(&|_, own| own.max_distance = 4), "max_distance is 4; it must be more than"),
            (message(&|_, own| own.decoder_start_token_id = 50), "decoder_start_token_id is 50"),
            (message(&|of, _| of.num_kv_heads = 2), "num_kv_heads is 2; T5 shares no heads"),
            (message(&|of, _| of.attention_dropout = 0.1), "T5 has one dropout"),
            (message(&|of, _| of.position_heads = Some(super::super::PositionHeads::Halves)), "T5"),
        ] {
            assert!(found.contains(expected), "{found}");
        }
        let config = ModelConfig { encoder_decoder: None, ..T5.tiny() };
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains("decoder_layers is missing; T5 has a decoder"), "{message}");
        let other = ModelConfig {
            encoder_decoder: T5.tiny().encoder_decoder,
            ..ModelConfig::tiny(Architecture::GPT2)
        };
        let message = other.validate().unwrap_err().to_string();
        assert!(message.contains("decoder_layers is 1; GPT-2 has no decoder"), "{message}");
    }
}
