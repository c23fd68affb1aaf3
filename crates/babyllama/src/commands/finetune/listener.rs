//! Shows how far a fine-tuning is, and measures its steps.

use eval::Metric;
use train::finetune::{FinetuneEvent, FinetuneListener};

use crate::console;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Listens to one fine-tuning.
pub struct FinetuneLog<'a> {
    label: &'a str,
    /// Tokens of one epoch.
    epoch_tokens: u64,
    /// What the evaluations measure.
    metric: Metric,
    interrupt: &'a Interrupt,
    progress: Option<Progress>,
    tokens: u64,
    seconds: f64,
    /// The last evaluation's metric and the best.
    evaluated: Option<(f64, f64)>,
}

impl<'a> FinetuneLog<'a> {
    pub fn new(
        label: &'a str,
        epoch_tokens: u64,
        metric: Metric,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self {
            label,
            epoch_tokens,
            metric,
            interrupt,
            progress: None,
            tokens: 0,
            seconds: 0.0,
            evaluated: None,
        }
    }

    /// What the steps took, without evaluations.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Ends the display.
    pub fn finish(self, note: &str) {
        if let Some(progress) = self.progress {
            progress.finish(self.tokens, note);
        }
    }

    fn say(&self, line: &str) {
        match &self.progress {
            Some(progress) => progress.say(line),
            None => console::note(line),
        }
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
    fn hear(&mut self, event: FinetuneEvent) {
        match event {
            FinetuneEvent::Started { total_steps, steps_per_epoch } => {
                let epochs = total_steps as f64 / steps_per_epoch as f64;
                let total = (self.epoch_tokens as f64 * epochs) as u64;
                self.progress = Some(Progress::begin(self.label, "tokens", total, 0));
            }
            FinetuneEvent::Split { tokens } => self.say(&format!(
                "{}  takes {tokens} of a step's tokens at a time: there is no memory for more",
                self.label
            )),
            FinetuneEvent::Step(step) => {
                self.tokens += step.tokens as u64;
                self.seconds += step.seconds;
                let note = self.note(step.loss);
                if let Some(progress) = &mut self.progress {
                    progress.update(self.tokens, &note);
                }
            }
            FinetuneEvent::Evaluating { .. } => {}
            FinetuneEvent::Evaluation { evaluation, .. } => {
                let best = self
                    .evaluated
                    .map_or(evaluation.metric, |(_, best)| best.max(evaluation.metric));
                self.evaluated = Some((evaluation.metric, best));
            }
        }
    }

    fn should_stop(&self) -> bool {
        self.interrupt.is_requested()
    }
}
