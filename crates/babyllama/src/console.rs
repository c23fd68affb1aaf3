//! What a person reads: results on standard output, and on standard error how things go.
//!
//! `println!` and `eprintln!` panic when the stream is closed. Here a reader who has seen enough
//! (`| head`) is no failure, and a lost terminal does not end a training run.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use experiment::{Event, Observer};
use report::Table;
use report::format::time_of_day;
pub use report::format::visible;
use report::format::visible_json;
use report::sparkline::Letters;
use serde::Serialize;
use serde_json::{Value, json};

use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Prints a line of a command's result.
pub fn print(line: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{}", visible(&line.to_string())) {
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// Prints a value in its JSON form, of one line or several.
pub fn print_json(json: impl Display) -> anyhow::Result<()> {
    print(visible_json(&json.to_string()))
}

/// Prints a table as wide as the terminal allows; whole where there is none.
pub fn print_table(table: &Table) -> anyhow::Result<()> {
    print(table.to_text_within(columns()).trim_end())
}

/// Notes that a file was written.
pub fn note_written(path: &Path) {
    note_unless_quiet(format_args!("wrote {}", path.display()));
}

/// Notes where things are that a command made, `what` in the plural.
pub fn note_place(what: &str, place: &Path) {
    note_unless_quiet(format_args!("{what} are in {}", place.display()));
}

/// Columns of the terminal that results go to: 80 where it does not state them, no limit where the
/// results go elsewhere.
pub fn columns() -> usize {
    match (io::stdout().is_terminal(), terminal_size::terminal_size()) {
        (false, _) => usize::MAX,
        (true, size) => size.map_or(80, |(width, _)| width.0.into()),
    }
}

/// What small curves are drawn with here: block elements, unless the locale's encoding is another
/// one than UTF-8 or the terminal is known to show ASCII alone.
pub fn letters() -> Letters {
    letters_by(|name| std::env::var(name).ok())
}

fn letters_by(variable: impl Fn(&str) -> Option<String>) -> Letters {
    // The first that is set counts (POSIX, Environment Variables); none is set in many containers.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(&variable);
    let locale = locale.map(|locale| locale.to_lowercase()).find(|locale| !locale.is_empty());
    let is_utf8 = locale.is_none_or(|locale| locale.contains("utf-8") || locale.contains("utf8"));
    match is_utf8 && variable("TERM").as_deref() != Some("dumb") {
        true => Letters::Blocks,
        false => Letters::Ascii,
    }
}

/// Shows a line on standard error.
pub fn note(line: impl Display) {
    // Without standard error there is no place to report to.
    let _ = writeln!(io::stderr(), "{}", visible(&line.to_string()));
}

/// Shows a line on standard error, unless the command is quiet.
pub fn note_unless_quiet(line: impl Display) {
    if !is_quiet() {
        note(line);
    }
}

/// Shows a warning, also of a quiet command.
pub fn warn(line: impl Display) {
    note(format_args!("warning: {line}"));
}

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    /// There is no terminal to ask in.
    NoTerminal,
}

