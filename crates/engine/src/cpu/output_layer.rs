//! The output layer, a block of rows at a time: logits from hidden states, and the way back.

use std::ops::Range;

use rayon::prelude::*;

use super::elementwise::add_scaled;
use super::linear::add_rows;
use super::product::{Addend, DEPTH, Matrix, MatrixMut, Products, RightHand, Workers};
use super::values::{Values, ValuesMut};
use super::{Cpu, matrix, rows_per_task, slice, slice_mut, values, values_mut};
use crate::device::{Arithmetic, Device};
use crate::ops::language_model_loss::{OutputGradient, Projection};
use crate::ops::memory::MemoryKernels;
use crate::tensor::{Precision, Storage};

/// Logits alive at a time: a block of rows takes about this many values (32 MiB).
const BLOCK_VALUES: usize = 1 << 23;

/// Rows of logits that are computed together: where it can be, whole stretches of the weight
/// gradient's inner dimension.
pub(super) fn rows_of_logits(vocab: usize) -> usize {
    let rows = (BLOCK_VALUES / vocab).clamp(16, 1024);
    rows - rows % DEPTH.min(rows)
}

/// The blocks of `rows` rows.
pub(super) fn blocks(rows: usize, vocab: usize) -> impl Iterator<Item = Range<usize>> {
    let size = rows_of_logits(vocab);
    (0..rows).step_by(size).map(move |start| start..(start + size).min(rows))
}

/// Memory for one block of logits, from the pool and back to it.
pub(super) struct Logits<'a> {
    device: &'a Cpu,
    storage: Option<Storage>,
    length: usize,
}

impl<'a> Logits<'a> {
    pub(super) fn new(device: &'a Cpu, rows: usize, vocab: usize) -> Self {
        let length = rows.min(rows_of_logits(vocab)) * vocab;
        Self { device, storage: Some(device.allocate(length, Precision::Full)), length }
    }

    /// Memory for exactly `rows` rows of gradients of logits in bf16.
    fn rounded(device: &'a Cpu, rows: usize, vocab: usize) -> Self {
        let length = rows * vocab;
        Self { device, storage: Some(device.allocate(length, Precision::Compact)), length }
    }

    fn storage(&mut self) -> ValuesMut<'_> {
        let storage = self.storage.as_mut().expect("memory is taken only by drop");
        super::memory::storage_values_mut(storage).range(0..self.length)
    }

    pub(super) fn values(&mut self) -> &mut [f32] {
        match self.storage() {
            ValuesMut::F32(values) => values,
            ValuesMut::Bf16(_) => unreachable!("logits are f32"),
        }
    }

    fn bf16_values(&mut self) -> &mut [u16] {
        match self.storage() {
            ValuesMut::Bf16(values) => values,
            ValuesMut::F32(_) => unreachable!("these gradients are bf16"),
        }
    }
}

impl Drop for Logits<'_> {
    fn drop(&mut self) {
        if let Some(storage) = self.storage.take() {
            self.device.recycle(storage);
        }
    }
}

/// A matrix that the products of all blocks share: packed once when there is more than one block.
fn shared<'a>(products: Products, matrix: Matrix<'a>, rows: usize, vocab: usize) -> RightHand<'a> {
    match rows > rows_of_logits(vocab) {
        true => products.packed(matrix),
        false => products.plain(matrix),
    }
}

/// From hidden states to logits.
pub(super) struct OutputLayer<'a> {
    pub projection: Projection<'a>,
    transposed: RightHand<'a>,
}

impl<'a> OutputLayer<'a> {
    pub(super) fn new(products: Products, projection: Projection<'a>) -> Self {
        let output = matrix(projection.output).transposed();
        let transposed = shared(products, output, projection.hidden.rows, output.columns);
        Self { projection, transposed }
    }

