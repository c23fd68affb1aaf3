//! The distillation loss, a block of rows at a time.

use std::ops::Range;

use super::Cuda;
use super::ensemble::EnsembleLogits;
use super::kernels::{DISTILLATION_LOSS, Launch, Parameter};
use super::language_model_loss::ID;
use super::memory::Values;
use super::output_layer::{OutputLayerGradient, RowSums, blocks, threads, wide_rows};
use crate::ops::distillation_loss::{
    DistillationLossKernels, DistillationObjective, DistillationSums, Divergence, Ensemble,
    TeacherSignal,
};
use crate::ops::language_model_loss::{OutputGradient, Projection};

/// `Objective` of `distillation_loss.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Objective {
    temperature: f32,
    cross_entropy: f32,
    kl: f32,
}

// Safety: `repr(C)`, three floats.
unsafe impl Parameter for Objective {}

impl Objective {
    fn of(objective: DistillationObjective) -> Self {
        let DistillationObjective { temperature, cross_entropy, kl, .. } = objective;
        Self { temperature, cross_entropy, kl }
    }
}

/// The divergence's number in `distillation_loss.cu`.
fn number_of(divergence: Divergence) -> u32 {
    match divergence {
        Divergence::ForwardKl => 0,
        Divergence::ReverseKl => 1,
        Divergence::JensenShannon => 2,
    }
}

/// A block of rows on the GPU: where its parts are.
struct Block<'a> {
    device: &'a Cuda,
    rows: Range<usize>,
    vocab: usize,
    objective: DistillationObjective,
    /// The student's, in f32.
    logits: u64,
    targets: u64,
    /// Written, if there are any.
    d_logits: Values,
    /// One for each row, in double precision; written.
    cross_entropies: u64,
    kls: u64,
}

impl DistillationLossKernels for Cuda {
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
                let (ids, entropies) =
                    (self.upload(samples.ids), self.upload(samples.negative_entropies));
                self.distill_in_blocks(student, targets, objective, gradient, |block| {
                    let ids = ids.pointer() + (block.rows.start * samples.count * ID) as u64;
                    let entropies =
                        entropies.pointer() + (block.rows.start * size_of::<f32>()) as u64;
                    block.distill_from_samples(ids, samples.count, entropies);
                })
            }
            TeacherSignal::States(projections) => {
                let teachers =
                    EnsembleLogits::new(self, projections, objective.ensemble, targets.len());
                self.distill_in_blocks(student, targets, objective, gradient, |block| {
                    block.distill(&teachers)
                })
            }
        }
    }
}

