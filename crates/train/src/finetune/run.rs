//! Fine-tuning from the first step to the best weights.

use std::time::Instant;

use engine::{BatchLimit, Tensor, fault};
use model::Classifier;

use super::events::{Evaluation, FinetuneEvent, FinetuneListener, FinetuneStep};
use super::plan::ExamplePlan;
use super::predict::{BATCH_TOKENS, Prediction, predict_while, predicted_labels};
use super::step::ClassifierTrainer;
use super::{EarlyStopping, Example, FinetuneSettings, Observation, check_examples};
use crate::error::TrainError;
use crate::schedule::Schedule;

/// A fine-tuning and all that its result follows from.
pub struct Finetune<'a> {
    /// The classifier as it starts.
    pub classifier: Classifier,
    /// The examples that are trained on.
    pub training: &'a [Example],
    /// The examples that are evaluated on.
    pub validation: &'a [Example],
    /// The settings of the fine-tuning.
    pub settings: &'a FinetuneSettings,
    /// The metric that chooses the best weights, from the predicted labels of the validation
    /// examples; higher is better.
    pub select: &'a dyn Fn(&[u32]) -> f64,
}

/// The result of a fine-tuning.
pub struct Finetuned {
    /// The classifier with the weights that are kept: those of the best evaluation where there is
    /// early stopping and at least one evaluation, otherwise the final ones.
    pub classifier: Classifier,
    /// Logits of the validation examples with the weights kept, `num_labels` each; empty after an
    /// interruption.
    pub logits: Vec<Vec<f32>>,
    /// Mean cross-entropy of the validation examples with the weights kept; NaN after an
    /// interruption.
    pub loss: f64,
    /// All evaluations.
    pub history: Vec<Evaluation>,
    /// The evaluation in `history` whose weights are kept; `None` where the final ones are.
    pub best: Option<usize>,
    /// Whether early stopping ended the training.
    pub stopped_early: bool,
    /// Steps done.
    pub steps: u64,
    /// Tokens that the steps read.
    pub tokens: u64,
    /// Whether the listener asked to stop before the end: the classifier is then as the last step
    /// left it.
    pub interrupted: bool,
}

/// The best evaluation so far, with its weights.
struct Kept {
    /// Of the evaluation in the history.
    index: usize,
    weights: Tensor,
    prediction: Prediction,
}

/// A fine-tuning between two steps.
struct FinetuneState<'a> {
    trainer: ClassifierTrainer,
    training: &'a [Example],
    validation: &'a [Example],
    select: &'a dyn Fn(&[u32]) -> f64,
    evaluate_every: u64,
    plan: ExamplePlan,
    schedule: Schedule,
    stopping: Option<EarlyStopping>,
    /// Tokens that evaluations read at a time.
    batch_limit: BatchLimit,
    steps: u64,
    tokens: u64,
    history: Vec<Evaluation>,
    best: Option<Kept>,
    /// The predictions of the last evaluation, when no step followed it.
    latest: Option<Prediction>,
    stopped_early: bool,
}

impl<'a> Finetune<'a> {
    /// Trains to the end, or until early stopping or the listener ends it.
    ///
    /// # Errors
    /// When a setting or an example makes no sense, a loss or a logit is not finite, or the device
    /// fails.
    pub fn execute(self, listener: &mut dyn FinetuneListener) -> Result<Finetuned, TrainError> {
        fault::catch(|| self.train(listener)).unwrap_or_else(|fault| Err(TrainError::Device(fault)))
    }

    fn train(self, listener: &mut dyn FinetuneListener) -> Result<Finetuned, TrainError> {
        self.settings.check()?;
        check_examples("training", self.training, &self.classifier)?;
        check_examples("validation", self.validation, &self.classifier)?;
        let mut run = self.prepare();
        let (total_steps, steps_per_epoch) = (run.plan.total_steps, run.plan.steps_per_epoch());
        listener.on_event(FinetuneEvent::Started { total_steps, steps_per_epoch });
        while run.steps < total_steps && !run.stopped_early {
            run.step(listener)?;
            let evaluated = !run.evaluation_is_due() || run.evaluate(listener)?;
            if !evaluated || listener.should_stop() {
                return Ok(run.interrupted());
            }
        }
        run.finish(listener)
    }

    fn prepare(self) -> FinetuneState<'a> {
        let settings = self.settings;
        let plan = ExamplePlan::new(settings, self.training.len());
        let (rate, total_steps) = (settings.learning_rate, plan.total_steps);
        let warmup_steps = match settings.warmup_steps {
            0 => (settings.warmup_ratio * total_steps as f64) as u64,
            steps => steps,
        };
        let schedule = Schedule::with_warmup(settings.schedule, rate, warmup_steps, total_steps);
        FinetuneState {
            schedule: schedule.down_to(settings.min_learning_rate_ratio),
            plan,
            trainer: ClassifierTrainer::new(self.classifier, settings),
            training: self.training,
            validation: self.validation,
            select: self.select,
            evaluate_every: settings.evaluate_every,
            stopping: settings
                .patience
                .map(|patience| EarlyStopping::new(patience, settings.early_stopping_threshold)),
            batch_limit: BatchLimit::up_to(BATCH_TOKENS),
            steps: 0,
            tokens: 0,
            history: Vec::new(),
            best: None,
            latest: None,
            stopped_early: false,
        }
    }
}

