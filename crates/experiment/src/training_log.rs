//! The records of a training run: `metrics.jsonl` and TensorBoard's event files in the model's
//! folder, and the observer's events.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use report::format::{short, time_of_day};
use report::{EventLog, MetricsLog};
use serde::{Deserialize, Serialize};
use train::settings::Selection;
use train::{EvaluationRecord, Listener, StepRecord};

use crate::observer::{Event, Observer};

/// The file of a training's records, in the model's folder.
const METRICS: &str = "metrics.jsonl";

/// A line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MetricsRecord {
    /// A training step.
    Step(StepRecord),
    /// An evaluation on held-out text.
    Evaluation(EvaluationRecord),
}

/// A record with what a reader of many logs asks for.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: MetricsRecord,
    model: &'a str,
    /// By name or number; absent where the training has no phases.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
    /// In UTC.
    time: String,
    /// Tokens of all steps so far.
    tokens_seen: u64,
}

impl MetricsRecord {
    /// The step, and the numbers that TensorBoard draws, under its tags.
    fn scalars(&self) -> (u64, Vec<(&'static str, f64)>) {
        let some = |tag, number: Option<f64>| number.map(|number| (tag, number));
        let (step, all) = match self {
            Self::Step(step) => {
                // Without teachers the loss is the cross-entropy.
                let cross_entropy = step.kl.map(|_| step.cross_entropy);
                let speed = (step.seconds > 0.0).then(|| step.tokens as f64 / step.seconds);
                let all = [
                    some("train/loss", Some(step.loss)),
                    some("train/cross_entropy", cross_entropy),
                    some("train/kl", step.kl),
                    some("train/learning_rate", Some(step.learning_rate)),
                    some("train/gradient_norm", Some(step.gradient_norm)),
                    some("tokens_per_second", speed),
                ];
                (step.step, all.to_vec())
            }
            Self::Evaluation(found) => {
                let all = [
                    some("held_out/loss", Some(found.cross_entropy)),
                    some("held_out/averaged_loss", found.averaged),
                    some("held_out/objective", found.objective),
                ];
                (found.step, all.to_vec())
            }
        };
        (step, all.into_iter().flatten().collect())
    }
}

/// The open files of a training that is under way.
struct Files {
    metrics: MetricsLog,
    events: EventLog,
}

impl Files {
    /// Those of a training of which so many steps are done.
    fn open(metrics: &Path, step: u64) -> io::Result<Self> {
        let folder = metrics.parent().unwrap_or(Path::new("."));
        let events = |first_step| EventLog::begin(folder, first_step, SystemTime::now());
        Ok(match step {
            0 => Self { metrics: MetricsLog::create(metrics)?, events: events(0)? },
            step => {
                Self { metrics: MetricsLog::open_at(metrics, step)?, events: events(step + 1)? }
            }
        })
    }
}

/// The evaluations of the training in a folder, in the order of their steps. Lines that are no
/// records are passed over.
///
/// # Errors
/// When its metrics cannot be read.
pub fn evaluations(folder: &Path) -> Result<Vec<EvaluationRecord>, report::ReportError> {
    let records = report::metrics::read_known::<MetricsRecord>(&folder.join(METRICS))?;
    let evaluation = |record| match record {
        MetricsRecord::Evaluation(record) => Some(record),
        MetricsRecord::Step(_) => None,
    };
    Ok(records.into_iter().filter_map(evaluation).collect())
}

/// Writes the metrics of one run and reports how far it is.
pub struct TrainingLog<'a> {
    model: &'a str,
    path: PathBuf,
    observer: &'a dyn Observer,
    files: Option<Files>,
    total_steps: u64,
    tokens_seen: u64,
    /// Of the steps to come, where the training has phases.
    phase: Option<String>,
    note: String,
}

impl<'a> TrainingLog<'a> {
    /// The log of the model that is trained in `folder`.
    pub fn new(model: &'a str, folder: &Path, observer: &'a dyn Observer) -> Self {
        Self {
            model,
            path: folder.join(METRICS),
            observer,
            files: None,
            total_steps: 0,
            tokens_seen: 0,
            phase: None,
            note: String::new(),
        }
    }

    /// Reports the end of the training.
    pub fn finish(&self) {
        // The speed of the steps alone, as in the closing table.
        let speed = TrainingSummary::of_file(&self.path, Selection::CrossEntropy).ok();
        let speed = speed.and_then(|summary| summary.tokens_per_second());
        let note = match speed {
            Some(speed) => format!("{} tokens/s, {}", short(speed), self.note),
            None => self.note.clone(),
        };
        self.observer.end(self.tokens_seen, &note);
    }

