//! The output layer, a block of rows at a time: logits from hidden states, and the way back.

use std::ops::Range;

use super::Cuda;
use super::kernels::{BLOCK, OUTPUT_LAYER};
use super::memory::{Scratch, Values, dense, values, wide};
use super::product::{Addend, Operand};
use crate::ops::language_model_loss::{OutputGradient, Projection};
use crate::tensor::{Precision, View};

/// Logits alive at a time: a block of rows takes about this many values (256 MiB).
const BLOCK_VALUES: usize = 1 << 26;

/// Rows of logits that are computed together: in multiples of what products cut their rows into.
pub(super) fn rows_of_logits(vocab: usize) -> usize {
    const TILE: usize = 128;
    let rows = (BLOCK_VALUES / vocab).clamp(TILE, 64 * TILE);
    rows - rows % TILE
}

/// The blocks of `rows` rows.
pub(super) fn blocks(rows: usize, vocab: usize) -> impl Iterator<Item = Range<usize>> {
    let size = rows_of_logits(vocab);
    (0..rows).step_by(size).map(move |start| start..(start + size).min(rows))
}

/// Threads for a row of logits: eight values and more for each, and at most what `softmax.cuh`
/// allows.
pub(super) fn threads(vocab: usize) -> u32 {
    vocab.div_ceil(8).next_multiple_of(32).min(512) as u32
}

/// Whether kernels may take four logits at a time.
pub(super) fn wide_rows(vocab: usize) -> u32 {
    vocab.is_multiple_of(4) as u32
}

/// A matrix as products read it; its rows may be apart.
fn operand(device: &Cuda, view: View<'_>) -> Operand {
    Operand { stride: view.stride, ..Operand::new(device.operand(view), view.rows, view.columns) }
}

/// The size of the vocabulary that all projections share.
///
/// # Panics
/// When theirs differ.
pub(super) fn vocab_of(projections: &[Projection<'_>]) -> usize {
    let vocab = projections[0].output.rows;
    assert!(
        projections.iter().all(|projection| projection.output.rows == vocab),
        "vocabulary of every projection"
    );
    vocab
}

impl Cuda {
    /// Memory for a block of logits in f32, when there are `rows` rows in all.
    pub(super) fn block_of_logits(&self, rows: usize, vocab: usize) -> Scratch<'_> {
        self.scratch(rows.min(rows_of_logits(vocab)) * vocab, Precision::Full)
    }

    /// `logits = share * (hidden[rows] * output^T + bias)`.
    pub(super) fn project(
        &self,
        projection: Projection<'_>,
        rows: &Range<usize>,
        share: f32,
        logits: u64,
    ) {
        let hidden = operand(self, projection.hidden.row_range(rows.clone()));
        self.multiply_hidden(projection, hidden, share, Addend::Nothing, logits);
    }

    /// `logits` = the sum of the projections' logits, each times its share.
    pub(super) fn project_all(
        &self,
        projections: &[Projection<'_>],
        rows: &Range<usize>,
        logits: u64,
    ) {
        for (index, &projection) in projections.iter().enumerate() {
            let hidden = operand(self, projection.hidden.row_range(rows.clone()));
            self.multiply_hidden(projection, hidden, projection.share, addend(index), logits);
        }
    }

    /// The sum of the projections' logits, each times its share, of `count` rows that need not be
    /// adjacent; their numbers are on the GPU.
    pub(super) fn project_rows(
        &self,
        projections: &[Projection<'_>],
        rows: u64,
        count: usize,
        logits: u64,
    ) {
        for (index, &projection) in projections.iter().enumerate() {
            let hidden = projection.hidden;
            let gathered = self.scratch(count * hidden.columns, Precision::Compact);
            let launch = self
                .kernels
                .get(OUTPUT_LAYER, "gather_rows")
                .with(values(hidden))
                .with(hidden.stride as u64);
            let launch = launch
                .with(rows)
                .with(hidden.columns as u32)
                .with(gathered.values())
                .with(wide(&[hidden]));
            // Safety: `gather_rows(input, stride, rows, columns, output, wide)`; there is room for
            // `count` rows.
            unsafe { launch.run(count, BLOCK) }
            let operand = Operand::new(gathered.values(), count, hidden.columns);
            self.multiply_hidden(projection, operand, projection.share, addend(index), logits);
        }
    }

    fn multiply_hidden(
        &self,
        projection: Projection<'_>,
        hidden: Operand,
        share: f32,
        addend: Addend,
        logits: u64,
    ) {
        let output = operand(self, projection.output).transposed();
        self.products.multiply(hidden, output, share, addend, None, Values::full(logits));
        if let Some(bias) = projection.bias {
            let launch = self
                .kernels
                .get(OUTPUT_LAYER, "add_scaled_bias")
                .with(logits)
                .with(dense(bias))
                .with(share);
            // Safety: `add_scaled_bias(logits, bias, share, vocab)`; the bias is as long as a row
            // of logits.
            unsafe { launch.with(bias.columns as u32).run(hidden.rows, BLOCK) }
        }
    }
}

/// What the product of the projection of this number is added to.
fn addend(index: usize) -> Addend {
    if index == 0 { Addend::Nothing } else { Addend::Output }
}

/// From the gradient of logits to those of the hidden states, the output matrix and its bias.
pub(super) struct OutputLayerGradient<'a> {
    device: &'a Cuda,
    projection: Projection<'a>,
    gradient: OutputGradient<'a>,
    /// Of a block of rows, in the type that products take.
    d_logits: Scratch<'a>,
}

impl<'a> OutputLayerGradient<'a> {
    pub(super) fn new(
        device: &'a Cuda,
        projection: Projection<'a>,
        gradient: OutputGradient<'a>,
    ) -> Self {
        assert_eq!(
            projection.bias.is_some(),
            gradient.d_bias.is_some(),
            "a gradient for the bias exactly where there is a bias"
        );
        let vocab = projection.output.rows;
        let rows = projection.hidden.rows.min(rows_of_logits(vocab));
        Self {
            device,
            projection,
            gradient,
            d_logits: device.scratch(rows * vocab, Precision::Compact),
        }
    }

    /// Where the gradient of a block's logits belongs; no values when there is no gradient.
    pub(super) fn d_logits(gradient: &Option<Self>) -> Values {
        gradient.as_ref().map_or(Values::full(0), |gradient| gradient.d_logits.values())
    }

    /// Carries on the gradient of a block's logits.
    pub(super) fn carry(&mut self, rows: &Range<usize>) {
        let (vocab, hidden_size) = (self.projection.output.rows, self.projection.output.columns);
        let d_logits = Operand::new(self.d_logits.values(), rows.len(), vocab);
        let (output, hidden) =
            (self.projection.output, self.projection.hidden.row_range(rows.clone()));
        let d_hidden =
            self.device.values_mut(&mut self.gradient.d_hidden).skip(rows.start * hidden_size);
        self.device.products.multiply(
            d_logits,
            operand(self.device, output),
            1.0,
            Addend::Nothing,
            None,
            d_hidden,
        );
        let d_output = self.device.values_mut(&mut self.gradient.d_output);
        self.device.products.multiply(
            d_logits.transposed(),
            operand(self.device, hidden),
            1.0,
            Addend::Output,
            None,
            d_output,
        );
        if let Some(d_bias) = &mut self.gradient.d_bias {
            let d_bias = self.device.values_mut(d_bias);
            self.device.sum_rows(self.d_logits.values(), rows.len(), vocab, d_bias, true);
        }
    }
}

/// `N` double-precision values of every row of a call, which are added up at its end.
pub(super) struct RowSums<'a, const N: usize> {
    device: &'a Cuda,
    values: Scratch<'a>,
    rows: usize,
}

