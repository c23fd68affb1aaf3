//! Memory for packed operands, which each thread keeps for its next product.

use std::cell::RefCell;
use std::marker::PhantomData;

use bytemuck::Pod;

use crate::cpu::memory::Buffer;

thread_local! {
    /// Buffers that this thread will use again. They stay until the thread ends, outside the
    /// device's pool: at most the largest right-hand sides that were in use at one time.
    static BUFFERS: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of values, which returns to the thread that drops it.
pub(in crate::cpu) struct Scratch<E> {
    buffer: Option<Buffer>,
    length: usize,
    element: PhantomData<E>,
}

impl<E: Pod> Scratch<E> {
    /// `length` values, whose contents are left over from before, in the smallest buffer that is
    /// large enough.
    pub(in crate::cpu) fn new(length: usize) -> Self {
        const { assert!(size_of::<f32>().is_multiple_of(size_of::<E>())) };
        let floats = (length * size_of::<E>()).div_ceil(size_of::<f32>());
        let kept = BUFFERS.with_borrow_mut(|buffers| {
            let fits = |index: &usize| buffers[*index].length() >= floats;
            let best = (0..buffers.len()).filter(fits).min_by_key(|&index| buffers[index].length());
            // A buffer that is too small is replaced by the larger one.
            let index = best.or_else(|| buffers.len().checked_sub(1))?;
            Some(buffers.swap_remove(index)).filter(|buffer| buffer.length() >= floats)
        });
        let buffer = Some(kept.unwrap_or_else(|| Buffer::new(floats)));
        Self { buffer, length, element: PhantomData }
    }

    pub(in crate::cpu) fn values(&self) -> &[E] {
        let values = self.buffer.as_ref().map_or(&[][..], Buffer::values);
        &bytemuck::cast_slice(values)[..self.length]
    }

    pub(in crate::cpu) fn values_mut(&mut self) -> &mut [E] {
        let values = self.buffer.as_mut().map_or(&mut [][..], Buffer::values_mut);
        &mut bytemuck::cast_slice_mut(values)[..self.length]
    }
}

impl<E> Drop for Scratch<E> {
    fn drop(&mut self) {
        BUFFERS.with_borrow_mut(|buffers| buffers.extend(self.buffer.take()));
    }
}
