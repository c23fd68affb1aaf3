//! Reports how far a fine-tuning is, and measures its steps.

use eval::Metric;
use train::finetune::{FinetuneEvent, FinetuneListener};

use crate::observer::{Event, Observer};

/// Listens to one fine-tuning.
pub(super) struct FinetuneLog<'a> {
    label: &'a str,
    /// Tokens of one epoch.
    epoch_tokens: u64,
    /// What the evaluations measure.
    metric: Metric,
    observer: &'a dyn Observer,
    total_steps: u64,
    tokens: u64,
    seconds: f64,
    /// The last evaluation's metric and the best.
    evaluated: Option<(f64, f64)>,
}

impl<'a> FinetuneLog<'a> {
    pub(super) fn new(
        label: &'a str,
        epoch_tokens: u64,
        metric: Metric,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            label,
            epoch_tokens,
            metric,
            observer,
            total_steps: 0,
            tokens: 0,
            seconds: 0.0,
            evaluated: None,
        }
    }

    /// What the steps took, without evaluations.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Reports the end.
    pub(super) fn finish(self, note: &str) {
        self.observer.end(self.tokens, note);
    }

    fn note(&self, loss: f64) -> String {
        match self.evaluated {
            None => format!("loss {loss:.3}"),
            Some((last, best)) => {
                let name = self.metric.name();
                format!("loss {loss:.3}, {name} {:.1}, best {:.1}", 100.0 * last, 100.0 * best)
            }
        }
    }
}

impl FinetuneListener for FinetuneLog<'_> {
    fn on_event(&mut self, event: FinetuneEvent) {
        match event {
            FinetuneEvent::Started { total_steps, steps_per_epoch } => {
                self.total_steps = total_steps;
                let epochs = total_steps as f64 / steps_per_epoch as f64;
                let total = (self.epoch_tokens as f64 * epochs) as u64;
                self.observer.begin(self.label, "tokens", total, 0);
            }
            FinetuneEvent::Split { tokens } => self.observer.note(format_args!(
                "{}  takes {tokens} of a step's tokens at a time: there is no memory for more",
                self.label
            )),
            FinetuneEvent::Step(step) => {
                self.tokens += step.tokens as u64;
                self.seconds += step.seconds;
                let note = self.note(step.loss);
                self.observer.advance(self.tokens, &note);
            }
            FinetuneEvent::Evaluating { .. } => {}
            FinetuneEvent::Evaluation { evaluation, .. } => {
                let best = self
                    .evaluated
                    .map_or(evaluation.metric, |(_, best)| best.max(evaluation.metric));
                self.evaluated = Some((evaluation.metric, best));
                let (label, total_steps) = (self.label, self.total_steps);
                let evaluation = &evaluation;
                let event = Event::FinetuneEvaluation { label, evaluation, total_steps };
                self.observer.on_event(event);
            }
        }
    }

    fn should_stop(&self) -> bool {
        self.observer.should_stop()
    }
}
