//! Drawing tokens from the teachers' softened distribution, a block of rows at a time.

use rayon::prelude::*;

use super::ensemble::{EnsembleLogits, negative_entropy_row};
use super::math::exp;
use super::output_layer::blocks;
use super::softmax::Softmax;
use super::{Cpu, rows_per_task, vectorised};
use crate::ops::distillation_loss::Ensemble;
use crate::ops::teacher_samples::{SoftenedTeachers, TeacherSamplesKernels};

vectorised! {
    /// A row's logits become probabilities, but for a factor near one.
    fn soften_row(logits: &mut [f32], temperature: f32) {
        let softmax = Softmax::of(logits, 1.0 / temperature);
        for logit in logits.iter_mut() {
            *logit = exp(softmax.log_probability(*logit));
        }
    }
}

/// Systematic resampling: draw `k` is the token at cumulative probability `(uniform + k) / draws`.
fn draw(probabilities: &[f32], uniform: f32, draws: &mut [u32]) {
    let total: f64 = probabilities.iter().map(|&probability| probability as f64).sum();
    let spacing = total / draws.len() as f64;
    let (mut cumulative, mut drawn) = (0.0, 0);
    for (id, &probability) in probabilities.iter().enumerate() {
        cumulative += probability as f64;
        while drawn < draws.len() && (uniform as f64 + drawn as f64) * spacing < cumulative {
            draws[drawn] = id as u32;
            drawn += 1;
        }
    }
    if drawn < draws.len() {
        // Rounding put the last draw at the very end of the sum: it belongs to the last token with
        // any probability.
        let last = probabilities.iter().rposition(|&probability| probability > 0.0).unwrap_or(0);
        draws[drawn..].fill(last as u32);
    }
}

impl TeacherSamplesKernels for Cpu {
    fn sample_teachers(
        &self,
        teachers: SoftenedTeachers<'_>,
        uniforms: &[f32],
        count: usize,
        ids: &mut [u32],
        negative_entropies: &mut [f32],
    ) {
        teachers.check(uniforms.len(), count, ids, negative_entropies);
        let (vocab, temperature) = (teachers.vocab(), teachers.temperature);
        let mut memory =
            EnsembleLogits::new(self, teachers.projections, teachers.ensemble, uniforms.len());
        for rows in blocks(uniforms.len(), vocab) {
            // Where the teachers stand each for itself, the constant is the mean of theirs, not
            // that of their mixture.
            let (logits, entropies) = match teachers.ensemble {
                Ensemble::MeanLogits => (memory.mean_logits(&rows), None),
                Ensemble::MeanProbs => (memory.mixture(&rows, temperature), None),
                Ensemble::SumKl => {
                    let (logits, entropies) = memory.mixture_with_entropies(&rows, temperature);
                    (logits, Some(entropies))
                }
            };
            logits
                .par_chunks_exact_mut(vocab)
                .zip(ids[rows.start * count..rows.end * count].par_chunks_exact_mut(count))
                .zip(&mut negative_entropies[rows.clone()])
                .zip(&uniforms[rows.clone()])
                .enumerate()
                .with_min_len(rows_per_task(vocab))
                .for_each(|(row, (((logits, ids), negative_entropy), &uniform))| {
                    let of_each = entropies.as_ref().map(|entropies| entropies[row]);
                    *negative_entropy =
                        of_each.unwrap_or_else(|| negative_entropy_row(logits, temperature)) as f32;
                    soften_row(logits, temperature);
                    draw(logits, uniform, ids);
                });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn rounding_never_carries_a_draw_past_the_last_probability() {
        let mut draws = [u32::MAX; 3];
        // A uniform of one is what rounding could make of the largest one below.
        draw(&[0.25, 0.0, 0.5, 0.0], 1.0, &mut draws);
        assert_eq!(draws, [2, 2, 2]);
        draw(&[0.0, 0.25, 0.5, 0.0], 0.0, &mut draws);
        assert_eq!(draws, [1, 2, 2]);
        draw(&[f32::NAN; 4], 0.5, &mut draws);
        assert_eq!(draws, [0, 0, 0]);
    }

    #[test]
    fn thresholds_lie_at_equal_distances() {
        let mut draws = [0; 8];
        draw(&[0.5, 0.125, 0.125, 0.25], 0.5, &mut draws);
        assert_eq!(draws, [0, 0, 0, 0, 1, 2, 3, 3]);
    }
}
