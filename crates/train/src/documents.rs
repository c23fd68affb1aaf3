//! A text whose documents are in another order.

use std::ops::Range;

use corpus::chunks::epoch_order;

use crate::data::TokenSource;

/// Documents of a text in the order of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentOrder {
    /// The documents' tokens in the text.
    documents: Vec<Range<usize>>,
    /// Where each document begins when they follow one after the other.
    starts: Vec<usize>,
}

impl DocumentOrder {
    /// A new order for each epoch, a pure function of seed and epoch.
    pub fn of_epoch(documents: &[Range<usize>], seed: u64, epoch: u64) -> Self {
        let order = epoch_order(seed ^ ORDER, epoch, documents.len());
        let documents: Vec<Range<usize>> =
            order.iter().map(|&place| documents[place as usize].clone()).collect();
        let mut end = 0;
        let start = |document: &Range<usize>| {
            let start = end;
            end += document.len();
            start
        };
        let starts = documents.iter().map(start).collect();
        Self { documents, starts }
    }

    /// Replaces `ids` by the tokens of a range of the reordered text.
    pub fn read(&self, source: &dyn TokenSource, range: Range<usize>, ids: &mut Vec<u32>) {
        ids.clear();
        let (mut place, mut piece) = (range.start, Vec::new());
        let mut number = self.starts.partition_point(|&start| start <= place).saturating_sub(1);
        while place < range.end && number < self.documents.len() {
            let (document, within) = (&self.documents[number], place - self.starts[number]);
            let length = (document.len() - within).min(range.end - place);
            let first = document.start + within;
            source.read(first..first + length, &mut piece);
            ids.extend_from_slice(&piece);
            (place, number) = (place + length, number + 1);
        }
    }
}

/// Keeps the order of documents apart from that of sequences.
const ORDER: u64 = 0x646f_6375_6d65_6e74;

/// The documents within some parts of a text. `starts` has where each begins, and the first begins
/// at 0.
pub fn within(starts: &[usize], parts: &[Range<usize>], tokens: usize) -> Vec<Range<usize>> {
    let ends = starts.iter().skip(1).copied().chain([tokens]);
    let documents = starts.iter().zip(ends).map(|(&start, end)| start..end);
    let lies_within =
        |of: &Range<usize>| parts.iter().any(|part| part.start <= of.start && of.end <= part.end);
    documents.filter(|document| !document.is_empty()).filter(lies_within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stay_whole_and_change_their_places() {
        let text: Vec<u32> = (0..100).collect();
        let documents = within(&[0, 10, 11, 40, 75], &[0..40, 75..100], 100);
        assert_eq!(documents, [0..10, 10..11, 11..40, 75..100]);
        let read = |order: &DocumentOrder, range| {
            let mut ids = Vec::new();
            order.read(&text, range, &mut ids);
            ids
        };
        let mut all = Vec::new();
        for epoch in 0..6 {
            let order = DocumentOrder::of_epoch(&documents, 5, epoch);
            assert_eq!(order, DocumentOrder::of_epoch(&documents, 5, epoch));
            let whole = read(&order, 0..65);
            assert_eq!(whole.len(), 65);
            for document in &documents {
                let at = whole.iter().position(|&id| id as usize == document.start).unwrap();
                let found: Vec<usize> =
                    whole[at..at + document.len()].iter().map(|&id| id as usize).collect();
                assert_eq!(found, document.clone().collect::<Vec<_>>());
            }
            for start in 0..60 {
                assert_eq!(read(&order, start..start + 5), whole[start..start + 5]);
            }
            all.push(whole);
        }
        all.sort();
        all.dedup();
        assert!(all.len() > 3, "{} orders", all.len());
    }
}
