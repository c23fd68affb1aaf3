//! Pretraining, distillation and fine-tuning.
//!
//! [`Run`] trains a language model from its first step, or its last checkpoint, to the end:
//! [`run`] is the loop, [`step`] one step (batch, forward, loss, backward, clipping, update),
//! [`phases`] are the parts of a training, [`batch_plan`] has which sequences each step reads,
//! [`documents`] and [`corruption`] how they differ from the text, [`optimizers`] and [`schedule`]
//! how parameters are updated, [`average`] means of weights, [`heldout`] the evaluation, [`state`]
//! and [`checkpoint`] what a run resumes from, [`signals`] the outputs of teachers and their cache,
//! [`identity`] what a result follows from. [`finetune`] trains classifiers. Nothing is printed; a
//! [`Listener`] receives events.
//!
//! ```
//! use train::TrainSettings;
//! use train::batch_plan::BatchPlan;
//! use train::schedule::Schedule;
//!
//! # fn main() -> Result<(), train::TrainError> {
//! let settings = TrainSettings {
//!     epochs: 2.0,
//!     batch_size: 4,
//!     sequence_length: 8,
//!     warmup_steps: 2,
//!     learning_rate: 1e-3,
//!     ..TrainSettings::default()
//! };
//! // 100 tokens are 12 sequences: 3 steps in each epoch.
//! let mut plan = BatchPlan::new(&settings, 42, 100)?;
//! assert_eq!((plan.steps_per_epoch(), plan.total_steps), (3, 6));
//! assert_eq!(plan.step(5)?.sequences.len(), 4);
//!
//! let schedule = Schedule::new(&settings, plan.total_steps, plan.steps_per_epoch());
//! assert_eq!(schedule.learning_rate(1), 0.5e-3);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

pub mod average;
pub mod batch_plan;
pub mod best;
pub mod checkpoint;
pub mod corruption;
pub mod data;
pub mod documents;
pub mod error;
pub mod events;
pub mod finetune;
pub mod heldout;
pub mod identity;
pub mod masking;
pub mod optimizers;
pub mod phases;
pub mod run;
mod sam;
pub mod schedule;
pub mod settings;
pub mod signals;
mod span_corruption;
pub mod state;
pub mod step;

pub use data::{MicroBatch, TokenSource};
pub use error::TrainError;
pub use events::{EvaluationRecord, Event, Listener, StepRecord};
pub use run::{Outcome, TrainingRun};
pub use settings::{DistillSettings, KlNormalisation, TrainSettings};
pub use signals::{Distillation, Online, Teacher};
