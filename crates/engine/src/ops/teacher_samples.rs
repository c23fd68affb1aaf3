//! Drawing tokens from the teachers' softened distribution (Random Sampling KD, arXiv 2503.16870),
//! so that a few ids per position can stand for the whole vocabulary's probabilities.

use crate::kernels::kernels;
use crate::ops::distillation_loss::{Ensemble, check_teachers};
use crate::ops::language_model_loss::Projection;
use crate::ops::language_model_loss::projection_flops;

#[cfg(test)]
mod tests;

/// A distribution per row, as one or more teachers give it.
#[derive(Clone, Copy, Debug)]
pub struct SoftenedTeachers<'a> {
    /// A projection's `share` is that teacher's weight; weights sum to one.
    pub projections: &'a [Projection<'a>],
    /// How several teachers are combined.
    pub ensemble: Ensemble,
    /// Divides the logits.
    pub temperature: f32,
}

kernels! {
    /// Kernels of sampling.
    pub trait TeacherSamplesKernels {
        /// Draws `count` ids per row in ascending order, and the constant that makes the sampled
        /// forward KL unbiased.
        ///
        /// `uniforms` holds a number in `[0, 1)` for each row, `ids` `[tokens * count]` and
        /// `negative_entropies` `[tokens]` are written, ready for
        /// [`TeacherSamples`](crate::ops::distillation_loss::TeacherSamples). The draws of a row
        /// lie at cumulative probabilities `(uniform + k) / count` (systematic resampling): the
        /// expected number of an id's draws is `count * p`, and it is never further from that than
        /// to the next whole number.
        ///
        /// `SumKl` draws as `MeanProbs` does, since both have the same gradient under the forward
        /// KL; its constant is `sum w sum p ln p` over the teachers.
        ///
        /// # Panics
        /// When shapes do not fit or weights do not sum to one.
        #[flops(projection_flops(teachers.projections))]
        fn sample_teachers(
            &self,
            teachers: SoftenedTeachers<'_>,
            uniforms: &[f32],
            count: usize,
            ids: &mut [u32],
            negative_entropies: &mut [f32],
        );
    }
}

impl SoftenedTeachers<'_> {
    /// Number of tokens in the vocabulary.
    ///
    /// # Panics
    /// Without teachers.
    pub fn vocab(&self) -> usize {
        self.projections[0].output.rows
    }

    /// Panics when teachers do not fit each other, or the slices to be written do not fit `rows`
    /// rows.
    pub(crate) fn check(&self, rows: usize, count: usize, ids: &[u32], negative_entropies: &[f32]) {
        check_teachers(self.projections, rows, self.vocab());
        assert!(count > 0, "at least one draw per row");
        assert_eq!(ids.len(), rows * count, "draws for {rows} rows");
        assert_eq!(negative_entropies.len(), rows, "an entropy per row");
    }
}
