//! The way of host values to the GPU: through page-locked memory, so that the host need not wait
//! for the copy and the caller's memory may go at once.

use std::sync::{Arc, Mutex};

use cudarc::driver::{result, sys};

use super::context::Context;

/// Bytes of one half of the ring. What is larger is copied from where it is, and waited for.
const HALF: usize = 1 << 20;

/// Two halves of page-locked memory, filled in turn. Before a half is filled again, the copies from
/// it are waited for: by then the other half has been filled, and they are long done.
pub(super) struct Staging {
    context: Arc<Context>,
    /// None where the system gives no page-locked memory.
    ring: Mutex<Option<Ring>>,
}

struct Ring {
    base: *mut u8,
    /// The half that is being filled, and the bytes of it that are.
    half: usize,
    used: usize,
    /// Recorded when each half was left.
    left: [sys::CUevent; 2],
}

// Safety: the memory and the events belong to the ring alone, which the mutex guards.
unsafe impl Send for Ring {}

impl Staging {
    pub(super) fn new(context: Arc<Context>) -> Self {
        context.activate();
        let ring = Mutex::new(Ring::new());
        Self { context, ring }
    }

    /// Copies bytes to the GPU, in the order of the stream. They may go when this returns.
    pub(super) fn send(&self, bytes: &[u8], to: sys::CUdeviceptr) {
        let stream = self.context.stream();
        let mut ring = self.ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let staged = ring
            .as_mut()
            .filter(|_| bytes.len() <= HALF)
            .map(|ring| ring.stage(&self.context, stream, bytes));
        // Safety: the caller promises that there is room; the ring's bytes stay until the copy is
        // done, and others are waited for below.
        let sent = unsafe { result::memcpy_htod_async(to, staged.unwrap_or(bytes), stream) };
        self.context.check("copy to the GPU", sent);
        if staged.is_none() {
            self.context.synchronise();
        }
    }
}

impl Ring {
    fn new() -> Option<Self> {
        let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).ok();
        let left = [event()?, event()?];
        // Safety: freed on drop.
        let base = unsafe { result::malloc_host(2 * HALF, 0) }.ok()?;
        Some(Self { base: base.cast(), half: 0, used: 0, left })
    }

    /// The bytes in page-locked memory, at most half of the ring.
    fn stage(&mut self, context: &Context, stream: sys::CUstream, bytes: &[u8]) -> &'static [u8] {
        if self.used + bytes.len() > HALF {
            let other = 1 - self.half;
            // Safety: the events live as long as the ring. One that was never recorded is not
            // waited for.
            unsafe {
                context.check("mark a copy", result::event::record(self.left[self.half], stream));
                context.check("wait for a copy", result::event::synchronize(self.left[other]));
            }
            (self.half, self.used) = (other, 0);
        }
        // Safety: the place is within the ring, and no copy from it is under way: this half was
        // waited for when it was entered, and since then every place was used once.
        let place = unsafe {
            std::slice::from_raw_parts_mut(self.base.add(self.half * HALF + self.used), bytes.len())
        };
        place.copy_from_slice(bytes);
        self.used += bytes.len().next_multiple_of(64);
        place
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.context.settle();
        let ring = self.ring.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(ring) = ring {
            // Safety: they have no user left once the stream has passed.
            unsafe {
                ring.left.into_iter().for_each(|event| {
                    result::event::destroy(event).ok();
                });
                result::free_host(ring.base.cast()).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::Cuda;
    use crate::device::Arithmetic;

    /// Twice around the ring, with pieces that end at its halves' ends, pass them, and do not fit
    /// at all.
    #[test]
    #[ignore = "needs a GPU or the emulator"]
    fn everything_arrives_as_it_was() {
        let device = Cuda::open(0, Arithmetic::F32, None, true).unwrap();
        let lengths =
            [1, 1000, super::HALF / 4, super::HALF / 8, super::HALF / 4 - 272, 3, super::HALF];
        let pieces: Vec<Vec<u32>> = (0..30)
            .map(|piece| {
                (0..lengths[piece % lengths.len()] as u32)
                    .map(|index| index * 31 + piece as u32)
                    .collect()
            })
            .collect();
        let there: Vec<_> = pieces.iter().map(|piece| device.upload(piece)).collect();
        for (piece, there) in pieces.iter().zip(&there) {
            let mut found = vec![0u32; piece.len()];
            device.fetch(there.pointer(), &mut found);
            assert!(found == *piece);
        }
    }
}
