//! Several teachers as one, a block of rows at a time: the mean of their logits, the mixture of
//! their distributions, or each for itself.

use std::ops::Range;

use super::Cuda;
use super::kernels::ENSEMBLE;
use super::memory::Scratch;
use super::output_layer::{threads, vocab_of, wide_rows};
use crate::ops::distillation_loss::Ensemble;
use crate::ops::language_model_loss::Projection;

/// A teacher's logits of a block of rows, to be added to those of all teachers.
pub(super) struct Turn {
    /// The teacher's weight.
    pub share: f32,
    /// The teacher's logits, in f32.
    pub logits: u64,
    /// The logits of all teachers, in f32: the first teacher's own logits.
    pub combined: u64,
    pub first: bool,
}

/// Memory for a block of the teachers' logits.
pub(super) struct EnsembleLogits<'a> {
    device: &'a Cuda,
    teachers: &'a [Projection<'a>],
    combined: Scratch<'a>,
    /// The logits of the second and each later teacher, where they must not be added up.
    other: Option<Scratch<'a>>,
}

impl<'a> EnsembleLogits<'a> {
    pub(super) fn new(
        device: &'a Cuda,
        teachers: &'a [Projection<'a>],
        ensemble: Ensemble,
        rows: usize,
    ) -> Self {
        let vocab = vocab_of(teachers);
        let apart = ensemble != Ensemble::MeanLogits && teachers.len() > 1;
        let other = apart.then(|| device.block_of_logits(rows, vocab));
        Self { device, teachers, combined: device.block_of_logits(rows, vocab), other }
    }

    /// The weighted mean of the teachers' logits.
    pub(super) fn mean_logits(&self, rows: &Range<usize>) -> u64 {
        self.device.project_all(self.teachers, rows, self.combined.pointer());
        self.combined.pointer()
    }

    /// Logits whose softmax at this temperature is the weighted mean of the teachers' softened
    /// distributions. Where `entropies` is an address, also of each row the weighted sum of the
    /// teachers' `sum p ln p`, in double precision.
    pub(super) fn mixture(
        &self,
        rows: &Range<usize>,
        temperature: f32,
        entropies: Option<u64>,
    ) -> u64 {
        let vocab = vocab_of(self.teachers);
        self.combine(rows, |turn| {
            // A weight of zero stays finite: e^-87 of a probability is nothing.
            let log_weight = turn.share.max(f32::MIN_POSITIVE).ln();
            let launch = self
                .device
                .kernels
                .get(ENSEMBLE, "mix_teacher")
                .with(turn.logits)
                .with(vocab as u32);
            let launch =
                launch.with(turn.share).with(log_weight).with(temperature).with(turn.combined);
            let launch =
                launch.with(turn.first as u32).with(entropies.unwrap_or(0)).with(wide_rows(vocab));
            // Safety: `mix_teacher(logits, vocab, weight, log_weight, temperature, mixed, first,
            // entropies, wide)`; both blocks of logits have room for these rows, and so have the
            // entropies.
            unsafe { launch.run(rows.len(), threads(vocab)) }
        })
    }

    /// Gives each teacher's logits its turn, one after the other.
    pub(super) fn combine(&self, rows: &Range<usize>, mut each: impl FnMut(Turn)) -> u64 {
        let combined = self.combined.pointer();
        for (index, &teacher) in self.teachers.iter().enumerate() {
            let other = self.other.as_ref().filter(|_| index > 0);
            let logits = other.map_or(combined, Scratch::pointer);
            self.device.project(teacher, rows, 1.0, logits);
            each(Turn { share: teacher.share, logits, combined, first: index == 0 });
        }
        combined
    }
}
