//! Where each sequence of a packed batch begins, and what it shares with those before it.

use std::ops::Range;

/// Sequences laid end to end: sequence `i` is the rows `offsets[i]..offsets[i + 1]` of every
/// activation.
///
/// Where nothing is trained, a sequence may go on from rows of earlier ones, its prefix, instead of
/// repeating them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    offsets: Vec<usize>,
    /// The rows that each sequence begins with, in the order of their positions; mostly none.
    prefixes: Vec<Vec<Range<usize>>>,
}

impl Spans {
    /// Sequences of the given lengths.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut spans = Self { offsets: vec![0], prefixes: Vec::new() };
        lengths.into_iter().for_each(|length| spans.push(length, Vec::new()));
        spans
    }

    /// `count` sequences of one length.
    pub fn uniform(count: usize, length: usize) -> Self {
        Self::from_lengths(std::iter::repeat_n(length, count))
    }

    /// Adds a sequence whose first tokens are the rows of `prefix`, followed by `length` rows of
    /// its own.
    ///
    /// # Panics
    /// When the prefix names rows that do not exist yet.
    pub fn push(&mut self, length: usize, prefix: Vec<Range<usize>>) {
        let tokens = self.tokens();
        assert!(
            prefix.iter().all(|rows| rows.end <= tokens),
            "a prefix beyond the {tokens} rows before it"
        );
        self.offsets.push(tokens + length);
        self.prefixes.push(prefix);
    }

    /// Number of sequences.
    pub fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of rows in all.
    pub fn tokens(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    /// The own rows of each sequence, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The rows of earlier sequences that each sequence begins with, in order.
    pub fn prefixes(&self) -> impl Iterator<Item = &[Range<usize>]> {
        self.prefixes.iter().map(Vec::as_slice)
    }

    /// Whether any sequence has a prefix.
    pub fn share_rows(&self) -> bool {
        self.prefixes.iter().any(|prefix| !prefix.is_empty())
    }

    /// The position of every row in its own sequence.
    pub fn positions(&self) -> Vec<u32> {
        let positions = |(rows, prefix): (Range<usize>, &[Range<usize>])| {
            let past: usize = prefix.iter().map(Range::len).sum();
            past as u32..(past + rows.len()) as u32
        };
        self.iter().zip(self.prefixes()).flat_map(positions).collect()
    }

    /// Length of the longest sequence's own rows, 0 when there is none.
    pub fn longest(&self) -> usize {
        self.iter().map(|rows| rows.len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a prefix of one range of rows")]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_rows_and_positions() {
        let spans = Spans::from_lengths([2, 3]);
        assert_eq!((spans.count(), spans.tokens(), spans.longest()), (2, 5, 3));
        assert_eq!(spans.iter().collect::<Vec<_>>(), [0..2, 2..5]);
        assert_eq!(spans.positions(), [0, 1, 0, 1, 2]);
        assert_eq!(Spans::uniform(2, 3), Spans::from_lengths([3, 3]));
        assert!(!spans.share_rows());
    }

    #[test]
    fn positions_go_on_after_a_prefix() {
        let mut spans = Spans::from_lengths([4]);
        spans.push(2, vec![0..2]);
        spans.push(1, vec![0..2, 4..5]);
        assert_eq!(spans.positions(), [0, 1, 2, 3, 2, 3, 3]);
        assert_eq!(spans.prefixes().collect::<Vec<_>>(), [&[][..], &[0..2], &[0..2, 4..5]]);
        assert!(spans.share_rows());
    }

    #[test]
    #[should_panic(expected = "a prefix beyond the 4 rows")]
    fn a_prefix_must_exist() {
        Spans::from_lengths([4]).push(1, vec![3..5]);
    }
}
