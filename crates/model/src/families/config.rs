//! What a model looks like.

use serde::{Deserialize, Serialize};

use super::{Architecture, ElcVariant, EncoderDecoder, Experts, GptBertNames, PositionHeads};
use crate::error::ModelError;
use crate::keys::Keys;

/// A model's configuration: its family, sizes and constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The family.
    pub architecture: Architecture,
    /// Tokens of the vocabulary: rows of the embedding and of the output matrix.
    pub vocab_size: usize,
    /// Channels of the hidden states.
    pub hidden_size: usize,
    /// Channels within the feed-forward part of a layer.
    pub intermediate_size: usize,
    /// Layers of attention and feed-forward part.
    pub num_layers: usize,
    /// Heads of queries.
    pub num_heads: usize,
    /// Heads of keys and values; grouped-query attention when fewer than `num_heads`.
    pub num_kv_heads: usize,
    /// Channels of one head.
    pub head_dim: usize,
    /// Longest sequence. Families with rotary positions only record the number; the others learn
    /// one vector per position, of which OPT's and RoBERTa's files hold a few more that no token
    /// uses.
    pub max_positions: usize,
    /// What a norm adds to the variance before it takes the root.
    pub norm_epsilon: f32,
    /// Base of the rotary positions' wavelengths, where the family has such positions.
    pub rope_theta: f32,
    /// Channels of a head that have rotary positions, in families that leave the others without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotary_dim: Option<usize>,
    /// Buckets of the distances between tokens, in families whose attention has such buckets; for
    /// LTG-BERT in one direction, that of the token itself among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_buckets: Option<usize>,
    /// How the table of distances is cut into heads; none where a folder does not state it, and
    /// then [`PositionHeads::Halves`] is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_heads: Option<PositionHeads>,
    /// The variant of an ELC-BERT, and none elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elc_variant: Option<ElcVariant>,
    /// How the tensors of a GPT-BERT's files are named; left out, as its authors name them. None
    /// elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpt_bert_names: Option<GptBertNames>,
    /// Whether the embedding is the output matrix too.
    pub tie_word_embeddings: bool,
    /// Dropout of the sum of embeddings.
    pub embedding_dropout: f32,
    /// Dropout of the attention weights.
    pub attention_dropout: f32,
    /// Dropout of what attention and feed-forward part add to the residual stream.
    pub residual_dropout: f32,
    /// Dropout of the head that RoBERTa gets as a classifier; `residual_dropout` where it is not
    /// stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier_dropout: Option<f32>,
    /// Standard deviation of the initial weights.
    pub initializer_range: f32,
    /// The token that begins a text.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a text, in `eos_token_id` of `config.json`. An id may be outside the
    /// vocabulary, where nothing ends a text.
    pub eos_token_ids: Vec<u32>,
    /// Row of the embedding that starts at zero and learns nothing (not in GPT-2). RoBERTa counts
    /// positions from it.
    pub pad_token_id: Option<u32>,
    /// The experts of a family whose feed-forward parts are experts, and none elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    /// What an encoder-decoder has besides, and none elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_decoder: Option<EncoderDecoder>,
}

impl ModelConfig {
    /// The largest size: beyond any model of this program's kind, and far below where a product of
    /// two sizes overflows.
    pub const LARGEST_SIZE: usize = 1 << 24;

    /// The most layers, which multiply all other sizes.
    pub(super) const MOST_LAYERS: usize = 1 << 10;

    /// The most buckets of distances, of which attention has a vector each in every head.
    const MOST_POSITION_BUCKETS: usize = 1 << 12;

    /// The configuration of a family with sizes of 0, no dropout, and what most families share:
    /// where their defaults begin.
    pub(super) fn unstated(architecture: Architecture) -> Self {
        Self {
            architecture,
            vocab_size: 0,
            hidden_size: 0,
            intermediate_size: 0,
            num_layers: 0,
            num_heads: 0,
            num_kv_heads: 0,
            head_dim: 0,
            max_positions: 0,
            norm_epsilon: 1e-5,
            rope_theta: Self::ROPE_THETA,
            rotary_dim: None,
            position_buckets: None,
            position_heads: None,
            elc_variant: None,
            gpt_bert_names: None,
            tie_word_embeddings: false,
            embedding_dropout: 0.0,
            attention_dropout: 0.0,
            residual_dropout: 0.0,
            classifier_dropout: None,
            initializer_range: 0.02,
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            pad_token_id: None,
            experts: None,
            encoder_decoder: None,
        }
    }

