//! Teachers' states that stay in a device's own memory: what was read from the disk once need not
//! cross to it again.

use std::sync::Arc;

use engine::{Arithmetic, Device, Precision, Shape, Tensor, View, ViewMut};

use crate::settings::Codec;

/// Blocks of states by their number: for each teacher `[blocks * tokens, hidden]`.
pub struct Resident {
    device: Arc<dyn Device>,
    /// Tokens of a block.
    length: usize,
    states: Vec<Tensor>,
    has: Vec<bool>,
}

impl Resident {
    /// Room for all blocks on a device that has memory of its own, if they take at most half of
    /// what is free there: the rest is for training.
    pub fn new(
        device: &Arc<dyn Device>,
        codec: Codec,
        length: usize,
        widths: &[usize],
        blocks: usize,
    ) -> Option<Self> {
        let free = device.memory()?.free;
        Self::within(free / 2, device, codec, length, widths, blocks)
    }

    fn within(
        budget: u64,
        device: &Arc<dyn Device>,
        codec: Codec,
        length: usize,
        widths: &[usize],
        blocks: usize,
    ) -> Option<Self> {
        let (precision, bytes) = match codec {
            Codec::F32 => (Precision::Full, 4),
            Codec::Bf16 if device.arithmetic() == Arithmetic::Bf16 => (Precision::Compact, 2),
            // A device that computes in f32 keeps compact values in f32.
            Codec::Bf16 => (Precision::Compact, 4),
        };
        let rows = blocks * length;
        if (rows * widths.iter().sum::<usize>()) as u64 * bytes > budget {
            return None;
        }
        let tensor =
            |&columns: &usize| Tensor::of_shape(device, Shape { rows, columns, precision });
        let states = widths.iter().map(tensor).collect();
        Some(Self { device: device.clone(), length, states, has: vec![false; blocks] })
    }

    /// Copies a block to its place among the states of a micro-batch; false when it is not there.
    pub fn recall(&self, block: usize, sequence: usize, states: &mut [Tensor]) -> bool {
        if self.has[block] {
            for (kept, tensor) in self.states.iter().zip(states) {
                let (from, to) = (block * self.length, sequence * self.length);
                copy_rows(&self.device, kept, from, tensor, to, self.length);
            }
        }
        self.has[block]
    }

    /// Keeps a block from its place among the states of a micro-batch.
    pub fn keep(&mut self, block: usize, sequence: usize, states: &[Tensor]) {
        for (kept, tensor) in self.states.iter_mut().zip(states) {
            let (from, to) = (sequence * self.length, block * self.length);
            copy_rows(&self.device, tensor, from, kept, to, self.length);
        }
        self.has[block] = true;
    }
}

/// Copies `count` rows of one matrix to another of the same width.
fn copy_rows(
    device: &Arc<dyn Device>,
    from: &Tensor,
    first: usize,
    to: &mut Tensor,
    place: usize,
    count: usize,
) {
    let width = from.columns();
    let from = View::block(from, first * width, count, width);
    device.copy(from, ViewMut::block(to, place * width, count, width));
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;

    use super::*;

    #[test]
    fn blocks_come_back_where_they_are_wanted() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let (length, widths, blocks) = (2, [3, 1], 5);
        let values =
            |count: usize, from: f32| (0..count).map(|i| from + i as f32).collect::<Vec<f32>>();
        let batch = [
            Tensor::from_slice(&device, 4, 3, &values(12, 0.0)),
            Tensor::from_slice(&device, 4, 1, &values(4, 100.0)),
        ];
        let mut resident =
            Resident::within(1 << 20, &device, Codec::Bf16, length, &widths, blocks).unwrap();
        let mut found = widths.map(|width| Tensor::zeros(&device, 4, width));
        assert!(!resident.recall(3, 0, &mut found));
        resident.keep(3, 0, &batch);
        resident.keep(0, 1, &batch);
        assert!(resident.recall(0, 0, &mut found) && resident.recall(3, 1, &mut found));
        assert_eq!(found[0].to_vec(), [values(6, 6.0), values(6, 0.0)].concat());
        assert_eq!(found[1].to_vec(), [102.0, 103.0, 100.0, 101.0]);
    }

    #[test]
    fn there_is_none_without_memory_for_all() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        assert!(
            Resident::new(&device, Codec::F32, 2, &[3], 5).is_none(),
            "the CPU has no memory of its own"
        );
        assert!(Resident::within(119, &device, Codec::F32, 2, &[3], 5).is_none());
        assert!(Resident::within(120, &device, Codec::F32, 2, &[3], 5).is_some());
    }
}
