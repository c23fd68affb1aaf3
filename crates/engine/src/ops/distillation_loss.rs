//! The distillation loss of BabyLlama (arXiv 2308.02019, section 3): cross-entropy mixed with the
//! divergence between the teachers' softened distribution and the student's, on a block of rows at
//! a time.

use crate::kernels::kernels;
use crate::ops::language_model_loss::{
    NO_TARGET, OutputGradient, Projection, check_targets, loss_flops, projection_flops,
};
use crate::ops::linear::Linear;
use crate::tape::{Tape, Var};

#[cfg(test)]
pub(crate) mod reference;
#[cfg(test)]
mod tests;

/// How far apart the teachers' distribution `p` and the student's `q` are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Divergence {
    /// `KL(p || q)`, as the papers have it: the student covers whatever a teacher holds possible.
    #[default]
    ForwardKl,
    /// `KL(q || p)`: the student keeps to what the teachers hold likely (MiniLLM, arXiv
    /// 2306.08543).
    ReverseKl,
    /// `KL(p || m) / 2 + KL(q || m) / 2` with `m = (p + q) / 2`: symmetric, at most `ln 2`.
    JensenShannon,
}

impl Divergence {
    /// Every divergence with its name in settings.
    pub const NAMED: [(&'static str, Self); 3] = [
        ("forward_kl", Self::ForwardKl),
        ("reverse_kl", Self::ReverseKl),
        ("jensen_shannon", Self::JensenShannon),
    ];
}

/// How several teachers are combined. `w` are their weights, `t` their logits, `T` the temperature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ensemble {
    /// `p = softmax(sum w t / T)`, as the papers have it.
    #[default]
    MeanLogits,
    /// `p = sum w softmax(t / T)`.
    MeanProbs,
    /// Each teacher for itself: the objective is `sum w D(softmax(t / T), q)`.
    SumKl,
}

impl Ensemble {
    /// Every ensemble with its name in settings.
    pub const NAMED: [(&'static str, Self); 3] = [
        ("mean_logits", Self::MeanLogits),
        ("mean_probs", Self::MeanProbs),
        ("sum_kl", Self::SumKl),
    ];
}

/// What is minimised: which divergence from whom, and how the two sums are weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistillationObjective {
    /// Temperature that divides both sides' logits in the divergence.
    pub temperature: f32,
    /// Multiplies the sum of cross-entropies: `alpha / predicted tokens`.
    pub cross_entropy: f32,
    /// Multiplies `temperature^2` times the sum of divergences: `(1 - alpha) / positions` or `/
    /// sequences`.
    pub kl: f32,
    /// How the distance of two distributions is measured.
    pub divergence: Divergence,
    /// How several teachers are combined.
    pub ensemble: Ensemble,
}

/// Teacher outputs for a batch.
#[derive(Clone, Copy, Debug)]
pub enum TeacherSignal<'a> {
    /// Final hidden states with output matrices. A projection's `share` is that teacher's weight;
    /// weights sum to one.
    States(&'a [Projection<'a>]),
    /// Tokens drawn from the teachers' softened distribution. Only for the forward KL.
    Samples(TeacherSamples<'a>),
}

impl TeacherSignal<'_> {
    /// Floating-point operations of the teachers' logits.
    fn flops(&self) -> f64 {
        match self {
            Self::States(projections) => projection_flops(projections),
            Self::Samples(_) => 0.0,
        }
    }
}

/// Tokens drawn from the teachers' softened distribution (Random Sampling KD, arXiv 2503.16870), in
/// place of all its probabilities. The gradient is unbiased, and so is the loss.
#[derive(Clone, Copy, Debug)]
pub struct TeacherSamples<'a> {
    /// `[tokens * count]`: the draws of each row. Every draw stands for `1 / count` of the
    /// probability.
    pub ids: &'a [u32],
    /// Draws per row.
    pub count: usize,
    /// `[tokens]`: `sum p ln p` of the softened distribution.
    pub negative_entropies: &'a [f32],
}

/// The two sums over a batch's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DistillationSums {
    /// Sum of `-log softmax(student)[target]` over rows that have a target.
    pub cross_entropy: f64,
    /// Sum over all rows of `temperature^2` times the divergence.
    pub kl: f64,
}

kernels! {
    /// Kernels of distillation.
    pub trait DistillationLossKernels {
        /// The sums, and with `gradient` the gradients of `objective.cross_entropy * cross_entropy
        /// + objective.kl * kl`.
        #[flops(loss_flops(student, &gradient) + teachers.flops())]
        fn distillation_loss(
            &self,
            student: Projection<'_>,
            teachers: TeacherSignal<'_>,
            targets: &[u32],
            objective: DistillationObjective,
            gradient: Option<OutputGradient<'_>>,
        ) -> DistillationSums;
    }
}

impl Tape<'_> {
    /// The sums of both parts over the rows, for a student's output matrix `[vocab, hidden]` with
    /// or without a bias. When recording, the backward starts from the weighed objective.
    ///
    /// # Panics
    /// When shapes do not fit, weights do not sum to one, an id is outside the vocabulary, or
    /// samples are to serve another divergence than the forward KL; callers check what comes from
    /// outside.
    pub fn distillation_loss(
        &mut self,
        hidden: &Var,
        output: impl Into<Linear>,
        teachers: TeacherSignal<'_>,
        targets: &[u32],
        objective: DistillationObjective,
    ) -> DistillationSums {
        let output = output.into();
        let vocab = output.weight.rows;
        check_targets(hidden.value(), output.weight, targets);
        match teachers {
            TeacherSignal::States(projections) => check_teachers(projections, targets.len(), vocab),
            TeacherSignal::Samples(samples) => {
                assert_eq!(
                    objective.divergence,
                    Divergence::ForwardKl,
                    "samples support the forward KL only"
                );
                samples.check(targets.len(), vocab);
            }
        }
        self.output_layer_loss(hidden, output, |device, student, gradient| {
            device.distillation_loss(student, teachers, targets, objective, gradient)
        })
    }
}

impl TeacherSamples<'_> {
    fn check(&self, rows: usize, vocab: usize) {
        assert!(self.count > 0, "at least one draw per row");
        assert_eq!(self.ids.len(), rows * self.count, "draws for {rows} rows");
        assert_eq!(self.negative_entropies.len(), rows, "an entropy per row");
        assert!(self.ids.iter().all(|&id| (id as usize) < vocab), "a draw outside the vocabulary");
    }
}

/// Panics when teachers do not fit each other or the rows, or their weights do not sum to one.
pub(crate) fn check_teachers(teachers: &[Projection<'_>], rows: usize, vocab: usize) {
    for teacher in teachers {
        assert_eq!(teacher.hidden.rows, rows, "a teacher state per row");
        assert_eq!(teacher.output.rows, vocab, "vocabulary of a teacher and of the student");
    }
    let weights: f32 = teachers.iter().map(|teacher| teacher.share).sum();
    assert!((weights - 1.0).abs() < 1e-3, "the teachers' weights sum to {weights} instead of 1");
}

/// Whether a row takes part in the cross-entropy.
#[inline(always)]
pub fn has_target(target: u32) -> bool {
    target != NO_TARGET
}
