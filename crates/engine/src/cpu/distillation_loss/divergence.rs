//! A row's divergence between two softened distributions, with its gradient, and how it is combined
//! with the cross-entropy.
//!
//! With `g[j] = dD / dq[j]` the gradient of a divergence `D` by the student's logits is
//! `q[j] (g[j] - sum q g) / T`. All is computed from `ln q` and the log-ratio `ln q - ln p`, which
//! stay finite where a probability underflows.

use crate::cpu::math::{exp, ln, long_sum_over, maximum, sum_over};
use crate::cpu::softmax::Softmax;
use crate::cpu::vectorised;
use crate::ops::distillation_loss::{Divergence, has_target};

vectorised! {
    /// `T^2` times a row's divergence; the teacher's logits become its gradient by the student's
    /// logits, times `weight`.
    pub fn divergence_row(
        student: &[f32],
        teacher: &mut [f32],
        divergence: Divergence,
        temperature: f32,
        weight: f32,
    ) -> f64 {
        let inverse = 1.0 / temperature;
        let (q, p) = (Softmax::of(student, inverse), Softmax::of(teacher, inverse));
        // Differences of logits first, for precision.
        for (ratio, z) in teacher.iter_mut().zip(student) {
            *ratio = ((z - q.top) - (*ratio - p.top)) * inverse - (q.logsumexp - p.logsumexp);
        }
        let weight = weight * temperature;
        let value = match divergence {
            Divergence::ForwardKl => forward_kl(student, q, teacher, weight),
            Divergence::ReverseKl => reverse_kl(student, q, teacher, weight),
            Divergence::JensenShannon => jensen_shannon(student, q, teacher, weight),
        };
        value * (temperature as f64).powi(2)
    }
}

/// `KL(p || q)`; the log-ratios become `weight * (q - p)`.
#[inline(always)]
fn forward_kl(student: &[f32], q: Softmax, ratios: &mut [f32], weight: f32) -> f64 {
    let value =
        long_sum_over([student, ratios], |[z, ratio]| -ratio * exp(q.log_probability(z) - ratio));
    for (ratio, &z) in ratios.iter_mut().zip(student) {
        let log_q = q.log_probability(z);
        *ratio = weight * (exp(log_q) - exp(log_q - *ratio));
    }
    value
}

/// `KL(q || p)`; with `g = ln q - ln p` the log-ratios become `weight * q (g - sum q g)`.
#[inline(always)]
fn reverse_kl(student: &[f32], q: Softmax, ratios: &mut [f32], weight: f32) -> f64 {
    let value = long_sum_over([student, ratios], |[z, ratio]| ratio * exp(q.log_probability(z)));
    let mean = value as f32;
    for (ratio, &z) in ratios.iter_mut().zip(student) {
        *ratio = weight * exp(q.log_probability(z)) * (*ratio - mean);
    }
    value
}

/// `KL(p || m) / 2 + KL(q || m) / 2`; with `g = ln(q / m) / 2` the log-ratios become `weight * q (g
/// - sum q g)`.
#[inline(always)]
fn jensen_shannon(student: &[f32], q: Softmax, ratios: &mut [f32], weight: f32) -> f64 {
    let from_student = long_sum_over([student, ratios], |[z, ratio]| {
        exp(q.log_probability(z)) * log_over_middle(ratio)
    });
    let from_teacher = long_sum_over([student, ratios], |[z, ratio]| {
        exp(q.log_probability(z) - ratio) * log_over_middle(-ratio)
    });
    let mean = from_student as f32;
    for (ratio, &z) in ratios.iter_mut().zip(student) {
        *ratio = 0.5 * weight * exp(q.log_probability(z)) * (log_over_middle(*ratio) - mean);
    }
    0.5 * (from_teacher + from_student)
}

/// `ln(a / m)` with `m = (a + b) / 2`, from `ln a - ln b`.
#[inline(always)]
fn log_over_middle(log_ratio: f32) -> f32 {
    let below = if log_ratio < 0.0 { log_ratio } else { 0.0 };
    below - ln(0.5 + 0.5 * exp(-log_ratio.abs()))
}

vectorised! {
    /// The cross-entropy of a row; the student's logits become its gradient times `weight`, plus
    /// the divergence's.
    pub fn join_row(
        student: &mut [f32],
        divergence_gradient: &[f32],
        target: u32,
        weight: f32,
    ) -> f64 {
        if !has_target(target) {
            student.copy_from_slice(divergence_gradient);
            return 0.0;
        }
        let (top, at_target) = (maximum(student), student[target as usize]);
        let sum = sum_over([student], |[z]| exp(z - top));
        let share = weight / sum;
        for (z, gradient) in student.iter_mut().zip(divergence_gradient) {
            *z = exp(*z - top) * share + gradient;
        }
        student[target as usize] -= weight;
        top as f64 - at_target as f64 + (sum as f64).ln()
    }
}
