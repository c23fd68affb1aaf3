//! Language models: families with their configurations and forward passes, initialisation,
//! generation, classifiers, and Hugging Face folders in and out.
//!
//! A [`Model`] is a configuration, one flat vector of parameters with named segments, and a
//! [`Decoder`] that records the forward pass on a tape. A [`Batch`] is several sequences end to
//! end, without padding. Everything particular to an architecture is in its [`Family`]; all of them
//! are in [`FAMILIES`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use model::{Architecture, Batch, Model, ModelConfig};
//!
//! let device: Arc<dyn engine::Device> = Arc::new(engine::cpu::Cpu::new());
//! let config = ModelConfig::tiny(Architecture::LLAMA);
//! let model = Model::new(config.clone(), &device, 1)?;
//! let batch = Batch::from_sequences([vec![3, 1, 4], vec![1, 5]]);
//! let hidden = model.hidden_states(&batch);
//! assert_eq!((hidden.value().rows(), hidden.value().columns()), (5, config.hidden_size));
//! let mut logits = vec![0.0; 5 * config.vocab_size];
//! device.logits(&[model.projection(&hidden, 1.0)], &mut logits);
//! # Ok::<(), model::ModelError>(())
//! ```
#![warn(missing_docs)]

pub mod batch;
pub mod classifier;
pub mod config_keys;
mod decoder;
mod error;
pub mod families;
pub mod generate;
pub mod head;
pub mod hugging_face;
mod initialise;
pub mod keys;
mod kv_cache;
mod masked_tokens;
mod model;
mod normed_dense;
mod output_layer;
mod size;
mod write_safetensors;

pub use batch::{Batch, SharedBatch};
pub use classifier::Classifier;
pub use decoder::{Backbone, Decoder};
pub use error::ModelError;
pub use families::{
    Architecture, Capacity, ElcVariant, EncoderDecoder, Experts, FAMILIES, Family, GptBertNames,
    MatrixProduct, ModelConfig, PositionHeads,
};
pub use head::{HeadKind, PooledToken, Pooling};
pub use kv_cache::KvCache;
pub use masked_tokens::{EncoderDecoderTokens, HiddenTokens, MaskedTokens, SentinelTokens};
pub use model::{Model, log_probabilities};
pub use output_layer::OutputLayer;
pub use write_safetensors::write_safetensors;
