//! Memory: a pool of cache-line-aligned buffers by size class.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use bytemuck::{Pod, Zeroable};
use memmap2::MmapMut;
use rayon::prelude::*;

use super::elementwise::{TASK, add};
use super::values::{Values, ValuesMut};
use super::{Cpu, values, values_mut};
use crate::device::{Arithmetic, Device, DeviceMemory};
use crate::fault::{Fault, raise};
use crate::ops::memory::MemoryKernels;
use crate::tensor::{Precision, Storage, Tensor, View, ViewMut};

/// A cache line, so that buffers begin on one.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([f32; 16]);

/// Values in a line.
const LINE: usize = size_of::<Line>() / size_of::<f32>();

/// Memory of whole cache lines, zeros at first.
pub(super) enum Buffer {
    Heap(Vec<Line>),
    /// Requested from the system in huge pages: a walk over the rows of a large matrix would
    /// otherwise look up a page for each.
    Pages(MmapMut),
}

/// Size in bytes from which huge pages are requested.
const HUGE: usize = 4 << 20;

impl Buffer {
    /// Room for `length` values, rounded up to whole lines.
    pub(super) fn new(length: usize) -> Self {
        let lines = length.div_ceil(LINE);
        let bytes = lines * size_of::<Line>();
        if bytes >= HUGE
            && let Ok(map) = MmapMut::map_anon(bytes)
        {
            // Without huge pages it works as well, only slower.
            #[cfg(target_os = "linux")]
            map.advise(memmap2::Advice::HugePage).ok();
            return Self::Pages(map);
        }
        Self::Heap(vec![Line::zeroed(); lines])
    }

    /// How many values there is room for.
    pub(super) fn length(&self) -> usize {
        self.values().len()
    }

    pub(super) fn values(&self) -> &[f32] {
        match self {
            Self::Heap(lines) => bytemuck::cast_slice(lines),
            Self::Pages(map) => bytemuck::cast_slice(map),
        }
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Heap(lines) => bytemuck::cast_slice_mut(lines),
            Self::Pages(map) => bytemuck::cast_slice_mut(map),
        }
    }
}

/// A tensor's memory.
pub(super) struct Memory {
    buffer: Buffer,
    /// Whether it holds bf16 values, two in the room of an f32.
    is_bf16: bool,
}

/// Memory that tensors gave back, by number of lines.
#[derive(Default)]
pub(super) struct Pool {
    free: Mutex<BTreeMap<usize, Vec<Storage>>>,
    fresh: AtomicU64,
    /// Bytes of all buffers, those in the pool included.
    held: AtomicU64,
    /// The most that they may be.
    limit: Option<u64>,
}

impl Pool {
    pub(super) fn limited(bytes: u64) -> Self {
        Self { limit: Some(bytes), ..Self::default() }
    }

    /// How often memory was requested from the system.
    pub(super) fn fresh_allocations(&self) -> u64 {
        self.fresh.load(Ordering::Relaxed)
    }

    /// Returns the free buffers to the system.
    pub(super) fn trim(&self) {
        let free = std::mem::take(&mut *self.free());
        let lines: usize = free.iter().map(|(class, storages)| class * storages.len()).sum();
        self.held.fetch_sub((lines * size_of::<Line>()) as u64, Ordering::Relaxed);
    }

