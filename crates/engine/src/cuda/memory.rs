//! Memory on the GPU: a pool by size, and what a tensor holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytemuck::Pod;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::Cuda;
use super::context::Context;
use crate::device::Arithmetic;
use crate::fault::{Fault, raise};
use crate::ops::memory::MemoryKernels;
use crate::tensor::{Precision, Storage, View, ViewMut};

/// Memory with a single owner, aligned for every kernel.
#[derive(Debug)]
pub(super) struct Allocation {
    pointer: sys::CUdeviceptr,
    bytes: usize,
}

impl Allocation {
    pub(super) fn pointer(&self) -> u64 {
        self.pointer
    }
}

/// How many times larger than needed memory from the pool may be.
const LARGER: usize = 4;

/// Bytes that the pool leaves to the driver, unless the whole memory is small.
const RESERVE: u64 = 256 << 20;

/// Allocations by size, and among those of one size by address.
type Free = BTreeMap<usize, BTreeMap<sys::CUdeviceptr, Allocation>>;

/// Free memory. What is taken does not depend on the order in which it came back, so
/// that a step that does what the one before did finds its tensors where that had them.
pub(super) struct Pool {
    context: Arc<Context>,
    free: Mutex<Free>,
    fresh: AtomicU64,
}

/// Sizes are rounded up to eighths of a power of two, or to 64 MiB, so that batches of nearly one
/// size share memory.
fn size_class(bytes: usize) -> usize {
    const LEAST: usize = 512;
    const LARGEST_STEP: usize = 64 << 20;
    let bytes = bytes.max(1).next_multiple_of(LEAST);
    bytes.next_multiple_of((bytes.next_power_of_two() / 8).clamp(LEAST, LARGEST_STEP))
}

impl Pool {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, free: Mutex::default(), fresh: AtomicU64::new(0) }
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The smallest that is large enough, so that a smaller batch lives in the memory of a larger
    /// one; but not of one so much larger that a small tensor that stays would hold what a large
    /// one needs.
    pub(super) fn take(&self, bytes: usize) -> Allocation {
        let class = size_class(bytes);
        let kept = self
            .free()
            .range_mut(class..=LARGER * class)
            .find_map(|(_, allocations)| allocations.pop_first());
        let kept = kept.map(|(_, allocation)| allocation);
        kept.unwrap_or_else(|| self.ask(class))
    }

    /// Asks the driver; when it has none, once more without what is in the pool. Something is
    /// left for what the driver and cuBLASLt load when they first need it.
    fn ask(&self, bytes: usize) -> Allocation {
        self.context.activate();
        self.fresh.fetch_add(1, Ordering::Relaxed);
        let ask = || {
            let memory = self.context.memory();
            if memory.free < bytes as u64 + RESERVE.min(memory.total / 16) {
                return Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY));
            }
            // Safety: the memory is freed once, in `trim`.
            unsafe { result::malloc_sync(bytes) }
        };
        let pointer = match ask() {
            Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                self.trim();
                ask()
            }
            first => first,
        };
        match pointer {
            Ok(pointer) => Allocation { pointer, bytes },
            Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                let memory = self.context.memory();
                let (wanted, free, total) = (bytes as u64, memory.free, memory.total);
                raise(Fault::OutOfMemory { device: self.context.label(), wanted, free, total })
            }
            Err(cause) => self.context.check("give memory", Err(cause)),
        }
    }

    pub(super) fn give_back(&self, allocation: Allocation) {
        self.free().entry(allocation.bytes).or_default().insert(allocation.pointer, allocation);
    }

    /// How often memory was requested from the driver.
    pub(super) fn fresh_allocations(&self) -> u64 {
        self.fresh.load(Ordering::Relaxed)
    }

    /// Returns the free memory to the driver.
    pub(super) fn trim(&self) {
        // Kernels may still use what was given back. By its documentation the driver may wait
        // for them, but need not.
        self.context.forget_graphs();
        for allocation in
            std::mem::take(&mut *self.free()).into_values().flat_map(BTreeMap::into_values)
        {
            // Safety: it has no holder left, and no kernel uses it.
            unsafe { result::free_sync(allocation.pointer) }.ok();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.trim();
    }
}

