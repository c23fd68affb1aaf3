//! The files of a teacher cache: which process writes, which blocks are stored, which are damaged.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::atomic_file;
use memmap2::Mmap;

use super::CacheError;
use super::gather::{BlockReader, Stored};
use super::manifest::Manifest;

const CHECKSUM_BYTES: usize = 8;
/// The files of a cache besides its manifest and its lock.
const CONTENTS: [&str; 3] = ["blocks.bin", "checksums.bin", "complete"];
const LOCK: &str = "cache.lock";
/// How long a second process waits for the first one to make the files.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a cache is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Training: reads stored blocks and, if no other process does, writes missing ones.
    Use,
    /// Completing: verifies every block first; damaged ones count as missing.
    Repair,
}

/// A cache on disk.
pub struct Store {
    folder: PathBuf,
    manifest: Manifest,
    /// The blocks' checksums as far as this process knows them; 0 for a missing block.
    checksums: Vec<u64>,
    /// Blocks whose bytes this process wrote, or found to match their checksum.
    verified: Vec<bool>,
    missing: usize,
    map: Arc<Mmap>,
    checksum_file: File,
    role: Role,
}

/// What a process does with the cache.
enum Role {
    /// Reads a complete cache; no process writes.
    Complete,
    /// Is the one process that writes.
    Writer { blocks: File, _lock: File },
    /// Reads while another process writes; missing blocks may appear.
    Reader,
}