    /// A very small model of a family, without dropout, for tests. It shows all that the family
    /// does: LLaMA has grouped heads.
    pub fn tiny(architecture: Architecture) -> Self {
        architecture.tiny()
    }

    /// This configuration without dropout and with the sizes of a very small model.
    pub(super) fn with_tiny_sizes(self) -> Self {
        Self {
            vocab_size: 50,
            hidden_size: 16,
            intermediate_size: 24,
            num_layers: 2,
            num_heads: 4,
            num_kv_heads: 4,
            head_dim: 4,
            max_positions: 32,
            ..self.with_dropout(0.0)
        }
    }

    /// This configuration with dropout `share` wherever the family has one, the classification
    /// head excepted.
    pub fn with_dropout(self, share: f32) -> Self {
        let architecture = self.architecture;
        let share_if = |has: bool| if has { share } else { 0.0 };
        Self {
            embedding_dropout: share_if(architecture.has_embedding_dropout()),
            attention_dropout: share,
            residual_dropout: share_if(architecture.has_residual_dropout()),
            ..self
        }
    }

    /// This configuration with those keys of a `config.json` that all families share.
    pub(super) fn with_shared_keys(self, keys: &Keys<'_>) -> Result<Self, ModelError> {
        Ok(Self {
            tie_word_embeddings: keys.or("tie_word_embeddings", self.tie_word_embeddings)?,
            initializer_range: keys.or("initializer_range", self.initializer_range)?,
            bos_token_id: keys.token("bos_token_id", self.bos_token_id)?,
            eos_token_ids: keys.tokens("eos_token_id")?.unwrap_or(self.eos_token_ids),
            pad_token_id: keys.token("pad_token_id", self.pad_token_id)?,
            ..self
        })
    }

    /// Layers of an encoder-decoder's decoder; 0 of other models.
    pub fn decoder_layers(&self) -> usize {
        self.encoder_decoder.map_or(0, |own| own.decoder_layers)
    }

    /// This configuration with another size of the vocabulary.
    pub fn with_vocabulary(self, vocab_size: usize) -> Self {
        let pad_token_id = self.pad_token_id.filter(|&id| (id as usize) < vocab_size);
        Self { vocab_size, pad_token_id, ..self }
    }

    /// The token that pads sequences: where no padding token is named, the first that ends a text.
    pub(crate) fn padding_or_end(&self) -> Option<u32> {
        self.pad_token_id.or(self.eos_token_ids.first().copied())
    }