    fn free(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<Storage>>> {
        self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The device's memory, where it is limited.
    pub(super) fn memory(&self) -> Option<DeviceMemory> {
        let held = self.held.load(Ordering::Relaxed);
        self.limit.map(|total| DeviceMemory { free: total.saturating_sub(held), total })
    }

    /// Counts a new buffer, unless it would be one too many.
    fn count(&self, wanted: u64) {
        if let Some(DeviceMemory { free, total }) =
            self.memory().filter(|memory| memory.free < wanted)
        {
            raise(Fault::OutOfMemory { device: "cpu".to_owned(), wanted, free, total });
        }
        self.fresh.fetch_add(1, Ordering::Relaxed);
        self.held.fetch_add(wanted, Ordering::Relaxed);
    }
}

/// Sizes are rounded up to eighths of a power of two, so that batches of nearly one size share
/// memory.
fn size_class(length: usize) -> usize {
    let lines = length.div_ceil(LINE).max(1);
    lines.next_multiple_of((lines.next_power_of_two() / 8).max(1))
}

fn memory(storage: &Storage) -> &Memory {
    storage.downcast_ref().expect("a CPU tensor holds CPU memory")
}

fn memory_mut(storage: &mut Storage) -> &mut Memory {
    storage.downcast_mut().expect("a CPU tensor holds CPU memory")
}

/// All values of a tensor's memory, which may be longer than the tensor.
pub(super) fn all_values(tensor: &Tensor) -> Values<'_> {
    let Memory { buffer, is_bf16 } = memory(tensor.storage());
    match is_bf16 {
        true => Values::Bf16(bytemuck::cast_slice(buffer.values())),
        false => Values::F32(buffer.values()),
    }
}

/// All values of a tensor's memory, to write.
pub(super) fn all_values_mut(tensor: &mut Tensor) -> ValuesMut<'_> {
    storage_values_mut(tensor.storage_mut())
}

/// All values of a tensor in full precision.
pub(super) fn full_values(tensor: &Tensor) -> &[f32] {
    match all_values(tensor) {
        Values::F32(values) => values,
        Values::Bf16(_) => unreachable!("this kernel reads tensors in full precision"),
    }
}

/// All values of a tensor in full precision, to write.
pub(super) fn full_values_mut(tensor: &mut Tensor) -> &mut [f32] {
    match all_values_mut(tensor) {
        ValuesMut::F32(values) => values,
        ValuesMut::Bf16(_) => unreachable!("this kernel writes tensors in full precision"),
    }
}

/// All values of memory, to write.
pub(super) fn storage_values_mut(storage: &mut Storage) -> ValuesMut<'_> {
    let Memory { buffer, is_bf16 } = memory_mut(storage);
    match is_bf16 {
        true => ValuesMut::Bf16(bytemuck::cast_slice_mut(buffer.values_mut())),
        false => ValuesMut::F32(buffer.values_mut()),
    }
}

impl MemoryKernels for Cpu {
    fn allocate(&self, length: usize, precision: Precision) -> Storage {
        let is_bf16 = precision == Precision::Compact && self.arithmetic() == Arithmetic::Bf16;
        let class = size_class(if is_bf16 { length.div_ceil(2) } else { length });
        // The smallest that is large enough, so that a smaller batch lives in the memory of a
        // larger one.
        let found = self.pool.free().range_mut(class..).find_map(|(_, storages)| storages.pop());
        if let Some(mut storage) = found {
            memory_mut(&mut storage).is_bf16 = is_bf16;
            return storage;
        }
        self.pool.count((class * size_of::<Line>()) as u64);
        Box::new(Memory { buffer: Buffer::new(class * LINE), is_bf16 })
    }

    fn recycle(&self, storage: Storage) {
        let class = memory(&storage).buffer.length() / LINE;
        self.pool.free().entry(class).or_default().push(storage);
    }

    fn read(&self, from: View<'_>, to: &mut [f32]) {
        values(from).copy_to(to);
    }

    fn write(&self, to: ViewMut<'_>, from: &[f32]) {
        values_mut(to).copy_from(from);
    }

    fn write_f32(&self, to: ViewMut<'_>, from: &[[u8; 4]]) {
        let to = values_mut(to);
        assert_eq!(from.len(), to.len(), "values to write");
        to.par_chunks_mut(TASK).zip(from.par_chunks(TASK)).for_each(|(to, from)| {
            to.write(|to| {
                to.iter_mut().zip(from).for_each(|(to, &bytes)| *to = f32::from_le_bytes(bytes));
            });
        });
    }

    fn write_bf16(&self, to: ViewMut<'_>, from: &[[u8; 2]]) {
        match values_mut(to) {
            ValuesMut::F32(to) => {
                assert_eq!(from.len(), to.len(), "values to write");
                for (to, &[low, high]) in to.iter_mut().zip(from) {
                    *to = f32::from_le_bytes([0, 0, low, high]);
                }
            }
            ValuesMut::Bf16(to) => {
                assert_eq!(from.len(), to.len(), "values to write");
                for (to, &bytes) in to.iter_mut().zip(from) {
                    *to = u16::from_le_bytes(bytes);
                }
            }
        }
    }

