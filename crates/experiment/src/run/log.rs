//! `log.txt` in the folder of a run, or of a training outside one: what the console shows, with the
//! time of day.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::SystemTime;

use report::format::time_of_day;

use crate::error::{Context, FileContext, Result, refuse};
use crate::observer::{Event, Observer};

/// Appends events to the log, and passes them on.
pub(crate) struct RunLog<'a> {
    file: Mutex<File>,
    /// The names of the run's stages, in their order.
    stages: OnceLock<Vec<String>>,
    observer: &'a dyn Observer,
}

impl<'a> RunLog<'a> {
    pub(crate) fn open(run: &Path, observer: &'a dyn Observer) -> Result<Self> {
        let path = run.join("log.txt");
        if std::fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return refuse(format_args!("{} is a link, a folder or a device", path.display()))
                .advise("remove it, or name another folder with --output");
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).at("write", &path)?;
        Ok(Self { file: Mutex::new(file), stages: OnceLock::new(), observer })
    }

    /// Lets the events of stages state their place among these.
    pub(super) fn number_stages(&self, names: Vec<String>) {
        // Set once a run; a second list would change nothing.
        let _ = self.stages.set(names);
    }

    fn place(&self, stage: &str) -> Option<(usize, usize)> {
        let names = self.stages.get()?;
        let index = names.iter().position(|name| name == stage)?;
        Some((index + 1, names.len()))
    }

    pub(super) fn line(&self, line: &str) {
        // One write a line, so that a kill leaves no part of one; a log that cannot be written is
        // no reason to end a training.
        let text = format!("{} {line}\n", time_of_day(SystemTime::now()));
        if let Ok(mut file) = self.file.lock() {
            let _ = file.write_all(text.as_bytes());
        }
    }
}

impl Observer for RunLog<'_> {
    fn on_event(&self, event: Event<'_>) {
        let event = match event {
            Event::Stage { name, reason, .. } => {
                Event::Stage { name, reason, place: self.place(name) }
            }
            other => other,
        };
        match event {
            Event::Stage { name, reason, .. } => self.line(&format!("stage {name}: {reason}")),
            Event::Note(line) => self.line(&line.to_string()),
            Event::Warning(line) => self.line(&format!("warning: {line}")),
            Event::Begin(work) => self.line(&format!("{} begins", work.label)),
            Event::End { note, .. } => self.line(&format!("done, {note}")),
            Event::Advance { .. }
            | Event::Step { .. }
            | Event::Evaluation { .. }
            | Event::FinetuneEvaluation { .. } => {}
        }
        self.observer.on_event(event);
    }

    fn should_stop(&self) -> bool {
        self.observer.should_stop()
    }
}