impl Store {
    /// Opens the cache in a folder, or creates it.
    ///
    /// # Errors
    /// When the folder holds another cache or files of another program under a cache's names, a
    /// complete cache is not as long as it should be, the disk has too little space, or files
    /// cannot be read or written. A cache that cannot be written is an error unless it is complete.
    pub fn open(folder: &Path, manifest: Manifest, purpose: Purpose) -> Result<Self, CacheError> {
        let found = Manifest::read(&folder.join("manifest.json"))?;
        if let Some(found) = &found {
            refuse_other(folder, &manifest, found)?;
        }
        if purpose == Purpose::Use && found.is_some() && folder.join("complete").exists() {
            return Self::with_files(folder, manifest, Role::Complete);
        }
        if found.is_none() {
            refuse_foreign(folder)?;
        }
        let begun = Instant::now();
        loop {
            if let Some(lock) = lock(folder)? {
                return Self::open_to_write(folder, manifest, purpose, lock);
            }
            // Another process writes; its files must exist to be read.
            if purpose == Purpose::Repair || begun.elapsed() > PATIENCE {
                return Err(CacheError::Busy { folder: folder.to_owned() });
            }
            if let Some(found) = Manifest::read(&folder.join("manifest.json"))? {
                refuse_other(folder, &manifest, &found)?;
                return Self::with_files(folder, manifest, Role::Reader);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn open_to_write(
        folder: &Path,
        manifest: Manifest,
        purpose: Purpose,
        lock: File,
    ) -> Result<Self, CacheError> {
        // Another process may have begun it, or even finished it, while this one waited for the
        // lock.
        let found = Manifest::read(&folder.join("manifest.json"))?;
        match &found {
            Some(found) => refuse_other(folder, &manifest, found)?,
            None => remove_contents(folder)?,
        }
        if purpose == Purpose::Use && folder.join("complete").exists() {
            return Self::with_files(folder, manifest, Role::Complete);
        }
        let blocks = make_files(folder, &manifest).inspect_err(|_| {
            // A new cache that does not fit releases its disk space; the first error is returned.
            if found.is_none() {
                let _ = remove_contents(folder);
            }
        })?;
        let mut store = Self::with_files(folder, manifest, Role::Writer { blocks, _lock: lock })?;
        if purpose == Purpose::Repair {
            store.forget_damaged()?;
        }
        store.finish_if_complete()?;
        Ok(store)
    }

    fn with_files(folder: &Path, manifest: Manifest, role: Role) -> Result<Self, CacheError> {
        let path = folder.join("blocks.bin");
        let blocks = open_whole(&path, manifest.total_bytes())?;
        // Safety: the bytes behind the map change only where a writer fills in a block, and a block
        // is read only after its checksum, which is written later, was found; a block that does not
        // match its checksum is not used. No other program may truncate the file, as always with
        // memory maps.
        let map = unsafe { Mmap::map(&blocks) }.map_err(io_error(&path))?;
        let path = folder.join("checksums.bin");
        let mut checksum_file = open_whole(&path, (manifest.blocks * CHECKSUM_BYTES) as u64)?;
        let mut bytes = Vec::new();
        checksum_file.read_to_end(&mut bytes).map_err(io_error(&path))?;
        let checksums: Vec<u64> =
            bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if matches!(role, Role::Writer { .. }) {
            checksum_file =
                OpenOptions::new().read(true).write(true).open(&path).map_err(io_error(&path))?;
        }
        // A zero in a complete cache is damage, found when the block is read.
        let missing = match role {
            Role::Complete => 0,
            Role::Writer { .. } | Role::Reader => {
                checksums.iter().filter(|&&checksum| checksum == 0).count()
            }
        };
        let verified = vec![false; checksums.len()];
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
            checksums,
            verified,
            missing,
            map: Arc::new(map),
            checksum_file,
            role,
        })
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything that the contents follow from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The number of missing blocks, as far as this process knows.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Whether a block is stored, as far as this process knows; reading may still find it damaged.
    pub fn has(&self, block: usize) -> bool {
        self.checksums[block] != 0
    }

    /// What other threads need to read blocks.
    pub(super) fn reader(&self) -> BlockReader {
        BlockReader::new(self.map.clone(), self.manifest.block_bytes)
    }

    /// A block with the checksum that it should have; `None` of a missing one.
    ///
    /// # Errors
    /// When another process writes the cache, and what it has written cannot be read.
    pub(super) fn stored(&mut self, block: usize) -> Result<Option<Stored>, CacheError> {
        if self.checksums[block] == 0 && matches!(self.role, Role::Reader) {
            self.refresh(block)?;
        }
        let checksum = self.checksums[block];
        let is_stored = checksum != 0 || matches!(self.role, Role::Complete);
        Ok(is_stored.then_some(Stored { block, checksum }))
    }

    /// Notes that a block was found to match its checksum.
    pub(super) fn note_verified(&mut self, found: Stored) {
        self.verified[found.block] = self.checksums[found.block] == found.checksum;
    }

    /// A block's bytes; `None` when it has to be computed (again).
    ///
    /// # Errors
    /// When a block of a complete cache is not what was written.
    pub fn read(&mut self, block: usize) -> Result<Option<&[u8]>, CacheError> {
        if let Some(Stored { checksum, .. }) = self.stored(block)? {
            self.verified[block] = self.checksum(block) == checksum;
            if !self.verified[block] {
                if matches!(self.role, Role::Complete) {
                    return Err(CacheError::Damaged {
                        path: self.folder.join("blocks.bin"),
                        block,
                    });
                }
                self.note(block, 0);
            }
        }
        let start = block * self.manifest.block_bytes;
        Ok((self.checksums[block] != 0)
            .then(|| &self.map[start..start + self.manifest.block_bytes]))
    }

    /// Stores a block. Does nothing where another process is the one that writes.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn write(&mut self, block: usize, bytes: &[u8]) -> Result<(), CacheError> {
        assert_eq!(bytes.len(), self.manifest.block_bytes, "bytes of a block");
        let Role::Writer { blocks, .. } = &self.role else { return Ok(()) };
        let start = (block * self.manifest.block_bytes) as u64;
        write_at(blocks, start, bytes).map_err(io_error(&self.folder.join("blocks.bin")))?;
        self.write_checksum(block, checksum(block, [bytes]))?;
        self.verified[block] = true;
        self.finish_if_complete()
    }

    /// The checksum of the bytes that the file holds.
    fn checksum(&self, block: usize) -> u64 {
        let start = block * self.manifest.block_bytes;
        checksum(block, [&self.map[start..start + self.manifest.block_bytes]])
    }

    fn write_checksum(&mut self, block: usize, checksum: u64) -> Result<(), CacheError> {
        let start = (block * CHECKSUM_BYTES) as u64;
        let path = self.folder.join("checksums.bin");
        write_at(&self.checksum_file, start, &checksum.to_le_bytes()).map_err(io_error(&path))?;
        self.note(block, checksum);
        Ok(())
    }

    fn note(&mut self, block: usize, checksum: u64) {
        let (before, after) = (self.checksums[block] == 0, checksum == 0);
        self.checksums[block] = checksum;
        self.missing = self.missing + usize::from(after) - usize::from(before);
    }

    /// Reads a checksum again, which the writing process may have written by now.
    fn refresh(&mut self, block: usize) -> Result<(), CacheError> {
        let mut bytes = [0; CHECKSUM_BYTES];
        let mut file = &self.checksum_file;
        let read = file
            .seek(SeekFrom::Start((block * CHECKSUM_BYTES) as u64))
            .and_then(|_| file.read_exact(&mut bytes));
        read.map_err(io_error(&self.folder.join("checksums.bin")))?;
        self.note(block, u64::from_le_bytes(bytes));
        Ok(())
    }

    /// Clears the checksums of damaged blocks among those that were not verified yet.
    fn forget_damaged(&mut self) -> Result<(), CacheError> {
        let mut damaged = Vec::new();
        for block in (0..self.manifest.blocks).filter(|&block| self.checksums[block] != 0) {
            self.verified[block] =
                self.verified[block] || self.checksum(block) == self.checksums[block];
            if !self.verified[block] {
                damaged.push(block);
            }
        }
        if !damaged.is_empty() || self.missing > 0 {
            remove(&self.folder.join("complete"))?;
        }
        damaged.into_iter().try_for_each(|block| self.write_checksum(block, 0))
    }

    /// Once every block is written and verified: syncs all files, writes `complete`, and releases
    /// the lock.
    fn finish_if_complete(&mut self) -> Result<(), CacheError> {
        if matches!(self.role, Role::Writer { .. }) && self.missing == 0 {
            // An earlier process may have left blocks that are damaged by now.
            self.forget_damaged()?;
        }
        let Role::Writer { blocks, .. } = &self.role else { return Ok(()) };
        if self.missing > 0 {
            return Ok(());
        }
        blocks.sync_all().map_err(io_error(&self.folder.join("blocks.bin")))?;
        self.checksum_file.sync_all().map_err(io_error(&self.folder.join("checksums.bin")))?;
        let place = self.folder.join("complete");
        atomic_file::write(&place, b"every block is written\n").map_err(io_error(&place))?;
        self.role = Role::Complete;
        Ok(())
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |cause| CacheError::Io { path: path.to_owned(), cause }
}

fn refuse_other(folder: &Path, wanted: &Manifest, found: &Manifest) -> Result<(), CacheError> {
    match wanted.first_difference(found) {
        None => Ok(()),
        Some((field, found, wanted)) => {
            Err(CacheError::Differs { folder: folder.to_owned(), field, found, wanted })
        }
    }
}

/// The start of the hash of a block's place and its bytes, which may come in parts; never 0.
pub(super) fn checksum<'a>(block: usize, parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(block as u64).to_le_bytes());
    parts.into_iter().for_each(|part| {
        hasher.update(part);
    });
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h]).max(1)
}

