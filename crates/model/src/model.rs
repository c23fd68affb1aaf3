//! A model: a configuration, a decoder that knows the forward pass, and one vector of parameters.

use std::sync::Arc;

use engine::ops::language_model_loss::{Projection, Target};
use engine::ops::linear::LinearView;
use engine::{Device, Layout, Parameters, Segment, Tape, Var};

use crate::batch::Batch;
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::families::{ModelConfig, PositionHeads};
use crate::initialise::initialise;
use crate::kv_cache::KvCache;

/// The forward pass of a language model, and the layout of its parameters.
pub(crate) fn decoder_with_layout(config: &ModelConfig) -> (Box<dyn Decoder>, Layout) {
    let mut layout = Layout::default();
    let decoder = config.architecture.decoder(config, &mut layout);
    layout.mark_output(decoder.output().weight);
    (decoder, layout)
}

/// The log-probabilities (natural) of targets in a batch, by one model or by several whose logits
/// are averaged.
///
/// # Panics
/// When there is no model, or their vocabularies differ in size.
pub fn log_probabilities(models: &[&Model], batch: &Batch, targets: &[Target]) -> Vec<f64> {
    let hidden: Vec<Var> = models.iter().map(|model| model.hidden_states(batch)).collect();
    let share = 1.0 / models.len() as f32;
    let projections: Vec<Projection<'_>> =
        models.iter().zip(&hidden).map(|(model, hidden)| model.projection(hidden, share)).collect();
    let mut log_probabilities = vec![0.0; targets.len()];
    models[0].device().log_probabilities(&projections, targets, &mut log_probabilities);
    log_probabilities
}

/// A language model on a device.
pub struct Model {
    config: ModelConfig,
    decoder: Box<dyn Decoder>,
    parameters: Parameters,
}

impl Model {
    /// A model with all parameters zero, to be filled.
    ///
    /// # Errors
    /// When the configuration is impossible, or the parameters do not fit into memory.
    pub fn zeros(config: ModelConfig, device: &Arc<dyn Device>) -> Result<Self, ModelError> {
        config.validate()?;
        let (decoder, layout) = decoder_with_layout(&config);
        Ok(Self { config, decoder, parameters: Self::allocate(layout, device)? })
    }

    /// Parameters that are all zero, or an error where there is no memory for them.
    pub(crate) fn allocate(
        layout: Layout,
        device: &Arc<dyn Device>,
    ) -> Result<Parameters, ModelError> {
        // An allocation that fails ends the process; one that is tried first can be refused.
        let count = layout.length();
        if Vec::<f32>::new().try_reserve_exact(count).is_err() {
            return Err(ModelError::TooLarge { parameters: count });
        }
        Ok(Parameters::zeros(device, Arc::new(layout)))
    }

    /// A model with Hugging Face's random initialisation, a pure function of the seed.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub fn new(
        config: ModelConfig,
        device: &Arc<dyn Device>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let mut model = Self::zeros(config, device)?;
        initialise(&model.config, &mut model.parameters, seed);
        Ok(model)
    }

    /// This model with the first `vocab_size` rows of its vocabulary alone: without those that pad
    /// it beyond the ids of its tokenizer. The rest of each distribution is normalised anew.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    ///
    /// # Panics
    /// When the vocabulary has fewer rows.
    pub fn with_first_rows(self, vocab_size: usize) -> Result<Self, ModelError> {
        assert!(vocab_size <= self.config.vocab_size, "rows can only be left out");
        let device = self.device().clone();
        let mut model = Self::zeros(self.config.clone().with_vocabulary(vocab_size), &device)?;
        let (from, to) = (self.parameters.layout(), model.parameters.layout().clone());
        for (source, target) in from.segments().iter().zip(to.segments()) {
            // Rows are what a matrix has first; a bias of the vocabulary is shorter itself.
            let first = Segment { offset: source.segment.offset, ..target.segment };
            let target = model.parameters.view_mut(target.segment);
            device.copy(self.parameters.view(first), target);
        }
        Ok(model)
    }

    /// These weights in a model whose table of distances is cut into heads as `heads` states.
    ///
    /// # Errors
    /// When the model has no such table.
    pub fn with_position_heads(self, heads: PositionHeads) -> Result<Self, ModelError> {
        let config = ModelConfig { position_heads: Some(heads), ..self.config };
        config.validate()?;
        let (decoder, _) = decoder_with_layout(&config);
        Ok(Self { config, decoder, parameters: self.parameters })
    }

    /// What the model looks like.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// All weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// All weights, to change.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// The forward pass.
    pub fn decoder(&self) -> &dyn Decoder {
        &*self.decoder
    }

    /// Where the weights are.
    pub fn device(&self) -> &Arc<dyn Device> {
        self.parameters.device()
    }

    /// The hidden states of a batch, without gradients: `[tokens, hidden]`.
    pub fn hidden_states(&self, batch: &Batch) -> Var {
        let mut tape = Tape::inference(&self.parameters);
        self.decoder.hidden_states(&mut tape, batch, None)
    }

    /// The weights of the output layer, to read.
    pub fn output(&self) -> LinearView<'_> {
        self.decoder.output().view(&self.parameters)
    }

    /// How hidden states become logits, with their share in a mixture.
    pub fn projection<'a>(&'a self, hidden: &'a Var, share: f32) -> Projection<'a> {
        Projection::new(hidden.value().view(), self.output(), share)
    }

    /// An empty KV cache for `capacity` tokens, for generation.
    pub fn kv_cache(&self, capacity: usize) -> KvCache {
        KvCache::new(self.device(), capacity, self.config.num_layers, &self.decoder.heads())
    }

    /// Checks that token ids and a sequence's length fit this model.
    ///
    /// # Errors
    /// When an id is outside the vocabulary, or the sequence is longer than the positions.
    pub fn check_sequence(&self, ids: &[u32]) -> Result<(), ModelError> {
        self.config.check_sequence(ids)
    }
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;

    use super::*;
    use crate::Architecture;

    #[test]
    fn rows_that_pad_the_vocabulary_can_be_left_out() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        for architecture in Architecture::all() {
            for tie_word_embeddings in [true, false] {
                let tied = tie_word_embeddings || !architecture.can_untie();
                let config = ModelConfig {
                    tie_word_embeddings: tied,
                    initializer_range: 0.3,
                    ..ModelConfig::tiny(architecture)
                };
                let whole = Model::new(config.clone(), &device, 7).unwrap();
                let batch = Batch::from_sequences([[5, 6, 7]]);
                let logits = |model: &Model| {
                    let rows = model.config().vocab_size;
                    let mut logits = vec![0.0; 3 * rows];
                    let hidden = model.hidden_states(&batch);
                    device.logits(&[model.projection(&hidden, 1.0)], &mut logits);
                    logits.chunks(rows).map(|row| row[..44].to_vec()).collect::<Vec<_>>()
                };
                let expected = logits(&whole);
                let first = whole.with_first_rows(44).unwrap();
                assert_eq!(*first.config(), ModelConfig { vocab_size: 44, ..config });
                assert_eq!(logits(&first), expected, "{architecture:?}");
            }
        }
    }
}
