//! The sequences of a run: which ones each step reads.

use std::ops::Range;

use corpus::chunks::{Chunks, epoch_order, evaluation_subset};
use corpus::tokens::TokenFile;
use model::Batch;

use crate::error::TrainError;
use crate::settings::{DataOrder, TrainSettings};

/// A long text as token ids.
pub trait TokenSource: Sync {
    /// The number of tokens.
    fn len(&self) -> usize;

    /// Whether there is no token.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces `ids` by the tokens of a range.
    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>);

    /// The content hash of the tokenizer that made the tokens, where it is known.
    fn tokenizer_hash(&self) -> Option<String> {
        None
    }
}

impl TokenSource for TokenFile {
    fn len(&self) -> usize {
        TokenFile::len(self)
    }

    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
        TokenFile::read(self, range, ids);
    }

    fn tokenizer_hash(&self) -> Option<String> {
        TokenFile::tokenizer_hash(self)
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

/// Sequences that pass through a model together.
#[derive(Clone, Debug)]
pub struct MicroBatch {
    /// The token ids.
    pub batch: Batch,
    /// Where they were cut: the key of their blocks in a teacher cache. `None` for sequences of no
    /// text.
    pub origin: Option<Origin>,
}

/// Where the sequences of a batch were cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The text.
    pub text: TextKind,
    /// Tokens before the text's first sequence.
    pub offset: usize,
    /// Numbers of the sequences, in the batch's order.
    pub sequences: Vec<u32>,
}

/// Which text of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// The text that is trained on.
    Training,
    /// The text that losses are measured on.
    Heldout,
}

impl From<Batch> for MicroBatch {
    fn from(batch: Batch) -> Self {
        Self { batch, origin: None }
    }
}

impl MicroBatch {
    /// Some sequences of a text.
    pub fn cut(
        text: TextKind,
        source: &dyn TokenSource,
        chunks: &Chunks,
        sequences: &[u32],
    ) -> Self {
        let origin = Origin { text, offset: chunks.offset(), sequences: sequences.to_vec() };
        Self { batch: batch(source, chunks, sequences), origin: Some(origin) }
    }
}

/// All sequences that a run may read of one text, numbered one after the other.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// The text.
    pub text: TextKind,
    /// One for each offset, all of the same count.
    chunks: Vec<Chunks>,
    /// The sequences that are read of each, in rising order; `None` means all.
    subset: Option<Vec<u32>>,
}

impl Sequences {
    /// Those of the training text, whose offsets must be fixed or drawn from a fixed set.
    pub fn training(settings: &TrainSettings, token_count: usize) -> Result<Self, TrainError> {
        let chunks =
            Chunks::at_offsets(token_count, settings.sequence_length, &settings.chunk_offsets)?;
        Ok(Self { text: TextKind::Training, chunks, subset: None })
    }

    /// Those that every evaluation reads.
    pub fn heldout(settings: &TrainSettings, token_count: usize) -> Result<Self, TrainError> {
        let (chunks, sequences) = heldout_sequences(settings, token_count)?;
        let subset = (sequences.len() < chunks.count()).then_some(sequences);
        Ok(Self { text: TextKind::Heldout, chunks: vec![chunks], subset })
    }

    /// Tokens of a sequence.
    pub fn sequence_length(&self) -> usize {
        self.chunks[0].sequence_length()
    }

    /// The offsets at which the text is cut.
    pub fn offsets(&self) -> Vec<usize> {
        self.chunks.iter().map(Chunks::offset).collect()
    }

    /// The sequences that are read of each offset, where those are not all.
    pub fn subset(&self) -> Option<&[u32]> {
        self.subset.as_deref()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.chunks.len() * self.per_offset()
    }

    fn per_offset(&self) -> usize {
        self.subset.as_ref().map_or(self.chunks[0].count(), Vec::len)
    }

    /// The number of a sequence; `None` of one that is not among them.
    pub fn number(&self, offset: usize, sequence: u32) -> Option<usize> {
        let place = self.chunks.iter().position(|chunks| chunks.offset() == offset)?;
        let within = match &self.subset {
            None => sequence as usize,
            Some(subset) => subset.binary_search(&sequence).ok()?,
        };
        (within < self.per_offset()).then(|| place * self.per_offset() + within)
    }

    /// A micro-batch of the sequences with the given numbers, which must be cut at the same offset.
    /// `source` is the text.
    pub fn micro_batch(&self, source: &dyn TokenSource, numbers: &[usize]) -> MicroBatch {
        let chunks = &self.chunks[numbers[0] / self.per_offset()];
        let sequence = |number: &usize| match &self.subset {
            None => (number % self.per_offset()) as u32,
            Some(subset) => subset[number % self.per_offset()],
        };
        let sequences: Vec<u32> = numbers.iter().map(sequence).collect();
        MicroBatch::cut(self.text, source, chunks, &sequences)
    }

    /// The numbers of the sequences in groups of at most `size`, each cut at one offset.
    pub fn groups(&self, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (count, per_offset) = (self.count(), self.per_offset());
        (0..count).step_by(per_offset).flat_map(move |first| {
            let end = first + per_offset;
            (first..end)
                .step_by(size.max(1))
                .map(move |start| start..(start + size.max(1)).min(end))
        })
    }
}

