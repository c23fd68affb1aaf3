//! Teachers' states in the device's own memory: later epochs copy them within the device, and read
//! neither the disk nor the host.

use std::sync::Arc;

use engine::{Arithmetic, Device, Precision, Shape, Tensor, View, ViewMut};

use crate::settings::Codec;

/// Blocks of states by number: for each teacher `[blocks * tokens, hidden]`.
pub(super) struct DeviceCache {
    device: Arc<dyn Device>,
    /// Tokens of a block.
    length: usize,
    states: Vec<Tensor>,
    is_stored: Vec<bool>,
}

impl DeviceCache {
    /// A cache for all blocks on a device that has memory of its own, if they take at most half of
    /// what is free there: the rest is for training.
    pub(super) fn new(
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
            // A device that computes in f32 stores compact values in f32.
            Codec::Bf16 => (Precision::Compact, 4),
        };
        let rows = blocks * length;
        if (rows * widths.iter().sum::<usize>()) as u64 * bytes > budget {
            return None;
        }
        let tensor =
            |&columns: &usize| Tensor::of_shape(device, Shape { rows, columns, precision });
        let states = widths.iter().map(tensor).collect();
        Some(Self { device: device.clone(), length, states, is_stored: vec![false; blocks] })
    }

    /// Whether a block is stored.
    pub(super) fn has(&self, block: usize) -> bool {
        self.is_stored[block]
    }

    /// Copies a block to a slot of a micro-batch's states; false when it is not stored.
    pub(super) fn load(&self, block: usize, slot: usize, states: &mut [Tensor]) -> bool {
        if self.is_stored[block] {
            for (stored, tensor) in self.states.iter().zip(states) {
                let (from, to) = (block * self.length, slot * self.length);
                copy_rows(&self.device, stored, from, tensor, to, self.length);
            }
        }
        self.is_stored[block]
    }

    /// Stores a block from a slot of a micro-batch's states.
    pub(super) fn store(&mut self, block: usize, slot: usize, states: &[Tensor]) {
        for (stored, tensor) in self.states.iter_mut().zip(states) {
            let (from, to) = (slot * self.length, block * self.length);
            copy_rows(&self.device, tensor, from, stored, to, self.length);
        }
        self.is_stored[block] = true;
    }
}

/// Copies `count` rows of one matrix to another of the same width.
fn copy_rows(
    device: &Arc<dyn Device>,
    from: &Tensor,
    first: usize,
    to: &mut Tensor,
    target: usize,
    count: usize,
) {
    let width = from.columns();
    let from = View::block(from, first * width, count, width);
    device.copy(from, ViewMut::block(to, target * width, count, width));
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;

    use super::*;

    #[test]
    fn blocks_are_loaded_into_any_slot() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let (length, widths, blocks) = (2, [3, 1], 5);
        let values =
            |count: usize, from: f32| (0..count).map(|i| from + i as f32).collect::<Vec<f32>>();
        let batch = [
            Tensor::from_slice(&device, 4, 3, &values(12, 0.0)),
            Tensor::from_slice(&device, 4, 1, &values(4, 100.0)),
        ];
        let mut cache =
            DeviceCache::within(1 << 20, &device, Codec::Bf16, length, &widths, blocks).unwrap();
        let mut found = widths.map(|width| Tensor::zeros(&device, 4, width));
        assert!(!cache.load(3, 0, &mut found));
        cache.store(3, 0, &batch);
        cache.store(0, 1, &batch);
        assert!(cache.load(0, 0, &mut found) && cache.load(3, 1, &mut found));
        assert_eq!(found[0].to_vec(), [values(6, 6.0), values(6, 0.0)].concat());
        assert_eq!(found[1].to_vec(), [102.0, 103.0, 100.0, 101.0]);
    }

    #[test]
    fn there_is_none_without_memory_for_all() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        assert!(
            DeviceCache::new(&device, Codec::F32, 2, &[3], 5).is_none(),
            "the CPU has no memory of its own"
        );
        assert!(DeviceCache::within(119, &device, Codec::F32, 2, &[3], 5).is_none());
        assert!(DeviceCache::within(120, &device, Codec::F32, 2, &[3], 5).is_some());
    }
}
