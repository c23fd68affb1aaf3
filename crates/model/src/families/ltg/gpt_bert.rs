//! GPT-BERT (Charpentier and Samuel, arXiv 2410.24159): one model that predicts the next token from
//! those before it, or hidden tokens from both sides, each at the token before it. An LTG-BERT
//! whose attention is gated, with a learned mixture of all earlier states behind each part.
//!
//! Folders have one of two namings of tensors ([`GptBertNames`]).

use engine::ops::attention::Heads;
use engine::ops::linear::Linear;
use engine::ops::mixture::Mixture;
use engine::ops::relative_attention::RelativeHeads;
use engine::params::NamedSegment;
use engine::{Layout, Role, Tape, Var};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::parts::{
    Embeddings, Encoder, FeedForward, Projections, WithOutput, WithoutOutput, head,
};
use super::{config_keys, read_config, validate, write_config};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only, spelling};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::families::segments::linear;
use crate::families::{Activations, Architecture, Family, MatrixProduct, ModelConfig};
use crate::head::Head;
use crate::keys::Keys;

/// How the tensors of a folder are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GptBertNames {
    /// The names of the authors.
    Authors,
    /// The names of BabyLM 2025's organisers in their baselines.
    Babylm2025,
}

/// Where the names of tensors begin.
struct Prefixes {
    embedding: &'static str,
    layers: &'static str,
    output: &'static str,
}

fn prefixes(config: &ModelConfig) -> Prefixes {
    match config.gpt_bert_names.unwrap_or(GptBertNames::Authors) {
        GptBertNames::Authors => {
            Prefixes { embedding: "", layers: "transformer.", output: "classifier" }
        }
        GptBertNames::Babylm2025 => {
            Prefixes { embedding: "model.", layers: "model.", output: "lm_head" }
        }
    }
}

/// The family.
pub(in crate::families) struct GptBert;

impl Family for GptBert {
    fn name(&self) -> &'static str {
        "gpt-bert"
    }

    fn model_type(&self) -> &'static str {
        "gpt_bert"
    }

    /// The authors' configurations have no `model_type`, but classes of their own.
    fn is_also(&self, model_type: &str, keys: &Keys<'_>) -> bool {
        let is_ours = |class: &String| {
            let class = class.to_ascii_lowercase();
            let is_theirs = model_type.is_empty() || class.ends_with("causallm");
            class.starts_with("gptbert") || (class.starts_with("ltgbert") && is_theirs)
        };
        matches!(model_type, "" | "bert" | "ltgbert" | "gptbert" | "gpt-bert")
            && keys.names().any(|name| name == "position_bucket_size")
            && keys.classes().is_ok_and(|classes| classes.iter().any(is_ours))
    }

    fn title(&self) -> &'static str {
        "GPT-BERT"
    }

    fn language_model_class(&self) -> &'static str {
        "GPTBERTForCausalLM"
    }

    fn is_in_transformers(&self) -> bool {
        false
    }

    fn classifier_class(&self) -> &'static str {
        "GPTBERTForSequenceClassification"
    }

    fn is_made_by_recipes(&self) -> bool {
        true
    }

    fn has_kv_cache(&self) -> bool {
        false
    }

    fn classifies_both_ways(&self) -> bool {
        true
    }

    fn defaults(&self) -> ModelConfig {
        ModelConfig {
            norm_epsilon: 1e-5,
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            pad_token_id: Some(3),
            ..super::defaults(Architecture::GPT_BERT)
        }
    }

    fn initializer_range(&self, hidden_size: usize) -> f32 {
        super::initializer_range(hidden_size)
    }

    fn intermediate_size(&self, _hidden_size: usize) -> Result<usize, &'static str> {
        Err("for GPT-BERT it is usually 10/3 of hidden_size")
    }

    fn has_padding_row(&self) -> bool {
        false
    }

    fn has_position_buckets(&self) -> bool {
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
        read_config(self.defaults(), keys)
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        let mut keys = write_config(config);
        if config.gpt_bert_names == Some(GptBertNames::Babylm2025) {
            keys["num_layers"] = json!(config.num_layers);
        }
        keys
    }

    /// The names of tensors are those that the folder has.
    fn of_tensors(
        &self,
        config: ModelConfig,
        has: &dyn Fn(&str) -> bool,
    ) -> Result<ModelConfig, &'static str> {
        let names = Some(GptBertNames::Babylm2025);
        let is_theirs = has("model.embedding.word_embedding.weight");
        Ok(ModelConfig { gpt_bert_names: names.filter(|_| is_theirs), ..config })
    }

    fn can_untie(&self) -> bool {
        false
    }

    fn output_name(&self, config: &ModelConfig) -> &'static str {
        match config.gpt_bert_names {
            Some(GptBertNames::Babylm2025) => "lm_head.nonlinearity.5.weight",
            _ => "classifier.nonlinearity.5.weight",
        }
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        let encoder = GptBertEncoder::new(config, true, layout);
        Box::new(WithOutput::new(encoder, config, prefixes(config).output, layout))
    }

    fn backbone(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Backbone> {
        Box::new(WithoutOutput(GptBertEncoder::new(config, false, layout)))
    }

    fn head(&self, config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Box<dyn Head> {
        head(config, num_labels, layout)
    }

    fn initial_deviation(&self, config: &ModelConfig, segment: &NamedSegment) -> f32 {
        super::initial_deviation(config, segment, "mlp_layers.")
    }

    fn cuts_initial_weights(&self) -> bool {
        true
    }

    fn is_gated(&self, _config: &ModelConfig) -> bool {
        true
    }

    fn products(&self, config: &ModelConfig) -> Vec<MatrixProduct> {
        let (size, count) = (config.hidden_size, config.num_layers);
        let gate = MatrixProduct { name: "attention_gate", inputs: size, outputs: size, count };
        super::products(config).into_iter().chain([gate]).collect()
    }

    /// Two more states of a layer than LTG-BERT, and in place of its norm behind attention the
    /// gate, its GELU, the gated states and their norm. The backward has a gradient of every
    /// earlier state.
    fn activations(&self, config: &ModelConfig) -> Activations {
        let mut activations = super::activations(config);
        let (hidden, layers) = (config.hidden_size, config.num_layers);
        let states = (2 * layers + 1) * hidden;
        activations.kept.full += 2 * layers * hidden;
        activations.kept.compact += 3 * layers * hidden;
        activations.backward.full += states;
        activations.forward.full += states;
        activations
    }
}

static CONFIG_KEYS: &[ConfigKey] = config_keys![
    spelling("num_layers", "num_hidden_layers"),
    // By which the authors' own scores divide logits; the pipelines' do not.
    no_effect("temperature"),
    no_effect("is_decoder"),
];

/// Where the parameters are in the flat vector, and the forward pass.
struct GptBertEncoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    /// Whether a token sees no later ones, unless a batch is to be read both ways.
    is_causal: bool,
    epsilon: f32,
    attention_dropout: f32,
}

