//! LTG-BERT (Samuel et al., arXiv 2303.09859), the masked model of the BabyLM baselines, as its
//! authors' `LtgBertForMaskedLM` computes it: norms without parameters before each part and one
//! with parameters behind attention, a gated feed-forward part, and attention whose scores depend
//! on bucketed distances in place of positions.
//!
//! transformers has no such class: published folders bring their own code, of which there are two
//! lines that cut the projected table of distances into heads in different ways
//! ([`PositionHeads`]).

use std::sync::Arc;

use engine::ops::attention::Heads;
use engine::ops::embed::Embedding;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::ops::relative_attention::{DistanceBuckets, PositionColumns, RelativeHeads};
use engine::{Layout, Role, Segment, Tape, Var};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::segments::{layer_norm, linear, plain_heads};
use super::{Activations, Architecture, Family, MatrixProduct, ModelConfig, facts};
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect, only};
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::head::{Head, one_row_each};
use crate::keys::{Keys, decimal};
use crate::kv_cache::KvCache;

/// How the projected table of distances is cut into the heads' queries and keys. Weights do not
/// show which of the two a model was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionHeads {
    /// The queries of all heads, then the keys of all heads: the code of the BabyLM baselines.
    Halves,
    /// Head by head: the code of the BNC models and NorBERT.
    Interleaved,
}

