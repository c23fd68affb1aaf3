//! One optimizer step: batch -> forward -> loss in row blocks -> backward -> clip -> update; with
//! sharpness-aware minimisation two passes, the second where the first's gradient leads up.

use base::rng::Rng;
use engine::ops::distillation_loss::DistillationObjective;
use engine::{DropoutStream, Parameters, Tape};
use model::{Batch, Experts, Model};

use crate::data::{MicroBatch, Origin, TextKind};
use crate::error::TrainError;
use crate::optimizers::GroupedOptimizer;
use crate::sam;
use crate::settings::{
    DistillSettings, KlNormalisation, Objective, SamDropout, SamSettings, TrainSettings,
};
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
    /// Counts a batch, of which `predicted` tokens are predicted.
    pub fn add(&mut self, batch: &Batch, predicted: usize) {
        self.predicted += predicted;
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
    passes: PassSettings,
    /// What is read first after the coming step, where that is known.
    next: Option<Origin>,
    /// Share of the training that is done, by which temperature and alpha may change.
    progress: f64,
}

/// What a forward and backward pass follows from besides model and batch.
#[derive(Clone, Copy, Debug)]
struct PassSettings {
    objective: Objective,
    dropout: bool,
    sam: Option<SamSettings>,
}

impl From<&TrainSettings> for PassSettings {
    fn from(settings: &TrainSettings) -> Self {
        let sam = settings.sam.filter(|sam| sam.rho > 0.0);
        Self { objective: settings.objective, dropout: settings.dropout, sam }
    }
}

