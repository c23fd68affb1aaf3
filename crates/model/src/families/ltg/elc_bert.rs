//! ELC-BERT (Charpentier and Samuel, arXiv 2311.02265): an LTG-BERT in which every layer reads a
//! learned mixture of the embeddings and of what all layers before it left, and attention adds to
//! no residual stream. The authors' code has four variants ([`ElcVariant`]).

use engine::ops::mixture::Mixture;
use engine::params::NamedSegment;
use engine::{Layout, Role, Tape, Var};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::parts::{Attention, Embeddings, Encoder, FeedForward, WithOutput, WithoutOutput, head};
use super::{config_keys, read_config, validate, write_config};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::families::{Activations, Architecture, Family, MatrixProduct, ModelConfig};
use crate::head::Head;
use crate::keys::Keys;

/// The variants of the authors' code. With m the mixture that a layer reads and a what attention
/// makes of it, the layer leaves `a + feed_forward(a)` in the first, and in the others
/// `a + feed_forward(m + a)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElcVariant {
    /// The weight of the last layer before begins at 1 and the others at 0.
    Base,
    /// All weights begin at 0, so that the first mixtures are means; also in the next two.
    Zero,
    /// What a layer leaves goes through a norm without parameters.
    Normalized,
    /// The output layer reads a mixture too, of all layers.
    WeightedOutput,
}

/// The name of the tensor with a layer's weights of earlier states.
pub(super) fn weights_of(layer: usize) -> String {
    format!("transformer.layers.{layer}.prev_layer_weights")
}

/// The name of the tensor with the output layer's weights of earlier states.
pub(super) const OUTPUT_WEIGHTS: &str = "transformer.prev_layer_weights";

/// The family.
pub(in crate::families) struct ElcBert;