impl Cuda {
    /// Computes the student's logits block by block; `distill` turns them into their gradient and
    /// each row's losses.
    fn distill_in_blocks(
        &self,
        student: Projection<'_>,
        targets: &[u32],
        objective: DistillationObjective,
        gradient: Option<OutputGradient<'_>>,
        distill: impl Fn(&Block<'_>),
    ) -> DistillationSums {
        let vocab = student.output.rows;
        let mut gradient =
            gradient.map(|gradient| OutputLayerGradient::new(self, student, gradient));
        let logits = self.block_of_logits(targets.len(), vocab);
        let losses = RowSums::<2>::new(self, targets.len());
        let targets_there = self.upload(targets);
        for rows in blocks(targets.len(), vocab) {
            self.project(student, &rows, student.share, logits.pointer());
            distill(&Block {
                device: self,
                rows: rows.clone(),
                vocab,
                objective,
                logits: logits.pointer(),
                targets: targets_there.pointer() + (rows.start * ID) as u64,
                d_logits: OutputLayerGradient::d_logits(&gradient),
                cross_entropies: losses.at(0, rows.start),
                kls: losses.at(1, rows.start),
            });
            if let Some(gradient) = &mut gradient {
                gradient.carry(&rows);
            }
        }
        let [cross_entropy, kl] = losses.total();
        DistillationSums { cross_entropy, kl }
    }
}

impl<'a> Block<'a> {
    fn kernel(&self, name: &'static str) -> Launch<'a> {
        self.device.kernels.get(DISTILLATION_LOSS, name).with(self.logits)
    }

    /// # Safety
    /// As for `Launch::run`; the kernel works on one row in each of its blocks of threads.
    unsafe fn run(&self, launch: Launch<'_>) {
        // Safety: passed on.
        unsafe { launch.with(wide_rows(self.vocab)).run(self.rows.len(), threads(self.vocab)) }
    }

    fn distill(&self, teachers: &EnsembleLogits<'_>) {
        let DistillationObjective { temperature, kl, divergence, ensemble, .. } = self.objective;
        let teacher = match ensemble {
            Ensemble::MeanLogits => teachers.mean_logits(&self.rows),
            Ensemble::MeanProbs => teachers.mixture(&self.rows, temperature, None),
            Ensemble::SumKl => {
                let gradient = teachers.combine(&self.rows, |turn| {
                    self.divergence(
                        (turn.share, turn.share * kl),
                        turn.logits,
                        turn.combined,
                        turn.first,
                    );
                });
                return self.join(gradient);
            }
        };
        match divergence {
            Divergence::ForwardKl => self.distill_forward(teacher),
            _ => {
                self.divergence((1.0, kl), teacher, teacher, true);
                self.join(teacher);
            }
        }
    }

    /// Both losses and their gradient, for the forward KL from one distribution.
    fn distill_forward(&self, teacher: u64) {
        let launch =
            self.kernel("distill_rows").with(teacher).with(self.targets).with(self.vocab as u32);
        let launch = launch.with(Objective::of(self.objective)).with(self.d_logits);
        let launch = launch.with(self.cross_entropies).with(self.kls);
        // Safety: `distill_rows(student, teacher, targets, vocab, objective, gradient,
        // cross_entropies, kls, wide)`; all have room for the block's rows.
        unsafe { self.run(launch) }
    }

    /// The divergence from one distribution, times `share`, and its gradient, times `weight`; they
    /// begin the sums or are added to them.
    fn divergence(&self, (share, weight): (f32, f32), teacher: u64, gradient: u64, first: bool) {
        let DistillationObjective { temperature, divergence, .. } = self.objective;
        let launch = self
            .kernel("divergence_rows")
            .with(teacher)
            .with(self.vocab as u32)
            .with(number_of(divergence));
        let launch = launch
            .with(temperature)
            .with(share)
            .with(weight)
            .with(gradient)
            .with(first as u32)
            .with(self.kls);
        // Safety: `divergence_rows(student, teacher, vocab, divergence, temperature, share, weight,
        // gradient, first, kls, wide)`; all have room for the block's rows.
        unsafe { self.run(launch) }
    }

    /// The cross-entropy, and its gradient together with the divergence's.
    fn join(&self, divergence_gradient: u64) {
        let launch = self
            .kernel("join_rows")
            .with(divergence_gradient)
            .with(self.targets)
            .with(self.vocab as u32);
        let launch = launch
            .with(self.objective.cross_entropy)
            .with(self.d_logits)
            .with(self.cross_entropies);
        // Safety: `join_rows(student, divergence_gradient, targets, vocab, weight, gradient,
        // cross_entropies, wide)`; all have room for the block's rows.
        unsafe { self.run(launch) }
    }

    /// Both losses and their gradient, from tokens drawn from the teachers.
    fn distill_from_samples(&self, ids: u64, count: usize, entropies: u64) {
        let launch =
            self.kernel("distill_rows_from_samples").with(ids).with(count as u32).with(entropies);
        let launch =
            launch.with(self.targets).with(self.vocab as u32).with(Objective::of(self.objective));
        let launch = launch.with(self.d_logits).with(self.cross_entropies).with(self.kls);
        // Safety: `distill_rows_from_samples(student, ids, count, negative_entropies, targets,
        // vocab, objective, gradient, cross_entropies, kls, wide)`; all have room for the block's
        // rows, and no id is outside the vocabulary.
        unsafe { self.run(launch) }
    }
}
