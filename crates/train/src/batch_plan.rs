//! Which sequences every step of a run reads, and how a step's text is cut.

use std::ops::Range;
use std::sync::Arc;

use base::rng::Rng;
use base::rounding;
use corpus::chunks::{Chunks, epoch_order};
use model::Batch;

use crate::data::{MicroBatch, Origin, TextKind, TokenSource};
use crate::documents::DocumentOrder;
use crate::error::TrainError;
use crate::settings::{DataOrder, TrainSettings};

/// Which sequences each step of a run reads: a pure function of the settings, the seed and the
/// step.
pub struct BatchPlan {
    seed: u64,
    /// Of the text, what may be read.
    parts: Vec<Range<usize>>,
    /// The documents, where epochs read them in new orders; the text is then what they are
    /// together.
    documents: Vec<Range<usize>>,
    /// Whether every step reads the sequences of the first.
    same_batch: bool,
    /// The number of the first epoch.
    first_epoch: u64,
    token_count: usize,
    sequence_length: usize,
    random_offset: bool,
    offset_per_sequence: bool,
    chunk_offsets: Vec<usize>,
    order: DataOrder,
    batch_size: usize,
    sequences: usize,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// The epoch of the last step, with its order.
    current: Option<Epoch>,
}

impl BatchPlan {
    /// # Errors
    /// When the text is shorter than one sequence.
    pub fn new(
        settings: &TrainSettings,
        seed: u64,
        token_count: usize,
    ) -> Result<Self, TrainError> {
        let parts = std::iter::once(0..token_count).collect();
        Self::of_parts(settings, seed, token_count, parts, Vec::new(), 0)
    }

    /// A plan of the sequences within `parts` of the text, or of `documents` in a new order every
    /// epoch if there are any, with epochs numbered from `first_epoch`.
    ///
    /// # Errors
    /// When no sequence is within the parts.
    pub fn of_parts(
        settings: &TrainSettings,
        seed: u64,
        token_count: usize,
        parts: Vec<Range<usize>>,
        documents: Vec<Range<usize>>,
        first_epoch: u64,
    ) -> Result<Self, TrainError> {
        let (token_count, parts) = match documents.is_empty() {
            true => (token_count, parts),
            false => {
                let all = documents.iter().map(Range::len).sum();
                (all, std::iter::once(0..all).collect())
            }
        };
        let mut plan = Self {
            seed,
            parts,
            documents,
            same_batch: settings.same_batch,
            first_epoch,
            token_count,
            sequence_length: settings.sequence_length,
            random_offset: settings.random_offset,
            offset_per_sequence: settings.offset_per_sequence,
            chunk_offsets: settings.chunk_offsets.clone(),
            order: settings.order,
            batch_size: settings.batch_size,
            sequences: 0,
            total_steps: 0,
            current: None,
        };
        plan.sequences = plan.count_sequences()?;
        if plan.sequences == 0 {
            let (which, sequence_length) = ("training", settings.sequence_length);
            let tokens = plan.parts.iter().map(Range::len).max().unwrap_or(0);
            return Err(TrainError::TooShort { which, tokens, sequence_length });
        }
        let by_epochs = rounding::ceiling(settings.epochs * plan.steps_per_epoch() as f64);
        plan.total_steps = if settings.max_steps > 0 { settings.max_steps } else { by_epochs };
        Ok(plan)
    }

    /// Steps of one epoch; the last may have fewer sequences.
    pub fn steps_per_epoch(&self) -> u64 {
        self.sequences.div_ceil(self.batch_size) as u64
    }

    /// The number of the first epoch after this plan.
    pub fn next_epoch(&self) -> u64 {
        self.first_epoch + self.total_steps.div_ceil(self.steps_per_epoch())
    }

    /// Sequences of the first `done` steps.
    pub fn sequences_after(&self, done: u64) -> u64 {
        let (batch, of_epoch) = (self.batch_size as u64, self.sequences as u64);
        if self.same_batch {
            return done * batch.min(of_epoch);
        }
        let (epochs, within) = (done / self.steps_per_epoch(), done % self.steps_per_epoch());
        epochs * of_epoch + (within * batch).min(of_epoch)
    }

    /// What the step after `done` finished ones reads.
    pub fn step(&mut self, done: u64) -> Result<StepText, TrainError> {
        let done = if self.same_batch { 0 } else { done };
        let (epochs, within) =
            (done / self.steps_per_epoch(), (done % self.steps_per_epoch()) as usize);
        let number = self.first_epoch + epochs;
        let epoch = match self.current.take() {
            Some(epoch) if epoch.number == number => epoch,
            _ => self.epoch(number)?,
        };
        let range =
            within * self.batch_size..((within + 1) * self.batch_size).min(epoch.order.len());
        let sequences = epoch.order[range].to_vec();
        let offsets =
            self.offset_per_sequence.then(|| Rng::new(self.seed, "sequence offset").at(number));
        let documents = epoch.documents.clone();
        let found = StepText { chunks: epoch.chunks, sequences, offsets, documents };
        self.current = Some(epoch);
        Ok(found)
    }

