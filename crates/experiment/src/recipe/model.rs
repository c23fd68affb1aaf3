//! The table `[models.NAME]`: a model's shape or the folder it starts from, and how it is trained.

use std::path::PathBuf;
use std::sync::LazyLock;

use documented::DocumentedFields;
use model::{
    Architecture, Capacity, ElcVariant, EncoderDecoder, Experts, ModelConfig, ModelError,
    PositionHeads, hugging_face,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use train::settings::{DistillSettings, TrainSettings};

use super::experts::{self, Body};

/// Ids of the special tokens, the first three of every tokenizer we train.
const PAD_TOKEN_ID: u32 = 0;
const BOS_TOKEN_ID: u32 = 1;
const EOS_TOKEN_ID: u32 = 2;

/// The feed-forward part of a T5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FeedForward {
    Relu,
    GatedGelu,
}

/// One model of a recipe, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModelKeys", into = "ModelKeys")]
pub struct ModelSection {
    /// Where its weights come from.
    pub start: Start,
    /// How it is trained.
    pub train: TrainSettings,
    /// Present when the model learns from teachers too.
    pub distill: Option<DistillSettings>,
}

impl ModelSection {
    /// The family, where the recipe states it.
    pub fn family(&self) -> Option<Architecture> {
        match &self.start {
            Start::Random(shape) => Some(shape.config.architecture),
            Start::Folder(_) => None,
        }
    }

    /// The family, which may be that of the folder that training starts from.
    ///
    /// # Errors
    /// When that folder cannot be read.
    pub fn architecture(&self) -> Result<Architecture, ModelError> {
        match &self.start {
            Start::Random(shape) => Ok(shape.config.architecture),
            Start::Folder(folder) => Ok(hugging_face::load_any_config(folder)?.architecture),
        }
    }

    /// The configuration for a tokenizer of `vocab_size` entries, or that of the folder that
    /// training starts from.
    ///
    /// # Errors
    /// When that folder cannot be read.
    pub fn config(&self, vocab_size: usize) -> Result<ModelConfig, ModelError> {
        match &self.start {
            Start::Random(shape) => Ok(shape.config_for(vocab_size)),
            Start::Folder(folder) => hugging_face::load_any_config(folder),
        }
    }
}

/// Where training starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// From random weights.
    Random(Box<Shape>),
    /// From the weights of a Hugging Face folder, which also has its configuration.
    Folder(PathBuf),
}

/// A model's shape: its configuration but for what the tokenizer decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The configuration of a model with a vocabulary of no entries.
    pub config: ModelConfig,
    /// Channels of a head, where the recipe states them.
    pub head_dim: Option<usize>,
}

impl Shape {
    /// Whether a sequence of this many tokens has a position for each.
    pub fn can_read(&self, sequence_length: usize) -> bool {
        sequence_length <= self.config.max_positions
    }

    /// The configuration for a tokenizer of `vocab_size` entries.
    pub fn config_for(&self, vocab_size: usize) -> ModelConfig {
        ModelConfig { vocab_size, ..self.config.clone() }
    }
}

