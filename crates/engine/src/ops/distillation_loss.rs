//! The distillation loss of BabyLlama (arXiv 2308.02019, section 3): cross-entropy mixed with the divergence from the
//! mean of the teachers' logits, on a block of rows at a time.

use crate::ops::language_model_loss::{NO_TARGET, OutputGradient, Projection, check_targets};
use crate::params::Segment;
use crate::tape::{Tape, Var};

/// How the two sums are weighed in the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistillationScales {
    /// Temperature that divides both sides' logits in the divergence.
    pub temperature: f32,
    /// Multiplies the sum of cross-entropies: `alpha / predicted tokens`.
    pub cross_entropy: f32,
    /// Multiplies `temperature^2` times the sum of divergences: `(1 - alpha) / positions` or `/ sequences`.
    pub kl: f32,
}

/// The two sums over a batch's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DistillationSums {
    /// Sum of `-log softmax(student)[target]` over rows that have a target.
    pub cross_entropy: f64,
    /// Sum over all rows of `temperature^2 * KL(softmax(teachers / temperature) || softmax(student / temperature))`.
    pub kl: f64,
}

/// Kernels of distillation.
pub trait DistillationLossKernels {
    /// The sums, and with `gradient` the gradients of `scales.cross_entropy * cross_entropy + scales.kl * kl`. The
    /// teachers' logits are the sum of their projections.
    fn distillation_loss(
        &self,
        student: Projection<'_>,
        teachers: &[Projection<'_>],
        targets: &[u32],
        scales: DistillationScales,
        gradient: Option<OutputGradient<'_>>,
    ) -> DistillationSums;
}

impl Tape<'_> {
    /// The sums of both parts over the rows. When recording, the backward starts from the scaled objective.
    pub fn distillation_loss(
        &mut self,
        hidden: &Var,
        output: Segment,
        teachers: &[Projection<'_>],
        targets: &[u32],
        scales: DistillationScales,
    ) -> DistillationSums {
        check_targets(hidden.value(), output, targets);
        for teacher in teachers {
            assert_eq!(teacher.hidden.rows, targets.len(), "a teacher state per row");
            assert_eq!(teacher.output.rows, output.rows, "vocabulary of a teacher and of the student");
        }
        let (parameters, device) = (self.parameters(), self.device());
        let student = Projection { hidden: hidden.value().view(), output: parameters.view(output), share: 1.0 };
        let mut d_hidden = self.allocate(hidden.value().rows(), hidden.value().columns());
        let gradient = self
            .gradients()
            .map(|gradients| OutputGradient { d_hidden: d_hidden.view_mut(), d_output: gradients.view_mut(output) });
        let recording = gradient.is_some();
        let sums = device.distillation_loss(student, teachers, targets, scales, gradient);
        if recording {
            self.seed(hidden, d_hidden);
        }
        sums
    }
}

/// Whether a row takes part in the cross-entropy.
#[inline(always)]
pub fn has_target(target: u32) -> bool {
    target != NO_TARGET
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::language_model_loss::tests::{log_softmax, reference_logits};
    use crate::params::{Layout, Role};
    use crate::testing::{Check, random};
    use crate::{Device, Tensor};
    use std::sync::Arc;

    struct Teachers(Vec<(Tensor, Tensor)>);

    impl Teachers {
        fn new(device: &Arc<dyn Device>, rows: usize, vocab: usize, widths: &[usize]) -> Self {
            let tensor = |seed, rows, width| Tensor::from_slice(device, rows, width, &random(seed, rows * width));
            Self(widths.iter().map(|&width| (tensor(8, rows, width), tensor(9, vocab, width))).collect())
        }

        fn projections(&self) -> Vec<Projection<'_>> {
            let share = 1.0 / self.0.len() as f32;
            self.0.iter().map(|(h, w)| Projection { hidden: h.view(), output: w.view(), share }).collect()
        }

        fn mean_logits(&self) -> Vec<Vec<f64>> {
            let all = self.0.iter().map(|(h, w)| reference_logits(&h.to_vec(), &w.to_vec(), h.columns()));
            let add = |a: Vec<Vec<f64>>, b: Vec<Vec<f64>>| {
                a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
            };
            let sum: Vec<Vec<f64>> = all.reduce(add).unwrap();
            sum.iter().map(|row| row.iter().map(|value| value / self.0.len() as f64).collect()).collect()
        }
    }

    #[test]
    fn matches_the_reference_and_finite_differences() {
        for (rows, width, vocab, temperature) in [(1, 3, 2, 1.0), (6, 5, 33, 2.0), (70, 4, 301, 1.5)] {
            let mut layout = Layout::default();
            let output = layout.add("output", vocab, width, Role::Weight);
            let mut check = Check::new(layout, &[(rows, width)]);
            let teachers = Teachers::new(&check.device, rows, vocab, &[6, 2]);
            let targets: Vec<u32> =
                (0..rows).map(|row| if row % 4 == 3 { NO_TARGET } else { (row * 7 % vocab) as u32 }).collect();
            let scales = DistillationScales { temperature, cross_entropy: 0.2, kl: 0.7 };
            let mut expected = DistillationSums::default();
            let student = reference_logits(&check.inputs[0], &check.segment(output), width);
            for ((z, t), &target) in student.iter().zip(teachers.mean_logits()).zip(&targets) {
                let soften = |row: &[f64]| log_softmax(&row.iter().map(|v| v / temperature as f64).collect::<Vec<_>>());
                let (log_q, log_p) = (soften(z), soften(&t));
                let kl: f64 = log_p.iter().zip(&log_q).map(|(p, q)| p.exp() * (p - q)).sum();
                expected.kl += (temperature as f64).powi(2) * kl;
                if target != NO_TARGET {
                    expected.cross_entropy -= log_softmax(z)[target as usize];
                }
            }
            let forward = |tape: &mut Tape, inputs: &[Var]| {
                let sums = tape.distillation_loss(&inputs[0], output, &teachers.projections(), &targets, scales);
                scales.cross_entropy as f64 * sums.cross_entropy + scales.kl as f64 * sums.kl
            };
            let sums = {
                let mut tape = Tape::inference(&check.parameters);
                let input = tape.input(Tensor::from_slice(&check.device, rows, width, &check.inputs[0]));
                tape.distillation_loss(&input, output, &teachers.projections(), &targets, scales)
            };
            assert!((sums.kl - expected.kl).abs() < 1e-4 * expected.kl.max(1e-3));
            assert!((sums.cross_entropy - expected.cross_entropy).abs() < 1e-4 * expected.cross_entropy);
            check.objective_gradients(1.0, forward);
        }
    }

    #[test]
    fn a_student_that_agrees_with_its_teacher_has_no_divergence() {
        let mut layout = Layout::default();
        let output = layout.add("output", 50, 4, Role::Weight);
        let check = Check::new(layout, &[(3, 4)]);
        let hidden = Tensor::from_slice(&check.device, 3, 4, &check.inputs[0]);
        let teacher = [Projection { hidden: hidden.view(), output: check.parameters.view(output), share: 1.0 }];
        let mut tape = Tape::inference(&check.parameters);
        let input = tape.input(hidden.clone());
        let scales = DistillationScales { temperature: 2.0, cross_entropy: 0.0, kl: 1.0 };
        let sums = tape.distillation_loss(&input, output, &teacher, &[NO_TARGET; 3], scales);
        assert!(sums.kl.abs() < 1e-5 && sums.cross_entropy == 0.0, "{sums:?}");
    }
}
