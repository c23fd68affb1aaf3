//! The sequences of a run: which ones each step reads.

use std::ops::Range;

use corpus::chunks::{Chunks, epoch_order, evaluation_subset};
use corpus::tokens::TokenFile;
use model::Batch;

use crate::error::TrainError;
use crate::settings::{DataOrder, TrainSettings};

/// A long text as token ids.
pub trait TokenSource: Sync {
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces `ids` by the tokens of a range.
    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>);
}

impl TokenSource for TokenFile {
    fn len(&self) -> usize {
        TokenFile::len(self)
    }

    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
        TokenFile::read(self, range, ids);
    }
}

impl TokenSource for Vec<u32> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
        ids.clear();
        ids.extend_from_slice(&self[range]);
    }
}

/// The batch of some sequences of a text.
pub fn batch(source: &dyn TokenSource, chunks: &Chunks, sequences: &[u32]) -> Batch {
    let read = |&index: &u32| {
        let mut ids = Vec::new();
        source.read(chunks.range(index as usize), &mut ids);
        ids
    };
    Batch::from_sequences(sequences.iter().map(read).collect::<Vec<_>>())
}

/// Checks that a text has a sequence to read and no token outside the vocabulary.
pub fn check(
    source: &dyn TokenSource,
    which: &'static str,
    sequence_length: usize,
    vocab_size: usize,
) -> Result<(), TrainError> {
    const PIECE: usize = 1 << 20;
    let mut ids = Vec::new();
    for start in (0..source.len()).step_by(PIECE) {
        source.read(start..(start + PIECE).min(source.len()), &mut ids);
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(TrainError::TokenOutside { which, id, vocab_size });
        }
    }
    if source.len() < sequence_length {
        return Err(TrainError::TooShort { which, tokens: source.len(), sequence_length });
    }
    Ok(())
}

/// Which sequences each step of a run reads: a pure function of the settings, the seed and the step.
pub struct Plan {
    seed: u64,
    token_count: usize,
    sequence_length: usize,
    random_offset: bool,
    order: DataOrder,
    batch_size: usize,
    sequences: usize,
    pub total_steps: u64,
    /// The epoch whose order is at hand.
    current: Option<Epoch>,
}

impl Plan {
    /// # Errors
    /// When the text is shorter than one sequence.
    pub fn new(settings: &TrainSettings, seed: u64, token_count: usize) -> Result<Self, TrainError> {
        let mut plan = Self {
            seed,
            token_count,
            sequence_length: settings.sequence_length,
            random_offset: settings.random_offset,
            order: settings.order,
            batch_size: settings.batch_size,
            sequences: 0,
            total_steps: 0,
            current: None,
        };
        plan.sequences = plan.chunks(0)?.count();
        let by_epochs = (settings.epochs * plan.steps_per_epoch() as f64).ceil() as u64;
        plan.total_steps = if settings.max_steps > 0 { settings.max_steps } else { by_epochs };
        Ok(plan)
    }

    /// Steps of one epoch; the last may have fewer sequences.
    pub fn steps_per_epoch(&self) -> u64 {
        self.sequences.div_ceil(self.batch_size) as u64
    }

    /// The chunks and sequence numbers of the step after `done` finished ones.
    pub fn step(&mut self, done: u64) -> Result<(Chunks, Vec<u32>), TrainError> {
        let (number, within) = (done / self.steps_per_epoch(), (done % self.steps_per_epoch()) as usize);
        let epoch = match self.current.take() {
            Some(epoch) if epoch.number == number => epoch,
            _ => self.epoch(number)?,
        };
        let range = within * self.batch_size..((within + 1) * self.batch_size).min(epoch.order.len());
        let found = (epoch.chunks, epoch.order[range].to_vec());
        self.current = Some(epoch);
        Ok(found)
    }

    fn epoch(&self, epoch: u64) -> Result<Epoch, TrainError> {
        let order = match self.order {
            DataOrder::Shuffled => epoch_order(self.seed, epoch, self.sequences),
            DataOrder::File => (0..self.sequences as u32).collect(),
        };
        Ok(Epoch { number: epoch, chunks: self.chunks(epoch)?, order })
    }

    fn chunks(&self, epoch: u64) -> Result<Chunks, TrainError> {
        Ok(match self.random_offset {
            true => Chunks::random_offset(self.token_count, self.sequence_length, self.seed, epoch),
            false => Chunks::fixed(self.token_count, self.sequence_length, 0),
        }?)
    }
}

/// The sequences of one epoch and the order they are visited in.
struct Epoch {
    number: u64,
    chunks: Chunks,
    order: Vec<u32>,
}

/// The fixed held-out sequences of a run.
pub fn heldout_sequences(settings: &TrainSettings, token_count: usize) -> Result<(Chunks, Vec<u32>), TrainError> {
    let chunks = Chunks::fixed(token_count, settings.sequence_length, 0)?;
    // A constant seed: teachers and students are measured on the same sequences.
    const SUBSET_SEED: u64 = 2023;
    let sequences = match settings.evaluation_sequences {
        0 => (0..chunks.count() as u32).collect(),
        wanted => evaluation_subset(SUBSET_SEED, chunks.count(), wanted),
    };
    Ok((chunks, sequences))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TrainSettings {
        TrainSettings { sequence_length: 4, batch_size: 3, epochs: 2.0, ..TrainSettings::default() }
    }

    #[test]
    fn an_epoch_visits_every_sequence_once_in_a_new_order() {
        let mut plan = Plan::new(&settings(), 1, 43).unwrap();
        assert_eq!((plan.steps_per_epoch(), plan.total_steps), (4, 8));
        let mut epoch =
            |first: u64| -> Vec<u32> { (first..first + 4).flat_map(|done| plan.step(done).unwrap().1).collect() };
        let (first, second) = (epoch(0), epoch(4));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, (0..10).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn a_step_does_not_depend_on_the_steps_before() {
        let mut whole = Plan::new(&TrainSettings { random_offset: true, ..settings() }, 1, 43).unwrap();
        let steps: Vec<_> = (0..whole.total_steps).map(|done| whole.step(done).unwrap().1).collect();
        let mut resumed = Plan::new(&TrainSettings { random_offset: true, ..settings() }, 1, 43).unwrap();
        assert_eq!(resumed.step(5).unwrap().1, steps[5]);
    }

    #[test]
    fn file_order_is_file_order_and_short_texts_are_refused() {
        let settings = TrainSettings { order: DataOrder::File, max_steps: 2, ..settings() };
        let mut plan = Plan::new(&settings, 1, 43).unwrap();
        assert_eq!((plan.total_steps, plan.step(1).unwrap().1), (2, vec![3, 4, 5]));
        assert!(Plan::new(&settings, 1, 3).is_err());
    }

    #[test]
    fn foreign_tokens_are_found() {
        let message = check(&vec![1, 2, 9], "training", 2, 9).unwrap_err().to_string();
        assert!(message.contains("token 9") && message.contains("vocabulary of 9"), "{message}");
    }
}
