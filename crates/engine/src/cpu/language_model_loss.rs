//! The output layer and the language-model loss, a block of rows at a time.

use rayon::prelude::*;

use super::math::{exp, map_and_sum, maximum, sum_over};
use super::output_layer::{
    Logits, OutputLayer, OutputLayerGradient, blocks, project_all, project_rows,
};
use super::{Cpu, rows_per_task, vectorised};
use crate::ops::language_model_loss::{
    LanguageModelLossKernels, NO_TARGET, OutputGradient, Projection, Target,
};

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
    /// The logarithm of the sum of the exponentials of one row.
    fn row_logsumexp(logits: &[f32]) -> f64 {
        let top = maximum(logits);
        let total = sum_over([logits], |[logit]| exp(logit - top));
        top as f64 + (total as f64).ln()
    }
}

/// The loss of one row.
fn row_loss(logits: &[f32], target: usize) -> f64 {
    row_logsumexp(logits) - logits[target] as f64
}

/// Runs `row` for every row of a block, on all threads, and collects what it returns in order.
fn for_rows(
    logits: &mut [f32],
    targets: &[u32],
    row: impl Fn(&mut [f32], u32) -> f64 + Sync,
) -> Vec<f64> {
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
        gradient: Option<OutputGradient<'_>>,
    ) -> f64 {
        let layer = OutputLayer::new(self.products, projection);
        let mut gradient =
            gradient.map(|gradient| OutputLayerGradient::new(self, projection, gradient));
        let vocab = layer.vocab();
        let mut memory = Logits::new(self, targets.len(), vocab);
        let mut sum = 0.0;
        for rows in blocks(targets.len(), vocab) {
            let logits = &mut memory.values()[..rows.len() * vocab];
            layer.project(&rows, projection.share, false, logits);
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
                gradient.carry(&rows, logits);
            }
        }
        sum
    }

    fn log_probabilities(
        &self,
        projections: &[Projection<'_>],
        targets: &[Target],
        log_probabilities: &mut [f64],
    ) {
        assert!(
            targets.is_sorted_by_key(|target| target.row),
            "targets in the order of their rows"
        );
        let layers = OutputLayer::of_all(self.products, projections);
        let vocab = layers[0].vocab();
        let by_row: Vec<&[Target]> = targets.chunk_by(|a, b| a.row == b.row).collect();
        let mut memory = Logits::new(self, by_row.len(), vocab);
        let mut found = log_probabilities.iter_mut();
        for block in blocks(by_row.len(), vocab) {
            let rows: Vec<u32> =
                by_row[block.clone()].iter().map(|targets| targets[0].row).collect();
            let logits = &mut memory.values()[..rows.len() * vocab];
            project_rows(&layers, &rows, logits);
            let logsumexps = for_rows(logits, &rows, |logits, _| row_logsumexp(logits));
            for ((targets, logits), logsumexp) in
                by_row[block].iter().zip(logits.chunks_exact(vocab)).zip(logsumexps)
            {
                for (target, found) in targets.iter().zip(&mut found) {
                    *found = logits[target.id as usize] as f64 - logsumexp;
                }
            }
        }
    }

    fn logits(&self, projections: &[Projection<'_>], logits: &mut [f32]) {
        project_all(
            &OutputLayer::of_all(self.products, projections),
            &(0..projections[0].hidden.rows),
            logits,
        );
    }
}