    /// Checks everything that the model code relies on.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the first key that is wrong, and what it may be.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.check_sizes()?;
        self.check_constants()?;
        self.check_rotary()?;
        self.check_position_buckets()?;
        if let Some(experts) = self.experts.as_ref().filter(|_| !self.architecture.has_experts()) {
            let (count, title) = (experts.num_experts, self.architecture.title());
            return wrong("num_experts", format!("is {count}; {title} has no experts"));
        }
        if let Some(own) = self.encoder_decoder.filter(|_| !self.architecture.is_encoder_decoder())
        {
            let (count, title) = (own.decoder_layers, self.architecture.title());
            return wrong("decoder_layers", format!("is {count}; {title} has no decoder"));
        }
        self.architecture.validate(self)?;
        let padding = self.pad_token_id.filter(|_| self.architecture.has_padding_row());
        match padding.filter(|&id| id as usize >= self.vocab_size) {
            None => Ok(()),
            Some(id) => {
                let problem = format!("is {id}, outside the vocabulary of {}", self.vocab_size);
                Err(ModelError::Config { key: "pad_token_id", problem })
            }
        }
    }

    fn check_sizes(&self) -> Result<(), ModelError> {
        for (key, size, most) in [
            ("vocab_size", self.vocab_size, Self::LARGEST_SIZE),
            ("hidden_size", self.hidden_size, Self::LARGEST_SIZE),
            ("intermediate_size", self.intermediate_size, Self::LARGEST_SIZE),
            ("num_layers", self.num_layers, Self::MOST_LAYERS),
            ("num_heads", self.num_heads, Self::LARGEST_SIZE),
            ("num_kv_heads", self.num_kv_heads, Self::LARGEST_SIZE),
            ("head_dim", self.head_dim, Self::LARGEST_SIZE),
            ("max_positions", self.max_positions, Self::LARGEST_SIZE),
        ] {
            if size == 0 {
                return wrong(key, "is 0; the smallest that works is 1".to_owned());
            }
            if size > most {
                return wrong(key, format!("is {size}; it must be at most {most}"));
            }
        }
        // Both are bounded, so that the product fits; so does every later one of two sizes.
        let width = self.num_heads * self.head_dim;
        if width > Self::LARGEST_SIZE {
            let problem = format!(
                "is {}; times num_heads = {} it must be at most {}",
                self.head_dim,
                self.num_heads,
                Self::LARGEST_SIZE
            );
            return wrong("head_dim", problem);
        }
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            let (heads, shared) = (self.num_heads, self.num_kv_heads);
            let problem = format!("is {heads}, which num_kv_heads = {shared} does not divide");
            return wrong("num_heads", problem);
        }
        Ok(())
    }

    /// The base of rotary positions where none is stated.
    const ROPE_THETA: f32 = 10_000.0;

    /// Checks the channels with rotary positions, for all families.
    fn check_rotary(&self) -> Result<(), ModelError> {
        let Some(channels) = self.rotary_dim else { return Ok(()) };
        let problem = if !self.architecture.has_rotary_dim() {
            let family = self.architecture.title();
            format!("is {channels}; {family} has no such key, so leave it out")
        } else if channels == 0 || !channels.is_multiple_of(2) {
            format!("is {channels}; channels turn in pairs, so it must be even and at least 2")
        } else if channels > self.head_dim {
            let width = self.head_dim;
            format!("is {channels}; it must be at most the {width} channels of a head")
        } else {
            return Ok(());
        };
        wrong("rotary_dim", problem)
    }

    /// Checks the buckets of distances, and what else only some of the families with such have.
    fn check_position_buckets(&self) -> Result<(), ModelError> {
        let family = self.architecture;
        let (has_buckets, title) = (family.has_position_buckets(), family.title());
        for (key, is_stated, is_known) in [
            ("position_heads", self.position_heads.is_some(), family.has_position_heads()),
            ("elc_variant", self.elc_variant.is_some(), family.has_variants()),
            ("gpt_bert_names", self.gpt_bert_names.is_some(), family == Architecture::GPT_BERT),
        ] {
            if is_stated && !is_known {
                let problem = format!("is stated; {title} has no such key, so leave it out");
                return wrong(key, problem);
            }
        }
        match self.position_buckets {
            None if has_buckets => wrong("position_buckets", format!("is missing; {title} has it")),
            None => Ok(()),
            Some(count) if !has_buckets => {
                let problem = format!("is {count}; {title} has no such key, so leave it out");
                wrong("position_buckets", problem)
            }
            Some(count) if !(2..=Self::MOST_POSITION_BUCKETS).contains(&count) => {
                let most = Self::MOST_POSITION_BUCKETS;
                wrong("position_buckets", format!("is {count}; it must be from 2 to {most}"))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_constants(&self) -> Result<(), ModelError> {
        for (key, value) in [
            ("norm_epsilon", self.norm_epsilon),
            ("rope_theta", self.rope_theta),
            ("initializer_range", self.initializer_range),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return wrong(key, format!("is {value}; it must be larger than 0"));
            }
        }
        let family = self.architecture;
        if self.rope_theta != Self::ROPE_THETA && !family.has_rope_theta() {
            let problem = format!(
                "is {}; {} has no such key, so leave it out",
                self.rope_theta,
                family.title()
            );
            return wrong("rope_theta", problem);
        }
        let dropouts = [
            ("embedding_dropout", self.embedding_dropout, family.has_embedding_dropout()),
            ("attention_dropout", self.attention_dropout, true),
            ("residual_dropout", self.residual_dropout, family.has_residual_dropout()),
        ];
        let own = ("classifier_dropout", self.classifier_dropout.unwrap_or(0.0), true);
        for (key, share, applies) in dropouts.into_iter().chain([own]) {
            if !(0.0..1.0).contains(&share) {
                return wrong(key, format!("is {share}; it must be at least 0 and below 1"));
            }
            if share != 0.0 && !applies {
                let known = dropouts.iter().filter(|(_, _, applies)| *applies);
                let known = known.map(|(key, ..)| *key).collect::<Vec<_>>().join(" and ");
                return wrong(key, format!("is {share}; {} has none but {known}", family.title()));
            }
        }
        Ok(())
    }

    /// Checks for families whose heads share nothing and together are as wide as the states.
    pub(super) fn require_plain_heads(&self) -> Result<(), ModelError> {
        if self.num_heads * self.head_dim != self.hidden_size {
            let (hidden, heads) = (self.hidden_size, self.num_heads);
            if hidden.is_multiple_of(heads) {
                let (family, width) = (self.architecture.title(), hidden / heads);
                let found = self.head_dim;
                let problem = format!(
                    "is {found}; {family}'s heads have hidden_size / num_heads = {width} channels"
                );
                return wrong("head_dim", problem);
            }
            let problem = format!("is {hidden}, which num_heads = {heads} does not divide");
            return wrong("hidden_size", problem);
        }
        if self.num_kv_heads != self.num_heads {
            let problem = format!(
                "is {}; {} shares no heads, so it must equal num_heads = {}",
                self.num_kv_heads,
                self.architecture.title(),
                self.num_heads
            );
            return wrong("num_kv_heads", problem);
        }
        Ok(())
    }

    /// Refuses a model that does not predict the next token.
    ///
    /// # Errors
    /// [`ModelError::NotCausal`].
    pub fn require_causal(&self) -> Result<(), ModelError> {
        let family = self.architecture;
        match family.is_causal() {
            true => Ok(()),
            false => Err(ModelError::NotCausal { kind: family.kind() }),
        }
    }

    /// How many tokens the model can read at most, of texts longer than those of its training too:
    /// any number with rotary positions.
    pub fn longest_readable(&self) -> usize {
        match self.architecture.has_rope_theta() || self.architecture.has_rotary_dim() {
            true => usize::MAX,
            false => self.max_positions,
        }
    }

    /// Checks that token ids are in the vocabulary and that there are not more of them than
    /// positions.
    pub(crate) fn check_sequence(&self, ids: &[u32]) -> Result<(), ModelError> {
        let (vocab_size, max_positions) = (self.vocab_size, self.max_positions);
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(ModelError::TokenOutside { id, vocab_size });
        }
        if ids.len() > max_positions {
            return Err(ModelError::TooLong { tokens: ids.len(), max_positions });
        }
        Ok(())
    }
}