/// The lock of the writing process, held as long as the file is open; `None` when another process
/// has it.
fn lock(folder: &Path) -> Result<Option<File>, CacheError> {
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(CacheError::Io { path, cause }),
    }
}

/// Creates the files of a cache, the manifest last. Files that were cut off are extended again;
/// their lost blocks count as missing or damaged.
fn make_files(folder: &Path, manifest: &Manifest) -> Result<File, CacheError> {
    let blocks = reserve(&folder.join("blocks.bin"), manifest.total_bytes())?;
    reserve(&folder.join("checksums.bin"), (manifest.blocks * CHECKSUM_BYTES) as u64)?;
    manifest.write(&folder.join("manifest.json"))?;
    Ok(blocks)
}

/// Refuses to replace files that belong to no cache: in a folder without a manifest, only a lock
/// file shows that they are of a process that was killed while it created a cache.
fn refuse_foreign(folder: &Path) -> Result<(), CacheError> {
    let foreign = CONTENTS.into_iter().find(|name| folder.join(name).exists());
    // Checked last: a process that creates a cache locks it before it creates the files.
    match foreign {
        Some(file) if !folder.join(LOCK).exists() => {
            Err(CacheError::Foreign { folder: folder.to_owned(), file })
        }
        _ => Ok(()),
    }
}

fn remove_contents(folder: &Path) -> Result<(), CacheError> {
    CONTENTS.into_iter().try_for_each(|name| remove(&folder.join(name)))
}

/// Opens a file to read that must have a certain length; a missing one counts as empty.
fn open_whole(path: &Path, expected: u64) -> Result<File, CacheError> {
    let file = match File::open(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(CacheError::Truncated { path: path.to_owned(), bytes: 0, expected });
        }
        opened => opened.map_err(io_error(path))?,
    };
    let bytes = file.metadata().map_err(io_error(path))?.len();
    if bytes != expected {
        return Err(CacheError::Truncated { path: path.to_owned(), bytes, expected });
    }
    Ok(file)
}

/// Opens a file to write and reserves its disk space, so that a full disk is an error now and not
/// hours later. New bytes are zeros.
fn reserve(path: &Path, bytes: u64) -> Result<File, CacheError> {
    let file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path);
    let file = file.map_err(io_error(path))?;
    let before = file.metadata().map_err(io_error(path))?.len();
    let reserved = if before == bytes {
        Ok(())
    } else {
        file.set_len(before.min(bytes)).and_then(|()| allocate(&file, bytes))
    };
    reserved.map_err(|cause| {
        // The space of a new file is released; an old file has its length restored.
        let _ = if before == 0 { fs::remove_file(path) } else { file.set_len(before) };
        CacheError::Io { path: path.to_owned(), cause }
    })?;
    Ok(file)
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::{Errno, retry_on_intr};
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes)) {
        // Some file systems cannot reserve; then a full disk shows when a block is written.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(bytes),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    file.set_len(bytes)
}

fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(CacheError::Io { path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

fn write_at(mut file: &File, start: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(start))?;
    file.write_all(bytes)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
