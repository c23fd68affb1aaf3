//! Sequences of equal length from one stream of tokens, and the orders in which they are visited.
//!
//! Everything is a pure function of its arguments: an epoch can be replayed, resumed or shared
//! between processes.

use std::ops::Range;

use base::rng::Rng;

use crate::error::{CorpusError, Result};

/// A stream of `token_count` tokens cut into neighbouring sequences of `sequence_length`; what
/// remains is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    sequence_length: usize,
    offset: usize,
    count: usize,
}

impl Chunks {
    /// Sequences from a fixed offset on: `floor((token_count - offset) / sequence_length)` of them.
    ///
    /// Fewer tokens than one sequence takes is an error.
    pub fn fixed(token_count: usize, sequence_length: usize, offset: usize) -> Result<Self> {
        let count = token_count.saturating_sub(offset).checked_div(sequence_length).unwrap_or(0);
        Self::checked(
            token_count,
            sequence_length + offset,
            Self { sequence_length, offset, count },
        )
    }

    /// Sequences of an epoch, from an offset in `0..sequence_length` drawn for that epoch.
    ///
    /// There are `floor(token_count / sequence_length) - 1` of them, whatever the offset. The
    /// authors draw an offset for every single sequence; one for the whole epoch shows no token
    /// twice, and moves the cuts as well.
    pub fn random_offset(
        token_count: usize,
        sequence_length: usize,
        seed: u64,
        epoch: u64,
    ) -> Result<Self> {
        let count = token_count.checked_div(sequence_length).unwrap_or(0).saturating_sub(1);
        let offset = match sequence_length {
            0 => 0,
            length => Rng::new(seed, "chunk offset").below(epoch, length as u64) as usize,
        };
        Self::checked(token_count, 2 * sequence_length, Self { sequence_length, offset, count })
    }

    /// The sequences of [`random_offset`](Self::random_offset) for every offset that it may draw.
    pub fn at_every_offset(token_count: usize, sequence_length: usize) -> Result<Vec<Self>> {
        let drawn = Self::random_offset(token_count, sequence_length, 0, 0)?;
        Ok((0..sequence_length).map(|offset| Self { offset, ..drawn }).collect())
    }

    /// Sequences from each of a few offsets, equally many: as many as the largest offset leaves
    /// room for. Empty `offsets` mean 0 alone.
    pub fn at_offsets(
        token_count: usize,
        sequence_length: usize,
        offsets: &[usize],
    ) -> Result<Vec<Self>> {
        let offsets = if offsets.is_empty() { &[0] } else { offsets };
        let largest = offsets.iter().copied().max().unwrap_or(0);
        let last = Self::fixed(token_count, sequence_length, largest)?;
        Ok(offsets.iter().map(|&offset| Self { offset, ..last }).collect())
    }

    /// Sequences of an epoch, from one of a few offsets drawn for that epoch.
    pub fn chosen_offset(
        token_count: usize,
        sequence_length: usize,
        offsets: &[usize],
        seed: u64,
        epoch: u64,
    ) -> Result<Self> {
        let all = Self::at_offsets(token_count, sequence_length, offsets)?;
        Ok(all[Rng::new(seed, "chunk offset").below(epoch, all.len() as u64) as usize])
    }

    fn checked(tokens: usize, needed: usize, chunks: Self) -> Result<Self> {
        if chunks.count == 0 {
            return Err(CorpusError::ShorterThanOneSequence { tokens, needed: needed.max(1) });
        }
        Ok(chunks)
    }

    /// Number of sequences, at least one.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Tokens in a sequence.
    pub fn sequence_length(&self) -> usize {
        self.sequence_length
    }

    /// Tokens skipped before the first sequence.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The range of sequence `index` in the stream.
    ///
    /// # Panics
    /// When `index` is not below [`count`](Self::count).
    pub fn range(&self, index: usize) -> Range<usize> {
        assert!(index < self.count, "sequence {index} of {}", self.count);
        let start = self.offset + index * self.sequence_length;
        start..start + self.sequence_length
    }
}

/// The order in which an epoch visits `count` sequences: a new permutation of `0..count` for each
/// epoch.
pub fn epoch_order(seed: u64, epoch: u64, count: usize) -> Vec<u32> {
    Rng::new(seed, "data order").at(epoch).permutation(count)
}

