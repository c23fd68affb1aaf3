//! LTG-BERT (Samuel et al., arXiv 2303.09859), the masked model of the BabyLM baselines, as its
//! authors' `LtgBertForMaskedLM` computes it: norms without parameters before each part and one
//! with parameters behind attention, a gated feed-forward part, and attention whose scores depend
//! on bucketed distances in place of positions.
//!
//! transformers has no such class: published folders bring their own code, of which there are two
//! lines that cut the projected table of distances into heads in different ways
//! ([`PositionHeads`](super::PositionHeads)).

use engine::params::NamedSegment;
use engine::{Layout, Tape, Var};
use serde_json::{Value, json};

use super::elc_bert::{self, ElcVariant};
use super::parts::{Attention, Embeddings, Encoder, FeedForward, WithOutput, WithoutOutput, head};
use super::{config_keys, read_config, validate, write_config};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::families::{Activations, Architecture, Family, MatrixProduct, ModelConfig};
use crate::head::Head;
use crate::keys::Keys;

/// The family.
pub(in crate::families) struct LtgBert;

impl Family for LtgBert {
    fn name(&self) -> &'static str {
        "ltg-bert"
    }

    fn model_type(&self) -> &'static str {
        "ltgbert"
    }

    /// Published configurations call themselves a BERT, which has no buckets.
    fn is_also(&self, model_type: &str, keys: &Keys<'_>) -> bool {
        matches!(model_type, "bert" | "norbert")
            && keys.names().any(|name| name == "position_bucket_size")
    }

    fn title(&self) -> &'static str {
        "LTG-BERT"
    }

    fn language_model_class(&self) -> &'static str {
        "LtgBertForMaskedLM"
    }

    fn is_in_transformers(&self) -> bool {
        false
    }

    fn classifier_class(&self) -> &'static str {
        "LtgBertForSequenceClassification"
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn is_made_by_recipes(&self) -> bool {
        true
    }

    fn defaults(&self) -> ModelConfig {
        super::defaults(Architecture::LTG_BERT)
    }

    fn initializer_range(&self, hidden_size: usize) -> f32 {
        super::initializer_range(hidden_size)
    }

    fn intermediate_size(&self, _hidden_size: usize) -> Result<usize, &'static str> {
        Err("for LTG-BERT it is usually 8/3 of hidden_size")
    }

    fn has_padding_row(&self) -> bool {
        false
    }

    fn has_position_buckets(&self) -> bool {
        true
    }

    fn has_position_heads(&self) -> bool {
        true
    }

    fn tiny(&self) -> ModelConfig {
        super::tiny(self.defaults())
    }

    fn is_one_dropout(&self) -> [bool; 2] {
        [true, false]
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        validate(config)
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        CONFIG_KEYS
    }

    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
        let position_heads = keys.optional("position_heads")?;
        Ok(ModelConfig { position_heads, ..read_config(self.defaults(), keys)? })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        let mut keys = write_config(config);
        if let Some(heads) = config.position_heads {
            keys["position_heads"] = json!(heads);
        }
        keys
    }

    /// Published folders of ELC-BERT have the same `config.json`. Of its variants only one shows in
    /// the tensors.
    fn of_tensors(
        &self,
        config: ModelConfig,
        has: &dyn Fn(&str) -> bool,
    ) -> Result<ModelConfig, &'static str> {
        if !has(&elc_bert::weights_of(0)) {
            return Ok(config);
        }
        match has(elc_bert::OUTPUT_WEIGHTS) {
            true => Ok(ModelConfig {
                architecture: Architecture::ELC_BERT,
                elc_variant: Some(ElcVariant::WeightedOutput),
                position_heads: None,
                ..config
            }),
            false => Err("an ELC-BERT, whose variant its tensors do not show"),
        }
    }

    fn can_untie(&self) -> bool {
        false
    }

    fn output_name(&self, _config: &ModelConfig) -> &'static str {
        "classifier.nonlinearity.5.weight"
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        let encoder = LtgBertEncoder::new(config, layout);
        Box::new(WithOutput::new(encoder, config, "classifier", layout))
    }

    fn backbone(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Backbone> {
        Box::new(WithoutOutput(LtgBertEncoder::new(config, layout)))
    }

    fn head(&self, config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Box<dyn Head> {
        head(config, num_labels, layout)
    }

    fn initial_deviation(&self, config: &ModelConfig, segment: &NamedSegment) -> f32 {
        super::initial_deviation(config, segment, "transformer.layers.")
    }

    fn cuts_initial_weights(&self) -> bool {
        true
    }

    fn is_gated(&self, _config: &ModelConfig) -> bool {
        true
    }

    fn products(&self, config: &ModelConfig) -> Vec<MatrixProduct> {
        super::products(config)
    }

    fn activations(&self, config: &ModelConfig) -> Activations {
        super::activations(config)
    }
}

static CONFIG_KEYS: &[ConfigKey] = config_keys![
    // This program's own.
    followed("position_heads"),
    only("is_decoder", &["false"]),
];

/// Where the parameters are in the flat vector, and the forward pass.
struct LtgBertEncoder {
    embeddings: Embeddings,
    layers: Vec<(Attention, FeedForward)>,
    attention_dropout: f32,
}

impl LtgBertEncoder {
    fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let embeddings = Embeddings::new(config, "", layout);
        let layer = |index: usize| {
            let name = |part: &str| format!("transformer.layers.{index}.{part}");
            let attention = Attention::new(config, &name("attention"), layout);
            (attention, FeedForward::new(config, &name("mlp.mlp"), layout))
        };
        let layers = (0..config.num_layers).map(layer).collect();
        Self { embeddings, layers, attention_dropout: config.attention_dropout }
    }
}

impl Encoder for LtgBertEncoder {
    fn embeddings(&self) -> &Embeddings {
        &self.embeddings
    }

    fn states(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        let distances = self.embeddings.distances(tape);
        let mut x = self.embeddings.states(tape, batch);
        for (attention, feed_forward) in &self.layers {
            let h = attention.states(tape, &x, &distances, batch, &self.embeddings.heads);
            // The same dropout as that of the weights.
            x = tape.add(h, x, self.attention_dropout);
            let h = feed_forward.inner(tape, &x);
            x = feed_forward.add(tape, &h, x);
        }
        x
    }
}
