use super::*;
use crate::ops::language_model_loss::tests::{log_softmax, reference_logits};
use crate::params::{Layout, Role};
use crate::testing::{Check, random};
use crate::{Device, Tensor};
use std::sync::Arc;

fn objective(temperature: f32, cross_entropy: f32, kl: f32) -> DistillationObjective {
    let (divergence, ensemble) = (Divergence::ForwardKl, Ensemble::MeanLogits);
    DistillationObjective { temperature, cross_entropy, kl, divergence, ensemble }
}

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
        let scales = objective(temperature, 0.2, 0.7);
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
            let sums = tape.distillation_loss(
                &inputs[0],
                output,
                TeacherSignal::States(&teachers.projections()),
                &targets,
                scales,
            );
            scales.cross_entropy as f64 * sums.cross_entropy + scales.kl as f64 * sums.kl
        };
        let sums = {
            let mut tape = Tape::inference(&check.parameters);
            let input = tape.input(Tensor::from_slice(&check.device, rows, width, &check.inputs[0]));
            tape.distillation_loss(&input, output, TeacherSignal::States(&teachers.projections()), &targets, scales)
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
    let scales = objective(2.0, 0.0, 1.0);
    let sums = tape.distillation_loss(&input, output, TeacherSignal::States(&teacher), &[NO_TARGET; 3], scales);
    assert!(sums.kl.abs() < 1e-5 && sums.cross_entropy == 0.0, "{sums:?}");
}
