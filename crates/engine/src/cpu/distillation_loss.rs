//! The distillation loss, a block of rows at a time.

use rayon::prelude::*;

use super::language_model_loss::{Logits, blocks, project, project_gradient};
use super::math::{exp, map_and_sum, maximum, sum_of};
use super::{Cpu, rows_per_task, vectorised};
use crate::ops::distillation_loss::{DistillationLossKernels, DistillationScales, DistillationSums, has_target};
use crate::ops::language_model_loss::{NO_TARGET, OutputGradient, Projection};

/// What a row's softmax needs: the largest logit and the sums of exponentials at temperature 1 and at the asked one.
#[derive(Clone, Copy)]
struct RowSums {
    top: f32,
    plain: f32,
    softened: f32,
}

#[inline(always)]
fn row_sums(logits: &[f32], inverse_temperature: f32) -> RowSums {
    let top = maximum(logits);
    let softened = sum_of(logits.len(), |index| exp((logits[index] - top) * inverse_temperature));
    let plain =
        if inverse_temperature == 1.0 { softened } else { sum_of(logits.len(), |index| exp(logits[index] - top)) };
    RowSums { top, plain, softened }
}

vectorised! {
    /// Both losses of a row. The student's logits become their gradient; the teachers' are used up.
    fn distill_row(student: &mut [f32], teacher: &mut [f32], target: u32, scales: DistillationScales) -> (f64, f64) {
        let inverse = 1.0 / scales.temperature;
        let sums = row_sums(student, inverse);
        let teacher_top = maximum(teacher);
        // KL = sum p * ((t - t_top) - (z - z_top)) / T + ln(sum_z) - ln(sum_t): differences first, for precision.
        // Pieces keep the single-precision partial sums short.
        const PIECE: usize = 1024;
        let (mut difference, mut teacher_sum) = (0.0f64, 0.0f64);
        for (teacher, student) in teacher.chunks_mut(PIECE).zip(student.chunks(PIECE)) {
            difference += sum_of(teacher.len(), |i| {
                let (t, z) = (teacher[i] - teacher_top, student[i] - sums.top);
                exp(t * inverse) * (t - z)
            }) as f64;
            teacher_sum += map_and_sum(teacher, |t| exp((t - teacher_top) * inverse)) as f64;
        }
        let kl = difference / teacher_sum * inverse as f64 + (sums.softened as f64).ln() - teacher_sum.ln();
        let cross_entropy = match target {
            NO_TARGET => 0.0,
            target => sums.top as f64 - student[target as usize] as f64 + (sums.plain as f64).ln(),
        };
        row_gradient(student, teacher, sums, teacher_sum as f32, target, scales);
        (cross_entropy, kl * (scales.temperature as f64).powi(2))
    }
}

#[inline(always)]
fn row_gradient(
    student: &mut [f32],
    teacher: &[f32],
    sums: RowSums,
    teacher_sum: f32,
    target: u32,
    scales: DistillationScales,
) {
    let inverse = 1.0 / scales.temperature;
    // d(T^2 * KL) / dz = T * (q - p).
    let weight = scales.kl * scales.temperature;
    let (student_share, teacher_share) = (weight / sums.softened, weight / teacher_sum);
    let plain_share = if has_target(target) { scales.cross_entropy / sums.plain } else { 0.0 };
    if inverse == 1.0 {
        let share = student_share + plain_share;
        for (z, p) in student.iter_mut().zip(teacher) {
            *z = exp(*z - sums.top) * share - p * teacher_share;
        }
    } else {
        for (z, p) in student.iter_mut().zip(teacher) {
            let softened = exp((*z - sums.top) * inverse) * student_share;
            *z = exp(*z - sums.top) * plain_share + softened - p * teacher_share;
        }
    }
    if has_target(target) {
        student[target as usize] -= scales.cross_entropy;
    }
}

impl DistillationLossKernels for Cpu {
    fn distillation_loss(
        &self,
        student: Projection<'_>,
        teachers: &[Projection<'_>],
        targets: &[u32],
        scales: DistillationScales,
        mut gradient: Option<OutputGradient<'_>>,
    ) -> DistillationSums {
        let vocab = student.output.rows;
        let mut student_memory = Logits::new(self, targets.len(), vocab);
        let mut teacher_memory = Logits::new(self, targets.len(), vocab);
        let mut sums = DistillationSums::default();
        for rows in blocks(targets.len(), vocab) {
            let logits = &mut student_memory.values()[..rows.len() * vocab];
            let teacher_logits = &mut teacher_memory.values()[..rows.len() * vocab];
            project(&[student], &rows, logits);
            project(teachers, &rows, teacher_logits);
            for (cross_entropy, kl) in distill_rows(logits, teacher_logits, &targets[rows.clone()], scales) {
                sums.cross_entropy += cross_entropy;
                sums.kl += kl;
            }
            if let Some(gradient) = &mut gradient {
                project_gradient(&student, &rows, logits, gradient);
            }
        }
        sums
    }
}

/// Both losses of every row of a block, on all threads.
fn distill_rows(
    student: &mut [f32],
    teacher: &mut [f32],
    targets: &[u32],
    scales: DistillationScales,
) -> Vec<(f64, f64)> {
    let vocab = student.len() / targets.len();
    student
        .par_chunks_exact_mut(vocab)
        .zip(teacher.par_chunks_exact_mut(vocab))
        .zip(targets)
        .with_min_len(rows_per_task(vocab))
        .map(|((student, teacher), &target)| distill_row(student, teacher, target, scales))
        .collect()
}
