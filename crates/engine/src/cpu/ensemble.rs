//! Several teachers as one, a block of rows at a time: the mean of their logits, the mixture of
//! their distributions, or each for itself.

use std::ops::Range;

use rayon::prelude::*;

use super::math::{exp, ln, long_sum_over};
use super::output_layer::{Logits, OutputLayer, project_all};
use super::softmax::Softmax;
use super::{Cpu, rows_per_task, vectorised};
use crate::ops::distillation_loss::Ensemble;
use crate::ops::language_model_loss::Projection;

/// Memory for a block of the teachers' logits.
pub(super) struct EnsembleLogits<'a> {
    teachers: Vec<OutputLayer<'a>>,
    combined: Logits<'a>,
    /// The logits of the second and each later teacher, where they must not be added up.
    other: Option<Logits<'a>>,
}

impl<'a> EnsembleLogits<'a> {
    pub(super) fn new(
        device: &'a Cpu,
        teachers: &'a [Projection<'a>],
        ensemble: Ensemble,
        rows: usize,
    ) -> Self {
        let teachers = OutputLayer::of_all(device.products, teachers);
        let vocab = teachers[0].vocab();
        let apart = ensemble != Ensemble::MeanLogits && teachers.len() > 1;
        let other = apart.then(|| Logits::new(device, rows, vocab));
        Self { teachers, combined: Logits::new(device, rows, vocab), other }
    }

    fn vocab(&self) -> usize {
        self.teachers[0].vocab()
    }

    /// The weighted mean of the teachers' logits.
    pub(super) fn mean_logits(&mut self, rows: &Range<usize>) -> &mut [f32] {
        let length = rows.len() * self.vocab();
        let logits = &mut self.combined.values()[..length];
        project_all(&self.teachers, rows, logits);
        logits
    }

    /// Logits whose softmax at this temperature is the weighted mean of the teachers' softened
    /// distributions.
    pub(super) fn mixture(&mut self, rows: &Range<usize>, temperature: f32) -> &mut [f32] {
        let weigh = |_, weight, logits: &mut [f32]| {
            weigh_row(logits, weight, temperature);
            0.0
        };
        self.combine(rows, weigh, |mixed, next| mix_row(mixed, next, temperature)).0
    }

    /// The logits of `mixture`, and of each row the weighted sum of the teachers' `sum p ln p`.
    pub(super) fn mixture_with_entropies(
        &mut self,
        rows: &Range<usize>,
        temperature: f32,
    ) -> (&mut [f32], Vec<f64>) {
        let weigh = |_, weight, logits: &mut [f32]| {
            let entropy = negative_entropy_row(logits, temperature);
            weigh_row(logits, weight, temperature);
            weight as f64 * entropy
        };
        self.combine(rows, weigh, |mixed, next| mix_row(mixed, next, temperature))
    }

    /// Passes each teacher's logits through `each`, row by row with the row's number in the block
    /// and the teacher's weight, and merges the results of the second and later teachers into the
    /// first's. Also the sums of what `each` returned.
    pub(super) fn combine(
        &mut self,
        rows: &Range<usize>,
        each: impl Fn(usize, f32, &mut [f32]) -> f64 + Sync,
        merge: impl Fn(&mut [f32], &[f32]) + Sync,
    ) -> (&mut [f32], Vec<f64>) {
        let vocab = self.vocab();
        let length = rows.len() * vocab;
        let combined = &mut self.combined.values()[..length];
        let mut sums = vec![0.0; rows.len()];
        for (index, teacher) in self.teachers.iter().enumerate() {
            let share = teacher.projection.share;
            match self.other.as_mut().filter(|_| index > 0) {
                None => {
                    teacher.project(rows, 1.0, false, combined);
                    let logits = combined.par_chunks_exact_mut(vocab);
                    let tasks =
                        logits.zip(&mut sums).enumerate().with_min_len(rows_per_task(vocab));
                    tasks.for_each(|(row, (logits, sum))| *sum = each(row, share, logits));
                }
                Some(other) => {
                    let other = &mut other.values()[..length];
                    teacher.project(rows, 1.0, false, other);
                    let logits =
                        combined.par_chunks_exact_mut(vocab).zip(other.par_chunks_exact_mut(vocab));
                    let tasks =
                        logits.zip(&mut sums).enumerate().with_min_len(rows_per_task(vocab));
                    tasks.for_each(|(row, ((combined, logits), sum))| {
                        *sum += each(row, share, logits);
                        merge(combined, logits);
                    });
                }
            }
        }
        (combined, sums)
    }
}

vectorised! {
    /// `sum p ln p` of a row's softened distribution.
    pub(super) fn negative_entropy_row(logits: &[f32], temperature: f32) -> f64 {
        let softmax = Softmax::of(logits, 1.0 / temperature);
        long_sum_over([logits], |[logit]| {
            let log_p = softmax.log_probability(logit);
            exp(log_p) * log_p
        })
    }
}

vectorised! {
    /// Logits become `temperature * ln(weight * softmax(logits / temperature))`.
    fn weigh_row(logits: &mut [f32], weight: f32, temperature: f32) {
        let softmax = Softmax::of(logits, 1.0 / temperature);
        // A weight of zero stays finite: e^-87 of a probability is nothing.
        let log_weight = weight.max(f32::MIN_POSITIVE).ln();
        for logit in logits.iter_mut() {
            *logit = (softmax.log_probability(*logit) + log_weight) * temperature;
        }
    }
}

vectorised! {
    /// `temperature * ln(e^(mixed / temperature) + e^(next / temperature))`.
    fn mix_row(mixed: &mut [f32], next: &[f32], temperature: f32) {
        let inverse = 1.0 / temperature;
        for (mixed, next) in mixed.iter_mut().zip(next) {
            let larger = if *mixed > *next { *mixed } else { *next };
            *mixed = larger + temperature * ln(1.0 + exp(-(*mixed - *next).abs() * inverse));
        }
    }
}