impl FinetuneState<'_> {
    fn step(&mut self, listener: &mut dyn FinetuneListener) -> Result<(), TrainError> {
        let start = Instant::now();
        let learning_rate = self.schedule.learning_rate(self.steps);
        let batch: Vec<&Example> = self
            .plan
            .batch(self.steps)
            .iter()
            .map(|&number| &self.training[number as usize])
            .collect();
        let known = self.trainer.tokens_at_a_time();
        let found = self.trainer.step(&batch, self.steps + 1, learning_rate)?;
        let tokens = self.trainer.tokens_at_a_time();
        if tokens < known {
            listener.on_event(FinetuneEvent::Split { tokens });
        }
        self.latest = None;
        self.steps += 1;
        self.tokens += found.tokens as u64;
        listener.on_event(FinetuneEvent::Step(FinetuneStep {
            step: self.steps,
            epoch: self.plan.epochs(self.steps),
            loss: found.loss,
            gradient_norm: found.gradient_norm,
            learning_rate,
            tokens: found.tokens,
            seconds: start.elapsed().as_secs_f64(),
        }));
        Ok(())
    }

    /// Evaluations are due every `evaluate_every` steps, or at the end of each epoch, the last one
    /// however short.
    fn evaluation_is_due(&self) -> bool {
        match self.evaluate_every {
            0 => {
                self.steps.is_multiple_of(self.plan.steps_per_epoch())
                    || self.steps == self.plan.total_steps
            }
            every => self.steps.is_multiple_of(every),
        }
    }

    /// The classifier's predictions of the validation examples; `None` when the listener asked to
    /// stop meanwhile.
    fn predict(
        &mut self,
        listener: &mut dyn FinetuneListener,
    ) -> Result<Option<Prediction>, TrainError> {
        predict_while(
            &self.trainer.classifier,
            self.validation,
            &mut self.batch_limit,
            |done, total| {
                listener.on_event(FinetuneEvent::Evaluating { done, total });
                !listener.should_stop()
            },
        )
    }

    /// Whether the evaluation was made; not when the listener asked to stop meanwhile.
    fn evaluate(&mut self, listener: &mut dyn FinetuneListener) -> Result<bool, TrainError> {
        let start = Instant::now();
        let Some(prediction) = self.predict(listener)? else { return Ok(false) };
        let metric = (self.select)(&predicted_labels(&prediction.0));
        let seen = match &mut self.stopping {
            Some(stopping) => stopping.observe(metric),
            None => {
                let best = self.history.iter().all(|earlier| metric > earlier.metric);
                Observation { best, failures: 0, stop: false }
            }
        };
        self.stopped_early = seen.stop;
        if seen.best && self.stopping.is_some() {
            self.keep(prediction.clone());
        }
        let evaluation = Evaluation {
            step: self.steps,
            epoch: self.plan.epochs(self.steps),
            loss: prediction.1,
            metric,
            best: seen.best,
            failures: seen.failures,
        };
        self.latest = Some(prediction);
        self.history.push(evaluation);
        listener.on_event(FinetuneEvent::Evaluation {
            evaluation,
            seconds: start.elapsed().as_secs_f64(),
        });
        Ok(true)
    }

    /// Copies the weights of the evaluation that is about to join the history.
    fn keep(&mut self, prediction: Prediction) {
        let values = self.trainer.classifier.parameters().values();
        let index = self.history.len();
        match &mut self.best {
            Some(kept) => {
                values.device().copy(values.view(), kept.weights.view_mut());
                (kept.index, kept.prediction) = (index, prediction);
            }
            empty => *empty = Some(Kept { index, weights: values.clone(), prediction }),
        }
    }

    fn interrupted(self) -> Finetuned {
        Finetuned { interrupted: true, ..self.leave(None, (Vec::new(), f64::NAN)) }
    }

    /// Restores the best weights, or evaluates the final ones.
    fn finish(mut self, listener: &mut dyn FinetuneListener) -> Result<Finetuned, TrainError> {
        if let Some(kept) = self.best.take() {
            let device = self.trainer.classifier.device().clone();
            device.copy(
                kept.weights.view(),
                self.trainer.classifier.parameters_mut().values_mut().view_mut(),
            );
            return Ok(self.leave(Some(kept.index), kept.prediction));
        }
        let prediction = match self.latest.take() {
            Some(prediction) => prediction,
            None => match self.predict(listener)? {
                Some(prediction) => prediction,
                None => return Ok(self.interrupted()),
            },
        };
        Ok(self.leave(None, prediction))
    }

    fn leave(self, best: Option<usize>, (logits, loss): Prediction) -> Finetuned {
        Finetuned {
            classifier: self.trainer.classifier,
            logits,
            loss,
            history: self.history,
            best,
            stopped_early: self.stopped_early,
            steps: self.steps,
            tokens: self.tokens,
            interrupted: false,
        }
    }
}
