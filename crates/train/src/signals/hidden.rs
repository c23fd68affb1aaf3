//! Blocks of final hidden states: for each teacher in turn `[tokens, hidden]`.

use std::sync::Arc;

use base::rng::Rng;
use engine::{Device, Precision, Shape, Tensor, ViewMut};
use model::Model;

use super::cache::{decode, encode, value_bytes};
use super::cached::{Form, Voices};
use super::online::hidden_states;
use super::resident::Resident;
use super::{Audience, Distillation, Signal, States, TeacherState};
use crate::data::MicroBatch;
use crate::settings::Codec;

/// Keeps hidden states.
pub struct Hidden {
    device: Arc<dyn Device>,
    codec: Codec,
    shares: Vec<f32>,
    hidden_sizes: Vec<usize>,
    length: usize,
    /// The states of the micro-batch at hand, one matrix for each teacher.
    states: Vec<Tensor>,
    values: Vec<f32>,
    /// All blocks of the training text, where the device has memory for them.
    resident: Option<Resident>,
}

impl Hidden {
    pub(super) fn new(distillation: &Distillation, audience: &Audience<'_>) -> Self {
        Self {
            device: audience.device.clone(),
            codec: distillation.settings.codec,
            shares: distillation.settings.shares(distillation.teachers.len()),
            hidden_sizes: distillation
                .teachers
                .iter()
                .map(|teacher| teacher.config().hidden_size)
                .collect(),
            length: audience.settings.sequence_length,
            states: Vec::new(),
            values: Vec::new(),
            resident: None,
        }
    }
}

impl Form for Hidden {
    const READS_LOGITS: bool = true;

    fn block_bytes(&self) -> usize {
        self.length * self.hidden_sizes.iter().sum::<usize>() * value_bytes(self.codec)
    }

    fn begin(&mut self, sequences: usize) {
        // What the last micro-batch used goes back to the pool first.
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

    fn expect(&mut self, blocks: usize) {
        self.resident =
            Resident::new(&self.device, self.codec, self.length, &self.hidden_sizes, blocks);
    }

    fn recall(&mut self, block: usize, sequence: usize) -> bool {
        self.resident
            .as_ref()
            .is_some_and(|resident| resident.recall(block, sequence, &mut self.states))
    }

    fn keep(&mut self, block: usize, sequence: usize) {
        if let Some(resident) = &mut self.resident {
            resident.keep(block, sequence, &self.states);
        }
    }

    fn place(&mut self, sequence: usize, block: &[u8]) -> bool {
        let mut start = 0;
        for (tensor, &size) in self.states.iter_mut().zip(&self.hidden_sizes) {
            let bytes = self.length * size * value_bytes(self.codec);
            let of_teacher = &block[start..start + bytes];
            let place = ViewMut::block(tensor, sequence * self.length * size, self.length, size);
            match self.codec {
                Codec::F32 => {
                    decode(of_teacher, &mut self.values);
                    self.device.write(place, &self.values);
                }
                Codec::Bf16 => self.device.write_bf16(place, of_teacher.as_chunks().0),
            }
            start += bytes;
        }
        true
    }

    fn speak(&self, models: &[Model], micro_batch: &MicroBatch) -> Vec<Vec<u8>> {
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

    fn make_up(&self, rng: Rng) -> Vec<u8> {
        let values = self.length * self.hidden_sizes.iter().sum::<usize>();
        let states: Vec<f32> =
            (0..values as u64).map(|index| 2.0 * rng.uniform(index) - 1.0).collect();
        let mut block = Vec::with_capacity(self.block_bytes());
        encode(self.codec, &states, &mut block);
        block
    }

    fn signal<'a>(&'a self, voices: &'a Voices) -> Signal<'a> {
        let state = |(index, (states, &share)): (usize, (&'a Tensor, &f32))| TeacherState {
            states: States::Kept(states),
            output: voices.output(index),
            share,
            rows: states.rows(),
        };
        Signal::States(self.states.iter().zip(&self.shares).enumerate().map(state).collect())
    }
}
