//! Held-out loss: the mean cross-entropy of fixed sequences, and for a student the objective on the
//! same sequences.

use std::ops::Range;

use base::Stopped;
use corpus::chunks::Chunks;
use engine::ops::language_model_loss::Target;
use engine::{BatchLimit, Device, Tape};
use model::Model;

use crate::data::{MicroBatch, TextKind, TokenSource};
use crate::error::TrainError;
use crate::masking::Masking;
use crate::settings::DistillSettings;
use crate::signals::TeacherSignals;
use crate::step::{Normalisers, objective, unweighted};

/// Held-out sequences of a text.
pub struct Heldout<'a> {
    /// The text.
    pub source: &'a dyn TokenSource,
    /// How it is cut into sequences.
    pub chunks: Chunks,
    /// The numbers of the sequences that are measured.
    pub sequences: Vec<u32>,
    /// Sequences per forward pass, or fewer where the device has no memory for them.
    pub batch_size: usize,
    /// How tokens of a masked model are hidden, which then are what is predicted.
    pub masking: Option<Masking>,
    /// Asked before every forward pass; once it answers `true`, measuring ends with
    /// [`TrainError::Stopped`].
    pub should_stop: Option<&'a dyn Fn() -> bool>,
}

/// Held-out losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldoutLoss {
    /// Mean over the predicted tokens.
    pub cross_entropy: f64,
    /// The distillation objective, where it was asked for.
    pub objective: Option<f64>,
    /// Tokens of the sequences.
    pub tokens: usize,
}

