//! Reports how far work is that reads texts.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use corpus::Text;

use crate::observer::Observer;

/// Counts what is read of texts, and reports it.
pub struct ReadingProgress<'a> {
    observer: &'a dyn Observer,
    /// Units in all; 0 when that is unknown.
    total: u64,
    /// The units of a part of a text.
    measure: fn(&str) -> u64,
    done: AtomicU64,
    /// What is done when everything is read.
    then: &'a str,
}

impl<'a> ReadingProgress<'a> {
    /// Begins work on texts of `total` bytes (0 when that is unknown). `then` is what is done when
    /// all of them are read, if that takes a while.
    pub fn begin(observer: &'a dyn Observer, label: &str, total: u64, then: &'a str) -> Self {
        observer.begin(label, "bytes", total, 0);
        Self { observer, total, measure: |part| part.len() as u64, done: AtomicU64::new(0), then }
    }

    /// Begins work on texts of about `total` words (0 when that is unknown).
    pub fn begin_words(observer: &'a dyn Observer, label: &str, total: u64) -> Self {
        observer.begin(label, "words", total, 0);
        let measure = |part: &str| part.split_whitespace().count() as u64;
        Self { observer, total, measure, done: AtomicU64::new(0), then: "" }
    }

    /// These texts, whose reading is counted.
    pub fn count<'t: 'b, 'b>(&'b self, texts: Vec<Text<'t>>) -> Vec<Text<'b>> {
        let counted = |text: Text<'t>| {
            text.changed(move |parts| Box::new(parts.inspect(move |part| self.add(part))))
        };
        texts.into_iter().map(counted).collect()
    }

    fn add(&self, part: &corpus::Result<String>) {
        let more = part.as_ref().map_or(0, |part| (self.measure)(part));
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        self.observer.advance(done, "");
    }

    /// Whether to stop. Asked now and then, it keeps the report alive when all is read.
    pub fn should_stop(&self) -> bool {
        let done = self.done.load(Ordering::Relaxed);
        if self.total > 0 && done >= self.total && !self.then.is_empty() {
            self.observer.advance(done, self.then);
        }
        self.observer.should_stop()
    }

    /// Reports the end.
    pub fn end(&self) {
        self.observer.end(self.done.load(Ordering::Relaxed), "");
    }
}

/// Bytes of files; what cannot be looked at has none.
pub fn bytes_of<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> u64 {
    let size = |file: P| std::fs::metadata(file).map_or(0, |found| found.len());
    files.into_iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::observer::Event;

    /// Keeps the numbers that it receives.
    #[derive(Default)]
    struct Kept(Mutex<Vec<(u64, String)>>);

    impl Observer for Kept {
        fn on_event(&self, event: Event<'_>) {
            let entry = match event {
                Event::Begin(work) => (work.total, format!("{} {}", work.label, work.unit)),
                Event::Advance { done, note } => (done, note.to_owned()),
                Event::End { done, .. } => (done, "end".to_owned()),
                _ => return,
            };
            self.0.lock().unwrap().push(entry);
        }
    }

    #[test]
    fn what_is_read_is_counted() {
        let kept = Kept::default();
        let progress = ReadingProgress::begin(&kept, "cleaning", 7, "sorts");
        let texts = progress.count(vec![Text::of("a", "one\n"), Text::of("b", "né")]);
        assert!(!progress.should_stop());
        for text in &texts {
            text.read().unwrap();
        }
        assert!(!progress.should_stop());
        progress.end();
        let expected = [(7, "cleaning bytes"), (4, ""), (7, ""), (7, "sorts"), (7, "end")]
            .map(|(done, note)| (done, note.to_owned()));
        assert_eq!(*kept.0.lock().unwrap(), expected);
    }

    #[test]
    fn words_are_counted_where_bytes_are_not_known() {
        let kept = Kept::default();
        let progress = ReadingProgress::begin_words(&kept, "train", 3);
        for text in &progress.count(vec![Text::of("a", "one two\n"), Text::of("b", "né")]) {
            text.read().unwrap();
        }
        progress.end();
        let expected = [(3, "train words"), (2, ""), (3, ""), (3, "end")];
        assert_eq!(*kept.0.lock().unwrap(), expected.map(|(done, note)| (done, note.to_owned())));
    }

    #[test]
    fn files_that_are_not_there_have_no_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "four").unwrap();
        assert_eq!(bytes_of([file, folder.path().join("none")]), 4);
    }
}
