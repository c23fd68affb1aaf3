//! Where each sequence of a packed batch begins.

use std::ops::Range;

/// Sequences laid end to end: sequence `i` is the rows `offsets[i]..offsets[i + 1]` of every activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    offsets: Vec<usize>,
}

impl Spans {
    /// Sequences of the given lengths.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            offsets.push(end);
        }
        Self { offsets }
    }

    /// `count` sequences of one length.
    pub fn uniform(count: usize, length: usize) -> Self {
        Self::from_lengths(std::iter::repeat_n(length, count))
    }

    /// Number of sequences.
    pub fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of tokens in all.
    pub fn tokens(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    /// The rows of each sequence, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The position of every token in its own sequence.
    pub fn positions(&self) -> Vec<u32> {
        self.iter().flat_map(|rows| 0..rows.len() as u32).collect()
    }

    /// Length of the longest sequence, 0 when there is none.
    pub fn longest(&self) -> usize {
        self.iter().map(|rows| rows.len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_rows_and_positions() {
        let spans = Spans::from_lengths([2, 3]);
        assert_eq!((spans.count(), spans.tokens(), spans.longest()), (2, 5, 3));
        assert_eq!(spans.iter().collect::<Vec<_>>(), [0..2, 2..5]);
        assert_eq!(spans.positions(), [0, 1, 0, 1, 2]);
        assert_eq!(Spans::uniform(2, 3), Spans::from_lengths([3, 3]));
    }
}