    fn epoch(&self, epoch: u64) -> Result<Epoch, TrainError> {
        let chunks = self.chunks(epoch)?;
        let mut order = self.sequences_of(&chunks);
        if self.order != DataOrder::File {
            let permutation = epoch_order(self.seed, epoch, order.len());
            order = permutation.iter().map(|&place| order[place as usize]).collect();
        }
        order.truncate(self.sequences);
        let documents = (!self.documents.is_empty())
            .then(|| Arc::new(DocumentOrder::of_epoch(&self.documents, self.seed, epoch)));
        Ok(Epoch { number: epoch, chunks, order, documents })
    }

    fn chunks(&self, epoch: u64) -> Result<Chunks, TrainError> {
        let (tokens, length) = (self.token_count, self.sequence_length);
        if self.offset_per_sequence {
            // Room for the largest offset of the last sequence.
            return Ok(Chunks::fixed(tokens.saturating_sub(length), length, 0)?);
        }
        Ok(match self.random_offset {
            true => Chunks::random_offset(tokens, length, self.seed, epoch),
            false => Chunks::chosen_offset(tokens, length, &self.chunk_offsets, self.seed, epoch),
        }?)
    }

    /// The sequences within the parts that may be read.
    fn sequences_of(&self, chunks: &Chunks) -> Vec<u32> {
        let reach = if self.offset_per_sequence { self.sequence_length } else { 0 };
        let lies_within = |part: &Range<usize>, sequence: &Range<usize>| {
            part.start <= sequence.start && sequence.end + reach <= part.end
        };
        let may_be_read = |&index: &u32| {
            let sequence = chunks.range(index as usize);
            self.parts.iter().any(|part| lies_within(part, &sequence))
        };
        (0..chunks.count() as u32).filter(may_be_read).collect()
    }

    /// Sequences of an epoch: as many as every offset leaves room for.
    fn count_sequences(&self) -> Result<usize, TrainError> {
        let (tokens, length) = (self.token_count, self.sequence_length);
        let all = self.chunks(0)?;
        if self.parts.len() == 1 && self.parts[0] == (0..tokens) {
            return Ok(all.count());
        }
        if self.offset_per_sequence {
            return Ok(self.sequences_of(&all).len());
        }
        let chunks = match self.random_offset {
            true => Chunks::at_every_offset(tokens, length)?,
            false => Chunks::at_offsets(tokens, length, &self.chunk_offsets)?,
        };
        Ok(chunks.iter().map(|chunks| self.sequences_of(chunks).len()).min().unwrap_or(0))
    }
}

/// The sequences that a step reads.
#[derive(Clone, Debug, PartialEq)]
pub struct StepText {
    /// How the text is cut.
    pub chunks: Chunks,
    /// The numbers of the sequences.
    pub sequences: Vec<u32>,
    /// Where every sequence of an epoch has an offset of its own, the random numbers of the epoch.
    offsets: Option<Rng>,
    /// Where the epoch has documents in an order of its own, that order.
    documents: Option<Arc<DocumentOrder>>,
}

impl StepText {
    /// Where the first `count` sequences, or all of fewer, are cut; `None` where they are no
    /// numbered sequences of the text.
    pub fn first_origin(&self, count: usize) -> Option<Origin> {
        (self.offsets.is_none() && self.documents.is_none()).then(|| Origin {
            text: TextKind::Training,
            offset: self.chunks.offset(),
            sequences: self.sequences[..count.min(self.sequences.len())].to_vec(),
        })
    }

    /// A micro-batch of some of the sequences.
    pub fn micro_batch(&self, source: &dyn TokenSource, sequences: &[u32]) -> MicroBatch {
        if self.offsets.is_none() && self.documents.is_none() {
            return MicroBatch::cut(TextKind::Training, source, &self.chunks, sequences);
        }
        let length = self.chunks.sequence_length() as u64;
        let read = |&index: &u32| {
            let offset = self.offsets.map_or(0, |rng| rng.below(index.into(), length) as usize);
            let (range, mut ids) = (self.chunks.range(index as usize), Vec::new());
            let range = range.start + offset..range.end + offset;
            match &self.documents {
                Some(documents) => documents.read(source, range, &mut ids),
                None => source.read(range, &mut ids),
            }
            ids
        };
        Batch::from_sequences(sequences.iter().map(read).collect::<Vec<_>>()).into()
    }
}