/// What a tensor holds: values in f32 or bf16, and of f32 values a bf16 copy for products.
pub(super) struct Memory {
    allocation: Allocation,
    compact: bool,
    /// The copy, until the values change.
    copy: Mutex<Option<Allocation>>,
}

/// The values of a view as kernels take them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Values {
    pub pointer: u64,
    /// 1 for bf16.
    compact: u64,
}

impl Values {
    /// Values in f32, or none at all.
    pub(super) fn full(pointer: u64) -> Self {
        Self { pointer, compact: 0 }
    }

    /// Values in bf16.
    pub(super) fn compact(pointer: u64) -> Self {
        Self { pointer, compact: 1 }
    }

    pub(super) fn is_compact(self) -> bool {
        self.compact == 1
    }

    /// The values from `count` on.
    pub(super) fn skip(self, count: usize) -> Self {
        Self { pointer: self.pointer + (count * self.bytes_each()) as u64, ..self }
    }

    /// As the two words of a kernel's table.
    pub(super) fn words(self) -> [u64; 2] {
        [self.pointer, self.compact]
    }

    pub(super) fn bytes_each(self) -> usize {
        if self.is_compact() { 2 } else { 4 }
    }
}

fn memory(storage: &Storage) -> &Memory {
    storage.downcast_ref().expect("a GPU tensor holds GPU memory")
}

fn memory_mut<'a>(view: &'a mut ViewMut<'_>) -> &'a mut Memory {
    view.tensor.storage_mut().downcast_mut().expect("a GPU tensor holds GPU memory")
}

impl Memory {
    fn copy_mut(&mut self) -> &mut Option<Allocation> {
        self.copy.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn copy(&self) -> MutexGuard<'_, Option<Allocation>> {
        self.copy.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn values(&self) -> Values {
        Values { pointer: self.allocation.pointer, compact: self.compact as u64 }
    }
}

/// The values of a view; they may be apart (`View::stride`).
pub(super) fn values(view: View<'_>) -> Values {
    memory(view.tensor.storage()).values().skip(view.offset)
}

/// The values of a view without gaps.
pub(super) fn dense(view: View<'_>) -> Values {
    assert!(view.is_contiguous(), "this kernel reads contiguous rows");
    values(view)
}

/// Whether kernels may take four values of these views at a time: their rows are multiples of four
/// long and begin at one.
pub(super) fn wide(views: &[View<'_>]) -> u32 {
    in_multiples(4, views)
}

/// Whether kernels may take `count` values of these views at a time.
pub(super) fn in_multiples(count: usize, views: &[View<'_>]) -> u32 {
    let are_multiples = |view: &View<'_>| {
        [view.columns, view.offset, view.stride].iter().all(|places| places.is_multiple_of(count))
    };
    views.iter().all(are_multiples) as u32
}

/// Memory for the time of a few kernels.
pub(super) struct Scratch<'a> {
    pool: &'a Pool,
    allocation: Option<Allocation>,
    compact: bool,
}

impl Scratch<'_> {
    pub(super) fn pointer(&self) -> u64 {
        self.allocation.as_ref().map_or(0, |allocation| allocation.pointer)
    }

    pub(super) fn values(&self) -> Values {
        Values { pointer: self.pointer(), compact: self.compact as u64 }
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if let Some(allocation) = self.allocation.take() {
            self.pool.give_back(allocation);
        }
    }
}