struct Layer {
    projections: Projections,
    gate: Linear,
    attention_output: Linear,
    after_attention: Mixture,
    feed_forward: FeedForward,
    after_feed_forward: Mixture,
}

impl GptBertEncoder {
    fn new(config: &ModelConfig, is_causal: bool, layout: &mut Layout) -> Self {
        let Prefixes { embedding, layers, .. } = prefixes(config);
        let embeddings = Embeddings::new(config, embedding, layout);
        Self {
            embeddings,
            layers: (0..config.num_layers)
                .map(|index| Layer::new(config, layers, index, layout))
                .collect(),
            is_causal,
            epsilon: config.norm_epsilon,
            attention_dropout: config.attention_dropout,
        }
    }
}

impl Layer {
    fn new(config: &ModelConfig, prefix: &str, index: usize, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        let mixture = |layout: &mut Layout, part: usize| {
            let name = format!("{prefix}dwa_modules.alphas.{part}");
            Mixture { weights: layout.add(name, 1, part + 2, Role::Mixture), by_softmax: false }
        };
        let attention = format!("{prefix}attention_layers.{index}");
        let (projections, gate) = Projections::with_gate(config, &attention, layout);
        let attention_output = linear(layout, &format!("{attention}.out_proj"), hidden, hidden);
        let after_attention = mixture(layout, 2 * index);
        let feed_forward = format!("{prefix}mlp_layers.{index}.mlp");
        Self {
            projections,
            gate,
            attention_output,
            after_attention,
            feed_forward: FeedForward::new(config, &feed_forward, layout),
            after_feed_forward: mixture(layout, 2 * index + 1),
        }
    }
}

impl Encoder for GptBertEncoder {
    fn embeddings(&self) -> &Embeddings {
        &self.embeddings
    }

    fn states(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        let heads = RelativeHeads {
            heads: Heads { causal: self.is_causal && !batch.bidirectional, ..self.heads() },
            ..self.embeddings.heads.clone()
        };
        let distances = self.embeddings.distances(tape);
        let mut x = self.embeddings.states(tape, batch);
        let mut states = vec![x.clone()];
        for layer in &self.layers {
            let h = tape.plain_layer_norm(&x, self.epsilon);
            let context = layer.projections.context(tape, &h, &distances, batch, &heads);
            let gate = tape.linear(&h, &layer.gate);
            let gate = tape.exact_gelu(gate);
            let h = tape.multiply(context, gate);
            let h = tape.plain_layer_norm(&h, self.epsilon);
            states.push(tape.linear_add(&h, &layer.attention_output, x, self.attention_dropout));
            x = tape.mixture(&states, &layer.after_attention);
            let h = layer.feed_forward.inner(tape, &x);
            states.push(layer.feed_forward.add(tape, &h, x));
            x = tape.mixture(&states, &layer.after_feed_forward);
        }
        x
    }
}