    /// One layer for each projection.
    ///
    /// # Panics
    /// When their vocabularies differ in size.
    pub(super) fn of_all(products: Products, projections: &[Projection<'a>]) -> Vec<Self> {
        let vocab = projections[0].output.rows;
        assert!(
            projections.iter().all(|projection| projection.output.rows == vocab),
            "vocabulary of every projection"
        );
        projections.iter().map(|&projection| Self::new(products, projection)).collect()
    }

    pub(super) fn vocab(&self) -> usize {
        self.projection.output.rows
    }

    /// `logits = share * (hidden[rows] * output^T + bias)`, plus what is there when `accumulate`.
    pub(super) fn project(
        &self,
        rows: &Range<usize>,
        share: f32,
        accumulate: bool,
        logits: &mut [f32],
    ) {
        self.multiply(
            matrix(self.projection.hidden.row_range(rows.clone())),
            share,
            accumulate,
            logits,
        );
    }

    /// `logits = share * (hidden * output^T + bias)`, plus what is there when `accumulate`.
    fn multiply(&self, hidden: Matrix<'_>, share: f32, accumulate: bool, logits: &mut [f32]) {
        let target = MatrixMut::dense(ValuesMut::F32(logits), hidden.rows, self.vocab());
        let addend = if accumulate { Addend::Output } else { Addend::Nothing };
        self.transposed.multiply(target, addend, hidden, share);
        if let Some(bias) = self.projection.bias.map(slice) {
            let tasks =
                logits.par_chunks_exact_mut(bias.len()).with_min_len(rows_per_task(bias.len()));
            tasks.for_each(|row| add_scaled(bias, share, row));
        }
    }
}

/// `logits` = the sum of the projections' logits, each times its share.
pub(super) fn project_all(layers: &[OutputLayer<'_>], rows: &Range<usize>, logits: &mut [f32]) {
    for (index, layer) in layers.iter().enumerate() {
        layer.project(rows, layer.projection.share, index > 0, logits);
    }
}

/// `logits` = the sum of the projections' logits, each times its share, of rows that need not be
/// adjacent.
pub(super) fn project_rows(layers: &[OutputLayer<'_>], rows: &[u32], logits: &mut [f32]) {
    let mut gathered: Vec<f32> = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let Projection { hidden, share, .. } = layer.projection;
        gathered.clear();
        for &row in rows {
            let row = values(hidden.row_range(row as usize..row as usize + 1));
            gathered.extend_from_slice(&row.to_f32());
        }
        layer.multiply(
            Matrix::dense(Values::F32(&gathered), rows.len(), hidden.columns),
            share,
            index > 0,
            logits,
        );
    }
}

/// Rows, at most, whose gradients of logits are kept in bf16 for one product with all of them:
/// whole stretches of the weight gradient's inner dimension where blocks of logits are such, so
/// that the order of the sums does not depend on it.
const KEPT_ROWS: usize = 4 * DEPTH;

/// From the gradient of logits to those of the hidden states, the output matrix and its bias.
pub(super) struct OutputLayerGradient<'a> {
    device: &'a Cpu,
    projection: Projection<'a>,
    output: RightHand<'a>,
    gradient: OutputGradient<'a>,
    /// Gradients in bf16, until there are enough for a product.
    kept: Option<KeptGradients<'a>>,
}

/// Gradients of the logits of some rows, in bf16.
struct KeptGradients<'a> {
    rows: Range<usize>,
    memory: Logits<'a>,
}

impl<'a> OutputLayerGradient<'a> {
    pub(super) fn new(
        device: &'a Cpu,
        projection: Projection<'a>,
        gradient: OutputGradient<'a>,
    ) -> Self {
        assert_eq!(
            projection.bias.is_some(),
            gradient.d_bias.is_some(),
            "a gradient for the bias exactly where there is a bias"
        );
        let output = matrix(projection.output);
        let output = shared(device.products, output, projection.hidden.rows, output.rows);
        Self { device, projection, output, gradient, kept: None }
    }

    /// Carries on the gradient of a block's logits; the blocks come in order.
    pub(super) fn carry(&mut self, rows: &Range<usize>, block: &[f32]) {
        if let Some(d_bias) = &mut self.gradient.d_bias {
            add_rows(Values::F32(block), slice_mut(d_bias.reborrow()));
        }
        match self.device.arithmetic() {
            Arithmetic::Bf16 => self.keep(rows, block),
            Arithmetic::Bf16x3 | Arithmetic::F32 => self.multiply(rows, Values::F32(block)),
        }
    }

