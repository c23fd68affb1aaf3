//! The way of host values to the GPU: through page-locked memory, so that the host need not wait
//! for the copy and the caller's memory may go at once.

use std::sync::{Arc, Mutex};

use cudarc::driver::{result, sys};
use rayon::prelude::*;

use super::context::Context;

/// Bytes of one half of the ring at first.
const HALF: usize = 1 << 20;
/// Bytes of one half of the ring once something larger came: two halves hold what a step of
/// BabyLlama's student reads of its teachers' states, 42 MB, so that the host does not wait there
/// until the GPU has come so far. What is larger still comes in pieces.
const LARGE_HALF: usize = 32 << 20;
/// Bytes that one thread copies.
const TASK: usize = 1 << 20;

/// Two halves of page-locked memory, filled in turn. Before a half is filled again, the copies from
/// it are waited for: by then the other half has been filled, and they are long done.
pub(super) struct Staging {
    context: Arc<Context>,
    /// None where the system gives no page-locked memory.
    ring: Mutex<Option<Ring>>,
}

struct Ring {
    base: *mut u8,
    /// Bytes of one half.
    half_bytes: usize,
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
        let ring = Mutex::new(Ring::new(HALF));
        Self { context, ring }
    }

    /// Copies bytes to the GPU, in the order of the stream. They may go when this returns.
    pub(super) fn send(&self, bytes: &[u8], to: sys::CUdeviceptr) {
        let stream = self.context.stream();
        let mut ring = self.ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(ring) = ring.as_mut() else {
            self.copy(bytes, to, stream);
            return self.context.synchronise();
        };
        if bytes.len() > ring.half_bytes && ring.half_bytes < LARGE_HALF {
            ring.enlarge(&self.context, stream);
        }
        let mut to = to;
        for piece in bytes.chunks(ring.half_bytes) {
            self.copy(ring.stage(&self.context, stream, piece), to, stream);
            to += piece.len() as u64;
        }
    }

    fn copy(&self, bytes: &[u8], to: sys::CUdeviceptr, stream: sys::CUstream) {
        // Safety: the caller promises that there is room; the ring's bytes stay until the copy is
        // done, and others are waited for.
        let sent = unsafe { result::memcpy_htod_async(to, bytes, stream) };
        self.context.check("copy to the GPU", sent);
    }
}

impl Ring {
    fn new(half_bytes: usize) -> Option<Self> {
        let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).ok();
        let left = [event()?, event()?];
        // Safety: freed on drop.
        let base = unsafe { result::malloc_host(2 * half_bytes, 0) }.ok()?;
        Some(Self { base: base.cast(), half_bytes, half: 0, used: 0, left })
    }

    /// Goes over to larger halves, where the system gives as much page-locked memory.
    fn enlarge(&mut self, context: &Context, stream: sys::CUstream) {
        if let Some(larger) = Self::new(LARGE_HALF) {
            // Safety: the stream lives as long as the context. After it no copy uses the old ring.
            context.check("wait for a copy", unsafe { result::stream::synchronize(stream) });
            *self = larger;
        }
    }

    /// The bytes in page-locked memory, at most half of the ring. Many bytes are
    /// copied by all threads.
    fn stage(&mut self, context: &Context, stream: sys::CUstream, bytes: &[u8]) -> &'static [u8] {
        if self.used + bytes.len() > self.half_bytes {
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
            let first = self.base.add(self.half * self.half_bytes + self.used);
            std::slice::from_raw_parts_mut(first, bytes.len())
        };
        match bytes.len() <= TASK {
            true => place.copy_from_slice(bytes),
            false => place
                .par_chunks_mut(TASK)
                .zip(bytes.par_chunks(TASK))
                .for_each(|(place, bytes)| place.copy_from_slice(bytes)),
        }
        self.used += bytes.len().next_multiple_of(64);
        place
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Safety: the owner waited for the stream, so that memory and events have no user left.
        unsafe {
            self.left.into_iter().for_each(|event| {
                result::event::destroy(event).ok();
            });
            result::free_host(self.base.cast()).ok();
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The ring goes after this.
        self.context.settle();
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::Cuda;
    use crate::device::Arithmetic;

    /// Twice around the ring, with pieces that end at its halves' ends, pass them, and make it
    /// larger; at the end one that is larger than any half.
    #[test]
    #[ignore = "needs a GPU or the emulator"]
    fn everything_arrives_as_it_was() {
        let device = Cuda::open(0, Arithmetic::F32, None, true).unwrap();
        let lengths =
            [1, 1000, super::HALF / 4, super::HALF / 8, super::HALF / 4 - 272, 3, super::HALF];
        let lengths = lengths.into_iter().cycle().take(30).chain([super::LARGE_HALF / 4 + 7]);
        let piece = |(piece, length): (usize, usize)| {
            (0..length as u32).map(|index| index * 31 + piece as u32).collect()
        };
        let pieces: Vec<Vec<u32>> = lengths.enumerate().map(piece).collect();
        let there: Vec<_> = pieces.iter().map(|piece| device.upload(piece)).collect();
        for (piece, there) in pieces.iter().zip(&there) {
            let mut found = vec![0u32; piece.len()];
            device.fetch(there.pointer(), &mut found);
            assert!(found == *piece);
        }
    }
}
