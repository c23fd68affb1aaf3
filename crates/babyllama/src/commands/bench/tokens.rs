//! The tokens that measured steps read: drawn ones, or a file's.

use std::ops::Range;

use base::rng::Rng;
use corpus::{Chunks, TokenFile};
use train::TokenSource;
use train::data::{self, MicroBatch, Origin, TextKind};

use super::presets::Subject;
use crate::args::bench::{PROFILED_STEPS, StepArgs};

/// Tokens by Zipf's law: entry `k` of the vocabulary comes about `1 / k` as often as the first.
/// Entry 0, which pads in most vocabularies, does not occur.
struct ZipfTokens {
    rng: Rng,
    vocab_size: usize,
    length: usize,
}

impl TokenSource for ZipfTokens {
    fn len(&self) -> usize {
        self.length
    }

    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
        // The logarithm of such a number is uniform.
        let id = |index: usize| {
            (self.vocab_size as f64).powf(self.rng.uniform(index as u64) as f64) as u32
        };
        let last = self.vocab_size as u32 - 1;
        ids.clear();
        ids.extend(range.map(|index| id(index).min(last)));
    }
}

/// The first tokens of a source.
struct Beginning {
    source: Box<dyn TokenSource>,
    length: usize,
}

impl TokenSource for Beginning {
    fn len(&self) -> usize {
        self.length
    }

    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
        self.source.read(range, ids);
    }
}

/// The batches of measured steps: the source's sequences in their order, and at the end again from
/// the start.
pub struct Batches {
    source: Box<dyn TokenSource>,
    chunks: Chunks,
    batch_size: usize,
    micro_batch: usize,
}

impl Batches {
    pub fn new(args: &StepArgs, subject: &Subject) -> anyhow::Result<Self> {
        let (vocab_size, sequence_length) =
            (subject.config.vocab_size, subject.settings.sequence_length);
        let wanted =
            ((args.warmup + args.steps) as usize + PROFILED_STEPS) * subject.tokens_per_step;
        let source: Box<dyn TokenSource> = match &args.tokens {
            Some(path) if args.raw_tokens => Box::new(TokenFile::raw(path)?),
            Some(path) => Box::new(TokenFile::open(path)?),
            None => Box::new(ZipfTokens {
                rng: Rng::new(0, "benchmark tokens"),
                vocab_size,
                length: wanted,
            }),
        };
        data::check(&*source, "measured", sequence_length, vocab_size)?;
        // What is kept of the teachers is kept for every token.
        let source = Beginning { length: source.len().min(wanted), source };
        let chunks = Chunks::fixed(source.len(), sequence_length, 0)?;
        let (batch_size, micro_batch) = (subject.settings.batch_size, subject.micro_batch());
        Ok(Self { source: Box::new(source), chunks, batch_size, micro_batch })
    }

    /// The tokens that the steps read.
    pub fn source(&self) -> &dyn TokenSource {
        &*self.source
    }

    /// Whether some sequence is read twice within `steps` steps.
    pub fn repeat_within(&self, steps: usize) -> bool {
        steps * self.batch_size > self.chunks.count()
    }

    /// Steps after which the source has been read to its end at least once.
    pub fn steps_to_the_end(&self) -> usize {
        self.chunks.count().div_ceil(self.batch_size)
    }

    /// The micro-batches of a step, 0 being the first.
    pub fn step(&self, step: usize) -> Vec<MicroBatch> {
        let micro_batch = |sequences: &[u32]| {
            MicroBatch::cut(TextKind::Training, &*self.source, &self.chunks, sequences)
        };
        self.sequences(step).chunks(self.micro_batch).map(micro_batch).collect()
    }

    /// Where the first micro-batch of a step is cut.
    pub fn first_origin(&self, step: usize) -> Origin {
        let mut sequences = self.sequences(step);
        sequences.truncate(self.micro_batch);
        Origin { text: TextKind::Training, offset: self.chunks.offset(), sequences }
    }

    fn sequences(&self, step: usize) -> Vec<u32> {
        let first = step * self.batch_size;
        let sequence = |sequence| (sequence % self.chunks.count()) as u32;
        (first..first + self.batch_size).map(sequence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_tokens_are_those_of_small_ids() {
        let tokens = ZipfTokens { rng: Rng::new(0, "test"), vocab_size: 1000, length: 30_000 };
        let mut ids = Vec::new();
        tokens.read(0..30_000, &mut ids);
        assert!(ids.iter().all(|id| (1..1000).contains(id)));
        // A third of the logarithms' range each.
        for (range, name) in [(1..10, "first"), (10..100, "second"), (100..1000, "last")] {
            let count = ids.iter().filter(|&&id| range.contains(&id)).count();
            assert!((9_000..11_000).contains(&count), "{count} of the {name} third");
        }
        let mut part = Vec::new();
        tokens.read(100..200, &mut part);
        assert_eq!(part, ids[100..200]);
    }

    #[test]
    fn batches_follow_the_source_and_begin_anew_at_its_end() {
        let source: Box<dyn TokenSource> = Box::new((0..20u32).collect::<Vec<_>>());
        let chunks = Chunks::fixed(20, 4, 0).unwrap();
        let batches = Batches { source, chunks, batch_size: 3, micro_batch: 2 };
        assert_eq!(batches.first_origin(1).sequences, [3, 4]);
        assert!(batches.repeat_within(2) && !batches.repeat_within(1));
        assert_eq!(batches.steps_to_the_end(), 2);
        let firsts = |step| -> Vec<Vec<u32>> {
            let first = |micro_batch: &MicroBatch| {
                micro_batch.batch.ids.iter().step_by(4).copied().collect()
            };
            batches.step(step).iter().map(first).collect()
        };
        assert_eq!(
            (firsts(0), firsts(1)),
            (vec![vec![0, 4], vec![8]], vec![vec![12, 16], vec![0]])
        );
    }
}
