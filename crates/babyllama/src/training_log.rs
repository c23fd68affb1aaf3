//! Listens to a training run: writes `metrics.jsonl` and shows the progress.

use std::io;
use std::path::{Path, PathBuf};

use report::MetricsLog;
use report::format::short;
use serde::{Deserialize, Serialize};
use train::{EvaluationRecord, Event, Listener, StepRecord};

use crate::console;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// A line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    Step(StepRecord),
    Evaluation(EvaluationRecord),
}

/// Keeps the metrics of one run and shows how far it is.
pub struct TrainingLog {
    label: String,
    path: PathBuf,
    interrupt: Interrupt,
    metrics: Option<MetricsLog>,
    progress: Option<Progress>,
    tokens_per_step: u64,
    note: String,
}

impl TrainingLog {
    /// The log of the run in `folder`.
    pub fn new(label: &str, folder: &Path, interrupt: &Interrupt) -> Self {
        Self {
            label: label.to_owned(),
            path: folder.join("metrics.jsonl"),
            interrupt: interrupt.clone(),
            metrics: None,
            progress: None,
            tokens_per_step: 0,
            note: String::new(),
        }
    }

    /// Ends the progress display after `step` steps.
    pub fn finish(&mut self, step: u64) {
        if let Some(progress) = self.progress.take() {
            progress.finish(step * self.tokens_per_step, &self.note);
        }
    }

    fn write(&mut self, record: Record) -> io::Result<()> {
        match &mut self.metrics {
            Some(metrics) => metrics.append(&record).map_err(io::Error::other),
            None => Ok(()),
        }
    }

    fn say(&self, line: &str) {
        match &self.progress {
            Some(progress) => progress.say(line),
            None => console::note(line),
        }
    }

    fn hear_step(&mut self, record: StepRecord) -> io::Result<()> {
        self.note = match record.kl {
            Some(kl) => format!(
                "loss {:.3} (cross-entropy {:.3}, KL {kl:.3})",
                record.loss, record.cross_entropy
            ),
            None => format!("loss {:.3}", record.loss),
        };
        if let Some(progress) = &mut self.progress {
            progress.update(record.step * self.tokens_per_step, &self.note);
        }
        self.write(Record::Step(record))
    }

    fn hear_evaluation(&mut self, record: EvaluationRecord) -> io::Result<()> {
        let best = if record.best { ", the best so far" } else { "" };
        let objective =
            record.objective.map(|loss| format!(", objective {loss:.4}")).unwrap_or_default();
        let (label, epoch, loss) = (&self.label, record.epoch, record.cross_entropy);
        self.say(&format!("{label}  epoch {epoch:.3}: held-out loss {loss:.4}{objective}{best}"));
        self.write(Record::Evaluation(record))
    }
}

impl Listener for TrainingLog {
    fn hear(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Started { step, total_steps, tokens_per_step, .. } => {
                self.metrics =
                    Some(MetricsLog::open_at(&self.path, step).map_err(io::Error::other)?);
                self.tokens_per_step = tokens_per_step as u64;
                let (total, earlier) =
                    (total_steps * self.tokens_per_step, step * self.tokens_per_step);
                if step > 0 {
                    console::note(format_args!(
                        "{}  continues after step {step} of {total_steps}",
                        self.label
                    ));
                }
                self.progress = Some(Progress::begin(&self.label, "tokens", total, earlier));
                Ok(())
            }
            Event::TeacherCache { folder, sequences, missing, bytes } => {
                let there = match missing {
                    0 => "complete".to_owned(),
                    missing => format!("{} of {sequences} sequences", sequences - missing),
                };
                let (label, folder, size) = (&self.label, folder.display(), short(bytes as f64));
                self.say(&format!(
                    "{label}  keeps what its teachers say in {folder} ({size}B, {there})"
                ));
                Ok(())
            }
            Event::Split { sequences, batch_size } => {
                let label = &self.label;
                self.say(&format!(
                    "{label}  takes {sequences} of a step's {batch_size} sequences at a time: \
                     there is no memory for more"
                ));
                Ok(())
            }
            Event::CheckpointSkipped { path, problem } => {
                self.say(&format!("{}  passed over {}: {problem}", self.label, path.display()));
                Ok(())
            }
            Event::Step(record) => self.hear_step(record),
            Event::Evaluation(record) => self.hear_evaluation(record),
            Event::Saving { .. } => match &self.metrics {
                Some(metrics) => metrics.sync().map_err(io::Error::other),
                None => Ok(()),
            },
            Event::Checkpoint { .. } => Ok(()),
        }
    }

    fn should_stop(&self) -> bool {
        self.interrupt.is_requested()
    }
}

/// What a finished run's metrics say in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// The epoch with the lowest held-out number.
    pub best_epoch: Option<f64>,
    /// The cross-entropy at that epoch.
    pub best_loss: Option<f64>,
    pub tokens: usize,
    /// Time in steps, evaluations not counted.
    pub seconds: f64,
}

impl Summary {
    /// Reads `metrics.jsonl` in a model's folder.
    pub fn read(folder: &Path) -> Result<Self, report::ReportError> {
        let mut summary = Self::default();
        for record in report::metrics::read::<Record>(&folder.join("metrics.jsonl"))? {
            match record {
                Record::Step(step) => {
                    summary.tokens += step.tokens;
                    summary.seconds += step.seconds;
                }
                Record::Evaluation(evaluation) if evaluation.best => {
                    summary.best_epoch = Some(evaluation.epoch);
                    summary.best_loss = Some(evaluation.cross_entropy);
                }
                Record::Evaluation(_) => {}
            }
        }
        Ok(summary)
    }

    /// Training speed.
    pub fn tokens_per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.tokens as f64 / self.seconds)
    }
}
