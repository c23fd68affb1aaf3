//! The forward KL and the cross-entropy of a row in one go: from the teachers' logits, or from
//! tokens drawn from them.

use crate::cpu::math::{exp, map_and_sum, maximum, sum_over};
use crate::cpu::vectorised;
use crate::ops::distillation_loss::{DistillationObjective, DistillationSums, has_target};
use crate::ops::language_model_loss::NO_TARGET;

/// What a row's softmax needs: the largest logit and the sums of exponentials at temperature 1 and
/// at the asked one.
#[derive(Clone, Copy)]
struct RowSums {
    top: f32,
    plain: f32,
    softened: f32,
}

#[inline(always)]
fn row_sums(logits: &[f32], inverse_temperature: f32) -> RowSums {
    let top = maximum(logits);
    let softened = sum_over([logits], |[logit]| exp((logit - top) * inverse_temperature));
    let plain = if inverse_temperature == 1.0 {
        softened
    } else {
        sum_over([logits], |[logit]| exp(logit - top))
    };
    RowSums { top, plain, softened }
}

#[inline(always)]
fn cross_entropy(student: &[f32], sums: RowSums, target: u32) -> f64 {
    match target {
        NO_TARGET => 0.0,
        target => sums.top as f64 - student[target as usize] as f64 + (sums.plain as f64).ln(),
    }
}

vectorised! {
    /// Both losses of a row. The student's logits become their gradient; the teachers' are used up.
    pub fn distill_row(
        student: &mut [f32],
        teacher: &mut [f32],
        target: u32,
        objective: DistillationObjective,
    ) -> DistillationSums {
        let inverse = 1.0 / objective.temperature;
        let sums = row_sums(student, inverse);
        let teacher_top = maximum(teacher);
        // KL = sum p * ((t - t_top) - (z - z_top)) / T + ln(sum_z) - ln(sum_t): differences first,
        // for precision. Pieces keep the single-precision partial sums short.
        const PIECE: usize = 1024;
        let (mut difference, mut teacher_sum) = (0.0f64, 0.0f64);
        for (teacher, student) in teacher.chunks_mut(PIECE).zip(student.chunks(PIECE)) {
            difference += sum_over([teacher, student], |[t, z]| {
                let (t, z) = (t - teacher_top, z - sums.top);
                exp(t * inverse) * (t - z)
            }) as f64;
            teacher_sum += map_and_sum(teacher, |t| exp((t - teacher_top) * inverse)) as f64;
        }
        let kl = difference / teacher_sum * inverse as f64 + (sums.softened as f64).ln()
            - teacher_sum.ln();
        let cross_entropy = cross_entropy(student, sums, target);
        row_gradient(student, teacher, sums, teacher_sum as f32, target, objective);
        DistillationSums { cross_entropy, kl: kl * (objective.temperature as f64).powi(2) }
    }
}

#[inline(always)]
fn row_gradient(
    student: &mut [f32],
    teacher: &[f32],
    sums: RowSums,
    teacher_sum: f32,
    target: u32,
    objective: DistillationObjective,
) {
    let inverse = 1.0 / objective.temperature;
    // d(T^2 * KL) / dz = T * (q - p).
    let weight = objective.kl * objective.temperature;
    let (student_share, teacher_share) = (weight / sums.softened, weight / teacher_sum);
    let plain_share = if has_target(target) { objective.cross_entropy / sums.plain } else { 0.0 };
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
        student[target as usize] -= objective.cross_entropy;
    }
}

vectorised! {
    /// Both losses of a row, from tokens drawn from the teachers. The student's logits become their
    /// gradient.
    pub fn distill_row_from_samples(
        student: &mut [f32],
        ids: &[u32],
        negative_entropy: f32,
        target: u32,
        objective: DistillationObjective,
    ) -> DistillationSums {
        let inverse = 1.0 / objective.temperature;
        let sums = row_sums(student, inverse);
        let logits: f64 = ids.iter().map(|&id| (student[id as usize] - sums.top) as f64).sum();
        let mean_log_q = logits / ids.len() as f64 * inverse as f64 - (sums.softened as f64).ln();
        let kl = negative_entropy as f64 - mean_log_q;
        let cross_entropy = cross_entropy(student, sums, target);

        let weight = objective.kl * objective.temperature;
        let student_share = weight / sums.softened;
        let plain_share =
            if has_target(target) { objective.cross_entropy / sums.plain } else { 0.0 };
        for z in student.iter_mut() {
            *z = exp(*z - sums.top) * plain_share + exp((*z - sums.top) * inverse) * student_share;
        }
        for &id in ids {
            student[id as usize] -= weight / ids.len() as f32;
        }
        if has_target(target) {
            student[target as usize] -= objective.cross_entropy;
        }
        DistillationSums { cross_entropy, kl: kl * (objective.temperature as f64).powi(2) }
    }
}
