//! `log.txt` in a run's folder: what the console shows, with the time of day.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use report::format::time_of_day;

use crate::error::{FileContext, Result};
use crate::observer::{Event, Observer};

/// Appends events to the log, and passes them on.
pub(super) struct RunLog<'a> {
    file: Mutex<File>,
    observer: &'a dyn Observer,
}

impl<'a> RunLog<'a> {
    pub(super) fn open(run: &Path, observer: &'a dyn Observer) -> Result<Self> {
        let path = run.join("log.txt");
        let file = OpenOptions::new().create(true).append(true).open(&path).at("write", &path)?;
        Ok(Self { file: Mutex::new(file), observer })
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
        match event {
            Event::Stage { name, reason } => self.line(&format!("stage {name}: {reason}")),
            Event::Note(line) => self.line(&line.to_string()),
            Event::Begin(work) => self.line(&format!("{} begins", work.label)),
            Event::End { note, .. } => self.line(&format!("done, {note}")),
            Event::Advance { .. } | Event::Step { .. } | Event::Evaluation { .. } => {}
        }
        self.observer.on_event(event);
    }

    fn should_stop(&self) -> bool {
        self.observer.should_stop()
    }
}
