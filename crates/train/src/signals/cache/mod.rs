//! A cache of what teachers say: one block of bytes for each sequence of a text, in a folder of its
//! own.
//!
//! ```text
//! manifest.json   whose signals of which sequences these are, and in which form
//! blocks.bin      block k from byte k * block_bytes on
//! checksums.bin   8 bytes a block: the start of its BLAKE3 hash; zeros of a block that is not written
//! complete        there once every block is written and on disk
//! cache.lock      held by the one process that writes
//! ```
//! A block is written before its checksum, so that a process that is killed at any moment leaves a
//! cache that the next one continues.

mod codec;
mod manifest;
mod store;

use std::io;
use std::path::PathBuf;

pub use codec::{decode, encode, value_bytes};
pub use manifest::{Manifest, Rounding, Sampling, TeacherEntry};
pub use store::{Purpose, Store};

/// Why a cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("{}: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("the teachers' cache {} has other contents: `{field}` is {found} there and {wanted} \
     here", folder.display())]
    Differs { folder: PathBuf, field: String, found: String, wanted: String },
    #[error("block {block} of {} is damaged: its checksum does not match", path.display())]
    Damaged { path: PathBuf, block: usize },
    #[error("{} has {bytes} bytes instead of {expected}; it was cut", path.display())]
    Truncated { path: PathBuf, bytes: u64, expected: u64 },
    #[error("{} is no manifest of a teachers' cache: {problem}", path.display())]
    Manifest { path: PathBuf, problem: String },
    #[error("{} has no manifest but a {file}: it holds files that are not ours", folder.display())]
    Foreign { folder: PathBuf, file: &'static str },
    #[error("the teachers' cache {} is being written by another process", folder.display())]
    Busy { folder: PathBuf },
}
