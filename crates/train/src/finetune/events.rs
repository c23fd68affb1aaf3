//! What fine-tuning tells while it goes on.

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
    /// Before clipping.
    pub gradient_norm: f64,
    pub learning_rate: f64,
    /// Tokens of the batch; there is no padding to count.
    pub tokens: usize,
    pub seconds: f64,
}

/// One evaluation on the validation examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps done.
    pub step: u64,
    pub epoch: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// What the best is best at; higher is better.
    pub metric: f64,
    /// Whether it is the highest so far.
    pub best: bool,
    /// Evaluations in a row, this one included, without an improvement above the threshold; 0
    /// without early stopping.
    pub failures: u32,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum FinetuneEvent {
    Started {
        total_steps: u64,
        steps_per_epoch: u64,
    },
    /// The device has no memory for a whole step: from now on about so many tokens pass through at
    /// a time.
    Split {
        tokens: usize,
    },
    Step(FinetuneStep),
    /// An evaluation under way has read `done` of `total` distinct examples.
    Evaluating {
        done: usize,
        total: usize,
    },
    Evaluation {
        evaluation: Evaluation,
        seconds: f64,
    },
}

/// Hears of events as they happen.
pub trait FinetuneListener {
    fn on_event(&mut self, event: FinetuneEvent);

    /// Whether somebody asked to stop: the step is finished, or the evaluation left, and nothing is
    /// kept.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Hears nothing.
pub struct Silent;

impl FinetuneListener for Silent {
    fn on_event(&mut self, _event: FinetuneEvent) {}
}
