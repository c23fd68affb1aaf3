//! Language models: their configurations, forward passes, initialisation, generation and Hugging
//! Face folders.

pub mod batch;
pub mod classifier;
pub mod config;
pub mod error;
pub mod generate;
pub mod gpt2;
pub mod hugging_face;
mod initialise;
pub mod llama;
mod model;
pub mod opt;
mod output_layer;
pub mod roberta;
mod segments;
mod size;

pub use batch::{Batch, SharedBatch};
pub use classifier::Classifier;
pub use config::{Architecture, ModelConfig};
pub use error::ModelError;
pub use model::{Decoder, Model};
pub use output_layer::OutputLayer;
