//! The output layer and the language-model loss, a block of rows at a time.

use std::ops::Range;

use rayon::prelude::*;

use super::math::{exp, map_and_sum, maximum, sum_over};
use super::product::{Matrix, MatrixMut, Workers, product};
use super::{Cpu, rows_per_task, slice, slice_mut, vectorised};
use crate::ops::language_model_loss::{LanguageModelLossKernels, NO_TARGET, OutputGradient, Projection};
use crate::ops::memory::MemoryKernels;
use crate::tensor::{Storage, View};

/// Logits alive at a time: a block of rows takes about this many values (16 MiB).
const BLOCK_VALUES: usize = 1 << 22;

/// Rows of logits that are computed together.
fn rows_per_block(vocab: usize) -> usize {
    (BLOCK_VALUES / vocab).clamp(16, 1024)
}

/// The blocks of `rows` rows.
pub(super) fn blocks(rows: usize, vocab: usize) -> impl Iterator<Item = Range<usize>> {
    let size = rows_per_block(vocab);
    (0..rows).step_by(size).map(move |start| start..(start + size).min(rows))
}

/// Memory for one block of logits, from the pool and back to it.
pub(super) struct Logits<'a> {
    device: &'a Cpu,
    storage: Option<Storage>,
    length: usize,
}

impl<'a> Logits<'a> {
    pub fn new(device: &'a Cpu, rows: usize, vocab: usize) -> Self {
        let length = rows.min(rows_per_block(vocab)) * vocab;
        Self { device, storage: Some(device.allocate(length)), length }
    }

    pub fn values(&mut self) -> &mut [f32] {
        let storage = self.storage.as_mut().expect("memory is taken only by drop");
        &mut super::memory::storage_values_mut(storage)[..self.length]
    }
}

impl Drop for Logits<'_> {
    fn drop(&mut self) {
        if let Some(storage) = self.storage.take() {
            self.device.recycle(storage);
        }
    }
}

/// `logits = sum of share * hidden[rows] * output^T` over the projections.
pub(super) fn project(projections: &[Projection<'_>], rows: &Range<usize>, logits: &mut [f32]) {
    for (index, projection) in projections.iter().enumerate() {
        let output = matrix(projection.output).transposed();
        assert_eq!(output.columns, projections[0].output.rows, "vocabulary of every projection");
        let target = MatrixMut::dense(logits, rows.len(), output.columns);
        let hidden = matrix(projection.hidden.row_range(rows.clone()));
        product(target, index > 0, hidden, output, projection.share, Workers::All);
    }
}

/// Carries the gradient of a block's logits on to the hidden states and the output matrix.
pub(super) fn project_gradient(
    projection: &Projection<'_>,
    rows: &Range<usize>,
    d_logits: &[f32],
    gradient: &mut OutputGradient<'_>,
) {
    let (vocab, hidden_size) = (projection.output.rows, projection.output.columns);
    let d_logits = Matrix::dense(d_logits, rows.len(), vocab);
    let d_hidden = slice_mut(gradient.d_hidden.reborrow());
    let d_hidden = &mut d_hidden[rows.start * hidden_size..rows.end * hidden_size];
    let d_hidden = MatrixMut::dense(d_hidden, rows.len(), hidden_size);
    product(d_hidden, false, d_logits, matrix(projection.output), 1.0, Workers::All);
    let d_output = MatrixMut::dense(slice_mut(gradient.d_output.reborrow()), vocab, hidden_size);
    let hidden = matrix(projection.hidden.row_range(rows.clone()));
    product(d_output, true, d_logits.transposed(), hidden, 1.0, Workers::All);
}

fn matrix<'a>(view: View<'a>) -> Matrix<'a> {
    Matrix::dense(slice(view), view.rows, view.columns)
}

vectorised! {
    /// The loss of one row; the logits become their gradient, times `scale`.
    fn row_gradient(logits: &mut [f32], target: usize, scale: f32) -> f64 {
        let (top, at_target) = (maximum(logits), logits[target]);
        let total = map_and_sum(logits, |logit| exp(logit - top));
        let factor = scale / total;
        for value in logits.iter_mut() {
            *value *= factor;
        }
        logits[target] -= scale;
        top as f64 - at_target as f64 + (total as f64).ln()
    }
}

vectorised! {
    /// The loss of one row.
    fn row_loss(logits: &[f32], target: usize) -> f64 {
        let top = maximum(logits);
        let total = sum_over([logits], |[logit]| exp(logit - top));
        top as f64 - logits[target] as f64 + (total as f64).ln()
    }
}

/// Runs `row` for every row of a block, on all threads, and collects what it returns in order.
fn for_rows(logits: &mut [f32], targets: &[u32], row: impl Fn(&mut [f32], u32) -> f64 + Sync) -> Vec<f64> {
    let vocab = logits.len() / targets.len();
    logits
        .par_chunks_exact_mut(vocab)
        .zip(targets)
        .with_min_len(rows_per_task(vocab))
        .map(|(logits, &target)| row(logits, target))
        .collect()
}

impl LanguageModelLossKernels for Cpu {
    fn language_model_loss(
        &self,
        projection: Projection<'_>,
        targets: &[u32],
        scale: f32,
        mut gradient: Option<OutputGradient<'_>>,
    ) -> f64 {
        let vocab = projection.output.rows;
        let mut memory = Logits::new(self, targets.len(), vocab);
        let mut sum = 0.0;
        for rows in blocks(targets.len(), vocab) {
            let logits = &mut memory.values()[..rows.len() * vocab];
            project(&[projection], &rows, logits);
            let with_gradient = gradient.is_some();
            let losses = for_rows(logits, &targets[rows.clone()], |logits, target| match target {
                NO_TARGET => {
                    logits.fill(0.0);
                    0.0
                }
                target if with_gradient => row_gradient(logits, target as usize, scale),
                target => row_loss(logits, target as usize),
            });
            sum += losses.iter().sum::<f64>();
            if let Some(gradient) = &mut gradient {
                project_gradient(&projection, &rows, logits, gradient);
            }
        }
        sum
    }

    fn log_probabilities(&self, projections: &[Projection<'_>], targets: &[u32], log_probabilities: &mut [f64]) {
        let vocab = projections[0].output.rows;
        let mut memory = Logits::new(self, targets.len(), vocab);
        for rows in blocks(targets.len(), vocab) {
            let logits = &mut memory.values()[..rows.len() * vocab];
            project(projections, &rows, logits);
            let found = for_rows(logits, &targets[rows.clone()], |logits, target| match target {
                NO_TARGET => 0.0,
                target => -row_loss(logits, target as usize),
            });
            log_probabilities[rows].copy_from_slice(&found);
        }
    }

    fn logits(&self, projections: &[Projection<'_>], logits: &mut [f32]) {
        project(projections, &(0..projections[0].hidden.rows), logits);
    }
}
