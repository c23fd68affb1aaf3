//! What a run tells while it goes on. Nothing is printed here; the command line listens.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// One optimizer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// 1 for the first.
    pub step: u64,
    /// Epochs done after this step.
    pub epoch: f64,
    /// The objective: cross-entropy, or its mixture with the divergence.
    pub loss: f64,
    /// Mean over the predicted tokens.
    pub cross_entropy: f64,
    /// The divergence with its `temperature^2`, normalised as the settings say; absent without
    /// teachers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
    /// Before clipping.
    pub gradient_norm: f64,
    pub learning_rate: f64,
    pub tokens: usize,
    pub seconds: f64,
}

/// One held-out evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    pub step: u64,
    pub epoch: f64,
    /// Mean over the predicted tokens of the held-out sequences.
    pub cross_entropy: f64,
    /// `e` to the cross-entropy.
    pub perplexity: f64,
    /// The distillation objective on held-out text, where the settings select by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
    /// Whether it is the lowest so far.
    pub best: bool,
    pub tokens: usize,
    pub seconds: f64,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The run begins, or goes on after `step` steps.
    Started {
        step: u64,
        total_steps: u64,
        steps_per_epoch: u64,
        tokens_per_step: usize,
    },
    /// What the teachers say is kept in a folder.
    TeacherCache {
        folder: &'a Path,
        /// Of the training text, and how many of them are not there yet.
        sequences: usize,
        missing: usize,
        /// Size of the whole cache.
        bytes: u64,
    },
    /// The device has no memory for a whole step: from now on so many of its sequences pass through
    /// at a time.
    Split {
        sequences: usize,
        batch_size: usize,
    },
    /// A checkpoint could not be used and an older one was taken.
    CheckpointSkipped {
        path: &'a Path,
        problem: &'a str,
    },
    Step(StepRecord),
    Evaluation(EvaluationRecord),
    /// A checkpoint is about to be written: records up to `step` must reach the disk before it.
    Saving {
        step: u64,
    },
    /// Everything up to `step` is on disk.
    Checkpoint {
        step: u64,
        path: &'a Path,
    },
}

/// Hears of events as they happen. A listener that cannot keep its records stops the run with its
/// error.
pub trait Listener {
    fn on_event(&mut self, event: Event<'_>) -> std::io::Result<()>;

    /// Whether somebody asked the run to stop: it finishes the step, saves, and returns.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Hears nothing.
pub struct Silent;

impl Listener for Silent {
    fn on_event(&mut self, _event: Event<'_>) -> std::io::Result<()> {
        Ok(())
    }
}
