//! Blocks of tokens drawn from the teachers (arXiv 2503.16870): `[tokens, samples]` ids of two
//! bytes, or four where the vocabulary needs them, and then for each token the negative entropy as
//! f32.

use std::ops::Range;

use base::rng::Rng;
use engine::ops::distillation_loss::{self, TeacherSamples};
use engine::ops::language_model_loss::Projection;
use engine::ops::teacher_samples::SoftenedTeachers;
use model::Model;

use super::CacheFormat;
use crate::data::{MicroBatch, Origin};
use crate::signals::online::hidden_states;
use crate::signals::teacher_weights::TeacherWeights;
use crate::signals::{DistillInputs, Distillation, TeacherOutputs};

/// The largest vocabulary whose ids fit two bytes.
const TWO_BYTE_VOCABULARY: usize = 1 << 16;

/// The cache format of drawn tokens.
pub(in crate::signals) struct Sampled {
    shares: Vec<f32>,
    ensemble: distillation_loss::Ensemble,
    temperature: f32,
    samples: usize,
    rng: Rng,
    vocab_size: usize,
    length: usize,
    /// The draws of the micro-batch.
    ids: Vec<u32>,
    negative_entropies: Vec<f32>,
}

impl Sampled {
    pub(in crate::signals) fn new(distillation: &Distillation, inputs: &DistillInputs<'_>) -> Self {
        let settings = &distillation.settings;
        Self {
            shares: settings.shares(distillation.teachers.len()),
            ensemble: settings.ensemble,
            temperature: settings.temperature as f32,
            samples: settings.samples,
            rng: Rng::new(distillation.sample_seed, "teacher-samples"),
            vocab_size: inputs.vocab_size,
            length: inputs.settings.sequence_length,
            ids: Vec::new(),
            negative_entropies: Vec::new(),
        }
    }

    fn id_bytes(&self) -> usize {
        if self.vocab_size > TWO_BYTE_VOCABULARY { 4 } else { 2 }
    }

    fn encode(&self, ids: &[u32], negative_entropies: &[f32]) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.block_bytes());
        match self.id_bytes() {
            2 => block.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
            _ => block.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
        }
        block.extend(negative_entropies.iter().flat_map(|value| value.to_le_bytes()));
        block
    }

    /// One uniform number for each token of a sequence.
    fn uniforms(&self, origin: &Origin, sequence: usize) -> Vec<f32> {
        let rng = self
            .rng
            .at(origin.text as u64)
            .at(origin.offset as u64)
            .at(origin.sequences[sequence].into());
        (0..self.length as u64).map(|position| rng.uniform(position)).collect()
    }
}

impl CacheFormat for Sampled {
    const NEEDS_OUTPUT_LAYERS: bool = false;

    fn parts(&self) -> Vec<usize> {
        vec![self.length * self.samples * self.id_bytes(), self.length * size_of::<f32>()]
    }

    fn begin_batch(&mut self, sequences: usize) {
        let rows = sequences * self.length;
        self.ids.resize(rows * self.samples, 0);
        self.negative_entropies.resize(rows, 0.0);
    }

    fn decode(&mut self, slot: usize, parts: &[&[u8]]) -> bool {
        let [ids, negative_entropies] = parts else { return false };
        let (first, id_bytes) = (slot * self.length, self.id_bytes());
        let target = &mut self.ids[first * self.samples..][..ids.len() / id_bytes];
        match id_bytes {
            2 => target
                .iter_mut()
                .zip(ids.as_chunks().0)
                .for_each(|(id, &bytes)| *id = u16::from_le_bytes(bytes).into()),
            _ => target
                .iter_mut()
                .zip(ids.as_chunks().0)
                .for_each(|(id, &bytes)| *id = u32::from_le_bytes(bytes)),
        }
        let known = target.iter().all(|&id| (id as usize) < self.vocab_size);
        self.negative_entropies[first..]
            .iter_mut()
            .zip(negative_entropies.as_chunks().0)
            .for_each(|(value, &bytes)| *value = f32::from_le_bytes(bytes));
        known
    }

    fn forward(&self, models: &[Model], micro_batch: &MicroBatch) -> Vec<Vec<u8>> {
        let Some(origin) = &micro_batch.origin else { return Vec::new() };
        let states: Vec<_> =
            models.iter().map(|model| hidden_states(model, &micro_batch.batch)).collect();
        // A sequence at a time, so that what is drawn does not depend on the other sequences.
        let draw = |(sequence, rows): (usize, Range<usize>)| {
            let mut projections = Vec::new();
            for ((model, states), &share) in models.iter().zip(&states).zip(&self.shares) {
                let hidden = states.value().view().row_range(rows.clone());
                projections.push(Projection { hidden, ..model.projection(states, share) });
            }
            let (ensemble, temperature) = (self.ensemble, self.temperature);
            let teachers = SoftenedTeachers { projections: &projections, ensemble, temperature };
            let (mut ids, mut entropies) =
                (vec![0; self.length * self.samples], vec![0.0; self.length]);
            let uniforms = self.uniforms(origin, sequence);
            models[0].device().sample_teachers(
                teachers,
                &uniforms,
                self.samples,
                &mut ids,
                &mut entropies,
            );
            self.encode(&ids, &entropies)
        };
        micro_batch.batch.spans.iter().enumerate().map(draw).collect()
    }

    fn synthetic_block(&self, rng: Rng) -> Vec<u8> {
        let draws = (self.length * self.samples) as u64;
        let mut ids: Vec<u32> =
            (0..draws).map(|index| rng.below(index, self.vocab_size as u64) as u32).collect();
        // A token's draws are sorted, as those of teachers are.
        ids.chunks_mut(self.samples).for_each(<[u32]>::sort_unstable);
        // Between that of the uniform distribution and 0.
        self.encode(&ids, &vec![-0.5 * (self.vocab_size as f32).ln(); self.length])
    }

    fn outputs<'a>(&'a self, _: &'a TeacherWeights) -> TeacherOutputs<'a> {
        let (ids, negative_entropies) = (&self.ids[..], &self.negative_entropies[..]);
        TeacherOutputs::Samples(TeacherSamples { ids, count: self.samples, negative_entropies })
    }
}
