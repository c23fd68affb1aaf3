//! Shows how far a scoring is, and says when the device has no memory for what it takes at a time.

use eval::Scorer;

use crate::progress::Progress;

/// The progress of one scoring.
pub struct ScoringProgress<'a> {
    scorer: &'a Scorer<'a>,
    label: String,
    progress: Progress,
    /// Tokens at a time, as far as was said.
    tokens: usize,
    done: u64,
}

impl<'a> ScoringProgress<'a> {
    /// Begins to score `total` units.
    pub fn begin(scorer: &'a Scorer<'a>, label: String, unit: &'static str, total: u64) -> Self {
        let progress = Progress::begin(&label, unit, total, 0);
        Self { scorer, label, progress, tokens: scorer.tokens_at_a_time(), done: 0 }
    }

    /// Shows that `done` units are done in all.
    pub fn update(&mut self, done: u64) {
        let tokens = self.scorer.tokens_at_a_time();
        if tokens < self.tokens {
            let line = format!(
                "{}  reads {tokens} tokens at a time: there is no memory for more",
                self.label
            );
            self.progress.say(&line);
        }
        (self.tokens, self.done) = (tokens, done);
        self.progress.update(done, "");
    }

    /// Ends the display.
    pub fn finish(self, note: &str) {
        self.progress.finish(self.done, note);
    }
}