/// The family.
pub(super) struct LtgBert;

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
        ModelConfig {
            norm_epsilon: 1e-7,
            max_positions: 0,
            position_buckets: Some(32),
            tie_word_embeddings: true,
            embedding_dropout: 0.1,
            attention_dropout: 0.1,
            residual_dropout: 0.1,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            pad_token_id: Some(4),
            ..ModelConfig::unstated(Architecture::LTG_BERT)
        }
    }

    fn initializer_range(&self, hidden_size: usize) -> f32 {
        (2.0 / (5.0 * hidden_size.max(1) as f32)).sqrt()
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

    /// With buckets of several distances.
    fn tiny(&self) -> ModelConfig {
        ModelConfig {
            position_buckets: Some(4),
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            ..self.defaults().with_tiny_sizes()
        }
    }

    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError> {
        config.require_plain_heads()
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        CONFIG_KEYS
    }

    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError> {
        let defaults = self.defaults();
        let hidden_size: usize = keys.required("hidden_size")?;
        let num_heads: usize = keys.required("num_attention_heads")?;
        let dropout = keys.or("hidden_dropout_prob", defaults.residual_dropout)?;
        let initializer_range = self.initializer_range(hidden_size);
        let shared = ModelConfig { initializer_range, ..defaults }.with_shared_keys(keys)?;
        Ok(ModelConfig {
            vocab_size: keys.required("vocab_size")?,
            hidden_size,
            intermediate_size: keys.required("intermediate_size")?,
            num_layers: keys.required("num_hidden_layers")?,
            num_heads,
            num_kv_heads: num_heads,
            head_dim: hidden_size / num_heads.max(1),
            max_positions: keys.or("max_position_embeddings", 512)?,
            position_buckets: Some(keys.or("position_bucket_size", 32)?),
            position_heads: keys.optional("position_heads")?,
            norm_epsilon: keys.or("layer_norm_eps", shared.norm_epsilon)?,
            embedding_dropout: dropout,
            attention_dropout: keys.or("attention_probs_dropout_prob", shared.attention_dropout)?,
            residual_dropout: dropout,
            classifier_dropout: keys.optional("classifier_dropout")?,
            ..shared
        })
    }

    fn write_config(&self, config: &ModelConfig) -> Value {
        let mut keys = json!({
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "max_position_embeddings": config.max_positions,
            "position_bucket_size": config.position_buckets,
            "layer_norm_eps": decimal(config.norm_epsilon),
            "hidden_dropout_prob": decimal(config.residual_dropout),
            "attention_probs_dropout_prob": decimal(config.attention_dropout),
        });
        if let Some(heads) = config.position_heads {
            keys["position_heads"] = json!(heads);
        }
        keys
    }

    fn can_untie(&self) -> bool {
        false
    }

    fn output_name(&self) -> &'static str {
        "classifier.nonlinearity.5.weight"
    }

    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder> {
        Box::new(LtgBertDecoder::new(config, layout))
    }

    fn backbone(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Backbone> {
        Box::new(Encoder::new(config, layout))
    }

    fn head(&self, config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Box<dyn Head> {
        let dropout = config.classifier_dropout.unwrap_or(config.residual_dropout);
        let dense = NormedDense::new(config, "head", layout);
        let output = linear(layout, "head.nonlinearity.5", num_labels, config.hidden_size);
        Box::new(FirstTokenHead { dense, output, dropout })
    }

    /// Both matrices of the feed-forward part shrink from layer to layer.
    fn initial_deviation(
        &self,
        config: &ModelConfig,
        segment: &engine::params::NamedSegment,
    ) -> f32 {
        let layer = segment.name.strip_prefix("transformer.layers.").and_then(|rest| {
            let (layer, part) = rest.split_once('.')?;
            part.starts_with("mlp.").then(|| layer.parse::<usize>().ok())?
        });
        let scale = layer.map_or(1.0, |layer| (2.0 * (1 + layer) as f32).sqrt().recip());
        config.initializer_range * scale
    }

    fn cuts_initial_weights(&self) -> bool {
        true
    }

    fn is_gated(&self, _config: &ModelConfig) -> bool {
        true
    }

    /// With the layer before the output layer.
    fn products(&self, config: &ModelConfig) -> Vec<MatrixProduct> {
        let (name, size) = ("classifier.dense", config.hidden_size);
        let dense = MatrixProduct { name, inputs: size, outputs: size, count: 1 };
        facts::products(config).into_iter().chain([dense]).collect()
    }

    /// Two more norms in a layer, which keep their inputs and their statistics.
    fn activations(&self, config: &ModelConfig) -> Activations {
        let mut activations = facts::activations(config);
        activations.kept.full += 4 * config.num_layers;
        activations.kept.compact +=
            config.num_layers * (config.hidden_size + config.intermediate_size);
        activations
    }
}

static CONFIG_KEYS: &[ConfigKey] = &[
    followed("hidden_size"),
    followed("intermediate_size"),
    followed("num_hidden_layers"),
    followed("num_attention_heads"),
    followed("max_position_embeddings"),
    followed("position_bucket_size"),
    followed("layer_norm_eps"),
    followed("hidden_dropout_prob"),
    followed("attention_probs_dropout_prob"),
    followed("classifier_dropout"),
    // This program's own.
    followed("position_heads"),
    only("is_decoder", &["false"]),
    only("tie_word_embeddings", &["true"]),
    no_effect("auto_map"),
    no_effect("output_all_encoded_layers"),
];

/// The bucket of a distance, from `1 - size` to `size - 1`: the distance itself up to half of
/// `size`, and larger ones by their logarithms, which are of f32, up to `longest - 1`
/// (`make_log_bucket_position`).
fn bucket(distance: isize, size: usize, longest: usize) -> isize {
    let half = size / 2;
    if distance.unsigned_abs() <= half {
        return distance;
    }
    let far = distance.unsigned_abs().min(longest - 1);
    let log = |ratio: f64| ratio.ln() as f32;
    let part = log(f64::from(far as f32 / half as f32)) / log((longest - 1) as f64 / half as f64);
    let steps = (part * (half - 1) as f32).ceil() as usize;
    distance.signum() * (half + steps).min(size - 1) as isize
}

/// The buckets of all distances between two tokens of a sequence.
fn buckets(config: &ModelConfig) -> DistanceBuckets {
    let (size, longest) = (config.position_buckets.unwrap_or(2), config.max_positions.max(1));
    let place = |distance| (size as isize - 1 + bucket(distance, size, longest)) as usize;
    DistanceBuckets::new(longest - 1, 2 * size - 1, place)
}

/// Where the parameters are in the flat vector, and the forward pass.
struct LtgBertDecoder {
    encoder: Encoder,
    dense: NormedDense,
    output: Linear,
    dropout: f32,
}

/// From tokens to states: a model without its output layer.
struct Encoder {
    embedding: Embedding,
    /// `[2 * position buckets - 1, hidden]`, one row for each bucket of distances.
    distances: Embedding,
    distance_norm: Norm,
    layers: Vec<Layer>,
    heads: RelativeHeads,
    epsilon: f32,
    embedding_dropout: f32,
    attention_dropout: f32,
    residual_dropout: f32,
}

struct Layer {
    /// Queries, keys and values: neighbours read as one matrix.
    qkv: Linear,
    /// Queries and keys alone, which the table of distances passes too.
    qk: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    up_gate: Segment,
    down: Segment,
}

/// A norm without parameters, a product, GELU, and such a norm again.
struct NormedDense {
    dense: Linear,
    epsilon: f32,
}

impl NormedDense {
    fn new(config: &ModelConfig, name: &str, layout: &mut Layout) -> Self {
        let (name, hidden) = (format!("{name}.nonlinearity.1"), config.hidden_size);
        Self { dense: linear(layout, &name, hidden, hidden), epsilon: config.norm_epsilon }
    }

    fn states(&self, tape: &mut Tape<'_>, x: &Var) -> Var {
        let x = tape.plain_layer_norm(x, self.epsilon);
        let x = tape.linear(&x, &self.dense);
        let x = tape.exact_gelu(x);
        tape.plain_layer_norm(&x, self.epsilon)
    }
}

impl LtgBertDecoder {
    fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let encoder = Encoder::new(config, layout);
        let dense = NormedDense::new(config, "classifier", layout);
        let bias = "classifier.nonlinearity.5.bias";
        let output = Linear {
            weight: encoder.embedding.tokens,
            bias: Some(layout.add(bias, 1, config.vocab_size, Role::Bias)),
        };
        Self { encoder, dense, output, dropout: config.residual_dropout }
    }
}

