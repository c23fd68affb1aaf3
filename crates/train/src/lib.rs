//! Training and distillation: from `run` to the step in one hop.

pub mod checkpoint;
pub mod data;
pub mod error;
pub mod events;
pub mod finetune;
pub mod heldout;
pub mod optimizers;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod signals;
pub mod step;

pub use data::{MicroBatch, TokenSource};
pub use error::TrainError;
pub use events::{EvaluationRecord, Event, Listener, StepRecord};
pub use run::{Outcome, Run};
pub use settings::{DistillSettings, KlNormalisation, TrainSettings};
pub use signals::{Distillation, Online, Teacher};
