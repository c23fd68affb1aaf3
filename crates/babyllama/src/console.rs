//! What a person reads: results on standard output, and on standard error how things go.
//!
//! `println!` and `eprintln!` panic when the stream is closed. Here a reader who has seen enough
//! (`| head`) is no failure, and a lost terminal does not end a training run.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use experiment::{Event, Observer};

use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Prints a line of a command's result.
pub fn print(line: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// A text with control characters escaped, all but line breaks and tabs.
pub fn visible(text: &str) -> String {
    let show = |letter: char| match letter {
        '\n' | '\t' => letter.to_string(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(show).collect()
}

/// Shows a line on standard error.
pub fn note(line: impl Display) {
    // With standard error gone there is nowhere left to complain.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Shows an experiment's events: notes as lines, work as a progress bar; and asks it to stop on
/// SIGINT and SIGTERM.
pub struct Console {
    interrupt: Option<Interrupt>,
    progress: Mutex<Option<Progress>>,
}

impl Console {
    /// A console that stops the work when a signal arrives.
    ///
    /// # Errors
    /// When signal handlers cannot be installed.
    pub fn stopping_on_signals() -> anyhow::Result<Self> {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        Ok(Self { interrupt: Some(interrupt), progress: Mutex::default() })
    }

    /// A console for work that a signal may end at once, since it leaves nothing half done.
    pub fn without_signals() -> Self {
        Self { interrupt: None, progress: Mutex::default() }
    }

    fn progress(&self) -> MutexGuard<'_, Option<Progress>> {
        // A thread that panicked while drawing leaves a bar that can still be drawn.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, line: impl Display) {
        match &*self.progress() {
            Some(progress) => progress.print(&line.to_string()),
            None => note(line),
        }
    }
}

impl Observer for Console {
    fn on_event(&self, event: Event<'_>) {
        match event {
            Event::Stage { name, reason } => self.line(format_args!("stage {name}: {reason}")),
            Event::Note(line) => self.line(line),
            Event::Begin(work) => *self.progress() = Some(Progress::of(work)),
            Event::Advance { done, note } => {
                if let Some(progress) = &mut *self.progress() {
                    progress.update(done, note);
                }
            }
            Event::End { done, note } => {
                if let Some(progress) = self.progress().take() {
                    progress.finish(done, note);
                }
            }
            Event::Step { .. } | Event::Evaluation { .. } => {}
        }
    }

    fn should_stop(&self) -> bool {
        self.interrupt.as_ref().is_some_and(Interrupt::is_requested)
    }
}
