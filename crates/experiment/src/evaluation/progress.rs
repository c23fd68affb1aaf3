//! Reports how far a scoring is, and when the device has no memory for what it takes at a time.

use eval::Scorer;

use crate::observer::Observer;

/// The progress of one scoring.
pub(super) struct ScoringProgress<'a> {
    scorer: &'a Scorer<'a>,
    label: String,
    observer: &'a dyn Observer,
    /// Tokens at a time, as last reported.
    tokens: usize,
    done: u64,
}

impl<'a> ScoringProgress<'a> {
    /// Begins to score `total` units.
    pub(super) fn begin(
        scorer: &'a Scorer<'a>,
        observer: &'a dyn Observer,
        label: String,
        unit: &str,
        total: u64,
    ) -> Self {
        observer.begin(&label, unit, total, 0);
        Self { scorer, label, observer, tokens: scorer.tokens_at_a_time(), done: 0 }
    }

    /// Reports that `done` units are done in all.
    pub(super) fn update(&mut self, done: u64) {
        let tokens = self.scorer.tokens_at_a_time();
        if tokens < self.tokens {
            self.observer.note(format_args!(
                "{}  reads {tokens} tokens at a time: there is no memory for more",
                self.label
            ));
        }
        (self.tokens, self.done) = (tokens, done);
        self.observer.advance(done, "");
    }

    /// Reports the end.
    pub(super) fn finish(self, note: &str) {
        self.observer.end(self.done, note);
    }
}