/// An error of a key.
fn wrong(key: &'static str, problem: String) -> Result<(), ModelError> {
    Err(ModelError::Config { key, problem })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A LLaMA of the given sizes with BabyLlama's settings.
    pub(crate) fn llama(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        kv_heads: usize,
    ) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::LLAMA,
            vocab_size: 16_000,
            hidden_size: hidden,
            intermediate_size: intermediate,
            num_layers: layers,
            num_heads: heads,
            num_kv_heads: kv_heads,
            head_dim: hidden / heads,
            max_positions: 256,
            norm_epsilon: 1e-6,
            rope_theta: 10_000.0,
            rotary_dim: None,
            position_buckets: None,
            position_heads: None,
            elc_variant: None,
            gpt_bert_names: None,
            tie_word_embeddings: false,
            embedding_dropout: 0.0,
            attention_dropout: 0.0,
            residual_dropout: 0.0,
            classifier_dropout: None,
            initializer_range: 0.02,
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            pad_token_id: Some(0),
            experts: None,
            encoder_decoder: None,
        }
    }

    /// A GPT-2 of the given sizes with tied embeddings.
    pub(crate) fn gpt2(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        positions: usize,
    ) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::GPT2,
            max_positions: positions,
            norm_epsilon: 1e-5,
            tie_word_embeddings: true,
            pad_token_id: None,
            ..llama(hidden, intermediate, layers, heads, heads)
        }
    }

    /// A GPT-J of the given sizes with an output matrix of its own.
    pub(crate) fn gptj(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        rotary_dim: usize,
    ) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::GPTJ,
            rotary_dim: Some(rotary_dim),
            tie_word_embeddings: false,
            ..gpt2(hidden, intermediate, layers, heads, 256)
        }
    }

    /// An OPT of the given sizes.
    pub(crate) fn opt(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        positions: usize,
    ) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::OPT,
            bos_token_id: Some(2),
            pad_token_id: Some(1),
            ..gpt2(hidden, intermediate, layers, heads, positions)
        }
    }

    /// A RoBERTa of the given sizes.
    pub(crate) fn roberta(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        positions: usize,
    ) -> ModelConfig {
        let architecture = Architecture::ROBERTA;
        ModelConfig {
            architecture,
            bos_token_id: Some(0),
            ..opt(hidden, intermediate, layers, heads, positions)
        }
    }

    /// An LTG-BERT of the given sizes.
    pub(crate) fn ltg_bert(
        hidden: usize,
        intermediate: usize,
        layers: usize,
        heads: usize,
        positions: usize,
    ) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::LTG_BERT,
            position_buckets: Some(32),
            ..gpt2(hidden, intermediate, layers, heads, positions)
        }
    }

    #[test]
    fn impossible_shapes_are_refused_by_name() {
        let message = |config: ModelConfig| config.validate().unwrap_err().to_string();
        assert!(message(llama(0, 1, 1, 1, 1)).contains("hidden_size is 0"));
        assert!(
            message(llama(64, 1 << 30, 1, 4, 4))
                .contains("intermediate_size is 1073741824; it must be at most")
        );
        assert!(
            message(llama(64, 1, 5000, 4, 4))
                .contains("num_layers is 5000; it must be at most 1024")
        );
        assert!(message(llama(64, 1, 1, 4, 3)).contains("which num_kv_heads = 3 does not divide"));
        assert!(message(gpt2(65, 1, 1, 4, 8)).contains("which num_heads = 4 does not divide"));
        assert!(
            message(ModelConfig { attention_dropout: 1.0, ..gpt2(64, 1, 1, 4, 8) })
                .contains("attention_dropout is 1")
        );
        assert!(
            message(ModelConfig { residual_dropout: 0.1, ..llama(64, 1, 1, 4, 4) })
                .contains("residual_dropout is 0.1; LLaMA has none but attention_dropout")
        );
        assert!(
            message(ModelConfig { num_kv_heads: 2, ..gpt2(64, 1, 1, 4, 8) })
                .contains("num_kv_heads is 2; GPT-2 shares no heads")
        );
        for epsilon in [0.0, f32::NAN, f32::INFINITY] {
            assert!(
                message(ModelConfig { norm_epsilon: epsilon, ..llama(64, 1, 1, 4, 4) })
                    .contains("it must be larger than 0")
            );
        }
        assert!(message(opt(65, 1, 1, 4, 8)).contains("which num_heads = 4 does not divide"));
        assert!(
            message(ModelConfig { pad_token_id: None, ..roberta(64, 1, 1, 4, 8) })
                .contains("pad_token_id")
        );
        for count in [0, 1, 4097] {
            let few = ModelConfig { position_buckets: Some(count), ..ltg_bert(64, 1, 1, 4, 8) };
            let expected = format!("position_buckets is {count}; it must be from 2 to 4096");
            assert!(message(few).contains(&expected));
        }
        assert!(
            message(ModelConfig { position_buckets: None, ..ltg_bert(64, 1, 1, 4, 8) })
                .contains("position_buckets is missing; LTG-BERT has it")
        );
        assert!(
            message(ModelConfig { position_buckets: Some(4), ..gpt2(64, 1, 1, 4, 8) })
                .contains("position_buckets is 4; GPT-2 has no such key")
        );
        let heads = Some(PositionHeads::Halves);
        assert!(
            message(ModelConfig { position_heads: heads, ..gpt2(64, 1, 1, 4, 8) })
                .contains("position_heads is stated; GPT-2 has no such key")
        );
        assert!(
            message(ModelConfig { pad_token_id: Some(16_000), ..opt(64, 1, 1, 4, 8) })
                .contains("16000, outside")
        );
    }
}