    fn copy(&self, from: View<'_>, to: ViewMut<'_>) {
        let (from, to) = (values(from), values_mut(to));
        assert_eq!(from.len(), to.len(), "values to copy");
        match (from, to) {
            (Values::Bf16(from), ValuesMut::Bf16(to)) => to
                .par_chunks_mut(TASK)
                .zip(from.par_chunks(TASK))
                .for_each(|(to, from)| to.copy_from_slice(from)),
            (from, to) => to
                .par_chunks_mut(TASK)
                .zip(from.par_chunks(TASK))
                .for_each(|(to, from)| to.copy_from(&from.to_f32())),
        }
    }

    fn fill(&self, to: ViewMut<'_>, value: f32) {
        values_mut(to).par_chunks_mut(TASK).for_each(|to| to.write(|to| to.fill(value)));
    }

    fn add(&self, from: View<'_>, to: ViewMut<'_>) {
        let (from, to) = (values(from), values_mut(to));
        assert_eq!(from.len(), to.len(), "values to add");
        to.par_chunks_mut(TASK)
            .zip(from.par_chunks(TASK))
            .for_each(|(to, from)| to.update(|to| add(&from.to_f32(), to)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault;

    /// Large buffers come from elsewhere than small ones, and must be as good.
    #[test]
    fn buffers_of_every_size_are_zeros_on_cache_lines_and_are_used_again() {
        let device = Cpu::new();
        for length in [1, 1000, HUGE / 4 - 16, HUGE / 4 + 1, HUGE] {
            let mut storage = device.allocate(length, Precision::Full);
            let values = memory_mut(&mut storage).buffer.values_mut();
            assert!(values.len() >= length && values.iter().all(|&value| value == 0.0));
            assert_eq!(values.as_ptr() as usize % 64, 0);
            values[length - 1] = 7.0;
            device.recycle(storage);
            let fresh = device.fresh_allocations();
            let mut again = device.allocate(length, Precision::Full);
            assert_eq!(memory_mut(&mut again).buffer.values()[length - 1], 7.0);
            assert_eq!(device.fresh_allocations(), fresh);
        }
    }

    #[test]
    fn a_smaller_batch_lives_in_the_memory_of_a_larger_one() {
        let device = Cpu::new();
        let step = |tokens: usize| {
            let held: Vec<_> = [1, 64, 64, 192, 256]
                .map(|columns| device.allocate(tokens * columns, Precision::Full))
                .into();
            held.into_iter().for_each(|storage| device.recycle(storage));
        };
        step(1000);
        let fresh = device.fresh_allocations();
        (1..=1000).rev().step_by(7).for_each(step);
        assert_eq!(device.fresh_allocations(), fresh);
        step(1200);
        let fresh = device.fresh_allocations();
        [1200, 900, 1200].into_iter().for_each(step);
        assert_eq!(device.fresh_allocations(), fresh);
    }

    #[test]
    fn a_limit_counts_what_lies_in_the_pool_until_that_is_trimmed() {
        let device = Cpu::with_memory(4096);
        let allocate = |length| fault::catch(|| device.allocate(length, Precision::Full));
        let free = || device.memory().unwrap().free;
        let first = allocate(512).unwrap();
        assert_eq!(free(), 2048);
        let message = allocate(768).unwrap_err().to_string();
        assert_eq!(message, "cpu has no memory for 3 KiB more: 2 KiB of its 4 KiB are free");
        device.recycle(first);
        assert!(free() == 2048 && allocate(768).is_err());
        device.trim();
        assert_eq!(free(), 4096);
        let all = allocate(1024).unwrap();
        device.recycle(all);
        assert!(Cpu::new().memory().is_none());
    }

    #[test]
    fn classes_waste_at_most_an_eighth_or_so() {
        for length in [1, 15, 16, 17, 1000, 12_345, 1_000_000] {
            let lines = size_class(length);
            assert!(
                lines * 16 >= length && lines * 16 <= length + length / 3 + 16,
                "{length} -> {lines} lines"
            );
        }
    }
}