/// The sequences that every evaluation of a run looks at: `wanted` of `count`, or all if there are
/// no more; sorted.
pub fn evaluation_subset(seed: u64, count: usize, wanted: usize) -> Vec<u32> {
    let mut chosen = Rng::new(seed, "evaluation subset").permutation(count);
    chosen.truncate(wanted);
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_chunks_tile_the_stream_from_their_offset() {
        let chunks = Chunks::fixed(1000, 128, 0).unwrap();
        assert_eq!((chunks.count(), chunks.range(0), chunks.range(6)), (7, 0..128, 768..896));
        // One token too few for a last sequence, then just enough.
        assert_eq!(Chunks::fixed(7 * 128 + 4, 128, 5).unwrap().count(), 6);
        let chunks = Chunks::fixed(7 * 128 + 5, 128, 5).unwrap();
        assert_eq!((chunks.count(), chunks.range(6)), (7, 773..901));
    }

    #[test]
    fn random_offsets_change_by_epoch_and_never_leave_the_stream() {
        let tokens = 1000;
        let epochs: Vec<Chunks> =
            (0..200).map(|epoch| Chunks::random_offset(tokens, 128, 42, epoch).unwrap()).collect();
        for chunks in &epochs {
            assert_eq!(chunks.count(), 6);
            assert!(chunks.range(5).end <= tokens && chunks.offset() < 128);
        }
        let every = Chunks::at_every_offset(tokens, 128).unwrap();
        assert!(every.len() == 128 && epochs.iter().all(|of| *of == every[of.offset()]));
        let mut offsets: Vec<usize> = epochs.iter().map(Chunks::offset).collect();
        assert_eq!(epochs[3], Chunks::random_offset(tokens, 128, 42, 3).unwrap());
        assert_ne!(epochs[3], Chunks::random_offset(tokens, 128, 43, 3).unwrap());
        offsets.sort_unstable();
        offsets.dedup();
        assert!(offsets.len() > 80, "{} of 128 offsets in 200 epochs", offsets.len());
    }

    #[test]
    fn chosen_offsets_come_from_the_set_and_leave_the_same_count() {
        let epoch = |offsets: &[usize], epoch| {
            Chunks::chosen_offset(1000, 128, offsets, 42, epoch).unwrap()
        };
        let offsets: Vec<usize> =
            (0..50).map(|number| epoch(&[0, 64, 110], number).offset()).collect();
        for offset in [0, 64, 110] {
            assert!(offsets.iter().filter(|&&drawn| drawn == offset).count() > 5, "{offsets:?}");
        }
        // 1000 - 110 tokens hold six sequences, 1000 alone seven.
        assert!((0..50).all(|number| epoch(&[0, 64, 110], number).count() == 6));
        assert_eq!(epoch(&[], 7), Chunks::fixed(1000, 128, 0).unwrap());
        assert_eq!(epoch(&[0], 7), Chunks::fixed(1000, 128, 0).unwrap());
        assert!(Chunks::chosen_offset(200, 128, &[0, 100], 42, 0).is_err());
    }

    #[test]
    fn too_short_a_corpus_says_what_it_needs() {
        let message = |chunks: Result<Chunks>| chunks.unwrap_err().to_string();
        assert_eq!(
            message(Chunks::fixed(130, 128, 5)),
            "the corpus has 130 tokens, and one sequence needs 133"
        );
        assert_eq!(
            message(Chunks::random_offset(255, 128, 0, 0)),
            "the corpus has 255 tokens, and one sequence needs 256"
        );
        assert!(Chunks::fixed(0, 128, 0).is_err());
        assert!(Chunks::fixed(100, 0, 0).is_err());
        assert!(Chunks::random_offset(100, 0, 0, 0).is_err());
        assert_eq!(Chunks::fixed(128, 128, 0).unwrap().count(), 1);
        assert_eq!(Chunks::random_offset(256, 128, 0, 0).unwrap().count(), 1);
    }

    #[test]
    fn every_epoch_visits_everything_once_in_its_own_order() {
        let orders: Vec<Vec<u32>> = (0..3).map(|epoch| epoch_order(42, epoch, 500)).collect();
        assert_ne!(orders[0], orders[1]);
        assert_ne!(orders[0], epoch_order(43, 0, 500));
        assert_eq!(orders[2], epoch_order(42, 2, 500));
        for mut order in orders {
            order.sort_unstable();
            assert_eq!(order, (0..500).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn the_evaluation_subset_is_fixed_sorted_and_spread() {
        let subset = evaluation_subset(7, 10_000, 1000);
        assert_eq!(subset, evaluation_subset(7, 10_000, 1000));
        assert_ne!(subset, evaluation_subset(8, 10_000, 1000));
        assert_eq!(subset.len(), 1000);
        assert!(subset.windows(2).all(|pair| pair[0] < pair[1]));
        let first_half = subset.iter().filter(|&&index| index < 5000).count();
        assert!((430..570).contains(&first_half), "{first_half}");
        assert_eq!(evaluation_subset(7, 5, 9), [0, 1, 2, 3, 4]);
    }
}