/// The sequences of one epoch and the order they are visited in.
struct Epoch {
    number: u64,
    chunks: Chunks,
    order: Vec<u32>,
    documents: Option<Arc<DocumentOrder>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TrainSettings {
        TrainSettings { sequence_length: 4, batch_size: 3, epochs: 2.0, ..TrainSettings::default() }
    }

    #[test]
    fn an_epoch_visits_every_sequence_once_in_a_new_order() {
        let mut plan = BatchPlan::new(&settings(), 1, 43).unwrap();
        assert_eq!((plan.steps_per_epoch(), plan.total_steps), (4, 8));
        let mut epoch = |first: u64| -> Vec<u32> {
            (first..first + 4).flat_map(|done| plan.step(done).unwrap().sequences).collect()
        };
        let (first, second) = (epoch(0), epoch(4));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, (0..10).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn a_step_does_not_depend_on_the_steps_before() {
        let mut whole =
            BatchPlan::new(&TrainSettings { random_offset: true, ..settings() }, 1, 43).unwrap();
        let steps: Vec<_> =
            (0..whole.total_steps).map(|done| whole.step(done).unwrap().sequences).collect();
        let mut resumed =
            BatchPlan::new(&TrainSettings { random_offset: true, ..settings() }, 1, 43).unwrap();
        assert_eq!(resumed.step(5).unwrap().sequences, steps[5]);
    }

    #[test]
    fn epochs_draw_their_offset_from_the_set() {
        let settings = TrainSettings { chunk_offsets: vec![0, 3], epochs: 20.0, ..settings() };
        let mut plan = BatchPlan::new(&settings, 1, 43).unwrap();
        let mut offsets: Vec<usize> =
            (0..20).map(|epoch| plan.step(epoch * 4).unwrap().chunks.offset()).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets, [0, 3]);
    }

    #[test]
    fn file_order_is_file_order_and_short_texts_are_refused() {
        let settings = TrainSettings { order: DataOrder::File, max_steps: 2, ..settings() };
        let mut plan = BatchPlan::new(&settings, 1, 43).unwrap();
        assert_eq!((plan.total_steps, plan.step(1).unwrap().sequences), (2, vec![3, 4, 5]));
        assert!(BatchPlan::new(&settings, 1, 3).is_err());
    }

    #[test]
    fn a_plan_counts_the_sequences_that_every_epoch_of_a_part_has() {
        let offsets = [
            TrainSettings { random_offset: true, ..settings() },
            TrainSettings { chunk_offsets: vec![0, 3], ..settings() },
        ];
        for settings in offsets {
            // Parts of all ends of a text, whose last sequences not every offset leaves room for.
            for (tokens, part) in [(43, 20..43), (40, 20..40), (44, 3..44), (43, 0..20)] {
                let parts = vec![part.clone()];
                let plan = BatchPlan::of_parts(&settings, 1, tokens, parts, Vec::new(), 0).unwrap();
                let read = |epoch| plan.sequences_of(&plan.chunks(epoch).unwrap()).len();
                let fewest = (0..30).map(read).min().unwrap();
                assert_eq!(plan.sequences, fewest, "{part:?} of {tokens}, {settings:?}");
            }
        }
    }

    #[test]
    fn a_part_of_an_epoch_is_rounded_up_once() {
        let steps = |epochs| {
            let settings = TrainSettings { epochs, batch_size: 1, ..settings() };
            BatchPlan::new(&settings, 1, 400).unwrap().total_steps
        };
        assert_eq!([1.1, 0.55, 2.2, 1.111, 3.0].map(steps), [110, 55, 220, 112, 300]);
    }

    #[test]
    fn every_sequence_may_have_an_offset_of_its_own() {
        let tokens: Vec<u32> = (0..43).collect();
        let settings = TrainSettings { offset_per_sequence: true, ..settings() };
        let mut plan = BatchPlan::new(&settings, 1, 43).unwrap();
        let mut epoch = |first: u64| {
            let steps: Vec<StepText> =
                (first..first + 3).map(|done| plan.step(done).unwrap()).collect();
            let of_step =
                |step: &StepText| step.micro_batch(&tokens, &step.sequences).batch.ids.to_vec();
            let mut starts: Vec<u32> = Vec::new();
            for sequence in steps.iter().flat_map(of_step).collect::<Vec<_>>().chunks(4) {
                assert!(sequence.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequence:?}");
                starts.push(sequence[0]);
            }
            starts.sort_unstable();
            starts
        };
        let (first, second) = (epoch(0), epoch(3));
        // floor(43 / 4) - 1 sequences, the i-th of which begins between 4 i and 4 i + 3.
        assert_eq!(first.len(), 9);
        for starts in [&first, &second] {
            assert!((0..).zip(starts).all(|(index, start)| start / 4 == index), "{starts:?}");
        }
        assert_ne!(first, second);
    }
}
