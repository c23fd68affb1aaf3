//! Families of models, one file each with everything about it: configuration, parameters, forward
//! pass, classification head, and the facts that the rest of the program uses.
//!
//! A new family is a new file here, declared as a module, and an entry of [`FAMILIES`];
//! `docs/how-to/family.md` has the steps.

use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

use engine::params::NamedSegment;
use engine::{Layout, Role};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::config_keys::ConfigKey;
use crate::decoder::{Backbone, Decoder};
use crate::error::ModelError;
use crate::head::{Head, LastTokenHead};
use crate::keys::Keys;

pub(crate) mod config;
mod experts;
mod facts;
mod gpt2;
mod gptj;
mod llama;
mod ltg;
mod opt;
mod qwen3;
mod roberta;
pub(crate) mod segments;
mod switch;
mod t5;

pub use config::ModelConfig;
pub use experts::{Capacity, Experts};
pub use facts::{Activations, MatrixProduct, TokenValues};
pub use ltg::{ElcVariant, GptBertNames, PositionHeads};
pub use t5::EncoderDecoder;

/// All families.
pub static FAMILIES: &[&dyn Family] = &[
    // In the order in which messages name them.
    &ltg::ElcBert,
    &ltg::GptBert,
    &gpt2::Gpt2,
    &gptj::GptJ,
    &llama::Llama,
    &ltg::LtgBert,
    &opt::Opt,
    &qwen3::Qwen3,
    &roberta::Roberta,
    &switch::SwitchGpt2,
    &switch::SwitchLlama,
    &t5::T5,
];

/// Everything that is particular to the models of one architecture.
///
/// Methods with a default are rules that most families share.
pub trait Family: Sync {
    /// The name in recipes, such as `gpt2`.
    fn name(&self) -> &'static str;

