//! What an experiment reports while it goes on, and how it is asked to stop.

use std::fmt;

use train::{EvaluationRecord, StepRecord};

use crate::stage::Reason;

/// Receives the events of an experiment, from one thread at a time, and is asked, from any thread,
/// whether to go on.
pub trait Observer: Sync {
    /// Something happened.
    fn on_event(&self, event: Event<'_>);

    /// Asked between steps and pieces of long work. Once it answers `true` the work is saved and
    /// ends with [`ExperimentError::Interrupted`](crate::ExperimentError::Interrupted).
    fn should_stop(&self) -> bool {
        false
    }
}

/// Ignores all events and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on_event(&self, _event: Event<'_>) {}
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A stage has to run.
    Stage {
        /// The stage's name.
        name: &'a str,
        /// Why it runs.
        reason: &'a Reason,
        /// The stage's number among the run's stages, from 1, and how many there are; of a run
        /// whose stages are known.
        place: Option<(usize, usize)>,
    },
    /// A line for people.
    Note(fmt::Arguments<'a>),
    /// A line about what may not be as people expect: a setting without effect, a task that is left
    /// out, a file that is damaged and passed over.
    Warning(fmt::Arguments<'a>),
    /// Long work begins. There is one at a time.
    Begin(Work<'a>),
    /// The work goes on.
    Advance {
        /// Units done in all.
        done: u64,
        /// What else matters, such as `loss 4.412`.
        note: &'a str,
    },
    /// The work is done.
    End {
        /// Units done in all.
        done: u64,
        /// The result of the work in a few words.
        note: &'a str,
    },
    /// A training step was done.
    Step {
        /// The model that is trained.
        model: &'a str,
        /// The step's numbers.
        record: &'a StepRecord,
        /// Steps of the whole training.
        total_steps: u64,
    },
    /// A model was evaluated on held-out text while it is trained.
    Evaluation {
        /// The model that is trained.
        model: &'a str,
        /// The evaluation's numbers.
        record: &'a EvaluationRecord,
        /// Steps of the whole training.
        total_steps: u64,
    },
    /// A classifier was evaluated on its validation items while it is trained.
    FinetuneEvaluation {
        /// What is fine-tuned for what.
        label: &'a str,
        /// The evaluation's numbers.
        evaluation: &'a train::finetune::Evaluation,
        /// Steps of the whole training.
        total_steps: u64,
    },
}

/// Work that takes a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work<'a> {
    /// What is done, such as a model's name.
    pub label: &'a str,
    /// What is counted, in the plural: `tokens`.
    pub unit: &'a str,
    /// Units in all; 0 when that is unknown.
    pub total: u64,
    /// Units that were done before, by an earlier process.
    pub earlier: u64,
}

/// Shorthands for events.
impl dyn Observer + '_ {
    /// Reports a line for people.
    pub fn note(&self, line: fmt::Arguments<'_>) {
        self.on_event(Event::Note(line));
    }

    /// Reports what may not be as people expect.
    pub fn warn(&self, line: fmt::Arguments<'_>) {
        self.on_event(Event::Warning(line));
    }

    /// Reports that long work begins.
    pub fn begin(&self, label: &str, unit: &str, total: u64, earlier: u64) {
        self.on_event(Event::Begin(Work { label, unit, total, earlier }));
    }

    /// Reports how far the work is.
    pub fn advance(&self, done: u64, note: &str) {
        self.on_event(Event::Advance { done, note });
    }

    /// Reports the end of the work.
    pub fn end(&self, done: u64, note: &str) {
        self.on_event(Event::End { done, note });
    }
}