impl Family for ElcBert {
    fn name(&self) -> &'static str {
        "elc-bert"
    }

    fn model_type(&self) -> &'static str {
        "elcbert"
    }

    /// Published configurations are those of an LTG-BERT; this program's key `elc_variant` marks
    /// those of an ELC-BERT.
    fn is_also(&self, model_type: &str, keys: &Keys<'_>) -> bool {
        matches!(model_type, "ltgbert" | "bert") && keys.names().any(|name| name == "elc_variant")
    }

    fn title(&self) -> &'static str {
        "ELC-BERT"
    }

    fn language_model_class(&self) -> &'static str {
        "ElcBertForMaskedLM"
    }

    fn is_in_transformers(&self) -> bool {
        false
    }

    fn classifier_class(&self) -> &'static str {
        "ElcBertForSequenceClassification"
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn is_made_by_recipes(&self) -> bool {
        true
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig {
            elc_variant: Some(ElcVariant::Base),
            ..super::defaults(Architecture::ELC_BERT)
        }
    }

    fn initializer_range(&self, hidden_size: usize) -> f32 {
        super::initializer_range(hidden_size)
    }

    fn intermediate_size(&self, _hidden_size: usize) -> Result<usize, &'static str> {
        Err("for ELC-BERT it is usually 8/3 of hidden_size")
    }

    fn has_padding_row(&self) -> bool {
        false
    }

    fn has_position_buckets(&self) -> bool {
        true
    }

    fn has_variants(&self) -> bool {
        true
    }

    /// Of the variant with all kinds of weights.
    fn tiny(&self) -> ModelConfig {
        let elc_variant = Some(ElcVariant::WeightedOutput);
        ModelConfig { elc_variant, ..super::tiny(self.defaults()) }
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
        let elc_variant = Some(keys.required("elc_variant")?);
        Ok(ModelConfig { elc_variant, ..read_config(self.defaults(), keys)? })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        let mut keys = write_config(config);
        keys["elc_variant"] = json!(config.elc_variant);
        keys
    }

    fn of_tensors(
        &self,
        config: ModelConfig,
        has: &dyn Fn(&str) -> bool,
    ) -> Result<ModelConfig, &'static str> {
        let is_weighted = config.elc_variant == Some(ElcVariant::WeightedOutput);
        match has(OUTPUT_WEIGHTS) && !is_weighted {
            true => {
                Err("an ELC-BERT whose output layer reads a mixture of all layers, as only the \
                         variant weighted_output has it")
            }
            false => Ok(config),
        }
    }

    fn can_untie(&self) -> bool {
        false
    }

    fn output_name(&self, _config: &ModelConfig) -> &'static str {
        "classifier.nonlinearity.5.weight"
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        let encoder = ElcBertEncoder::new(config, layout);
        Box::new(WithOutput::new(encoder, config, "classifier", layout))
    }

    fn backbone(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Backbone> {
        Box::new(WithoutOutput(ElcBertEncoder::new(config, layout)))
    }

    fn head(&self, config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Box<dyn Head> {
        head(config, num_labels, layout)
    }

    fn initial_deviation(&self, config: &ModelConfig, segment: &NamedSegment) -> f32 {
        super::initial_deviation(config, segment, "transformer.layers.")
    }

    fn initial_weight_of_last_state(&self, config: &ModelConfig) -> f32 {
        if config.elc_variant == Some(ElcVariant::Base) { 1.0 } else { 0.0 }
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

    /// A layer keeps what it reads, the sum with attention's and what it leaves, one state more
    /// than LTG-BERT; the backward has a gradient of every earlier state.
    fn activations(&self, config: &ModelConfig) -> Activations {
        let mut activations = super::activations(config);
        let states = (config.num_layers + 1) * config.hidden_size;
        activations.kept.full += states;
        activations.backward.full += states;
        activations.forward.full += states;
        activations
    }
}

static CONFIG_KEYS: &[ConfigKey] = config_keys![
    // This program's own.
    followed("elc_variant"),
    only("is_decoder", &["false"]),
];

/// Where the parameters are in the flat vector, and the forward pass.
struct ElcBertEncoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    /// What the output layer reads, where that is not the last state.
    output: Option<Mixture>,
    variant: ElcVariant,
    epsilon: f32,
    attention_dropout: f32,
}

struct Layer {
    mixture: Mixture,
    attention: Attention,
    feed_forward: FeedForward,
}

fn mixture(layout: &mut Layout, name: String, states: usize) -> Mixture {
    Mixture { weights: layout.add(name, 1, states, Role::Mixture), by_softmax: true }
}

impl ElcBertEncoder {
    fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let variant = config.elc_variant.unwrap_or(ElcVariant::Base);
        let embeddings = Embeddings::new(config, "", layout);
        let layer = |index: usize| {
            let name = |part: &str| format!("transformer.layers.{index}.{part}");
            Layer {
                mixture: mixture(layout, weights_of(index), index + 1),
                attention: Attention::new(config, &name("attention"), layout),
                feed_forward: FeedForward::new(config, &name("mlp.mlp"), layout),
            }
        };
        let layers = (0..config.num_layers).map(layer).collect();
        let is_weighted = variant == ElcVariant::WeightedOutput;
        let states = config.num_layers + 1;
        Self {
            embeddings,
            layers,
            output: is_weighted.then(|| mixture(layout, OUTPUT_WEIGHTS.to_owned(), states)),
            variant,
            epsilon: config.norm_epsilon,
            attention_dropout: config.attention_dropout,
        }
    }
}

impl Encoder for ElcBertEncoder {
    fn embeddings(&self) -> &Embeddings {
        &self.embeddings
    }

    fn states(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        let distances = self.embeddings.distances(tape);
        let mut states = vec![self.embeddings.states(tape, batch)];
        for layer in &self.layers {
            let m = tape.mixture(&states, &layer.mixture);
            let a = layer.attention.states(tape, &m, &distances, batch, &self.embeddings.heads);
            let a = tape.dropout(a, self.attention_dropout);
            let read = match self.variant {
                ElcVariant::Base => a.clone(),
                _ => tape.add(a.clone(), m, 0.0),
            };
            let h = layer.feed_forward.inner(tape, &read);
            let h = layer.feed_forward.add(tape, &h, a);
            states.push(match self.variant {
                ElcVariant::Normalized => tape.plain_layer_norm(&h, self.epsilon),
                _ => h,
            });
        }
        match &self.output {
            Some(mixture) => tape.mixture(&states, mixture),
            None => states.swap_remove(states.len() - 1),
        }
    }
}
