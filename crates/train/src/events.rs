//! Events of a run.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

/// One optimizer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// 1 for the first.
    pub step: u64,
    /// Epochs done after this step.
    pub epoch: f64,
    /// The objective: cross-entropy, or its mixture with the divergence, and the losses of routers.
    pub loss: f64,
    /// Mean over the predicted tokens.
    pub cross_entropy: f64,
    /// The divergence with its `temperature^2`, normalised by the settings; absent without
    /// teachers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The rate of this update.
    pub learning_rate: f64,
    /// Tokens of the batch.
    pub tokens: usize,
    /// Time of the step.
    pub seconds: f64,
    /// Whether it predicted masked tokens with attention in both directions.
    #[serde(default, skip_serializing_if = "is_false")]
    pub masked: bool,
    /// In the first step of a phase: parameters whose optimizer begins anew with it; absent where
    /// there are none, and in the first step of a training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer_begins_anew: Option<usize>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// One held-out evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// Mean over the predicted tokens of the held-out sequences.
    pub cross_entropy: f64,
    /// `e` to the cross-entropy; infinite, which JSON states as null, where that is above 709.
    #[serde(deserialize_with = "or_infinite")]
    pub perplexity: f64,
    /// The distillation objective on held-out text, where the settings select by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
    /// The cross-entropy of the averaged weights, where the settings have an average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged: Option<f64>,
    /// Whether it, or that of the averaged weights, is the lowest so far.
    pub best: bool,
    /// Tokens of the held-out sequences.
    pub tokens: usize,
    /// Time of the evaluation.
    pub seconds: f64,
}

fn or_infinite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

impl EvaluationRecord {
    /// The lower of the cross-entropies of the last weights and their average.
    pub fn lowest(&self) -> f64 {
        self.averaged.map_or(self.cross_entropy, |averaged| averaged.min(self.cross_entropy))
    }
}

/// An event of a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The run begins, or resumes.
    Started {
        /// Steps done.
        step: u64,
        /// Steps of the whole run.
        total_steps: u64,
        /// Tokens of the steps that are done.
        tokens: u64,
        /// Tokens of the whole run.
        total_tokens: u64,
        /// The name of the phase of the next step, or its number; none of a run without phases.
        phase: Option<&'a str>,
    },
    /// A phase begins, other than the first.
    Phase {
        /// The phase's name, or its number.
        name: &'a str,
        /// The number of the phase's first step.
        first_step: u64,
        /// Number of the phase's steps.
        steps: u64,
        /// Parameters of the model.
        parameters: usize,
        /// Number of parameters whose optimizer begins with a state of zero.
        begins_anew: usize,
    },
    /// There is a teacher cache.
    TeacherCache {
        /// The folder of the training text's cache.
        folder: &'a Path,
        /// Sequences of the training text.
        sequences: usize,
        /// Number of sequences that are not cached yet.
        missing: usize,
        /// Size of the whole cache.
        bytes: u64,
    },
    /// The teachers' weights were fitted on the held-out text.
    TeacherWeights {
        /// The teachers' weights, in the order of the teachers.
        weights: &'a [f64],
    },
    /// The device has no memory for all sequences of a step: from now on a micro-batch has
    /// `sequences`.
    Split {
        /// Sequences of a micro-batch.
        sequences: usize,
        /// Sequences of a step.
        batch_size: usize,
    },
    /// A checkpoint could not be used and an older one was taken.
    CheckpointSkipped {
        /// The damaged file.
        path: &'a Path,
        /// What is wrong with it.
        problem: &'a str,
    },
    /// The run continues a checkpoint whose products were computed in another way, so that its bits
    /// may differ from those of a run without a break.
    OtherProducts {
        /// What computed them up to the checkpoint.
        before: &'a str,
        /// What does from now on.
        now: &'a str,
    },
    /// A step is done.
    Step(StepRecord),
    /// An evaluation is done.
    Evaluation(EvaluationRecord),
    /// A checkpoint is about to be written: records up to `step` must reach the disk before it.
    Saving {
        /// Steps done.
        step: u64,
    },
    /// Everything up to `step` is on disk.
    Checkpoint {
        /// Steps done.
        step: u64,
        /// The checkpoint's folder.
        path: &'a Path,
    },
}

/// Receives the events of a run. An error of the listener, such as a full disk, stops the run.
pub trait Listener {
    /// Called at every event.
    ///
    /// # Errors
    /// What keeps the run from going on.
    fn on_event(&mut self, event: Event<'_>) -> std::io::Result<()>;

    /// Whether to stop: the run finishes the step, saves, and returns.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Ignores all events.
pub struct Silent;

impl Listener for Silent {
    fn on_event(&mut self, _event: Event<'_>) -> std::io::Result<()> {
        Ok(())
    }
}
