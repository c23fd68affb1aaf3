//! Blocks of final hidden states: for each teacher in turn `[tokens, hidden]`.

use std::sync::Arc;

use base::rng::Rng;
use engine::ops::language_model_loss::Projection;
use engine::{Device, Precision, Shape, Tensor, ViewMut};
use model::Model;

use super::{CacheFormat, DeviceCache, encode, value_bytes};
use crate::data::MicroBatch;
use crate::settings::Codec;
use crate::signals::online::hidden_states;
use crate::signals::teacher_weights::TeacherWeights;
use crate::signals::{DistillInputs, Distillation, TeacherOutputs};

/// The cache format of hidden states.
pub(in crate::signals) struct Hidden {
    device: Arc<dyn Device>,
    codec: Codec,
    shares: Vec<f32>,
    hidden_sizes: Vec<usize>,
    length: usize,
    /// The states of the micro-batch: a matrix for each teacher.
    states: Vec<Tensor>,
    device_cache: Option<DeviceCache>,
}

impl Hidden {
    pub(in crate::signals) fn new(distillation: &Distillation, inputs: &DistillInputs<'_>) -> Self {
        Self {
            device: inputs.device.clone(),
            codec: distillation.settings.codec,
            shares: distillation.settings.shares(distillation.teachers.len()),
            hidden_sizes: distillation
                .teachers
                .iter()
                .map(|teacher| teacher.config().hidden_size)
                .collect(),
            length: inputs.settings.sequence_length,
            states: Vec::new(),
            device_cache: None,
        }
    }
}

impl CacheFormat for Hidden {
    const NEEDS_OUTPUT_LAYERS: bool = true;

    fn parts(&self) -> Vec<usize> {
        let row = self.length * value_bytes(self.codec);
        self.hidden_sizes.iter().map(|size| row * size).collect()
    }

    fn begin_batch(&mut self, sequences: usize) {
        // The pool reuses the memory of the last micro-batch's states.
        self.states.clear();
        let rows = sequences * self.length;
        let precision = match self.codec {
            Codec::F32 => Precision::Full,
            Codec::Bf16 => Precision::Compact,
        };
        let tensor =
            |&columns: &usize| Tensor::of_shape(&self.device, Shape { rows, columns, precision });
        self.states.extend(self.hidden_sizes.iter().map(tensor));
    }

    fn reserve_device_cache(&mut self, blocks: usize) {
        self.device_cache =
            DeviceCache::new(&self.device, self.codec, self.length, &self.hidden_sizes, blocks);
    }

    fn has_device_cache(&self) -> bool {
        self.device_cache.is_some()
    }

    fn is_on_device(&self, block: usize) -> bool {
        self.device_cache.as_ref().is_some_and(|cache| cache.has(block))
    }

    fn load_from_device(&mut self, block: usize, slot: usize) -> bool {
        self.device_cache.as_ref().is_some_and(|cache| cache.load(block, slot, &mut self.states))
    }

    fn store_on_device(&mut self, block: usize, slot: usize) {
        if let Some(cache) = &mut self.device_cache {
            cache.store(block, slot, &self.states);
        }
    }

    fn decode(&mut self, slot: usize, parts: &[&[u8]]) -> bool {
        for ((tensor, &size), part) in self.states.iter_mut().zip(&self.hidden_sizes).zip(parts) {
            let rows = part.len() / (size * value_bytes(self.codec));
            let target = ViewMut::block(tensor, slot * self.length * size, rows, size);
            match self.codec {
                Codec::F32 => self.device.write_f32(target, part.as_chunks().0),
                Codec::Bf16 => self.device.write_bf16(target, part.as_chunks().0),
            }
        }
        true
    }

    fn forward(&self, models: &[Model], micro_batch: &MicroBatch) -> Vec<Vec<u8>> {
        let mut blocks =
            vec![Vec::with_capacity(self.block_bytes()); micro_batch.batch.spans.count()];
        for (model, size) in models.iter().zip(&self.hidden_sizes) {
            let states = hidden_states(model, &micro_batch.batch).value().to_vec();
            for (block, rows) in blocks.iter_mut().zip(states.chunks(self.length * size)) {
                encode(self.codec, rows, block);
            }
        }
        blocks
    }

    fn synthetic_block(&self, rng: Rng) -> Vec<u8> {
        let values = self.length * self.hidden_sizes.iter().sum::<usize>();
        let states: Vec<f32> =
            (0..values as u64).map(|index| 2.0 * rng.uniform(index) - 1.0).collect();
        let mut block = Vec::with_capacity(self.block_bytes());
        encode(self.codec, &states, &mut block);
        block
    }

    fn outputs<'a>(&'a self, weights: &'a TeacherWeights) -> TeacherOutputs<'a> {
        let teachers = self.states.iter().zip(weights.output_layers()).zip(&self.shares);
        let projection = |((states, output), &share): ((&'a Tensor, _), _)| {
            Projection::new(states.view(), output, share)
        };
        TeacherOutputs::States(teachers.map(projection).collect())
    }
}