    /// Keeps the gradient of a block's logits in bf16, until there are enough rows for a product.
    fn keep(&mut self, rows: &Range<usize>, block: &[f32]) {
        let vocab = self.projection.output.rows;
        let last = self.projection.hidden.rows;
        let device = self.device;
        let kept = self.kept.get_or_insert_with(|| KeptGradients {
            rows: rows.start..rows.start,
            memory: Logits::rounded(device, KEPT_ROWS.min(last - rows.start), vocab),
        });
        let first = (rows.start - kept.rows.start) * vocab;
        ValuesMut::Bf16(&mut kept.memory.bf16_values()[first..first + block.len()])
            .par_chunks_mut(vocab)
            .zip(block.par_chunks(vocab))
            .for_each(|(kept, row)| kept.copy_from(row));
        kept.rows.end = rows.end;
        let is_full = kept.rows.len() + rows_of_logits(vocab) > KEPT_ROWS;
        if (is_full || rows.end == last)
            && let Some(mut kept) = self.kept.take()
        {
            let values = &kept.memory.bf16_values()[..kept.rows.len() * vocab];
            self.multiply(&kept.rows, Values::Bf16(values));
        }
    }

    /// The products with the gradients of some rows' logits.
    fn multiply(&mut self, rows: &Range<usize>, d_logits: Values<'_>) {
        let (vocab, hidden_size) = (self.projection.output.rows, self.projection.output.columns);
        let d_logits = Matrix::dense(d_logits, rows.len(), vocab);
        let d_hidden = values_mut(self.gradient.d_hidden.reborrow());
        let d_hidden = d_hidden.range(rows.start * hidden_size..rows.end * hidden_size);
        let d_hidden = MatrixMut::dense(d_hidden, rows.len(), hidden_size);
        self.output.multiply(d_hidden, Addend::Nothing, d_logits, 1.0);
        let d_output =
            MatrixMut::dense(values_mut(self.gradient.d_output.reborrow()), vocab, hidden_size);
        let hidden = matrix(self.projection.hidden.row_range(rows.clone()));
        self.device.products.product(
            d_output,
            Addend::Output,
            d_logits.transposed(),
            hidden,
            1.0,
            Workers::All,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tensor::Tensor;
    use crate::testing::{assert_close, random};

    /// A vocabulary of which a block has a number of rows that divides no `KEPT_ROWS`.
    #[test]
    fn a_large_vocabulary_has_gradients_of_more_rows_than_are_kept() {
        let (rows, width, vocab) = (KEPT_ROWS + 50, 4, 17_000);
        assert!(!KEPT_ROWS.is_multiple_of(rows_of_logits(vocab)));
        let targets: Vec<u32> = (0..rows).map(|row| (row * 7 % vocab) as u32).collect();
        let gradients = |arithmetic| {
            let device: Arc<dyn Device> = Arc::new(Cpu::new().multiplying_in(arithmetic));
            let tensor =
                |rows, seed| Tensor::from_slice(&device, rows, width, &random(seed, rows * width));
            let (hidden, output) = (tensor(rows, 1), tensor(vocab, 2));
            let mut d_hidden = Tensor::zeros(&device, rows, width);
            let mut d_output = Tensor::zeros(&device, vocab, width);
            let projection =
                Projection { hidden: hidden.view(), output: output.view(), bias: None, share: 1.0 };
            let gradient = OutputGradient {
                d_hidden: d_hidden.view_mut(),
                d_output: d_output.view_mut(),
                d_bias: None,
            };
            device.language_model_loss(projection, &targets, 1.0, Some(gradient));
            [d_hidden.to_vec(), d_output.to_vec()]
        };
        let (exact, rounded) = (gradients(Arithmetic::F32), gradients(Arithmetic::Bf16));
        for (rounded, exact) in rounded.iter().zip(&exact) {
            assert_close(rounded, exact, 2e-2);
        }
    }
}
