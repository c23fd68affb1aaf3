//! One step of fine-tuning: batch -> forward -> loss -> backward -> clip -> optimizer.

use base::rng::Rng;
use engine::{Attempt, BatchLimit, DropoutStream, OutOfMemory, Parameters, Tape};
use model::{Batch, Classifier};

use super::plan::{MICRO_BATCH_TOKENS, micro_batches};
use super::{Example, FinetuneSettings};
use crate::error::TrainError;
use crate::optimizers::GroupedOptimizer;

/// A classifier in training.
pub struct ClassifierTrainer {
    /// The model.
    pub classifier: Classifier,
    optimizer: GroupedOptimizer,
    gradients: Parameters,
    seed: u64,
    /// The most tokens that went through at a time.
    most_tokens: usize,
    /// Tokens that go through at a time.
    batch_limit: BatchLimit,
}

/// What one step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// Mean cross-entropy of the batch.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens of the batch.
    pub tokens: usize,
}

impl ClassifierTrainer {
    /// A trainer with fresh moments.
    pub fn new(classifier: Classifier, settings: &FinetuneSettings) -> Self {
        let gradients =
            Parameters::zeros(classifier.device(), classifier.parameters().layout().clone());
        let optimizer = GroupedOptimizer::new(classifier.parameters(), settings);
        let batch_limit = BatchLimit::up_to(MICRO_BATCH_TOKENS);
        Self { classifier, optimizer, gradients, seed: settings.seed, most_tokens: 0, batch_limit }
    }

    /// The gradient of the last step, before clipping.
    pub fn gradients(&self) -> &Parameters {
        &self.gradients
    }

    /// Tokens that go through at a time: fewer than at first when the device ran out of memory.
    pub fn tokens_at_a_time(&self) -> usize {
        self.batch_limit.size()
    }

    /// Update number `step` (1 for the first) on a batch, which is not empty.
    ///
    /// # Errors
    /// When the loss or the gradient is not finite, or there is no memory for a single example; the
    /// parameters are then as before.
    ///
    /// # Panics
    /// When an example does not fit the classifier; callers check what comes from outside.
    pub fn step(
        &mut self,
        batch: &[&Example],
        step: u64,
        learning_rate: f64,
    ) -> Result<StepResult, TrainError> {
        let (loss, tokens) = self.loss_within_memory(batch, step)?;
        let gradient_norm = self.optimizer.gradient_norm(&self.gradients);
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return Err(TrainError::FinetuneNotFinite { step, loss, gradient_norm });
        }
        let parameters = self.classifier.parameters_mut();
        self.optimizer.update(parameters, &self.gradients, step, learning_rate, gradient_norm);
        Ok(StepResult { loss, gradient_norm, tokens })
    }

    /// The mean cross-entropy of a batch and its tokens; leaves the gradient. It goes through in as
    /// many parts as the device has memory for.
    fn loss_within_memory(
        &mut self,
        batch: &[&Example],
        step: u64,
    ) -> Result<(f64, usize), TrainError> {
        let lengths = || batch.iter().map(|example| example.ids.len());
        let tokens: usize = lengths().sum();
        let take = |limit: usize| {
            let parts = micro_batches(batch, limit);
            Attempt { size: limit.min(tokens), is_minimal: parts.len() == batch.len(), work: parts }
        };
        let (mut batch_limit, device) = (self.batch_limit, self.classifier.device().clone());
        let loss =
            batch_limit.fit_attempt(&*device, take, |parts| self.loss(&parts, batch.len(), step));
        self.batch_limit = batch_limit;
        let length = lengths().max().unwrap_or(0);
        let loss = loss.map_err(|OutOfMemory { fault, .. }| TrainError::OutOfMemory {
            sequences: 1,
            length,
            fault,
        })?;
        Ok((loss, tokens))
    }

    /// The mean cross-entropy of a batch of `count` examples in parts; leaves the gradient.
    fn loss(&mut self, parts: &[Vec<&Example>], count: usize, step: u64) -> f64 {
        let device = self.classifier.device().clone();
        device.fill(self.gradients.values_mut().view_mut(), 0.0);
        let scale = 1.0 / count as f64;
        let mut dropout = DropoutStream::new(Rng::new(self.seed, "dropout").at(step));
        let mut sum = 0.0;
        for part in parts {
            let packed = Batch::from_sequences(part.iter().map(|example| &example.ids));
            let labels: Vec<u32> = part.iter().map(|example| example.label).collect();
            self.trim_before_growth(packed.tokens());
            let mut tape =
                Tape::training(self.classifier.parameters(), &mut self.gradients, Some(dropout));
            sum += self.classifier.loss(&mut tape, &packed, &labels, scale as f32);
            tape.backward();
            dropout = dropout.after(&packed.spans, None);
        }
        sum * scale
    }

    /// Smaller batches live in the memory of larger ones, but a larger one than ever asks for
    /// memory of its own: what the smaller ones had is given back first.
    fn trim_before_growth(&mut self, tokens: usize) {
        if tokens > self.most_tokens {
            self.classifier.device().trim();
            self.most_tokens = tokens;
        }
    }
}