/// Which of a step's passes: with sharpness-aware minimisation there are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Where the weights are.
    First,
    /// Uphill of them.
    Second,
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
    /// Norm of the gradient before clipping.
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
        let passes = settings.into();
        Self { model, optimizer, gradients, seed, distill, passes, next: None, progress: 0.0 }
    }

    /// Goes on with other settings after `updates` updates of the optimizer, which keeps its state
    /// where it is the same ([`GroupedOptimizer::go_on`]); after none it is a new one. Returns how
    /// many parameters have an optimizer that begins anew.
    pub fn enter_phase(&mut self, settings: &TrainSettings, updates: u64) -> usize {
        self.passes = settings.into();
        let parameters = self.model.parameters();
        match updates {
            0 => {
                self.optimizer = GroupedOptimizer::new(parameters, settings);
                parameters.layout().length()
            }
            updates => self.optimizer.go_on(parameters, settings, updates),
        }
    }

    /// Sets what is read first after the coming step, so that its teacher outputs are read from a
    /// cache while the device computes that step. Changes no result.
    pub fn set_next(&mut self, next: Option<Origin>) {
        self.next = next;
    }

    /// Sets what share of the training is done.
    pub fn set_progress(&mut self, progress: f64) {
        self.progress = progress;
    }

    /// Whether the training text's teacher outputs come from a cache.
    pub fn has_teacher_cache(&self) -> bool {
        let signals = self.distill.as_ref().map(|distill| &distill.signals);
        signals.is_some_and(|signals| signals.cache(TextKind::Training).is_some())
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
        let pass = |trainer: &mut Self, pass| trainer.gradient(micro_batches, step, pass);
        let found = self.passes(step, pass)?;
        self.update(step, learning_rate, found.gradient_norm);
        Ok(found)
    }

    /// The passes of a step, each by `pass`, which is [`gradient`](Self::gradient) on the step's
    /// batch. Losses are those of the first pass, the gradient is that of the last.
    ///
    /// # Errors
    /// As `pass`, and when the climb is not finite.
    pub fn passes(
        &mut self,
        step: u64,
        mut pass: impl FnMut(&mut Self, Pass) -> Result<StepLoss, TrainError>,
    ) -> Result<StepLoss, TrainError> {
        let first = pass(self, Pass::First)?;
        let Some(sam) = self.passes.sam else { return Ok(first) };
        let parameters = self.model.parameters_mut();
        let (rho, checkpoint) = (sam.rho, None);
        let uphill = |loss, gradient_norm| TrainError::ClimbNotFinite {
            step,
            rho,
            loss,
            gradient_norm,
            checkpoint,
        };
        let weights = sam::climb(parameters, &self.gradients, sam, first.gradient_norm)
            .map_err(|gradient_norm| uphill(first.loss, gradient_norm))?;
        let second = pass(self, Pass::Second);
        *self.model.parameters_mut().values_mut() = weights;
        let second = second.map_err(|error| match error {
            TrainError::NotFinite { loss, gradient_norm, .. } => uphill(loss, gradient_norm),
            other => other,
        })?;
        Ok(StepLoss { gradient_norm: second.gradient_norm, ..first })
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
        pass: Pass,
    ) -> Result<StepLoss, TrainError> {
        let mut total = Normalisers::default();
        for micro_batch in micro_batches {
            total.add(&micro_batch.batch, micro_batch.predicted_tokens());
        }
        // A step that predicts masked tokens has no use for what teachers predict.
        let is_causal = micro_batches.iter().all(|micro_batch| !micro_batch.batch.bidirectional);
        let device = self.model.device().clone();
        device.fill(self.gradients.values_mut().view_mut(), 0.0);
        let mut dropout = DropoutStream::new(self.dropout_masks(pass).at(step));
        let (mut cross_entropy, mut kl, mut routers) = (0.0, 0.0, 0.0);
        for (index, micro_batch) in micro_batches.iter().enumerate() {
            let next = match micro_batches.get(index + 1) {
                Some(next) => next.origin.clone(),
                None => self.next.clone(),
            };
            let sums = self.accumulate(micro_batch, next.as_ref(), dropout, &total)?;
            cross_entropy += sums.cross_entropy;
            kl += sums.kl;
            routers += sums.routers;
            let Batch { spans, source, .. } = &micro_batch.batch;
            dropout = dropout.after(spans, source.as_ref().map(|source| &source.spans));
        }
        let distill = self.distill.as_ref().filter(|_| self.reads_teachers() && is_causal);
        let distill = distill.map(|state| state.settings.at(self.progress));
        let distill = distill.as_ref();
        let (loss, cross_entropy, kl) =
            objective(cross_entropy, distill.map(|_| kl), &total, distill);
        let loss = if self.passes.objective == Objective::Ascent { -loss } else { loss + routers };
        let gradient_norm = self.optimizer.gradient_norm(&self.gradients);
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return Err(TrainError::NotFinite { step, loss, gradient_norm, checkpoint: None });
        }
        Ok(StepLoss { loss, cross_entropy, kl, gradient_norm })
    }

    /// The random numbers of a pass's dropout masks, by step.
    fn dropout_masks(&self, pass: Pass) -> Rng {
        let other = self.passes.sam.is_some_and(|sam| sam.dropout == SamDropout::New);
        match pass {
            Pass::Second if other => Rng::new(self.seed, "dropout of the second pass"),
            _ => Rng::new(self.seed, "dropout"),
        }
    }

    fn reads_teachers(&self) -> bool {
        self.passes.objective == Objective::NextToken
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
        next: Option<&Origin>,
        dropout: DropoutStream,
        total: &Normalisers,
    ) -> Result<LossSums, TrainError> {
        let batch = &micro_batch.batch;
        let decoder = self.model.decoder();
        let reads_teachers = self.reads_teachers() && !batch.bidirectional;
        let dropout = self.passes.dropout.then_some(dropout);
        let mut tape = Tape::training(self.model.parameters(), &mut self.gradients, dropout);
        let hidden = decoder.hidden_states(&mut tape, batch, None);
        let targets = micro_batch.targets();
        let per_token = 1.0 / total.predicted.max(1) as f64;
        let routers = match (&self.model.config().experts, self.passes.objective) {
            (None, _) | (_, Objective::Ascent) => 0.0,
            (Some(experts), _) => router_objective(&mut tape, batch, experts, total),
        };
        let (cross_entropy, kl) = match self.distill.as_mut().filter(|_| reads_teachers) {
            None => {
                let sign = if self.passes.objective == Objective::Ascent { -1.0 } else { 1.0 };
                let (output, weight) = (decoder.output(), (sign * per_token) as f32);
                (tape.language_model_loss(&hidden, output, &targets, weight), 0.0)
            }
            Some(DistillState { settings, signals }) => {
                let settings = &settings.at(self.progress);
                let weighted = DistillationObjective {
                    cross_entropy: (settings.alpha * per_token) as f32,
                    kl: ((1.0 - settings.alpha) / total.kl(settings.kl)) as f32,
                    ..unweighted(settings)
                };
                tape.device().submit();
                let teachers = signals.read(micro_batch, next)?;
                let (teachers, output) = (teachers.as_signal(), decoder.output());
                let sums = tape.distillation_loss(&hidden, output, teachers, &targets, weighted);
                (sums.cross_entropy, sums.kl)
            }
        };
        drop(hidden);
        tape.backward();
        Ok(LossSums { cross_entropy, kl, routers })
    }
}

/// The losses of a micro-batch.
struct LossSums {
    /// Sum over the predicted tokens.
    cross_entropy: f64,
    /// Sum of the divergences.
    kl: f64,
    /// The micro-batch's part of the routers' losses in the objective.
    routers: f64,
}

/// The part of the objective that is about routers: the weighted z-loss, a mean over the step's
/// tokens, and balance loss, a mean over its sequences.
fn router_objective(
    tape: &mut Tape<'_>,
    batch: &Batch,
    experts: &Experts,
    total: &Normalisers,
) -> f64 {
    let z = experts.z_loss / total.positions.max(1) as f64;
    let balance = experts.balance_loss / total.sequences.max(1) as f64;
    let losses = tape.router_losses(&batch.spans, z, balance).unwrap_or_default();
    z * losses.z + balance * losses.balance
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