impl Cuda {
    /// Memory for a number of bytes, back in the pool when it is dropped.
    pub(super) fn scratch_bytes(&self, bytes: usize) -> Scratch<'_> {
        Scratch { pool: &self.pool, allocation: Some(self.pool.take(bytes)), compact: false }
    }

    /// Memory for values, back in the pool when it is dropped.
    pub(super) fn scratch(&self, length: usize, precision: Precision) -> Scratch<'_> {
        let compact = self.is_compact(precision);
        let bytes = length * if compact { 2 } else { 4 };
        Scratch { pool: &self.pool, allocation: Some(self.pool.take(bytes)), compact }
    }

    /// Whether values of this precision are bf16.
    pub(super) fn is_compact(&self, precision: Precision) -> bool {
        precision == Precision::Compact && self.arithmetic == Arithmetic::Bf16
    }

    /// Host values on the GPU.
    pub(super) fn upload<T: Pod>(&self, values: &[T]) -> Scratch<'_> {
        let scratch = self.scratch_bytes(size_of_val(values));
        self.send(values, scratch.pointer());
        scratch
    }

    /// Copies host values to the GPU.
    pub(super) fn send<T: Pod>(&self, values: &[T], to: u64) {
        if values.is_empty() {
            return;
        }
        self.staging.send(bytemuck::cast_slice(values), to);
    }

    /// Copies values from the GPU, when everything before is done.
    pub(super) fn fetch<T: Pod>(&self, from: u64, values: &mut [T]) {
        if values.is_empty() {
            return;
        }
        // Safety: the GPU's memory holds as many values, and the stream is waited for before
        // they are read.
        let fetched = unsafe { result::memcpy_dtoh_async(values, from, self.context.stream()) };
        self.context.check("copy from the GPU", fetched);
        self.context.synchronise();
    }

    /// A view's values to write. An earlier bf16 copy of them is dropped.
    pub(super) fn values_mut(&self, view: &mut ViewMut<'_>) -> Values {
        let memory = memory_mut(view);
        memory.copy_mut().take().into_iter().for_each(|copy| self.pool.give_back(copy));
        memory.values().skip(view.offset)
    }

    /// A view's values for a kernel that writes all of them, and the place of their bf16 copy,
    /// which it writes too: where there is a copy of the tensor already, or where the view is the
    /// whole tensor. No place, where products take the values as they are.
    pub(super) fn values_and_copy_mut(&self, view: &mut ViewMut<'_>) -> (Values, u64) {
        let (offset, written) = (view.offset, view.rows * view.columns);
        let length = view.tensor.rows() * view.tensor.columns();
        let memory = memory_mut(view);
        let values = memory.values().skip(offset);
        if written == length && self.arithmetic == Arithmetic::Bf16 && !values.is_compact() {
            memory.copy_mut().get_or_insert_with(|| self.pool.take(2 * length));
        }
        let place = |copy: &Allocation| Values::compact(copy.pointer).skip(offset).pointer;
        (values, memory.copy_mut().as_ref().map_or(0, place))
    }

    /// A view's values in the type that products take: as they are, or the whole tensor's copy in
    /// bf16.
    pub(super) fn operand(&self, view: View<'_>) -> Values {
        let memory = memory(view.tensor.storage());
        if self.arithmetic == Arithmetic::F32 || memory.compact {
            return values(view);
        }
        let mut copy = memory.copy();
        let copy = copy.get_or_insert_with(|| {
            let length = view.tensor.rows() * view.tensor.columns();
            let copy = self.pool.take(2 * length);
            self.convert(memory.values(), Values::compact(copy.pointer), length);
            copy
        });
        Values::compact(copy.pointer).skip(view.offset)
    }
}

/// bf16 to f32.
fn expand(values: &[u16]) -> impl Iterator<Item = f32> + '_ {
    values.iter().map(|&bits| f32::from_bits((bits as u32) << 16))
}

/// f32 to the nearest bf16, ties to even, as kernels do.
fn compact_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