impl Heldout<'_> {
    /// Measures the sequences batch by batch, and adds up with `add`, which also gets the batch as
    /// it was read.
    fn each<T>(
        &self,
        device: &dyn Device,
        mut measure: impl FnMut(&MicroBatch) -> Result<T, TrainError>,
        mut add: impl FnMut(&MicroBatch, T),
    ) -> Result<(), TrainError> {
        let (mut batch_limit, mut rest) = (BatchLimit::up_to(self.batch_size), &self.sequences[..]);
        while !rest.is_empty() {
            if self.should_stop.is_some_and(|should_stop| should_stop()) {
                return Err(Stopped.into());
            }
            let first = self.sequences.len() - rest.len();
            let measured = batch_limit.fit(device, rest.len(), |size| {
                let (kind, numbers) = (TextKind::Heldout, &rest[..size]);
                let mut batch = MicroBatch::cut(kind, self.source, &self.chunks, numbers);
                if let Some(masking) = &self.masking {
                    masking.apply(&mut batch, first);
                }
                measure(&batch).map(|found| (batch, found))
            });
            let (batch, found) =
                measured.map_err(TrainError::out_of_memory(self.chunks.sequence_length()))??;
            rest = &rest[batch.batch.spans.count()..];
            add(&batch, found);
        }
        Ok(())
    }

    /// The cross-entropy of a model, or of several by their averaged logits.
    ///
    /// # Errors
    /// When vocabularies differ in size, a model's positions do not reach, or the caller asked
    /// to stop.
    pub fn cross_entropy(&self, models: &[&Model]) -> Result<HeldoutLoss, TrainError> {
        self.cross_entropy_of_each(models, |_, _| ())
    }

    /// As [`cross_entropy`](Self::cross_entropy); `see` gets every sequence's place in the text and
    /// the log-probabilities of its predicted tokens: all but the first, or of masked models those
    /// that are hidden.
    ///
    /// # Errors
    /// As there.
    pub fn cross_entropy_of_each(
        &self,
        models: &[&Model],
        mut see: impl FnMut(Range<usize>, &[f64]),
    ) -> Result<HeldoutLoss, TrainError> {
        self.check(models)?;
        let (mut sum, mut predicted, mut tokens) = (0.0, 0, 0);
        let mut places = self.sequences.iter().map(|&index| self.chunks.range(index as usize));
        let measure = |micro_batch: &MicroBatch| {
            let targets = Target::of_rows(&micro_batch.targets());
            Ok(model::log_probabilities(models, &micro_batch.batch, &targets))
        };
        self.each(&**models[0].device(), measure, |batch, log_probabilities| {
            let mut rest = &log_probabilities[..];
            for (count, place) in batch.predicted_tokens_of_each().zip(&mut places) {
                let (of_one, others) = rest.split_at(count);
                see(place, of_one);
                rest = others;
            }
            sum -= log_probabilities.iter().sum::<f64>();
            predicted += batch.predicted_tokens();
            tokens += batch.batch.tokens();
        })?;
        Ok(HeldoutLoss { cross_entropy: sum / predicted.max(1) as f64, objective: None, tokens })
    }

    fn check(&self, models: &[&Model]) -> Result<(), TrainError> {
        let (first, sequence_length) =
            (models[0].config().vocab_size, self.chunks.sequence_length());
        for config in models.iter().map(|model| model.config()) {
            if config.vocab_size != first {
                return Err(TrainError::EnsembleVocabulary { first, other: config.vocab_size });
            }
            if config.max_positions < sequence_length {
                let (model, max_positions) = ("a model".to_owned(), config.max_positions);
                return Err(TrainError::TooManyPositions { sequence_length, model, max_positions });
            }
        }
        Ok(())
    }

    /// Cross-entropy and distillation objective of a student.
    ///
    /// # Errors
    /// When the teacher outputs cannot be read, or the caller asked to stop.
    pub fn distillation(
        &self,
        student: &Model,
        settings: &DistillSettings,
        signals: &mut dyn TeacherSignals,
    ) -> Result<HeldoutLoss, TrainError> {
        let (mut cross_entropy, mut kl, mut total) = (0.0, 0.0, Normalisers::default());
        let measure = |micro_batch: &MicroBatch| {
            let batch = &micro_batch.batch;
            let mut tape = Tape::inference(student.parameters());
            let hidden = student.decoder().hidden_states(&mut tape, batch, None);
            let (output, targets) = (student.decoder().output(), micro_batch.targets());
            let (teachers, measured) = (signals.read(micro_batch, None)?, unweighted(settings));
            Ok(tape.distillation_loss(&hidden, output, teachers.as_signal(), &targets, measured))
        };
        self.each(&**student.device(), measure, |batch, sums| {
            cross_entropy += sums.cross_entropy;
            kl += sums.kl;
            total.add(&batch.batch, batch.predicted_tokens());
        })?;
        let (loss, cross_entropy, _) = objective(cross_entropy, Some(kl), &total, Some(settings));
        Ok(HeldoutLoss { cross_entropy, objective: Some(loss), tokens: total.positions })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use engine::cpu::Cpu;
    use model::Architecture;

    use super::*;
    use crate::signals::tests::config;

    #[test]
    fn measuring_ends_after_the_batch_at_work() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let model = Model::new(config(Architecture::GPT2, 8), &device, 1).unwrap();
        let text: Vec<u32> = (0..80).map(|place| place * 7 % 32).collect();
        let (asked, seen) = (Cell::new(0), Cell::new(0));
        let measure = |until: usize| {
            asked.set(0);
            seen.set(0);
            let should_stop = || {
                asked.set(asked.get() + 1);
                asked.get() > until
            };
            let chunks = Chunks::fixed(text.len(), 8, 0).unwrap();
            let sequences = (0..chunks.count() as u32).collect();
            let heldout = Heldout {
                source: &text,
                chunks,
                sequences,
                batch_size: 3,
                masking: None,
                should_stop: Some(&should_stop),
            };
            heldout.cross_entropy_of_each(&[&model], |_, _| seen.set(seen.get() + 1))
        };
        // Ten sequences are four batches.
        assert_eq!(measure(4).unwrap().tokens, 80);
        assert_eq!((asked.get(), seen.get()), (4, 10));
        assert!(matches!(measure(2), Err(TrainError::Stopped(_))));
        assert_eq!((asked.get(), seen.get()), (3, 6));
    }
}