    fn write(&mut self, record: MetricsRecord) -> io::Result<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let now = SystemTime::now();
        let (model, tokens_seen) = (self.model, self.tokens_seen);
        let (phase, time) = (self.phase.as_deref(), time_of_day(now));
        files.metrics.append(&Line { record, model, phase, time, tokens_seen })?;
        let (step, scalars) = record.scalars();
        Ok(files.events.append(step, &scalars, now)?)
    }

    fn on_started(
        &mut self,
        step: u64,
        total_steps: u64,
        tokens: u64,
        total_tokens: u64,
    ) -> io::Result<()> {
        let was_begun = std::fs::metadata(&self.path).is_ok_and(|file| file.len() > 0);
        self.files = Some(Files::open(&self.path, step)?);
        if step > 0 {
            self.tokens_seen = tokens;
        } else if was_begun {
            self.observer.note(format_args!("{}  no checkpoint yet: begins again", self.model));
        }
        self.total_steps = total_steps;
        let model = self.model;
        if step > 0 {
            self.observer
                .note(format_args!("{model}  continues after step {step} of {total_steps}"));
        }
        self.observer.begin(model, "tokens", total_tokens, tokens);
        Ok(())
    }

    fn on_step(&mut self, record: StepRecord) -> io::Result<()> {
        let (loss, cross_entropy) = (record.loss, record.cross_entropy);
        let parts = record.kl.map(|kl| format!(", cross-entropy {cross_entropy:.3}, KL {kl:.3}"));
        let parts = parts.unwrap_or_default();
        let place =
            format!("step {} of {}, epoch {:.2}", record.step, self.total_steps, record.epoch);
        self.note = format!("loss {loss:.3}{parts}");
        // A narrow terminal leaves out the end.
        let note = format!("loss {loss:.3}, {place}{parts}");
        self.tokens_seen += record.tokens as u64;
        self.observer.advance(self.tokens_seen, &note);
        let (model, total_steps) = (self.model, self.total_steps);
        self.observer.on_event(Event::Step { model, record: &record, total_steps });
        self.write(MetricsRecord::Step(record))
    }

    fn on_evaluation(&mut self, record: EvaluationRecord) -> io::Result<()> {
        let best = if record.best { ", the best so far" } else { "" };
        let objective =
            record.objective.map(|loss| format!(", objective {loss:.4}")).unwrap_or_default();
        let averaged =
            record.averaged.map(|loss| format!(", averaged {loss:.4}")).unwrap_or_default();
        let (model, epoch, loss) = (self.model, record.epoch, record.cross_entropy);
        self.observer.note(format_args!(
            "{model}  epoch {epoch:.3}: held-out loss {loss:.4}{objective}{averaged}{best}"
        ));
        let total_steps = self.total_steps;
        self.observer.on_event(Event::Evaluation { model, record: &record, total_steps });
        self.write(MetricsRecord::Evaluation(record))
    }
}

impl Listener for TrainingLog<'_> {
    fn on_event(&mut self, event: train::Event<'_>) -> io::Result<()> {
        let (model, observer) = (self.model, self.observer);
        match event {
            train::Event::Started { step, total_steps, tokens, total_tokens, phase } => {
                self.phase = phase.map(str::to_owned);
                self.on_started(step, total_steps, tokens, total_tokens)?;
            }
            train::Event::Phase { name, first_step, steps, parameters, begins_anew } => {
                self.phase = Some(name.to_owned());
                let (total, last) = (self.total_steps, first_step + steps - 1);
                let optimizer = match begins_anew {
                    0 => String::new(),
                    all if all == parameters => "; the optimizer begins anew".to_owned(),
                    some => {
                        let (some, all) = (short(some as f64), short(parameters as f64));
                        format!("; the optimizer of {some} of {all} parameters begins anew")
                    }
                };
                observer.note(format_args!(
                    "{model}  phase {name}: steps {first_step} to {last} of {total}{optimizer}"
                ));
            }
            train::Event::TeacherCache { folder, sequences, missing, bytes } => {
                let there = match missing {
                    0 => "complete".to_owned(),
                    missing => format!("{} of {sequences} sequences", sequences - missing),
                };
                let (folder, size) = (folder.display(), short(bytes as f64));
                observer.note(format_args!(
                    "{model}  teacher outputs are stored in {folder} ({size}B, {there})"
                ));
            }
            train::Event::TeacherWeights { weights } => {
                let weights: Vec<String> =
                    weights.iter().map(|weight| format!("{weight:.3}")).collect();
                let weights = weights.join(", ");
                observer.note(format_args!(
                    "{model}  the teachers' weights that fit the held-out text best: {weights}"
                ));
            }
            train::Event::Split { sequences, batch_size } => observer.note(format_args!(
                "{model}  takes {sequences} of a step's {batch_size} sequences at a time: there is \
                 no memory for more"
            )),
            train::Event::OtherProducts { before, now } => observer.warn(format_args!(
                "{model}  was multiplied with {before} up to here and is with {now} from now on: \
                 bits may differ from those of a run without this break"
            )),
            train::Event::CheckpointSkipped { path, problem } => {
                observer.warn(format_args!("{model}  passed over {}: {problem}", path.display()));
            }
            train::Event::Step(record) => self.on_step(record)?,
            train::Event::Evaluation(record) => self.on_evaluation(record)?,
            train::Event::Saving { .. } => {
                if let Some(files) = &self.files {
                    files.metrics.sync()?;
                    files.events.sync()?;
                }
            }
            train::Event::Checkpoint { .. } => {}
        }
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.observer.should_stop()
    }
}