/// `[models.NAME]` as written.
#[derive(Clone, Default, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ModelKeys {
    /// A Hugging Face folder to start from, instead of random weights; the keys of the shape below
    /// are then that folder's.
    from: Option<PathBuf>,
    /// The family. Needed without `from`.
    #[serde(deserialize_with = "family")]
    architecture: Option<Architecture>,
    /// Channels of the hidden states. Needed without `from`.
    hidden_size: Option<usize>,
    /// Channels within the feed-forward part of a layer. Needed for LLaMA and Qwen3, LTG-BERT,
    /// ELC-BERT and GPT-BERT; GPT-2 and GPT-J have four times `hidden_size`.
    intermediate_size: Option<usize>,
    /// Layers of attention and feed-forward part, of T5 those of the encoder. Needed without
    /// `from`.
    num_layers: Option<usize>,
    /// Layers of the decoder, T5 only; left out, `num_layers`.
    decoder_layers: Option<usize>,
    /// T5 only: `relu`, or `gated_gelu` as in T5 1.1; left out, `relu`.
    feed_forward: Option<FeedForward>,
    /// Heads of queries. Needed without `from`.
    num_heads: Option<usize>,
    /// Heads of keys and values, LLaMA, Qwen3 and Switch with LLaMA's body only; left out,
    /// `num_heads`.
    num_kv_heads: Option<usize>,
    /// Channels of a head, LLaMA, Qwen3 and T5 only; left out, `hidden_size / num_heads`.
    head_dim: Option<usize>,
    /// Longest sequence; left out, twice `train.sequence_length`.
    max_positions: Option<usize>,
    /// What a norm adds to the variance before it takes the root; left out, 1e-5 for GPT-2, GPT-J
    /// and GPT-BERT, 1e-6 for LLaMA, Qwen3 and T5 and 1e-7 for LTG-BERT and ELC-BERT.
    norm_epsilon: Option<f32>,
    /// Base of the rotary positions' wavelengths, LLaMA, Qwen3 and Switch with LLaMA's body only;
    /// left out, 10000.
    rope_theta: Option<f32>,
    /// Channels of a head that have rotary positions, GPT-J only; left out, 64, or all of narrower
    /// heads.
    rotary_dim: Option<usize>,
    /// Buckets of the distances between tokens, LTG-BERT, ELC-BERT, GPT-BERT (in one direction) and
    /// T5 (in all) only; left out, 32.
    position_buckets: Option<usize>,
    /// The distance from which on all share a bucket, T5 only; left out, 128.
    max_distance: Option<usize>,
    /// ELC-BERT only, the variant of its authors' code: `base`, or one in which the feed-forward
    /// part reads what attention does too, `zero`, `normalized` (a norm behind every layer) or
    /// `weighted_output` (a mixture of all layers before the output layer). Left out, `base`.
    elc_variant: Option<ElcVariant>,
    /// Whether the embedding is the output matrix too; left out, true for GPT-2 and T5, and for
    /// LTG-BERT, ELC-BERT and GPT-BERT, which always have it, and false for the others.
    tie_word_embeddings: Option<bool>,
    /// Dropout of the sum of embeddings, not in LLaMA and Qwen3. LTG-BERT, ELC-BERT, GPT-BERT and
    /// T5 have one number for this and `residual_dropout`, T5 for all three dropouts. Left out,
    /// that, or 0 for GPT-J and 0.1 for the others.
    embedding_dropout: Option<f32>,
    /// Dropout of the attention weights, of LTG-BERT, ELC-BERT and GPT-BERT also of distances and
    /// of what attention adds; left out, 0.1 for these, GPT-2 and T5 and 0 for the others.
    attention_dropout: Option<f32>,
    /// Dropout of what attention (not in LTG-BERT, ELC-BERT and GPT-BERT) and feed-forward part add
    /// to the residual stream, not in LLaMA and Qwen3; left out, 0 for GPT-J and 0.1 for the
    /// others.
    residual_dropout: Option<f32>,
    /// Standard deviation of the initial weights; left out, 0.02, and for LTG-BERT, ELC-BERT and
    /// GPT-BERT the root of `2 / (5 * hidden_size)`. For T5 a factor of its own deviations; left
    /// out, 1.
    initializer_range: Option<f32>,
    /// Switch only: the family of everything but the experts, with that family's keys and
    /// defaults; left out, `gpt2`. A model with the body of LLaMA is saved as transformers'
    /// `Qwen2MoeForCausalLM`.
    body: Option<Body>,
    /// Switch only: experts of every sparse layer, of which each token passes through one; left
    /// out, 8.
    num_experts: Option<usize>,
    /// Switch only: every N-th layer is sparse, N being this number: with the body of GPT-2 layers
    /// 1, 1 + N, ..., with that of LLaMA layers N - 1, 2N - 1, ..., counted from 0; the others are
    /// dense. Left out, 1: all are sparse.
    sparse_step: Option<usize>,
    /// Switch only: how many tokens of a sequence an expert takes in training, those that come
    /// first: `{factor = 1.25}` for this factor times the sequence's length over `num_experts`,
    /// `{tokens = 64}` or `"none"`. Tokens beyond the capacity skip the expert: only the residual
    /// connection carries them. Left out, `{factor = 1.25}`.
    #[serde(deserialize_with = "experts::capacity")]
    capacity: Option<Capacity>,
    /// Switch only: in training every value that a sparse layer reads is multiplied by a random
    /// number between 1 minus this and 1 plus this; left out, 0.01.
    router_jitter: Option<f64>,
    /// Switch only: weight of the mean of the routers' squared log-sum-exp in the objective; left
    /// out, 0.001.
    z_loss: Option<f64>,
    /// Switch only: weight of the loss that spreads tokens over experts in the objective; left out,
    /// 0.001.
    balance_loss: Option<f64>,
    /// Several seeds, such as `[1, 2, 3]`: a model `NAME-SEED` for each, which all take the place
    /// of the name among teachers and in ensembles. Their ensemble is a row of the closing table,
    /// their means are in the table over seeds.
    #[serde(skip_serializing)]
    seeds: Vec<u64>,
    /// How the model is trained.
    train: TrainSettings,
    /// How the model is distilled; left out, it has no teachers.
    distill: Option<DistillSettings>,
}

/// The keys that only models with experts have.
const EXPERT_KEYS: [&str; 7] =
    ["body", "num_experts", "sparse_step", "capacity", "router_jitter", "z_loss", "balance_loss"];