impl Encoder {
    fn new(config: &ModelConfig, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        let table = |tokens| Embedding { tokens, positions: None, shared: None, padding: None };
        let tokens = "embedding.word_embedding.weight";
        let tokens = layout.add(tokens, config.vocab_size, hidden, Role::Embedding);
        let buckets = Arc::new(buckets(config));
        let distances = "embedding.relative_embedding";
        let distances = layout.add(distances, buckets.count(), hidden, Role::Positions);
        let columns = match config.position_heads.unwrap_or(PositionHeads::Halves) {
            PositionHeads::Halves => PositionColumns::Halves,
            PositionHeads::Interleaved => PositionColumns::Interleaved,
        };
        Self {
            embedding: table(tokens),
            distances: table(distances),
            distance_norm: layer_norm(layout, "embedding.relative_layer_norm", config),
            layers: (0..config.num_layers).map(|index| Layer::new(config, index, layout)).collect(),
            heads: RelativeHeads { heads: plain_heads(config, false), buckets, columns },
            epsilon: config.norm_epsilon,
            embedding_dropout: config.embedding_dropout,
            attention_dropout: config.attention_dropout,
            residual_dropout: config.residual_dropout,
        }
    }

    fn states(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        let rows: Arc<[u32]> = (0..self.heads.buckets.count() as u32).collect();
        let distances = tape.embed(&self.distances, &rows, &rows);
        let distances = tape.norm(&distances, &self.distance_norm);
        let x = tape.embed(&self.embedding, &batch.ids, &batch.positions);
        let x = tape.plain_layer_norm(&x, self.epsilon);
        let mut x = tape.dropout(x, self.embedding_dropout);
        for layer in &self.layers {
            let h = tape.plain_layer_norm(&x, self.epsilon);
            let qkv = tape.linear(&h, &layer.qkv);
            let table = tape.dropout_of_table(distances.clone(), self.attention_dropout);
            let table = tape.linear(&table, &layer.qk);
            let h = tape.relative_attention(&qkv, &table, &batch.spans, &self.heads);
            let h = tape.linear(&h, &layer.attention_output);
            let h = tape.norm(&h, &layer.attention_norm);
            // The same dropout as that of the weights.
            x = tape.add(h, x, self.attention_dropout);
            let h = tape.plain_layer_norm(&x, self.epsilon);
            let h = tape.linear(&h, &layer.up_gate.into());
            let h = tape.geglu(h);
            let h = tape.plain_layer_norm(&h, self.epsilon);
            x = tape.linear_add(&h, &layer.down.into(), x, self.residual_dropout);
        }
        x
    }
}

