//! Blocks of a cache in the host's memory: read and verified on all threads, and ahead of time.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use memmap2::Mmap;
use rayon::Yield;
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

/// Blocks that are being read by other threads of the pool that the caller is in, while it does
/// something else.
pub(super) struct Reading {
    text: usize,
    blocks: Vec<Stored>,
    result: Receiver<Option<Gathered>>,
}

impl Reading {
    /// Begins to read blocks of a text.
    pub(super) fn begin(
        text: usize,
        reader: BlockReader,
        blocks: Vec<Stored>,
        parts: Vec<usize>,
        memory: Gathered,
    ) -> Self {
        let (sender, result) = channel();
        let wanted = blocks.clone();
        rayon::spawn(move || {
            // A panic would end the process, as nothing in the pool waits for this.
            let read = AssertUnwindSafe(|| reader.gather(&wanted, &parts, memory));
            // There may be no one left who needs them.
            sender.send(catch_unwind(read).ok()).ok();
        });
        Self { text, blocks, result }
    }

    /// Whether these are the blocks.
    pub(super) fn is_of(&self, text: usize, blocks: &[Stored]) -> bool {
        self.text == text && self.blocks == blocks
    }

    /// This reading after its blocks have been read.
    #[cfg(test)]
    pub(super) fn waited(self) -> Self {
        let (text, blocks) = (self.text, self.blocks.clone());
        let (sender, result) = channel();
        sender.send(self.finish()).ok();
        Self { text, blocks, result }
    }

    /// Waits for the blocks. `None` where reading them failed.
    pub(super) fn finish(self) -> Option<Gathered> {
        loop {
            match self.result.try_recv() {
                Ok(gathered) => return gathered,
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            // The caller may be the only thread of its pool, and then reads them itself.
            match rayon::yield_now() {
                Some(Yield::Executed) => {}
                Some(Yield::Idle) => thread::yield_now(),
                None => return self.result.recv().ok().flatten(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_of_any_size_reads_ahead_with_its_own_threads() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..96).collect();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        // Safety: the file has no name, and so no other user.
        let reader = BlockReader::new(Arc::new(unsafe { Mmap::map(&file) }.unwrap()), 12);
        let wanted: Vec<Stored> =
            [5, 1, 6].map(|block| Stored { block, checksum: 0 }).into_iter().collect();
        let expected = reader.gather(&wanted, &[8, 4], Gathered::default()).parts;
        assert_eq!(expected[1], [68, 69, 70, 71, 20, 21, 22, 23, 80, 81, 82, 83]);
        let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        for count in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            let read = || {
                let reading = |blocks: &[Stored]| {
                    let (parts, memory) = (vec![8, 4], Gathered::default());
                    Reading::begin(0, reader.clone(), blocks.to_vec(), parts, memory)
                };
                // Past the end of the file.
                let lost = [Stored { block: 9, checksum: 0 }];
                (reading(&wanted).finish().unwrap().parts, reading(&lost).finish().is_none())
            };
            // Tests beside this one begin threads of theirs, but not every time.
            let is_by_its_own = (0..20).any(|_| {
                let before = threads();
                let (found, is_lost) = pool.install(read);
                assert!(found == expected && is_lost, "{count}");
                threads() <= before
            });
            assert!(is_by_its_own, "{count}");
        }
    }
}