/// The keys that only encoder-decoders have.
const DECODER_KEYS: [&str; 3] = ["decoder_layers", "feed_forward", "max_distance"];

/// The families that recipes make models of; others come in folders, `from` which training may
/// start.
static FAMILIES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let made = model::FAMILIES.iter().filter(|family| family.is_made_by_recipes());
    made.map(|family| family.name()).collect()
});

fn family<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Architecture>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    match Architecture::named(&name).filter(|family| family.is_made_by_recipes()) {
        Some(architecture) => Ok(Some(architecture)),
        None => Err(de::Error::unknown_variant(&name, &FAMILIES)),
    }
}

impl ModelKeys {
    /// The first of some keys that is set, if any is.
    fn first_set(&self, is_meant: impl Fn(&str) -> bool) -> Option<&'static str> {
        // Keys always have a form in TOML.
        let set = toml::Table::try_from(self).unwrap_or_default();
        Self::FIELD_NAMES.iter().copied().find(|&key| is_meant(key) && set.contains_key(key))
    }

    /// A key of the shape that is set, if any is.
    fn first_of_shape(&self) -> Option<&'static str> {
        self.first_set(|key| !["from", "train", "distill"].contains(&key))
    }

    /// The family with its body, and the experts if it has them.
    fn family(&self, named: Architecture) -> Result<(Architecture, Option<Experts>), String> {
        let architecture = match self.body {
            Some(Body::Llama) if named.has_experts() => Architecture::SWITCH_LLAMA,
            _ => named,
        };
        if !architecture.has_experts() {
            return match self.first_set(|key| EXPERT_KEYS.contains(&key)) {
                None => Ok((architecture, None)),
                Some(key) => Err(format!(
                    "has `{key}`, but {} has no experts; `architecture = \"switch\"` has them",
                    architecture.title()
                )),
            };
        }
        let defaults = Experts::default();
        let experts = Experts {
            num_experts: self.num_experts.unwrap_or(defaults.num_experts),
            sparse_step: self.sparse_step.unwrap_or(defaults.sparse_step),
            capacity: self.capacity.unwrap_or(defaults.capacity),
            router_jitter: self.router_jitter.unwrap_or(defaults.router_jitter),
            z_loss: self.z_loss.unwrap_or(defaults.z_loss),
            balance_loss: self.balance_loss.unwrap_or(defaults.balance_loss),
        };
        Ok((architecture, Some(experts)))
    }

    /// What an encoder-decoder has besides the sizes of its encoder.
    fn encoder_decoder(&self, family: Architecture) -> Result<Option<EncoderDecoder>, String> {
        match self.first_set(|key| DECODER_KEYS.contains(&key)) {
            Some(key) if !family.is_encoder_decoder() => Err(format!(
                "has `{key}`, but {} is no encoder-decoder; `architecture = \"t5\"` is one",
                family.title()
            )),
            _ if !family.is_encoder_decoder() => Ok(None),
            _ => {
                let layers = self.decoder_layers.or(self.num_layers).unwrap_or_default();
                let defaults = EncoderDecoder::with_layers(layers);
                Ok(Some(EncoderDecoder {
                    max_distance: self.max_distance.unwrap_or(defaults.max_distance),
                    is_gated: self.feed_forward == Some(FeedForward::GatedGelu),
                    decoder_start_token_id: BOS_TOKEN_ID,
                    ..defaults
                }))
            }
        }
    }

    /// The shape with the family's Hugging Face defaults for what is left out.
    fn shape(&self) -> Result<Shape, String> {
        fn need<T: Copy>(value: Option<T>, key: &str) -> Result<T, String> {
            value
                .ok_or_else(|| format!("needs the key `{key}` (or `from`, a folder to start from)"))
        }
        let (architecture, experts) = self.family(need(self.architecture, "architecture")?)?;
        let hidden_size = need(self.hidden_size, "hidden_size")?;
        let num_heads = need(self.num_heads, "num_heads")?;
        let defaults = architecture.defaults();
        let head_dim = self.head_dim.unwrap_or(hidden_size / num_heads.max(1));
        let intermediate_size = match self.intermediate_size {
            Some(size) => size,
            None => architecture
                .intermediate_size(hidden_size)
                .map_err(|advice| format!("needs the key `intermediate_size`; {advice}"))?,
        };
        let residual_dropout = self.residual_dropout.unwrap_or(defaults.residual_dropout);
        let [of_embedding, of_attention] = architecture.is_one_dropout();
        let dropout = |own: Option<f32>, is_one: bool, default: f32| {
            own.unwrap_or(if is_one { residual_dropout } else { default })
        };
        let has_padding = architecture.has_padding_row() || architecture.is_encoder_decoder();
        let config = ModelConfig {
            architecture,
            vocab_size: 0,
            hidden_size,
            intermediate_size,
            num_layers: need(self.num_layers, "num_layers")?,
            num_heads,
            num_kv_heads: self.num_kv_heads.unwrap_or(num_heads),
            head_dim,
            max_positions: self
                .max_positions
                .unwrap_or(self.train.sequence_length.saturating_mul(2)),
            norm_epsilon: self.norm_epsilon.unwrap_or(defaults.norm_epsilon),
            rope_theta: self.rope_theta.unwrap_or(defaults.rope_theta),
            position_buckets: self.position_buckets.or(defaults.position_buckets),
            elc_variant: self.elc_variant.or(defaults.elc_variant),
            rotary_dim: self.rotary_dim.or(defaults.rotary_dim.map(|most| most.min(head_dim))),
            tie_word_embeddings: self.tie_word_embeddings.unwrap_or(defaults.tie_word_embeddings),
            embedding_dropout: dropout(
                self.embedding_dropout,
                of_embedding,
                defaults.embedding_dropout,
            ),
            attention_dropout: dropout(
                self.attention_dropout,
                of_attention,
                defaults.attention_dropout,
            ),
            residual_dropout,
            initializer_range: self
                .initializer_range
                .unwrap_or_else(|| architecture.initializer_range(hidden_size)),
            experts,
            encoder_decoder: self.encoder_decoder(architecture)?,
            position_heads: architecture.has_position_heads().then_some(PositionHeads::Halves),
            gpt_bert_names: None,
            classifier_dropout: None,
            bos_token_id: Some(BOS_TOKEN_ID),
            eos_token_ids: vec![EOS_TOKEN_ID],
            pad_token_id: has_padding.then_some(PAD_TOKEN_ID),
        };
        Ok(Shape { config, head_dim: self.head_dim })
    }
}