/// The BLAKE3 hash of a text's token ids.
pub fn token_hash(source: &dyn TokenSource) -> blake3::Hash {
    let (mut hasher, mut ids) = (blake3::Hasher::new(), Vec::new());
    for start in (0..source.len()).step_by(PIECE) {
        source.read(start..(start + PIECE).min(source.len()), &mut ids);
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    hasher.finalize()
}

/// Tokens that are read at a time when a whole text is.
const PIECE: usize = 1 << 20;

/// Checks that a text has a sequence to read and no token outside the vocabulary.
pub fn check(
    source: &dyn TokenSource,
    which: &'static str,
    sequence_length: usize,
    vocab_size: usize,
) -> Result<(), TrainError> {
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

/// Which sequences each step of a run reads: a pure function of the settings, the seed and the
/// step.
pub struct BatchPlan {
    seed: u64,
    token_count: usize,
    sequence_length: usize,
    random_offset: bool,
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
        let mut plan = Self {
            seed,
            token_count,
            sequence_length: settings.sequence_length,
            random_offset: settings.random_offset,
            chunk_offsets: settings.chunk_offsets.clone(),
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
        let (number, within) =
            (done / self.steps_per_epoch(), (done % self.steps_per_epoch()) as usize);
        let epoch = match self.current.take() {
            Some(epoch) if epoch.number == number => epoch,
            _ => self.epoch(number)?,
        };
        let range =
            within * self.batch_size..((within + 1) * self.batch_size).min(epoch.order.len());
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
        let (tokens, length) = (self.token_count, self.sequence_length);
        Ok(match self.random_offset {
            true => Chunks::random_offset(tokens, length, self.seed, epoch),
            false => Chunks::chosen_offset(tokens, length, &self.chunk_offsets, self.seed, epoch),
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
pub fn heldout_sequences(
    settings: &TrainSettings,
    token_count: usize,
) -> Result<(Chunks, Vec<u32>), TrainError> {
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
        let mut plan = BatchPlan::new(&settings(), 1, 43).unwrap();
        assert_eq!((plan.steps_per_epoch(), plan.total_steps), (4, 8));
        let mut epoch = |first: u64| -> Vec<u32> {
            (first..first + 4).flat_map(|done| plan.step(done).unwrap().1).collect()
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
            (0..whole.total_steps).map(|done| whole.step(done).unwrap().1).collect();
        let mut resumed =
            BatchPlan::new(&TrainSettings { random_offset: true, ..settings() }, 1, 43).unwrap();
        assert_eq!(resumed.step(5).unwrap().1, steps[5]);
    }

    #[test]
    fn every_sequence_has_its_number_and_comes_back_by_it() {
        let tokens: Vec<u32> = (0..43).collect();
        let settings =
            TrainSettings { chunk_offsets: vec![0, 3], evaluation_sequences: 3, ..settings() };
        let all = Sequences::training(&settings, tokens.len()).unwrap();
        assert_eq!((all.count(), all.offsets(), all.number(3, 2)), (20, vec![0, 3], Some(12)));
        assert_eq!((all.number(1, 0), all.number(0, 10)), (None, None));
        let groups: Vec<_> = all.groups(4).collect();
        assert_eq!(groups, [0..4, 4..8, 8..10, 10..14, 14..18, 18..20]);
        let found = all.micro_batch(&tokens, &[12, 19]);
        assert_eq!(
            found.origin.unwrap(),
            Origin { text: TextKind::Training, offset: 3, sequences: vec![2, 9] }
        );
        assert_eq!(found.batch.ids[..], [11, 12, 13, 14, 39, 40, 41, 42]);

        let some = Sequences::heldout(&settings, tokens.len()).unwrap();
        let subset = some.subset().unwrap().to_vec();
        assert_eq!((some.count(), subset.len()), (3, 3));
        assert_eq!(some.number(0, subset[1]), Some(1));
        assert_eq!(some.micro_batch(&tokens, &[2]).origin.unwrap().sequences, subset[2..]);
        let missing = (0..10).find(|sequence| !subset.contains(sequence)).unwrap();
        assert_eq!(some.number(0, missing), None);
    }

    #[test]
    fn epochs_draw_their_offset_from_the_set() {
        let settings = TrainSettings { chunk_offsets: vec![0, 3], epochs: 20.0, ..settings() };
        let mut plan = BatchPlan::new(&settings, 1, 43).unwrap();
        let mut offsets: Vec<usize> =
            (0..20).map(|epoch| plan.step(epoch * 4).unwrap().0.offset()).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets, [0, 3]);
    }

    #[test]
    fn file_order_is_file_order_and_short_texts_are_refused() {
        let settings = TrainSettings { order: DataOrder::File, max_steps: 2, ..settings() };
        let mut plan = BatchPlan::new(&settings, 1, 43).unwrap();
        assert_eq!((plan.total_steps, plan.step(1).unwrap().1), (2, vec![3, 4, 5]));
        assert!(BatchPlan::new(&settings, 1, 3).is_err());
    }

    #[test]
    fn foreign_tokens_are_found() {
        let message = check(&vec![1, 2, 9], "training", 2, 9).unwrap_err().to_string();
        assert!(message.contains("token 9") && message.contains("vocabulary of 9"), "{message}");
    }
}