    /// The name in `model_type` of `config.json`.
    fn model_type(&self) -> &'static str {
        self.name()
    }

    /// Whether a `config.json` with another `model_type`, or with none (`""`), is that of a model
    /// of this family.
    fn is_also(&self, _model_type: &str, _keys: &Keys<'_>) -> bool {
        false
    }

    /// The name in tables and messages, such as `GPT-2`.
    fn title(&self) -> &'static str;

    /// transformers' class of its language models.
    fn language_model_class(&self) -> &'static str;

    /// Whether transformers has these classes. Folders of a family without have this program's own
    /// layout.
    fn is_in_transformers(&self) -> bool {
        true
    }

    /// transformers' class of its sequence classifiers.
    fn classifier_class(&self) -> &'static str;

    /// Whether its models predict the next token. The others predict hidden tokens from both sides,
    /// or, encoder-decoders, from another text.
    fn is_causal(&self) -> bool {
        true
    }

    /// Whether its models have an encoder, which reads a text, and a decoder, which predicts
    /// another one. Such a family is not causal.
    fn is_encoder_decoder(&self) -> bool {
        false
    }

    /// What its models are, in messages.
    fn kind(&self) -> &'static str {
        match (self.is_causal(), self.is_encoder_decoder()) {
            (true, _) => "a model that predicts the next token",
            (false, false) => "a masked language model",
            (false, true) => "an encoder-decoder",
        }
    }

    /// Whether recipes make models of it from random weights. Those of other families come in
    /// folders, from whose weights training may start.
    fn is_made_by_recipes(&self) -> bool {
        self.is_causal()
    }

    /// The configuration with transformers' defaults for this family and sizes of 0, which every
    /// model states.
    fn defaults(&self) -> ModelConfig;

    /// The standard deviation of the initial weights where none is stated.
    fn initializer_range(&self, _hidden_size: usize) -> f32 {
        self.defaults().initializer_range
    }

    /// The width of the feed-forward part where a recipe states none, or else advice on how to
    /// choose it.
    fn intermediate_size(&self, hidden_size: usize) -> Result<usize, &'static str> {
        Ok(hidden_size.saturating_mul(4))
    }

    /// Whether the embedding of the padding token is 0 and takes no gradient.
    fn has_padding_row(&self) -> bool {
        true
    }

    /// The dropouts for which the family has one key with `residual_dropout`: those of the
    /// embedding and of the attention.
    fn is_one_dropout(&self) -> [bool; 2] {
        [false, false]
    }

    /// Whether the sum of embeddings goes through dropout.
    fn has_embedding_dropout(&self) -> bool {
        true
    }

    /// Whether what attention and feed-forward part add to the residual stream goes through
    /// dropout.
    fn has_residual_dropout(&self) -> bool {
        true
    }

    /// Whether its configurations state the base of rotary positions.
    fn has_rope_theta(&self) -> bool {
        false
    }

    /// Whether its configurations state how many channels of a head have rotary positions.
    fn has_rotary_dim(&self) -> bool {
        false
    }

    /// Whether its configurations state how many buckets the distances of tokens have.
    fn has_position_buckets(&self) -> bool {
        false
    }

    /// Whether its configurations state how a table of distances is cut into heads.
    fn has_position_heads(&self) -> bool {
        false
    }

    /// Whether its configurations state a variant of ELC-BERT.
    fn has_variants(&self) -> bool {
        false
    }

    /// Whether its attention goes on after rows that were read before, in a KV cache or as what
    /// several texts begin with. Otherwise every text is read whole.
    fn has_kv_cache(&self) -> bool {
        self.is_causal()
    }

    /// Whether its classifiers read texts in both directions, between the tokens that begin and end
    /// them.
    fn classifies_both_ways(&self) -> bool {
        !self.is_causal()
    }

    /// The smallest configuration that shows all of the family, for tests.
    fn tiny(&self) -> ModelConfig {
        self.defaults().with_tiny_sizes()
    }

    /// Checks what holds for this family beyond [`ModelConfig::validate`].
    ///
    /// # Errors
    /// [`ModelError::Config`] with the first key that is wrong.
    fn validate(&self, config: &ModelConfig) -> Result<(), ModelError>;

    /// Whether its feed-forward parts may be experts.
    fn has_experts(&self) -> bool {
        false
    }

    /// Whether the feed-forward part of a layer is one of experts, where every `step`th is.
    fn is_sparse(&self, _layer: usize, _step: usize) -> bool {
        false
    }

    /// The family's own keys of `config.json` and what they mean, besides those that all families
    /// share.
    fn config_keys(&self) -> &'static [ConfigKey];

    /// The configuration that a `config.json` of this family states. Its keys have the family's
    /// own spelling, and the values that [`config_keys`](Self::config_keys) refuses are not there.
    ///
    /// # Errors
    /// When a key is missing, or has a value that the forward pass does not follow.
    fn read_config(&self, keys: &Keys<'_>) -> Result<ModelConfig, ModelError>;

    /// The family's own keys of `config.json`, an object. Those that all families share are added
    /// to it.
    fn write_config(&self, config: &ModelConfig) -> Value;

    /// The configuration as the names of a folder's tensors show it, where `config.json` does not
    /// state it; `has` answers whether there is a tensor of that name.
    ///
    /// # Errors
    /// What the folder holds, where the tensors do not show the variant of an ELC-BERT, or another.
    fn of_tensors(
        &self,
        config: ModelConfig,
        _has: &dyn Fn(&str) -> bool,
    ) -> Result<ModelConfig, &'static str> {
        Ok(config)
    }

    /// The name of the output layer's matrix in the files of models that do not share it with the
    /// embedding.
    fn output_name(&self, _config: &ModelConfig) -> &'static str {
        "lm_head.weight"
    }

    /// Whether the output layer may have a matrix of its own.
    fn can_untie(&self) -> bool {
        true
    }

    /// The names under which files may have a tensor, its own among them, those that count first in
    /// front.
    fn names_in_files(&self, name: &str) -> Vec<String> {
        vec![name.to_owned()]
    }

    /// Adds all parameters of a language model to the layout, under their Hugging Face names, and
    /// returns its forward pass.
    fn decoder(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Decoder>;

    /// Adds all parameters of a language model but its output layer to the layout, and returns its
    /// forward pass: what a classifier consists of besides its head.
    fn backbone(&self, config: &ModelConfig, layout: &mut Layout) -> Box<dyn Backbone> {
        // A tied output layer has no parameters of its own.
        self.decoder(&ModelConfig { tie_word_embeddings: true, ..config.clone() }, layout)
    }

    /// Adds a classification head with `num_labels` outputs to the layout, and returns it.
    fn head(&self, config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Box<dyn Head> {
        Box::new(LastTokenHead::new(config.hidden_size, num_labels, layout))
    }

    /// Standard deviation of a segment's initial weights.
    fn initial_deviation(&self, config: &ModelConfig, _segment: &NamedSegment) -> f32 {
        config.initializer_range
    }

    /// The initial weight of the last state in a mixture; those of the others are 0.
    fn initial_weight_of_last_state(&self, _config: &ModelConfig) -> f32 {
        1.0
    }

    /// Whether initial weights beyond two standard deviations are drawn anew.
    fn cuts_initial_weights(&self) -> bool {
        false
    }

    /// The row of a table that is 0 at the start.
    fn padding_row(&self, config: &ModelConfig, role: Role) -> Option<usize> {
        let has_row = role == Role::Embedding && self.has_padding_row();
        config.pad_token_id.filter(|_| has_row).map(|id| id as usize)
    }

    /// Whether files hold the transpose of a segment.
    fn is_transposed(&self, _segment: &NamedSegment) -> bool {
        false
    }

    /// The rows of a matrix in another order, where files have another: for each row of the file,
    /// the row of the segment.
    fn rows_of_file(&self, _config: &ModelConfig, _segment: &NamedSegment) -> Option<Vec<usize>> {
        None
    }

    /// Tensors that files have besides those of the layout, with their shapes: all 0, or of no
    /// values at all. Reading passes over them.
    fn empty_tensors(&self, _config: &ModelConfig) -> Vec<(String, [usize; 2])> {
        Vec::new()
    }

    /// Weights of matrix products through which a token does not pass: those of the experts that
    /// it does not choose.
    fn idle_weights(&self, _config: &ModelConfig) -> usize {
        0
    }

    /// Parameters through which a token does not pass: the [`idle_weights`](Self::idle_weights)
    /// and their biases.
    fn idle_parameters(&self, config: &ModelConfig) -> usize {
        self.idle_weights(config)
    }

    /// Whether the feed-forward part multiplies its input's product by a second one, the gate.
    fn is_gated(&self, _config: &ModelConfig) -> bool {
        false
    }

    /// The matrix products of a forward pass but the output layer's, in their order.
    fn products(&self, config: &ModelConfig) -> Vec<MatrixProduct> {
        facts::products(config)
    }

    /// How many values of a token are in memory during a step.
    fn activations(&self, config: &ModelConfig) -> Activations {
        facts::activations(config)
    }

    /// Whether transformers' positions count padding that stands before a text.
    fn counts_left_padding(&self) -> bool {
        true
    }
}

/// A handle to a family, which configurations hold. Serialised as the family's name.
#[derive(Clone, Copy)]
pub struct Architecture(&'static dyn Family);

impl Architecture {
    /// ELC-BERT.
    pub const ELC_BERT: Self = Self(&ltg::ElcBert);
    /// GPT-BERT.
    pub const GPT_BERT: Self = Self(&ltg::GptBert);
    /// GPT-2.
    pub const GPT2: Self = Self(&gpt2::Gpt2);
    /// GPT-J.
    pub const GPTJ: Self = Self(&gptj::GptJ);
    /// LLaMA.
    pub const LLAMA: Self = Self(&llama::Llama);
    /// LTG-BERT.
    pub const LTG_BERT: Self = Self(&ltg::LtgBert);
    /// OPT.
    pub const OPT: Self = Self(&opt::Opt);
    /// Qwen3.
    pub const QWEN3: Self = Self(&qwen3::Qwen3);
    /// RoBERTa.
    pub const ROBERTA: Self = Self(&roberta::Roberta);
    /// Switch Transformer with the body of GPT-2.
    pub const SWITCH_GPT2: Self = Self(&switch::SwitchGpt2);
    /// Switch Transformer with the body of LLaMA.
    pub const SWITCH_LLAMA: Self = Self(&switch::SwitchLlama);
    /// T5.
    pub const T5: Self = Self(&t5::T5);

    /// The handle of a family.
    pub const fn of(family: &'static dyn Family) -> Self {
        Self(family)
    }

    /// All families.
    pub fn all() -> impl Iterator<Item = Self> {
        FAMILIES.iter().copied().map(Self)
    }

    /// The family of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|architecture| architecture.name() == name)
    }

    /// The family whose `config.json` has this `model_type`.
    pub fn of_model_type(model_type: &str) -> Option<Self> {
        Self::all().find(|architecture| architecture.model_type() == model_type)
    }

    /// The family of a `config.json`, by keys that only its configurations have, or else by its
    /// `model_type`.
    pub(crate) fn of_keys(model_type: &str, keys: &Keys<'_>) -> Option<Self> {
        Self::all()
            .find(|family| family.is_also(model_type, keys))
            .or_else(|| Self::of_model_type(model_type))
    }
}

impl Deref for Architecture {
    type Target = dyn Family;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Architecture {}

impl fmt::Debug for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static NAMES: LazyLock<Vec<&str>> =
            LazyLock::new(|| FAMILIES.iter().map(|family| family.name()).collect());
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| de::Error::unknown_variant(&name, &NAMES))
    }
}