impl TryFrom<ModelKeys> for ModelSection {
    type Error = String;

    fn try_from(keys: ModelKeys) -> Result<Self, String> {
        let start = match (&keys.from, keys.first_of_shape()) {
            (None, _) => Start::Random(Box::new(keys.shape()?)),
            (Some(folder), None) => Start::Folder(folder.clone()),
            (Some(_), Some(key)) => {
                return Err(format!(
                    "has both `from` and `{key}`; the folder that it starts from has the \
                     configuration"
                ));
            }
        };
        Ok(Self { start, train: keys.train, distill: keys.distill })
    }
}

impl From<ModelSection> for ModelKeys {
    fn from(section: ModelSection) -> Self {
        let keys = Self { train: section.train, distill: section.distill, ..Self::default() };
        let Shape { config, head_dim } = match section.start {
            Start::Folder(folder) => return Self { from: Some(folder), ..keys },
            Start::Random(shape) => *shape,
        };
        Self {
            architecture: Some(match config.architecture == Architecture::SWITCH_LLAMA {
                true => Architecture::SWITCH_GPT2,
                false => config.architecture,
            }),
            hidden_size: Some(config.hidden_size),
            intermediate_size: Some(config.intermediate_size),
            num_layers: Some(config.num_layers),
            decoder_layers: config.encoder_decoder.map(|own| own.decoder_layers),
            feed_forward: config.encoder_decoder.map(|own| match own.is_gated {
                true => FeedForward::GatedGelu,
                false => FeedForward::Relu,
            }),
            max_distance: config.encoder_decoder.map(|own| own.max_distance),
            num_heads: Some(config.num_heads),
            num_kv_heads: Some(config.num_kv_heads),
            head_dim,
            max_positions: Some(config.max_positions),
            norm_epsilon: Some(config.norm_epsilon),
            rope_theta: Some(config.rope_theta),
            rotary_dim: config.rotary_dim,
            position_buckets: config.position_buckets,
            elc_variant: config.elc_variant,
            tie_word_embeddings: Some(config.tie_word_embeddings),
            embedding_dropout: Some(config.embedding_dropout),
            attention_dropout: Some(config.attention_dropout),
            residual_dropout: Some(config.residual_dropout),
            initializer_range: Some(config.initializer_range),
            body: config.experts.as_ref().map(|_| {
                match config.architecture == Architecture::SWITCH_LLAMA {
                    true => Body::Llama,
                    false => Body::Gpt2,
                }
            }),
            num_experts: config.experts.as_ref().map(|experts| experts.num_experts),
            sparse_step: config.experts.as_ref().map(|experts| experts.sparse_step),
            capacity: config.experts.as_ref().map(|experts| experts.capacity),
            router_jitter: config.experts.as_ref().map(|experts| experts.router_jitter),
            z_loss: config.experts.as_ref().map(|experts| experts.z_loss),
            balance_loss: config.experts.as_ref().map(|experts| experts.balance_loss),
            ..keys
        }
    }
}

#[cfg(test)]
mod tests;
