//! A model: a configuration, a decoder that knows the forward pass, and one vector of parameters.

use std::sync::Arc;

use engine::ops::attention::Heads;
use engine::ops::language_model_loss::Projection;
use engine::ops::linear::{Linear, LinearView};
use engine::{Device, Layout, Parameters, Tape, Var};

use crate::batch::{Batch, Cache};
use crate::config::{Architecture, ModelConfig};
use crate::error::ModelError;
use crate::gpt2::Gpt2;
use crate::initialise::initialise;
use crate::llama::Llama;
use crate::opt::Opt;
use crate::roberta::Roberta;

/// A forward pass, stated once.
pub trait Decoder: Send + Sync {
    /// The normalised final states of every token: `[tokens, hidden]`. With a cache, the batch is
    /// one sequence that goes on after the tokens in it.
    fn hidden_states(&self, tape: &mut Tape<'_>, batch: &Batch, cache: Option<&mut Cache>) -> Var;

    /// The output layer: the matrix `[vocab, hidden]` that turns final states into logits and, if
    /// the model has one, the bias `[1, vocab]` that is added to them.
    fn output(&self) -> Linear;

    /// The heads of every layer's attention.
    fn heads(&self) -> Heads;
}

/// The decoder of a configuration, and where its parameters lie.
pub(crate) fn layout(config: &ModelConfig) -> (Box<dyn Decoder>, Layout) {
    let mut layout = Layout::default();
    let decoder: Box<dyn Decoder> = match config.architecture {
        Architecture::Gpt2 => Box::new(Gpt2::new(config, &mut layout)),
        Architecture::Llama => Box::new(Llama::new(config, &mut layout)),
        Architecture::Opt => Box::new(Opt::new(config, &mut layout)),
        Architecture::Roberta => Box::new(Roberta::new(config, &mut layout)),
    };
    (decoder, layout)
}

/// A language model on a device.
pub struct Model {
    config: ModelConfig,
    decoder: Box<dyn Decoder>,
    parameters: Parameters,
}

impl Model {
    /// A model with all parameters zero, to be filled by whoever reads them.
    pub fn zeros(config: ModelConfig, device: &Arc<dyn Device>) -> Result<Self, ModelError> {
        config.validate()?;
        let (decoder, layout) = layout(&config);
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
            return Err(ModelError::Config {
                what: format!("{count} parameters do not fit into memory"),
            });
        }
        Ok(Parameters::zeros(device, Arc::new(layout)))
    }

    /// A model with Hugging Face's random initialisation, a pure function of the seed.
    pub fn new(
        config: ModelConfig,
        device: &Arc<dyn Device>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let mut model = Self::zeros(config, device)?;
        initialise(&model.config, &mut model.parameters, seed);
        Ok(model)
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    pub fn decoder(&self) -> &dyn Decoder {
        &*self.decoder
    }

    pub fn device(&self) -> &Arc<dyn Device> {
        self.parameters.device()
    }

    /// The final states of a batch, without gradients: `[tokens, hidden]`.
    pub fn hidden_states(&self, batch: &Batch) -> Var {
        let mut tape = Tape::inference(&self.parameters);
        self.decoder.hidden_states(&mut tape, batch, None)
    }

    /// The weights of the output layer, to read.
    pub fn output(&self) -> LinearView<'_> {
        self.decoder.output().view(&self.parameters)
    }

    /// How final states become logits, with their share in a mixture.
    pub fn projection<'a>(&'a self, hidden: &'a Var, share: f32) -> Projection<'a> {
        Projection::new(hidden.value().view(), self.output(), share)
    }

    /// An empty cache for generation.
    pub fn cache(&self, capacity: usize) -> Cache {
        Cache::new(self.device(), capacity, self.config.num_layers, &self.decoder.heads())
    }

    /// Checks that token ids and a sequence's length fit this model.
    pub fn check_sequence(&self, ids: &[u32]) -> Result<(), ModelError> {
        self.config.check_sequence(ids)
    }
}
