//! Drawing tokens from the teachers' softened distribution, a block of rows at a time.

use super::Cuda;
use super::ensemble::EnsembleLogits;
use super::kernels::TEACHER_SAMPLES;
use super::language_model_loss::ID;
use super::output_layer::{RowSums, blocks, threads, wide_rows};
use crate::ops::distillation_loss::Ensemble;
use crate::ops::teacher_samples::{SoftenedTeachers, TeacherSamplesKernels};

impl TeacherSamplesKernels for Cuda {
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
        let memory =
            EnsembleLogits::new(self, teachers.projections, teachers.ensemble, uniforms.len());
        let uniforms_there = self.upload(uniforms);
        let ids_there = self.scratch_bytes(size_of_val(ids));
        let entropies_there = self.scratch_bytes(size_of_val(negative_entropies));
        // Where the teachers stand each for itself, the constant is the mean of theirs, not that of
        // their mixture.
        let of_each =
            (teachers.ensemble == Ensemble::SumKl).then(|| RowSums::<1>::new(self, uniforms.len()));
        for rows in blocks(uniforms.len(), vocab) {
            let of_each = of_each.as_ref().map(|of_each| of_each.at(0, rows.start));
            let logits = match teachers.ensemble {
                Ensemble::MeanLogits => memory.mean_logits(&rows),
                Ensemble::MeanProbs | Ensemble::SumKl => {
                    memory.mixture(&rows, temperature, of_each)
                }
            };
            let skipped = (rows.start * size_of::<f32>()) as u64;
            let launch =
                self.kernels.get(TEACHER_SAMPLES, "sample_rows").with(logits).with(vocab as u32);
            let launch = launch
                .with(temperature)
                .with(uniforms_there.pointer() + skipped)
                .with(count as u32);
            let launch = launch.with(ids_there.pointer() + (rows.start * count * ID) as u64);
            let launch =
                launch.with(of_each.unwrap_or(0)).with(entropies_there.pointer() + skipped);
            // Safety: `sample_rows(logits, vocab, temperature, uniforms, count, ids,
            // given_entropies, entropies, wide)`; all have room for these rows, and the ids for
            // `count` of each.
            unsafe { launch.with(wide_rows(vocab)).run(rows.len(), threads(vocab)) }
        }
        self.fetch(ids_there.pointer(), ids);
        self.fetch(entropies_there.pointer(), negative_entropies);
    }
}
