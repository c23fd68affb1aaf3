//! Teacher outputs in files: one block of bytes for each sequence of a text, in a folder.
//!
//! ```text
//! manifest.json   everything that the contents follow from: teachers, text, cache format
//! blocks.bin      block k from byte k * block_bytes on
//! checksums.bin   8 bytes a block: the start of its BLAKE3 hash, or zeros for a missing block
//! complete        present once every block is written and on disk
//! cache.lock      locked by the one process that writes
//! ```
//! A block is written before its checksum, so that a process that is killed at any moment leaves a
//! cache that the next one continues.

mod cached;
mod codec;
mod dataset;
mod device_cache;
mod format;
mod gather;
mod hidden;
mod manifest;
mod sampled;
mod store;

use std::io;
use std::path::PathBuf;

pub use cached::TeacherCache;
pub use codec::value_bytes;
pub use manifest::{Manifest, Rounding, Sampling, TeacherEntry};
pub use store::{Purpose, Store};

pub(super) use cached::{CachedSignals, Opening};
pub(super) use format::CacheFormat;
pub(super) use hidden::Hidden;
pub(super) use sampled::Sampled;

use codec::encode;
use device_cache::DeviceCache;

/// Why a cache cannot be used.
#[expect(missing_docs, reason = "the message of a variant states what it is")]
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("{}: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("the teacher cache {} has other contents: `{field}` is {found} there and {wanted} \
     here", folder.display())]
    Differs { folder: PathBuf, field: String, found: String, wanted: String },
    #[error("block {block} of {} is damaged: its checksum does not match", path.display())]
    Damaged { path: PathBuf, block: usize },
    #[error("{} has {bytes} bytes instead of {expected}; the file was cut off", path.display())]
    Truncated { path: PathBuf, bytes: u64, expected: u64 },
    #[error("{} is not the manifest of a teacher cache: {problem}", path.display())]
    Manifest { path: PathBuf, problem: String },
    #[error("{} has no manifest but a {file}: its files are not a teacher cache", folder.display())]
    Foreign { folder: PathBuf, file: &'static str },
    #[error("the teacher cache {} is being written by another process", folder.display())]
    Busy { folder: PathBuf },
}
