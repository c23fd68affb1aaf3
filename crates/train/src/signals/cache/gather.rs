//! Blocks of a cache in the host's memory: read and verified on all threads, and ahead of time.

use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use memmap2::Mmap;
use rayon::prelude::*;

use super::store::checksum;

/// A block that is stored, and the checksum that its bytes should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub block: usize,
    pub checksum: u64,
}

/// Some blocks' bytes. A block has parts of fixed sizes; the same part of all blocks is together,
/// so that a device receives it as one copy.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// For each part `[blocks, bytes of the part]`.
    parts: Vec<Vec<u8>>,
    /// Whether each block has the checksum that it should have.
    is_intact: Vec<bool>,
}

impl Gathered {
    /// The parts of consecutive blocks.
    pub(super) fn parts(&self, blocks: Range<usize>) -> Vec<&[u8]> {
        let count = self.is_intact.len().max(1);
        let of_part = |part: &'_ Vec<u8>| {
            let bytes = part.len() / count;
            blocks.start * bytes..blocks.end * bytes
        };
        self.parts.iter().map(|part| &part[of_part(part)]).collect()
    }

    /// Whether a block's bytes are what was written.
    pub(super) fn is_intact(&self, index: usize) -> bool {
        self.is_intact[index]
    }
}

/// Reads blocks of a cache's file.
#[derive(Clone)]
pub(super) struct BlockReader {
    map: Arc<Mmap>,
    block_bytes: usize,
}

impl BlockReader {
    pub(super) fn new(map: Arc<Mmap>, block_bytes: usize) -> Self {
        Self { map, block_bytes }
    }

    /// Reads and verifies blocks on all threads. `parts` are the sizes of a block's parts;
    /// `memory` is an earlier result whose memory is used again.
    pub(super) fn gather(
        &self,
        blocks: &[Stored],
        parts: &[usize],
        mut memory: Gathered,
    ) -> Gathered {
        memory.parts.resize_with(parts.len(), Vec::new);
        let mut places: Vec<Vec<&mut [u8]>> = blocks.iter().map(|_| Vec::new()).collect();
        for (part, &bytes) in memory.parts.iter_mut().zip(parts) {
            part.resize(blocks.len() * bytes, 0);
            let of_blocks = places.iter_mut().zip(part.chunks_exact_mut(bytes.max(1)));
            of_blocks.for_each(|(of_block, place)| of_block.push(place));
        }
        let read = |(stored, places): (&Stored, Vec<&mut [u8]>)| self.read(*stored, places);
        memory.is_intact = blocks.par_iter().zip(places).map(read).collect();
        memory
    }

    /// Copies a block's bytes to the places of its parts; false when they are not what was written.
    fn read(&self, stored: Stored, mut places: Vec<&mut [u8]>) -> bool {
        let mut from = stored.block * self.block_bytes;
        for place in &mut places {
            place.copy_from_slice(&self.map[from..from + place.len()]);
            from += place.len();
        }
        self.release(stored.block);
        // Of the copy: the file may change meanwhile.
        checksum(stored.block, places.iter().map(|place| &**place)) == stored.checksum
    }

    /// Unmaps a block's pages, which the system would otherwise count as this process's memory.
    fn release(&self, block: usize) {
        #[cfg(unix)]
        {
            let (start, length) = (block * self.block_bytes, self.block_bytes);
            // Safety: the map is only read and has a file behind it, from which released
            // pages are read again. A failure costs nothing but memory.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, length)
            };
        }
    }
}

/// Blocks that are being read on another thread.
pub(super) struct Reading {
    text: usize,
    blocks: Vec<Stored>,
    thread: JoinHandle<Gathered>,
}

impl Reading {
    /// Begins to read blocks of a text. `None` where the system gives no thread.
    pub(super) fn begin(
        text: usize,
        reader: BlockReader,
        blocks: Vec<Stored>,
        parts: Vec<usize>,
        memory: Gathered,
    ) -> Option<Self> {
        let wanted = blocks.clone();
        let work = move || reader.gather(&wanted, &parts, memory);
        let thread = thread::Builder::new().name("teacher cache".to_owned()).spawn(work).ok()?;
        Some(Self { text, blocks, thread })
    }

    /// Whether these are the blocks.
    pub(super) fn is_of(&self, text: usize, blocks: &[Stored]) -> bool {
        self.text == text && self.blocks == blocks
    }

    #[cfg(test)]
    pub(super) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the blocks. `None` where the thread failed.
    pub(super) fn finish(self) -> Option<Gathered> {
        self.thread.join().ok()
    }
}
