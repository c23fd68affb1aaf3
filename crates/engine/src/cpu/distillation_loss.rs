//! The distillation loss, a block of rows at a time.

mod divergence;
mod forward_kl;

use std::ops::Range;

use rayon::prelude::*;

use self::divergence::{divergence_row, join_row};
use self::forward_kl::{distill_row, distill_row_from_samples};
use super::elementwise::add;
use super::ensemble::EnsembleLogits;
use super::output_layer::{Logits, OutputLayer, OutputLayerGradient, blocks};
use super::{Cpu, rows_per_task};
use crate::ops::distillation_loss::{
    DistillationLossKernels, DistillationObjective, DistillationSums, Divergence, Ensemble,
    TeacherSamples, TeacherSignal,
};
use crate::ops::language_model_loss::{OutputGradient, Projection};

impl DistillationLossKernels for Cpu {
    fn distillation_loss(
        &self,
        student: Projection<'_>,
        teachers: TeacherSignal<'_>,
        targets: &[u32],
        objective: DistillationObjective,
        gradient: Option<OutputGradient<'_>>,
    ) -> DistillationSums {
        match teachers {
            TeacherSignal::Samples(samples) => {
                in_blocks(self, student, targets.len(), gradient, |rows, logits| {
                    rows_from_samples(logits, samples, rows, targets, objective)
                })
            }
            TeacherSignal::States(projections) => {
                let mut teachers =
                    EnsembleLogits::new(self, projections, objective.ensemble, targets.len());
                in_blocks(self, student, targets.len(), gradient, |rows, logits| {
                    rows_from_states(logits, &mut teachers, rows, &targets[rows.clone()], objective)
                })
            }
        }
    }
}

/// Computes the student's logits block by block; `distill` turns them into their gradient and
/// returns each row's losses.
fn in_blocks(
    device: &Cpu,
    student: Projection<'_>,
    rows: usize,
    gradient: Option<OutputGradient<'_>>,
    mut distill: impl FnMut(&Range<usize>, &mut [f32]) -> Vec<DistillationSums>,
) -> DistillationSums {
    let layer = OutputLayer::new(device.products, student);
    let mut gradient = gradient.map(|gradient| OutputLayerGradient::new(device, student, gradient));
    let vocab = layer.vocab();
    let mut memory = Logits::new(device, rows, vocab);
    let mut sums = DistillationSums::default();
    for rows in blocks(rows, vocab) {
        let logits = &mut memory.values()[..rows.len() * vocab];
        layer.project(&rows, student.share, false, logits);
        for losses in distill(&rows, logits) {
            sums.cross_entropy += losses.cross_entropy;
            sums.kl += losses.kl;
        }
        if let Some(gradient) = &mut gradient {
            gradient.carry(&rows, logits);
        }
    }
    sums
}

fn rows_from_states(
    student: &mut [f32],
    teachers: &mut EnsembleLogits<'_>,
    rows: &Range<usize>,
    targets: &[u32],
    objective: DistillationObjective,
) -> Vec<DistillationSums> {
    let DistillationObjective {
        temperature,
        cross_entropy: weight,
        kl: kl_weight,
        divergence,
        ensemble,
    } = objective;
    let vocab = student.len() / targets.len();
    let teacher = match ensemble {
        Ensemble::MeanLogits => teachers.mean_logits(rows),
        Ensemble::MeanProbs => teachers.mixture(rows, temperature),
        Ensemble::SumKl => {
            let each = |row: usize, share: f32, teacher: &mut [f32]| {
                let student = &student[row * vocab..(row + 1) * vocab];
                share as f64
                    * divergence_row(student, teacher, divergence, temperature, share * kl_weight)
            };
            let (gradient, divergences) = teachers.combine(rows, each, |sums, row| add(row, sums));
            let mut losses = for_rows(student, gradient, targets, |student, gradient, target| {
                DistillationSums {
                    cross_entropy: join_row(student, gradient, target, weight),
                    kl: 0.0,
                }
            });
            losses.iter_mut().zip(divergences).for_each(|(losses, kl)| losses.kl = kl);
            return losses;
        }
    };
    for_rows(student, teacher, targets, |student, teacher, target| match divergence {
        Divergence::ForwardKl => distill_row(student, teacher, target, objective),
        _ => {
            let kl = divergence_row(student, teacher, divergence, temperature, kl_weight);
            DistillationSums { cross_entropy: join_row(student, teacher, target, weight), kl }
        }
    })
}

/// Calls `row` with the student's and the teacher's part of every row of a block, on all threads.
fn for_rows(
    student: &mut [f32],
    teacher: &mut [f32],
    targets: &[u32],
    row: impl Fn(&mut [f32], &mut [f32], u32) -> DistillationSums + Sync,
) -> Vec<DistillationSums> {
    let vocab = student.len() / targets.len();
    student
        .par_chunks_exact_mut(vocab)
        .zip(teacher.par_chunks_exact_mut(vocab))
        .zip(targets)
        .with_min_len(rows_per_task(vocab))
        .map(|((student, teacher), &target)| row(student, teacher, target))
        .collect()
}

fn rows_from_samples(
    student: &mut [f32],
    samples: TeacherSamples<'_>,
    rows: &Range<usize>,
    targets: &[u32],
    objective: DistillationObjective,
) -> Vec<DistillationSums> {
    let vocab = student.len() / rows.len();
    student
        .par_chunks_exact_mut(vocab)
        .zip(
            samples.ids[rows.start * samples.count..rows.end * samples.count]
                .par_chunks_exact(samples.count),
        )
        .zip(&samples.negative_entropies[rows.clone()])
        .zip(&targets[rows.clone()])
        .with_min_len(rows_per_task(vocab))
        .map(|(((student, ids), &negative_entropy), &target)| {
            distill_row_from_samples(student, ids, negative_entropy, target, objective)
        })
        .collect()
}
