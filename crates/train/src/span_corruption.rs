//! What encoder-decoders read and predict in training (span corruption, as T5's
//! `random_spans_noise_mask` draws it): the encoder reads a text with a sentinel in place of each
//! hidden span, the decoder predicts each sentinel and what it stands for.

use base::rng::Rng;
use model::{Batch, SentinelTokens};

use crate::data::MicroBatch;
use crate::settings::SpanSettings;

/// How the sequences of a step, or of the held-out text, are hidden.
#[derive(Clone, Debug)]
pub(crate) struct SpanCorruption {
    pub rng: Rng,
    pub settings: SpanSettings,
    pub tokens: SentinelTokens,
    /// What the decoder reads first.
    pub decoder_start: u32,
}

impl SpanCorruption {
    /// Hides spans of a micro-batch's sequences, which stand at `first_sequence` and on among those
    /// of the step.
    pub(crate) fn apply(&self, micro_batch: &mut MicroBatch, first_sequence: usize) {
        let batch = &micro_batch.batch;
        let (mut sources, mut decoded, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (index, rows) in batch.spans.iter().enumerate() {
            let rng = self.rng.at((first_sequence + index) as u64);
            let (source, predicted) = self.corrupt(&batch.ids[rows], &rng);
            sources.push(source);
            decoded.push([&[self.decoder_start], &predicted[..predicted.len() - 1]].concat());
            targets.extend(predicted);
        }
        let source = Batch::from_sequences(sources);
        micro_batch.batch = Batch::from_sequences(decoded).with_source(source);
        micro_batch.targets = Some(targets);
        micro_batch.origin = None;
    }

    /// What the encoder reads of a text, and what is predicted. A text begins with a kept part, and
    /// ends with a hidden one.
    fn corrupt(&self, text: &[u32], rng: &Rng) -> (Vec<u32>, Vec<u32>) {
        let [hidden, spans] = self.settings.counts(text.len());
        let spans = spans.min(self.tokens.sentinels.len());
        let mut next = 0;
        let [hidden, kept] =
            [hidden, text.len() - hidden].map(|count| parts(count, spans, rng, &mut next));
        let (mut source, mut predicted, mut rest) = (Vec::new(), Vec::new(), text);
        for ((kept, hidden), &sentinel) in kept.into_iter().zip(hidden).zip(&self.tokens.sentinels)
        {
            let (read, others) = rest.split_at(kept);
            let (span, others) = others.split_at(hidden);
            source.extend(read.iter().chain([&sentinel]));
            predicted.extend([&sentinel].into_iter().chain(span));
            rest = others;
        }
        source.extend(rest.iter().chain([&self.tokens.end]));
        predicted.push(self.tokens.end);
        (source, predicted)
    }
}

/// Cuts `count` tokens into `parts` parts, none empty, each way as likely as any other.
fn parts(count: usize, parts: usize, rng: &Rng, next: &mut u64) -> Vec<usize> {
    let (mut lengths, mut length) = (Vec::with_capacity(parts), 0);
    for place in 0..count {
        length += 1;
        // Of the `places` behind this token and later ones, `cuts` are still to be cut.
        let (places, cuts) = (count - place - 1, parts.saturating_sub(lengths.len() + 1));
        *next += 1;
        if place + 1 == count || (cuts > 0 && rng.below(*next, places as u64) < cuts as u64) {
            lengths.push(length);
            length = 0;
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use engine::ops::language_model_loss::NO_TARGET;

    use super::*;

    const SENTINELS: [u32; 4] = [90, 91, 92, 93];

    fn corruption(settings: SpanSettings, step: u64) -> SpanCorruption {
        SpanCorruption {
            rng: Rng::new(1, "hidden spans").at(step),
            settings,
            tokens: SentinelTokens { end: 2, sentinels: SENTINELS.to_vec() },
            decoder_start: 1,
        }
    }

    fn batch(lengths: &[usize]) -> MicroBatch {
        let text = |&length: &usize| (10..10 + length as u32).collect::<Vec<_>>();
        Batch::from_sequences(lengths.iter().map(text)).into()
    }

    /// The text that source and predictions are about, sentinels filled in.
    fn restored(source: &[u32], predicted: &[u32]) -> Vec<u32> {
        let mut spans = predicted.split(|id| SENTINELS.contains(id) || *id == 2).skip(1);
        let mut text = Vec::new();
        for &id in &source[..source.len() - 1] {
            match SENTINELS.contains(&id) {
                true => text.extend(spans.next().unwrap()),
                false => text.push(id),
            }
        }
        text
    }

    #[test]
    fn what_is_read_and_predicted_make_up_the_text() {
        for settings in [
            SpanSettings::default(),
            SpanSettings { share: 0.5, span: 1.0 },
            SpanSettings { share: 0.9, span: 8.0 },
        ] {
            for step in 1..20 {
                let (original, mut found) = (batch(&[20, 1, 2, 7, 33]), batch(&[20, 1, 2, 7, 33]));
                corruption(settings, step).apply(&mut found, 0);
                let source = found.batch.source.clone().unwrap();
                let targets = found.targets.unwrap();
                assert!(!targets.contains(&NO_TARGET) && found.origin.is_none());
                let rows = found.batch.spans.iter().zip(source.spans.iter());
                for (text, (decoded, read)) in original.batch.spans.iter().zip(rows) {
                    let (predicted, ids) = (&targets[decoded.clone()], &found.batch.ids[decoded]);
                    assert_eq!(ids[0], 1);
                    assert_eq!(ids[1..], predicted[..predicted.len() - 1]);
                    let read = &source.ids[read];
                    assert_eq!((read.last(), predicted.last()), (Some(&2), Some(&2)));
                    assert_eq!(restored(read, predicted), original.batch.ids[text.clone()]);
                    let [_, spans] = settings.counts(text.len());
                    let sentinels = read.iter().filter(|id| SENTINELS.contains(id)).count();
                    assert_eq!(sentinels, spans.min(4), "{settings:?}");
                    assert!(text.len() < 2 || !SENTINELS.contains(&read[0]));
                }
            }
        }
    }

    #[test]
    fn shares_and_spans_are_those_of_the_settings() {
        assert_eq!(SpanSettings::default().counts(128), [19, 6]);
        assert_eq!(SpanSettings::default().counts(512), [77, 26]);
        assert_eq!(SpanSettings::default().counts(2), [1, 1]);
        assert_eq!(SpanSettings::default().counts(1), [0, 0]);
        assert_eq!(SpanSettings { share: 0.99, span: 1.0 }.counts(10), [9, 1]);
        assert_eq!(SpanSettings { share: 0.9, span: 1.0 }.counts(20), [18, 2]);
        // Every way to cut is as likely: of three tokens in two parts the first has one in half.
        let rng = Rng::new(3, "parts");
        let mut next = 0;
        let ones = (0..2000).filter(|_| parts(3, 2, &rng, &mut next) == [1, 2]).count();
        assert!((900..1100).contains(&ones), "{ones}");
        assert_eq!(parts(5, 5, &rng, &mut next), [1; 5]);
        assert_eq!(parts(5, 1, &rng, &mut next), [5]);
        assert!(parts(0, 0, &rng, &mut next).is_empty());
    }

    #[test]
    fn steps_draw_anew_and_a_split_changes_nothing() {
        let corrupted = |step| {
            let mut found = batch(&[30, 30, 30]);
            corruption(SpanSettings::default(), step).apply(&mut found, 0);
            found
        };
        let whole = corrupted(1);
        assert_eq!(whole.targets, corrupted(1).targets);
        assert_ne!(whole.batch.ids, corrupted(2).batch.ids);
        let mut last = batch(&[30]);
        corruption(SpanSettings::default(), 1).apply(&mut last, 2);
        assert!(whole.batch.ids.ends_with(&last.batch.ids));
    }
}
