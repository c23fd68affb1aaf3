//! A model: a configuration, a decoder that knows the forward pass, and one vector of parameters.

use std::sync::Arc;

use engine::ops::language_model_loss::Projection;
use engine::ops::linear::LinearView;
use engine::{Device, Layout, Parameters, Tape, Var};

use crate::batch::Batch;
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::families::ModelConfig;
use crate::initialise::initialise;
use crate::kv_cache::KvCache;

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
        let mut layout = Layout::default();
        let decoder = config.architecture.decoder(&config, &mut layout);
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
