//! The texts of a run and their sequences.

use std::ops::Range;

use corpus::chunks::{Chunks, evaluation_subset};
use corpus::tokens::TokenFile;
use engine::ops::language_model_loss::NO_TARGET;
use model::Batch;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::settings::TrainSettings;

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

    /// The files of the corpus that the text is made of, in its order; empty where they are not
    /// known.
    fn sources(&self) -> &[SourceRange] {
        &[]
    }

    /// Where each document begins, the first at 0; none where that is not known.
    fn documents(&self) -> Option<&[usize]> {
        None
    }
}

/// A file of the corpus within a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRange {
    /// The file's name without extension.
    pub name: String,
    /// The file's tokens in the text.
    pub tokens: Range<usize>,
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
    /// text, or that were changed.
    pub origin: Option<Origin>,
    /// What is predicted at each token, where that is not the token after it.
    pub targets: Option<Vec<u32>>,
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
        Self { batch, origin: None, targets: None }
    }
}

impl MicroBatch {
    /// What is predicted at each token; [`NO_TARGET`] where nothing is.
    pub fn targets(&self) -> Vec<u32> {
        self.targets.clone().unwrap_or_else(|| self.batch.next_tokens())
    }

    /// How many tokens are predicted.
    pub fn predicted_tokens(&self) -> usize {
        match &self.targets {
            None => self.batch.predicted_tokens(),
            Some(targets) => targets.iter().filter(|&&target| target != NO_TARGET).count(),
        }
    }

    /// How many tokens of each sequence are predicted.
    pub fn predicted_tokens_of_each(&self) -> impl Iterator<Item = usize> {
        let targets = self.targets();
        self.batch
            .spans
            .iter()
            .map(move |rows| targets[rows].iter().filter(|&&target| target != NO_TARGET).count())
    }

    /// Some sequences of a text.
    pub fn cut(
        text: TextKind,
        source: &dyn TokenSource,
        chunks: &Chunks,
        sequences: &[u32],
    ) -> Self {
        let origin = Origin { text, offset: chunks.offset(), sequences: sequences.to_vec() };
        Self { batch: batch(source, chunks, sequences), origin: Some(origin), targets: None }
    }
}

/// All sequences that a run may read of one text, numbered one after the other.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// The text.
    pub text: TextKind,
    /// The sequences of each offset, all of the same count.
    chunks: Vec<Chunks>,
    /// The sequences that are read at each offset, in rising order; `None` means all.
    subset: Option<Vec<u32>>,
}

impl Sequences {
    /// The sequences of the training text, whose offsets must be fixed or drawn from a fixed set.
    pub fn training(settings: &TrainSettings, token_count: usize) -> Result<Self, TrainError> {
        let chunks =
            Chunks::at_offsets(token_count, settings.sequence_length, &settings.chunk_offsets)?;
        Ok(Self { text: TextKind::Training, chunks, subset: None })
    }

    /// The held-out sequences that every evaluation reads.
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

    /// The sequences that are read at each offset, where those are not all.
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
    fn foreign_tokens_are_found() {
        let message = check(&vec![1, 2, 9], "training", 2, 9).unwrap_err().to_string();
        assert!(message.contains("token 9") && message.contains("vocabulary of 9"), "{message}");
    }
}
