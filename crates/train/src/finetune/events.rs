//! Events of a fine-tuning.

use serde::{Deserialize, Serialize};

/// One optimizer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinetuneStep {
    /// 1 for the first.
    pub step: u64,
    /// Epochs done after this step.
    pub epoch: f64,
    /// Mean cross-entropy of the batch, before the update.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The rate of this update.
    pub learning_rate: f64,
    /// Tokens of the batch; there is no padding to count.
    pub tokens: usize,
    /// Time of the step.
    pub seconds: f64,
}

/// One evaluation on the validation examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// The metric that chooses the best weights; higher is better.
    pub metric: f64,
    /// Whether it is the highest so far.
    pub best: bool,
    /// Evaluations in a row, this one included, without an improvement above the threshold; 0
    /// without early stopping.
    pub failures: u32,
}

/// An event of a fine-tuning.
#[derive(Clone, Copy, Debug)]
pub enum FinetuneEvent {
    /// The fine-tuning begins.
    Started {
        /// Steps without early stopping.
        total_steps: u64,
        /// Steps of an epoch.
        steps_per_epoch: u64,
    },
    /// The device has no memory for all tokens of a step: from now on a micro-batch has about
    /// `tokens`.
    Split {
        /// Tokens of a micro-batch.
        tokens: usize,
    },
    /// A step is done.
    Step(FinetuneStep),
    /// An evaluation goes on.
    Evaluating {
        /// Distinct examples that were read.
        done: usize,
        /// All distinct examples.
        total: usize,
    },
    /// An evaluation is done.
    Evaluation {
        /// The evaluation's result.
        evaluation: Evaluation,
        /// The evaluation's time.
        seconds: f64,
    },
}

/// Receives the events of a fine-tuning.
pub trait FinetuneListener {
    /// Called at every event.
    fn on_event(&mut self, event: FinetuneEvent);

    /// Whether to stop: after the step, or within an evaluation; no weights are restored.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Ignores all events.
pub struct Silent;

impl FinetuneListener for Silent {
    fn on_event(&mut self, _event: FinetuneEvent) {}
}