impl Layer {
    fn new(config: &ModelConfig, index: usize, layout: &mut Layout) -> Self {
        let name = |part: &str| format!("transformer.layers.{index}.{part}");
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let [qk, v] = ["attention.in_proj_qk", "attention.in_proj_v"].map(name);
        let qk_weight = layout.add(format!("{qk}.weight"), 2 * hidden, hidden, Role::Matrix);
        layout.divide(qk_weight, 2);
        let v_weight = layout.add(format!("{v}.weight"), hidden, hidden, Role::Matrix);
        let qk_bias = layout.add(format!("{qk}.bias"), 1, 2 * hidden, Role::Bias);
        let v_bias = layout.add(format!("{v}.bias"), 1, hidden, Role::Bias);
        let attention_output = linear(layout, &name("attention.out_proj"), hidden, hidden);
        let attention_norm = layer_norm(layout, &name("attention.post_layer_norm"), config);
        let up_gate = layout.add(name("mlp.mlp.1.weight"), 2 * intermediate, hidden, Role::Matrix);
        layout.divide(up_gate, 2);
        Self {
            qkv: Linear {
                weight: Segment::stack(&[qk_weight, v_weight]),
                bias: Some(Segment::join(&[qk_bias, v_bias])),
            },
            qk: Linear { weight: qk_weight, bias: Some(qk_bias) },
            attention_output,
            attention_norm,
            up_gate,
            down: layout.add(name("mlp.mlp.4.weight"), hidden, intermediate, Role::Matrix),
        }
    }
}

impl Backbone for LtgBertDecoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        let x = self.encoder.hidden_states(tape, batch, cache);
        let x = self.dense.states(tape, &x);
        tape.dropout(x, self.dropout)
    }

    fn heads(&self) -> Heads {
        self.encoder.heads.heads
    }
}

impl Decoder for LtgBertDecoder {
    fn output(&self) -> Linear {
        self.output
    }
}

impl Backbone for Encoder {
    fn hidden_states(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        cache: Option<&mut KvCache>,
    ) -> Var {
        assert!(cache.is_none(), "a masked model reads whole texts");
        self.states(tape, batch)
    }

    fn heads(&self) -> Heads {
        self.heads.heads
    }
}

/// The classification head on the first token, which stands for the sequence: that of the output
/// layer with labels in place of words.
struct FirstTokenHead {
    dense: NormedDense,
    /// `[labels, hidden]`, with a bias.
    output: Linear,
    dropout: f32,
}

impl Head for FirstTokenHead {
    fn features(&self, tape: &mut Tape<'_>, states: &Var, batch: &Batch) -> Var {
        let first = tape.gather_rows(states, &one_row_each(batch, |rows| rows.start));
        let x = self.dense.states(tape, &first);
        tape.dropout_of_sequences(x, self.dropout)
    }

    fn output(&self) -> Linear {
        self.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the authors' function, which are odd in the distance.
    #[test]
    fn buckets_are_those_of_the_authors_code() {
        for (distances, expected) in [
            (&[0usize, 1, 15, 16][..], &[0isize, 1, 15, 16][..]),
            (&[17, 18, 19, 20], &[17; 4]),
            (&[24, 28, 32, 40, 48], &[18, 19, 20, 20, 21]),
            (&[64, 96, 128, 200], &[23, 24, 26, 27]),
            (&[256, 300, 400, 511, 600], &[29, 29, 30, 31, 31]),
        ] {
            for (&distance, &expected) in distances.iter().zip(expected) {
                assert_eq!(bucket(distance as isize, 32, 512), expected, "{distance}");
                assert_eq!(bucket(-(distance as isize), 32, 512), -expected, "-{distance}");
            }
        }
    }

    #[test]
    fn every_distance_has_a_bucket_whatever_the_sizes() {
        for size in 2..20 {
            for longest in 1..60 {
                let far = longest as isize - 1;
                let found: Vec<isize> =
                    (-far..=far).map(|distance| bucket(distance, size, longest)).collect();
                assert!(found.is_sorted(), "{size} buckets, {longest} positions: {found:?}");
                assert!(found.iter().all(|place| place.unsigned_abs() < size), "{found:?}");
            }
        }
    }
}
