//! Sequences packed for one forward pass: what several begin with is read once.

use engine::ops::language_model_loss::Target;
use model::SharedBatch;

use super::{Pass, Sequence};

/// A pass that is being put together.
#[derive(Default)]
pub(super) struct Packing {
    batch: SharedBatch,
    /// The ids whose log-probabilities each row gives.
    wanted: Vec<Vec<u32>>,
    /// For every sequence, the row of each of its scored tokens, and which of that row's ids it is.
    scored: Vec<Vec<(usize, usize)>>,
}

impl Packing {
    /// As many of the first sequences as `batch_tokens` tokens hold, but at least one; `shares` is
    /// whether the models read what several begin with once.
    pub(super) fn of_first(sequences: &[&Sequence], batch_tokens: usize, shares: bool) -> Self {
        let mut packing = Self::default();
        if !shares {
            packing.batch = SharedBatch::of_whole_sequences();
        }
        for sequence in sequences {
            if !packing.fits(sequence, batch_tokens) {
                break;
            }
            packing.add(sequence);
        }
        packing
    }

    fn fits(&self, sequence: &Sequence, batch_tokens: usize) -> bool {
        self.scored.is_empty()
            || self.batch.tokens() + self.batch.new_rows(sequence.input()) <= batch_tokens
    }

    fn add(&mut self, sequence: &Sequence) {
        let rows = self.batch.add(sequence.input());
        let of_rows = rows[sequence.given.min(rows.len())..].to_vec();
        self.wanted.resize(self.batch.tokens(), Vec::new());
        let next = sequence.ids.iter().skip(sequence.given + 1);
        let place = |(row, &id): (usize, &u32)| {
            let wanted = &mut self.wanted[row];
            let known = wanted.iter().position(|&other| other == id);
            (row, known.unwrap_or_else(|| (wanted.push(id), wanted.len() - 1).1))
        };
        let places = of_rows.into_iter().zip(next).map(place).collect();
        self.scored.push(places);
    }

    /// The pass; for every sequence the places of its own targets among all.
    pub(super) fn finish(self) -> Pass<Vec<Vec<usize>>> {
        let (mut targets, mut starts) = (Vec::new(), Vec::new());
        for (row, ids) in (0..).zip(&self.wanted) {
            starts.push(targets.len());
            targets.extend(ids.iter().map(|&id| Target { row, id }));
        }
        let place = |(row, nth): (usize, usize)| starts[row] + nth;
        let places: Vec<Vec<usize>> =
            self.scored.into_iter().map(|places| places.into_iter().map(place).collect()).collect();
        Pass { batch: self.batch.into_batch(), targets, count: places.len(), places }
    }
}