/// What the metrics of a finished run amount to; `summary.json` in the model's folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// The epoch of the weights that are the model: the one with the lowest held-out number, or
    /// the last.
    pub best_epoch: Option<f64>,
    /// The cross-entropy at that epoch.
    pub best_loss: Option<f64>,
    /// Tokens of all steps.
    pub tokens: usize,
    /// Time in steps, without evaluations.
    pub seconds: f64,
}

impl TrainingSummary {
    /// The name of the file in a model's folder.
    pub const FILE: &str = "summary.json";

    /// Sums up `metrics.jsonl` in the folder of a model that was selected so.
    ///
    /// # Errors
    /// When the file cannot be read or a line is damaged.
    pub fn of_metrics(folder: &Path, select_by: Selection) -> Result<Self, report::ReportError> {
        Self::of_file(&folder.join(METRICS), select_by)
    }

    fn of_file(metrics: &Path, select_by: Selection) -> Result<Self, report::ReportError> {
        let mut summary = Self::default();
        for record in report::metrics::read::<MetricsRecord>(metrics)? {
            match record {
                MetricsRecord::Step(step) => {
                    summary.tokens += step.tokens;
                    summary.seconds += step.seconds;
                }
                MetricsRecord::Evaluation(last) if select_by == Selection::Last => {
                    summary.best_epoch = Some(last.epoch);
                    // Where there is an average, it is what the weights become.
                    summary.best_loss = last.averaged.or(Some(last.cross_entropy));
                }
                MetricsRecord::Evaluation(evaluation) if evaluation.best => {
                    summary.best_epoch = Some(evaluation.epoch);
                    summary.best_loss = Some(evaluation.lowest());
                }
                MetricsRecord::Evaluation(_) => {}
            }
        }
        Ok(summary)
    }

    /// Training speed.
    pub fn tokens_per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.tokens as f64 / self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(step: u64, loss: f64, averaged: Option<f64>, best: bool) -> String {
        let record = EvaluationRecord {
            step,
            epoch: step as f64 / 2.0,
            cross_entropy: loss,
            perplexity: loss.exp(),
            objective: None,
            averaged,
            best,
            tokens: 64,
            seconds: 0.5,
        };
        serde_json::to_string(&MetricsRecord::Evaluation(record)).unwrap() + "\n"
    }

    #[test]
    fn a_summary_has_the_epoch_of_the_weights_that_were_selected() {
        let folder = tempfile::tempdir().unwrap();
        let summary = |lines: [String; 2], select_by| {
            std::fs::write(folder.path().join("metrics.jsonl"), lines.concat()).unwrap();
            let found = TrainingSummary::of_metrics(folder.path(), select_by).unwrap();
            (found.best_epoch.unwrap(), found.best_loss.unwrap())
        };
        let plain = || [evaluation(2, 3.0, None, true), evaluation(4, 3.5, None, false)];
        assert_eq!(summary(plain(), Selection::CrossEntropy), (1.0, 3.0));
        assert_eq!(summary(plain(), Selection::Objective), (1.0, 3.0));
        assert_eq!(summary(plain(), Selection::Last), (2.0, 3.5));
        let averaged =
            || [evaluation(2, 3.0, Some(2.5), true), evaluation(4, 3.5, Some(2.75), false)];
        assert_eq!(summary(averaged(), Selection::CrossEntropy), (1.0, 2.5));
        assert_eq!(summary(averaged(), Selection::Last), (2.0, 2.75));
    }
}
