//! One optimizer step: batch -> forward -> loss in row blocks -> backward -> clip -> AdamW.

use base::rng::Rng;
use engine::ops::distillation_loss::DistillationObjective;
use engine::{DropoutStream, Parameters, Tape};
use model::{Batch, Model};

use crate::data::MicroBatch;
use crate::error::TrainError;
use crate::optimizers::GroupedOptimizer;
use crate::settings::{DistillSettings, KlNormalisation, TrainSettings};
use crate::signals::DistillState;

/// What the sums over a whole step are divided by. Micro-batches add up sums, so a split does not
/// change the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Normalisers {
    /// Tokens with a target.
    pub predicted: usize,
    /// All tokens.
    pub positions: usize,
    /// Sequences.
    pub sequences: usize,
}

impl Normalisers {
    /// Counts a micro-batch.
    pub fn add(&mut self, batch: &Batch) {
        self.predicted += batch.predicted_tokens();
        self.positions += batch.tokens();
        self.sequences += batch.spans.count();
    }

    fn kl(&self, normalisation: KlNormalisation) -> f64 {
        match normalisation {
            KlNormalisation::Token => self.positions as f64,
            KlNormalisation::Batchmean => self.sequences as f64,
        }
    }
}

/// The objective, the mean cross-entropy and the normalised divergence of summed losses.
pub fn objective(
    cross_entropy: f64,
    kl: Option<f64>,
    total: &Normalisers,
    distill: Option<&DistillSettings>,
) -> (f64, f64, Option<f64>) {
    let cross_entropy = cross_entropy / total.predicted.max(1) as f64;
    match (distill, kl) {
        (Some(distill), Some(kl)) => {
            let kl = kl / total.kl(distill.kl).max(1.0);
            (distill.alpha * cross_entropy + (1.0 - distill.alpha) * kl, cross_entropy, Some(kl))
        }
        _ => (cross_entropy, cross_entropy, None),
    }
}

/// A model in training.
pub struct Trainer {
    /// The student, or the model that is pretrained.
    pub model: Model,
    /// Optimizers with their state.
    pub optimizer: GroupedOptimizer,
    gradients: Parameters,
    seed: u64,
    distill: Option<DistillState>,
}

/// What one step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// The objective.
    pub loss: f64,
    /// Mean over the predicted tokens.
    pub cross_entropy: f64,
    /// The normalised divergence; `None` without teachers.
    pub kl: Option<f64>,
    /// Before clipping.
    pub gradient_norm: f64,
}

impl Trainer {
    /// A trainer with fresh moments. With teachers the objective is the distillation loss.
    pub fn new(
        model: Model,
        settings: &TrainSettings,
        seed: u64,
        distill: Option<DistillState>,
    ) -> Self {
        let gradients = Parameters::zeros(model.device(), model.parameters().layout().clone());
        let optimizer = GroupedOptimizer::new(model.parameters(), settings);
        Self { model, optimizer, gradients, seed, distill }
    }

    /// The model, and its distillation if there is one.
    pub fn student(&mut self) -> (&Model, Option<&mut DistillState>) {
        (&self.model, self.distill.as_mut())
    }

    /// The gradient of the last step, before clipping.
    pub fn gradients(&self) -> &Parameters {
        &self.gradients
    }

    /// Update number `step` (1 for the first) on the given micro-batches.
    ///
    /// # Errors
    /// As [`gradient`](Self::gradient).
    pub fn step(
        &mut self,
        micro_batches: &[MicroBatch],
        step: u64,
        learning_rate: f64,
    ) -> Result<StepLoss, TrainError> {
        let found = self.gradient(micro_batches, step)?;
        self.update(step, learning_rate, found.gradient_norm);
        Ok(found)
    }

    /// The first part of a step: losses and gradient. The parameters stay as they are, so that it
    /// may be begun again.
    ///
    /// # Errors
    /// When the loss or the gradient is not finite, or the teacher outputs cannot be read.
    pub fn gradient(
        &mut self,
        micro_batches: &[MicroBatch],
        step: u64,
    ) -> Result<StepLoss, TrainError> {
        let mut total = Normalisers::default();
        micro_batches.iter().for_each(|micro_batch| total.add(&micro_batch.batch));
        let device = self.model.device().clone();
        device.fill(self.gradients.values_mut().view_mut(), 0.0);
        let mut dropout = DropoutStream::new(Rng::new(self.seed, "dropout").at(step));
        let (mut cross_entropy, mut kl) = (0.0, 0.0);
        for micro_batch in micro_batches {
            let sums = self.accumulate(micro_batch, dropout, &total)?;
            cross_entropy += sums.0;
            kl += sums.1;
            dropout = dropout.after(&micro_batch.batch.spans);
        }
        let distill = self.distill.as_ref().map(|state| &state.settings);
        let (loss, cross_entropy, kl) =
            objective(cross_entropy, distill.map(|_| kl), &total, distill);
        let gradient_norm = self.optimizer.gradient_norm(&self.gradients);
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return Err(TrainError::NotFinite { step, loss, gradient_norm });
        }
        Ok(StepLoss { loss, cross_entropy, kl, gradient_norm })
    }

    /// The second part: clips the gradient, whose norm the first part found, and updates the
    /// parameters.
    pub fn update(&mut self, step: u64, learning_rate: f64, gradient_norm: f64) {
        let parameters = self.model.parameters_mut();
        self.optimizer.update(parameters, &self.gradients, step, learning_rate, gradient_norm);
        // The host logs and reads the next batch meanwhile.
        self.model.device().submit();
    }

    /// Forward and backward of one micro-batch: adds to the gradient and returns the summed losses.
    fn accumulate(
        &mut self,
        micro_batch: &MicroBatch,
        dropout: DropoutStream,
        total: &Normalisers,
    ) -> Result<(f64, f64), TrainError> {
        let batch = &micro_batch.batch;
        let decoder = self.model.decoder();
        let mut tape = Tape::training(self.model.parameters(), &mut self.gradients, Some(dropout));
        let hidden = decoder.hidden_states(&mut tape, batch, None);
        let targets = batch.next_tokens();
        let per_token = 1.0 / total.predicted.max(1) as f64;
        let sums = match &mut self.distill {
            None => {
                let sum =
                    tape.language_model_loss(&hidden, decoder.output(), &targets, per_token as f32);
                (sum, 0.0)
            }
            Some(DistillState { settings, signals }) => {
                let weighted = DistillationObjective {
                    cross_entropy: (settings.alpha * per_token) as f32,
                    kl: ((1.0 - settings.alpha) / total.kl(settings.kl)) as f32,
                    ..unweighted(settings)
                };
                tape.device().submit();
                let teachers = signals.read(micro_batch)?;
                let (teachers, output) = (teachers.as_signal(), decoder.output());
                let sums = tape.distillation_loss(&hidden, output, teachers, &targets, weighted);
                (sums.cross_entropy, sums.kl)
            }
        };
        drop(hidden);
        tape.backward();
        Ok(sums)
    }
}

/// The objective of the settings, with both sums' weights still at 0.
pub fn unweighted(settings: &DistillSettings) -> DistillationObjective {
    DistillationObjective {
        temperature: settings.temperature as f32,
        cross_entropy: 0.0,
        kl: 0.0,
        divergence: settings.divergence,
        ensemble: settings.ensemble,
    }
}