/// Whether there is a terminal to ask in.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a decision in the terminal; anything but yes is no.
pub fn ask(question: &str) -> Answer {
    if !can_ask() {
        return Answer::NoTerminal;
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut line = String::new();
    let answered = io::stdin().read_line(&mut line).is_ok();
    let is_yes = ["y", "yes"].contains(&line.trim().to_lowercase().as_str());
    if answered && is_yes { Answer::Yes } else { Answer::No }
}

/// The command line of this process, as a shell reads it.
pub fn this_command() -> String {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| quoted(&word.to_string_lossy()));
    std::iter::once("babyllama".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// A word in single quotes, unless a shell takes it as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// How a console shows events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Events are lines and progress bars on standard error.
    #[default]
    Text,
    /// Events are not shown, but for warnings.
    Quiet,
    /// Events are lines of JSON on standard output.
    Json,
}

/// Shows an experiment's events: notes and warnings as lines (the same warning once), work as a
/// progress bar; and asks it to stop on SIGINT and SIGTERM.
pub struct Console {
    interrupt: Interrupt,
    progress: Mutex<Option<Progress>>,
    /// The warnings that were shown.
    warned: Mutex<HashSet<String>>,
    style: Style,
}

/// Whether `--quiet` is on the command line.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Sets whether `--quiet` is on the command line, once, before any command.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether progress is not to be shown.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

impl Style {
    /// The style that `--quiet` selects, or `json`, the flag of a command that prints events as
    /// JSON.
    pub fn of(json: bool) -> Self {
        match (is_quiet(), json) {
            (true, _) => Style::Quiet,
            (_, true) => Style::Json,
            _ => Style::Text,
        }
    }
}

impl Console {
    /// A console that stops the work when a signal arrives.
    ///
    /// # Errors
    /// When signal handlers cannot be installed.
    pub fn stopping_on_signals() -> anyhow::Result<Self> {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        Ok(Self::of(interrupt))
    }

    /// A console that asks no work to stop: signals end the process, as they do by themselves.
    pub fn showing() -> Self {
        Self::of(Interrupt::default())
    }

    fn of(interrupt: Interrupt) -> Self {
        Self {
            interrupt,
            progress: Mutex::default(),
            warned: Mutex::default(),
            style: Style::of(false),
        }
    }

    /// How the console shows events.
    pub fn style(&self) -> Style {
        self.style
    }

    /// This console with another style.
    pub fn with_style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    fn progress(&self) -> MutexGuard<'_, Option<Progress>> {
        // A thread that panicked while drawing leaves a bar that can still be drawn.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a warning that was not shown before: models of a run that share a setting or a teacher
    /// may all warn of it.
    fn warn_once(&self, line: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(line.to_owned()) {
            self.line(line);
        }
    }

    fn line(&self, line: impl Display) {
        match &*self.progress() {
            Some(progress) => progress.print(&line.to_string()),
            None => note(line),
        }
    }
}

/// An event as an object; `None` for one that has no lasting meaning.
fn to_json(event: Event<'_>) -> Option<Value> {
    Some(match event {
        Event::Stage { name, reason, place } => json!({
            "event": "stage",
            "stage": name,
            "reason": reason.to_string(),
            "number": place.map(|(number, _)| number),
            "of": place.map(|(_, of)| of),
        }),
        Event::Note(line) => json!({ "event": "note", "text": line.to_string().trim() }),
        Event::Warning(line) => json!({ "event": "warning", "text": line.to_string().trim() }),
        Event::Begin(work) => json!({
            "event": "begin",
            "work": work.label,
            "unit": work.unit,
            "total": work.total,
            "earlier": work.earlier,
        }),
        Event::Advance { .. } => return None,
        Event::End { done, note } => json!({ "event": "end", "done": done, "note": note }),
        Event::Step { model, record, .. } => with_event("step", model, record),
        Event::Evaluation { model, record, .. } => with_event("evaluation", model, record),
        Event::FinetuneEvaluation { label, evaluation, .. } => {
            with_event("evaluation", label, evaluation)
        }
    })
}

fn with_event(event: &str, model: &str, record: &impl Serialize) -> Value {
    let mut object = json!({ "event": event, "model": model });
    if let (Some(object), Ok(Value::Object(record))) =
        (object.as_object_mut(), serde_json::to_value(record))
    {
        object.extend(record);
    }
    object
}

impl Observer for Console {
    fn on_event(&self, event: Event<'_>) {
        match self.style {
            Style::Quiet if !matches!(event, Event::Warning(_)) => return,
            Style::Text | Style::Quiet => {}
            Style::Json => {
                let line = to_json(event).map(|mut object| {
                    object["time"] = time_of_day(SystemTime::now()).into();
                    object
                });
                // A reader that went away is no reason to end a training.
                let _ = line.map_or(Ok(()), print_json);
                return;
            }
        }
        match event {
            Event::Stage { name, reason, place } => {
                let place = place.map(|(number, of)| format!("[{number} of {of}] "));
                self.line(format_args!("{}stage {name}: {reason}", place.unwrap_or_default()));
            }
            Event::Note(line) => self.line(line),
            Event::Warning(line) => self.warn_once(&format!("warning: {line}")),
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
            Event::Step { .. } | Event::Evaluation { .. } | Event::FinetuneEvaluation { .. } => {}
        }
    }

    fn should_stop(&self) -> bool {
        self.interrupt.is_requested()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_ascii_where_the_locale_or_the_terminal_asks_for_it() {
        let letters = |set: &[(&str, &str)]| {
            letters_by(|name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let (blocks, ascii) = (Letters::Blocks, Letters::Ascii);
        assert_eq!(letters(&[]), blocks);
        assert_eq!(letters(&[("LANG", "en_GB.UTF-8"), ("TERM", "xterm")]), blocks);
        assert_eq!(letters(&[("LANG", "de_DE.utf8"), ("LC_ALL", "")]), blocks);
        assert_eq!(letters(&[("LANG", "en_GB.UTF-8"), ("LC_CTYPE", "de_DE.ISO-8859-1")]), ascii);
        assert_eq!(letters(&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")]), ascii);
        assert_eq!(letters(&[("LANG", "en_GB.UTF-8"), ("TERM", "dumb")]), ascii);
    }
}