impl<'a, const N: usize> RowSums<'a, N> {
    pub(super) fn new(device: &'a Cuda, rows: usize) -> Self {
        Self { device, values: device.scratch_bytes(N * rows * size_of::<f64>()), rows }
    }

    /// Where the values of a kind are, from a row on.
    pub(super) fn at(&self, kind: usize, row: usize) -> u64 {
        self.values.pointer() + ((kind * self.rows + row) * size_of::<f64>()) as u64
    }

    /// The sum of each kind, in an order that depends on nothing but the number of rows. Waits for
    /// the GPU.
    pub(super) fn total(self) -> [f64; N] {
        let sums = self.device.scratch_bytes(size_of::<[f64; N]>());
        let launch = self.device.kernels.get(OUTPUT_LAYER, "add_up").with(self.values.pointer());
        let launch = launch.with(self.rows as u32).with(sums.pointer());
        // Safety: `add_up(values, rows, sums)`; there are `N` rows of values, and as many sums.
        unsafe { launch.run(N, BLOCK) }
        let mut total = [0.0; N];
        self.device.fetch(sums.pointer(), &mut total);
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_rows_in_whole_tiles() {
        for (rows, vocab) in
            [(0, 10), (1, 2), (8192, 5), (8193, 5), (20_000, 16_000), (300, 10_000_000)]
        {
            let blocks: Vec<_> = blocks(rows, vocab).collect();
            assert_eq!(blocks.iter().map(ExactSizeIterator::len).sum::<usize>(), rows);
            assert!(
                blocks
                    .windows(2)
                    .all(|pair| pair[0].end == pair[1].start && pair[0].len() % 128 == 0)
            );
            let most = blocks.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
            assert!(
                most <= 8192 && (most <= 128 || most * vocab <= BLOCK_VALUES),
                "{most} rows of {vocab}"
            );
        }
    }

    #[test]
    fn a_row_gets_whole_warps() {
        assert_eq!([2, 256, 257, 16_000].map(threads), [32, 32, 64, 512]);
    }
}