impl MemoryKernels for Cuda {
    fn allocate(&self, length: usize, precision: Precision) -> Storage {
        let compact = self.is_compact(precision);
        let allocation = self.pool.take(length * if compact { 2 } else { 4 });
        Box::new(Memory { allocation, compact, copy: Mutex::default() })
    }

    fn recycle(&self, storage: Storage) {
        let memory: Memory = *storage.downcast().expect("a GPU tensor holds GPU memory");
        let copy = memory.copy.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        copy.into_iter()
            .chain([memory.allocation])
            .for_each(|allocation| self.pool.give_back(allocation));
    }

    fn read(&self, from: View<'_>, to: &mut [f32]) {
        let values = dense(from);
        assert_eq!(to.len(), from.rows * from.columns, "values to read");
        if values.is_compact() {
            let mut bits = vec![0u16; to.len()];
            self.fetch(values.pointer, &mut bits);
            to.iter_mut().zip(expand(&bits)).for_each(|(to, value)| *to = value);
        } else {
            self.fetch(values.pointer, to);
        }
    }

    fn write(&self, mut to: ViewMut<'_>, from: &[f32]) {
        assert_eq!(from.len(), to.rows * to.columns, "values to write");
        let values = self.values_mut(&mut to);
        if values.is_compact() {
            let bits: Vec<u16> = from.iter().map(|&value| compact_bits(value)).collect();
            self.send(&bits, values.pointer);
        } else {
            self.send(from, values.pointer);
        }
    }

    fn write_f32(&self, mut to: ViewMut<'_>, from: &[[u8; 4]]) {
        assert_eq!(from.len(), to.rows * to.columns, "values to write");
        let values = self.values_mut(&mut to);
        if values.is_compact() {
            let there = self.upload(from);
            self.convert(Values::full(there.pointer()), values, from.len());
        } else {
            self.send(from, values.pointer);
        }
    }

    fn write_bf16(&self, mut to: ViewMut<'_>, from: &[[u8; 2]]) {
        assert_eq!(from.len(), to.rows * to.columns, "values to write");
        let values = self.values_mut(&mut to);
        if values.is_compact() {
            self.send(from, values.pointer);
        } else {
            let there = self.upload(from);
            self.convert(Values::compact(there.pointer()), values, from.len());
        }
    }

    fn copy(&self, from: View<'_>, mut to: ViewMut<'_>) {
        let length = from.rows * from.columns;
        assert_eq!(length, to.rows * to.columns, "values to copy");
        let to = self.values_mut(&mut to);
        self.convert(dense(from), to, length);
    }

    fn fill(&self, mut to: ViewMut<'_>, value: f32) {
        let length = to.rows * to.columns;
        let values = self.values_mut(&mut to);
        self.fill_values(values, length, value);
    }

    fn add(&self, from: View<'_>, mut to: ViewMut<'_>) {
        let length = from.rows * from.columns;
        assert_eq!(length, to.rows * to.columns, "values to add");
        let to = self.values_mut(&mut to);
        self.add_values(dense(from), to, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_rounded_to_the_nearest_and_back() {
        for (value, bits) in
            [(1.0, 0x3f80), (-2.5, 0xc020), (0.0, 0), (f32::INFINITY, 0x7f80), (3.0e38, 0x7f62)]
        {
            assert_eq!(compact_bits(value), bits, "{value}");
        }
        // Halfway between two: to the even one.
        assert_eq!(compact_bits(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(compact_bits(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert!(expand(&[compact_bits(f32::NAN)]).all(f32::is_nan));
        assert_eq!(expand(&[0x3f80, 0xc020]).collect::<Vec<_>>(), [1.0, -2.5]);
    }

    #[test]
    fn classes_waste_at_most_an_eighth_or_so() {
        for bytes in [0, 1, 512, 513, 100_000, 123_456_789] {
            let class = size_class(bytes);
            assert!(
                class >= bytes && class <= bytes + bytes / 4 + 1024 && class.is_multiple_of(512),
                "{bytes} -> {class}"
            );
        }
    }
}
