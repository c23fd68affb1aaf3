//! Small tables of the host that many calls in a row need: positions, and where sequences are. All
//! layers of a step need the same, so that they are kept on the GPU, by their contents, until
//! others are needed.

use std::sync::{Mutex, MutexGuard};

use bytemuck::Pod;

use super::Cuda;
use super::memory::Allocation;

/// Tables that are kept. A call needs at most four, and the models of a step a few more.
const MOST: usize = 16;

/// The tables on the GPU.
#[derive(Default)]
pub(super) struct Tables {
    /// Tables in the order of their last use.
    kept: Mutex<Vec<Table>>,
}

struct Table {
    contents: Vec<u8>,
    allocation: Allocation,
}

/// The tables while a call uses some: none of them goes before the call has started its
/// kernels.
pub(super) struct TablesInUse<'a> {
    device: &'a Cuda,
    kept: MutexGuard<'a, Vec<Table>>,
}

impl Tables {
    /// Takes all of them back.
    pub(super) fn drain(&mut self) -> Vec<Allocation> {
        let kept = self.kept.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        kept.drain(..).map(|table| table.allocation).collect()
    }
}

impl Cuda {
    /// The tables, for one call.
    pub(super) fn tables(&self) -> TablesInUse<'_> {
        TablesInUse {
            device: self,
            kept: self.tables.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()),
        }
    }
}

impl TablesInUse<'_> {
    /// Where a table is on the GPU.
    pub(super) fn place<T: Pod>(&mut self, table: &[T]) -> u64 {
        let contents: &[u8] = bytemuck::cast_slice(table);
        let found = self.kept.iter().position(|table| table.contents == contents);
        let table = match found {
            Some(index) => self.kept.remove(index),
            None => self.upload(contents),
        };
        let pointer = table.allocation.pointer();
        self.kept.push(table);
        pointer
    }

    /// A new table, in place of the least recently used one.
    fn upload(&mut self, contents: &[u8]) -> Table {
        if self.kept.len() == MOST {
            self.device.pool.give_back(self.kept.remove(0).allocation);
        }
        let allocation = self.device.pool.take(contents.len());
        self.device.send(contents, allocation.pointer());
        Table { contents: contents.to_vec(), allocation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Arithmetic, Device};

    #[test]
    #[ignore = "needs a GPU or the emulator"]
    fn tables_are_kept_by_their_contents_until_others_are_needed() {
        let device = Cuda::open(0, Arithmetic::F32, None, true).unwrap();
        let place = |table: &[u32]| device.tables().place(table);
        let contents = |pointer, length| {
            let mut found = vec![0u32; length];
            device.fetch(pointer, &mut found);
            found
        };
        let first = place(&[1, 2, 3]);
        let second = place(&[1, 2]);
        assert_ne!(first, second);
        assert_eq!((contents(first, 3), contents(second, 2)), (vec![1, 2, 3], vec![1, 2]));
        assert_eq!(place(&[1, 2, 3]), first);
        // The second table is now the one to go.
        (0..MOST as u32 - 1).for_each(|other| assert_ne!(place(&[other; 5]), first));
        assert_eq!((place(&[1, 2, 3]), device.tables().kept.len()), (first, MOST));
        assert!(device.tables().kept.iter().all(|table| table.contents.len() != 8));
        device.synchronise();
    }
}
