//! Flat files of token ids, memory-mapped.
//!
//! ```text
//! bytes   0..8   magic "bbllmtok"
//!         8..10  version, 1
//!        10..12  bytes per token: 2, or 4 when the vocabulary has more than 65,536 entries
//!        12..16  vocabulary size
//!        16..24  number of tokens
//!        24..56  hash of the tokenizer (see `Tokenizer::content_hash`)
//!        56..64  checksum: the first 8 bytes of the BLAKE3 hash of the tokens' bytes and then of
//!                bytes 0..56
//!        64..    token ids
//! ```
//! All numbers are little-endian.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{AtomicFile, input_file};
use memmap2::Mmap;

use crate::error::{CorpusError, Result};
use crate::text::make_folder_of;

const MAGIC: &str = "bbllmtok";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 64;
const CHECKSUM_AT: usize = 56;
/// The largest vocabulary whose ids fit two bytes.
const TWO_BYTE_VOCABULARY: usize = 1 << 16;

/// The header apart from magic, version and checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    bytes_per_token: usize,
    vocab_size: u32,
    count: u64,
    tokenizer_hash: blake3::Hash,
}

impl Header {
    /// The header's bytes, with the checksum that `payload`, a hasher fed with the tokens' bytes,
    /// gives.
    fn to_bytes(&self, payload: &blake3::Hasher) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC.as_bytes());
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(self.bytes_per_token as u16).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.vocab_size.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.count.to_le_bytes());
        bytes[24..56].copy_from_slice(self.tokenizer_hash.as_bytes());
        let checksum = payload.clone().update(&bytes[..CHECKSUM_AT]).finalize();
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.as_bytes()[..8]);
        bytes
    }

    /// Reads and checks a whole file of `length` bytes, a block at a time. The inner error is the
    /// cause alone.
    fn read(mut file: impl Read, length: u64) -> io::Result<std::result::Result<Self, String>> {
        let Some(payload) = length.checked_sub(HEADER_BYTES as u64) else {
            return Ok(Err(format!(
                "it has {length} bytes, fewer than the header's {HEADER_BYTES}"
            )));
        };
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let parsed = match Self::parse(&header, payload) {
            Ok(parsed) => parsed,
            Err(cause) => return Ok(Err(cause)),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        let is_sound = parsed.to_bytes(&hasher) == header;
        Ok(is_sound.then_some(parsed).ok_or("its checksum does not match; it is damaged".into()))
    }

    /// Reads the header of a file with `payload` bytes behind it; the error is the cause alone.
    fn parse(header: &[u8; HEADER_BYTES], payload: u64) -> std::result::Result<Self, String> {
        if !header.starts_with(MAGIC.as_bytes()) {
            return Err(
                "it does not begin as one (a headerless file of 16-bit ids is to be opened as raw)"
                    .into(),
            );
        }
        let version = u16::from_le_bytes(field(header, 8));
        if version != VERSION {
            return Err(format!("it has version {version}, and babyllama reads version {VERSION}"));
        }
        let parsed = Self {
            bytes_per_token: u16::from_le_bytes(field(header, 10)).into(),
            vocab_size: u32::from_le_bytes(field(header, 12)),
            count: u64::from_le_bytes(field(header, 16)),
            tokenizer_hash: blake3::Hash::from_bytes(field(header, 24)),
        };
        if !matches!(parsed.bytes_per_token, 2 | 4) {
            return Err(format!(
                "its header has {} bytes per token, where 2 and 4 are possible",
                parsed.bytes_per_token
            ));
        }
        let expected = parsed.count.checked_mul(parsed.bytes_per_token as u64);
        if expected != Some(payload) {
            let there = payload / parsed.bytes_per_token as u64;
            return Err(format!(
                "it should hold {} tokens and holds {there}; it may be truncated",
                parsed.count
            ));
        }
        Ok(parsed)
    }
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], start: usize) -> [u8; N] {
    std::array::from_fn(|index| header[start + index])
}

/// Writes a token file piece by piece; it appears under its name when [`finish`](Self::finish) has
/// succeeded.
pub struct TokenWriter {
    file: AtomicFile,
    header: Header,
    payload: blake3::Hasher,
}

impl TokenWriter {
    /// The beginning of every file that is written.
    pub const BEGINNING: &str = MAGIC;

    /// Begins the file `path` of ids below `vocab_size`, made by the tokenizer with this
    /// [`content_hash`](crate::Tokenizer::content_hash).
    pub fn create(path: &Path, vocab_size: usize, tokenizer_hash: &str) -> Result<Self> {
        let bad =
            |cause: &str| CorpusError::BadTokenFile { path: path.into(), cause: cause.into() };
        let header = Header {
            bytes_per_token: if vocab_size > TWO_BYTE_VOCABULARY { 4 } else { 2 },
            vocab_size: vocab_size
                .try_into()
                .map_err(|_| bad("its vocabulary would not fit 32-bit ids"))?,
            count: 0,
            tokenizer_hash: blake3::Hash::from_hex(tokenizer_hash)
                .map_err(|_| bad("the tokenizer's hash is not 64 hexadecimal digits"))?,
        };
        make_folder_of(path)?;
        let begin = || {
            let mut file = AtomicFile::create(path)?;
            file.write_all(&[0; HEADER_BYTES])?;
            Ok(file)
        };
        let file = begin().map_err(|cause| CorpusError::write(path, cause))?;
        Ok(Self { file, header, payload: blake3::Hasher::new() })
    }

    /// Appends tokens; an id outside the vocabulary is an error.
    pub fn push(&mut self, ids: &[u32]) -> Result<()> {
        let vocab_size = self.header.vocab_size;
        if let Some(&id) = ids.iter().find(|&&id| id >= vocab_size) {
            return Err(CorpusError::TokenOutside {
                path: self.file.path().into(),
                id,
                vocab_size,
            });
        }
        let bytes: Vec<u8> = match self.header.bytes_per_token {
            2 => ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect(),
            _ => ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        };
        self.header.count += ids.len() as u64;
        self.payload.update(&bytes);
        let written = self.file.write_all(&bytes);
        written.map_err(|cause| CorpusError::write(self.file.path(), cause))
    }

    /// Brings the file to disk and under its name.
    pub fn finish(mut self) -> Result<()> {
        let path = self.file.path().to_owned();
        let written = self.file.overwrite_start(&self.header.to_bytes(&self.payload));
        let committed = written.and_then(|()| self.file.commit());
        committed.map_err(|cause| CorpusError::write(path, cause))
    }
}

/// A file of token ids, read through a memory map.
#[derive(Debug)]
pub struct TokenFile {
    map: Mmap,
    payload: usize,
    bytes_per_token: usize,
    header: Option<Header>,
    /// About how many bytes were mapped by reading since pages were released.
    mapped: AtomicUsize,
}

/// About how much of the map may count as this process's memory, in bytes.
const MOST_MAPPED: usize = 1 << 26;

/// What the system maps at least when a page is first read (Linux maps 16 pages around it).
const LEAST_MAPPED: usize = 1 << 16;

impl TokenFile {
    /// Opens a file that [`TokenWriter`] made, checking all of it: kind, version, length and
    /// checksum.
    pub fn open(path: &Path) -> Result<Self> {
        let read = |cause| CorpusError::read(path, cause);
        let file = input_file::open_regular(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        let header = Header::read(&file, length)
            .map_err(read)?
            .map_err(|cause| CorpusError::BadTokenFile { path: path.into(), cause })?;
        let map = map(&file).map_err(read)?;
        Ok(Self {
            payload: HEADER_BYTES,
            bytes_per_token: header.bytes_per_token,
            header: Some(header),
            ..Self::without_header(map, 0)
        })
    }

    /// Opens a headerless file of little-endian 16-bit ids, as nanoGPT writes them. The
    /// size of their vocabulary is not known.
    pub fn raw(path: &Path) -> Result<Self> {
        let read = |cause| CorpusError::read(path, cause);
        let map = input_file::open_regular(path).and_then(|file| map(&file)).map_err(read)?;
        let cause = match map.len() {
            0 => "it is empty",
            length if length % 2 == 1 => {
                "it has an odd number of bytes, and ids of 16 bits take two each"
            }
            _ => return Ok(Self::without_header(map, 2)),
        };
        Err(CorpusError::BadTokenFile { path: path.into(), cause: cause.into() })
    }

    /// A file of little-endian 32-bit ids that no other process can open.
    pub(crate) fn of_temporary(file: &File) -> io::Result<Self> {
        Ok(Self::without_header(map(file)?, 4))
    }

    fn without_header(map: Mmap, bytes_per_token: usize) -> Self {
        Self { map, payload: 0, bytes_per_token, header: None, mapped: AtomicUsize::new(0) }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        (self.map.len() - self.payload) / self.bytes_per_token
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the vocabulary that all ids are in; `None` for a raw file.
    pub fn vocab_size(&self) -> Option<usize> {
        self.header.as_ref().map(|header| header.vocab_size as usize)
    }

    /// Content hash of the tokenizer that made the tokens, in hexadecimal digits; `None` of a raw
    /// file.
    pub fn tokenizer_hash(&self) -> Option<String> {
        self.header.as_ref().map(|header| header.tokenizer_hash.to_hex().to_string())
    }

    /// Puts the tokens of a range in place of what `ids` held.
    ///
    /// # Panics
    /// When the range ends beyond [`len`](Self::len).
    pub fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
        let size = self.bytes_per_token;
        let bytes = &self.map[self.payload + range.start * size..self.payload + range.end * size];
        ids.clear();
        match size {
            2 => {
                ids.extend(bytes.as_chunks().0.iter().map(|&id| u32::from(u16::from_le_bytes(id))))
            }
            _ => ids.extend(bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id))),
        }
        self.note_mapped(bytes.len());
    }

    /// Releases the map's pages, which the system counts as this process's memory, after every so
    /// many bytes.
    fn note_mapped(&self, bytes: usize) {
        let bytes = bytes.max(LEAST_MAPPED);
        if self.mapped.fetch_add(bytes, Ordering::Relaxed) + bytes < MOST_MAPPED {
            return;
        }
        self.mapped.store(0, Ordering::Relaxed);
        #[cfg(unix)]
        {
            // Safety: the map is only read and has a file behind it, from which released pages are
            // read again. A failure costs nothing but memory.
            let _ = unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

fn map(file: &File) -> io::Result<Mmap> {
    // Safety: the bytes must not change under the map. Our own files are replaced by renaming,
    // never written in place, and the folder of a run is locked; that no other program rewrites the
    // file is the user's to see to, as always with memory maps.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn hash() -> String {
        blake3::hash(b"a tokenizer").to_string()
    }

    fn write(folder: &tempfile::TempDir, vocab_size: usize, pieces: &[&[u32]]) -> PathBuf {
        let path = folder.path().join("train.bin");
        let mut writer = TokenWriter::create(&path, vocab_size, &hash()).unwrap();
        for ids in pieces {
            writer.push(ids).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn tokens_come_back_at_both_widths() {
        let folder = tempfile::tempdir().unwrap();
        for (vocab_size, width, last) in [(65_536, 2, 65_535), (65_537, 4, 65_536)] {
            let path = write(&folder, vocab_size, &[&[1, 2, 300], &[], &[last, 0]]);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), 64 + 5 * width);
            let file = TokenFile::open(&path).unwrap();
            assert_eq!(
                (file.len(), file.vocab_size(), file.tokenizer_hash()),
                (5, Some(vocab_size), Some(hash()))
            );
            let mut ids = vec![9];
            file.read(0..5, &mut ids);
            assert_eq!(ids, [1, 2, 300, last, 0]);
            file.read(2..4, &mut ids);
            assert_eq!(ids, [300, last]);
        }
    }

    /// What was read may be released, and is read again.
    #[test]
    fn a_file_larger_than_what_may_be_mapped_is_read_twice() {
        let folder = tempfile::tempdir().unwrap();
        let ids: Vec<u32> = (0..1000).collect();
        let file = TokenFile::open(&write(&folder, 70_000, &[&ids])).unwrap();
        let mut found = Vec::new();
        for _ in 0..3 * MOST_MAPPED / LEAST_MAPPED {
            file.read(10..900, &mut found);
            assert!(found == ids[10..900]);
            assert!(file.mapped.load(Ordering::Relaxed) < MOST_MAPPED);
        }
    }

    #[test]
    fn the_layout_stays_as_documented() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(write(&folder, 2000, &[&[258, 3]])).unwrap();
        assert_eq!(&bytes[..24], b"bbllmtok\x01\0\x02\0\xD0\x07\0\0\x02\0\0\0\0\0\0\0");
        assert_eq!(bytes[24..56], *blake3::hash(b"a tokenizer").as_bytes());
        let checked = [&bytes[64..], &bytes[..56]].concat();
        assert_eq!(bytes[56..64], blake3::hash(&checked).as_bytes()[..8]);
        assert_eq!(bytes[64..], [2, 1, 3, 0]);
    }

    #[test]
    fn damage_of_every_kind_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder, 2000, &[&[1, 2, 3, 4]]);
        let sound = std::fs::read(&path).unwrap();
        let cause = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = sound.clone();
            change(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            TokenFile::open(&path).unwrap_err().to_string()
        };
        type Damage<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
        let cases: [Damage; 8] = [
            ("fewer than the header's 64", &|bytes| bytes.truncate(63)),
            ("does not begin as one", &|bytes| bytes[0] = b'X'),
            ("it has version 2, and babyllama reads version 1", &|bytes| bytes[8] = 2),
            ("3 bytes per token", &|bytes| bytes[10] = 3),
            ("should hold 4 tokens and holds 3; it may be truncated", &|bytes| bytes.truncate(70)),
            ("should hold 4 tokens and holds 5", &|bytes| bytes.extend([0, 0])),
            ("checksum does not match", &|bytes| bytes[66] ^= 1),
            ("checksum does not match", &|bytes| bytes[30] ^= 1),
        ];
        for (expected, change) in cases {
            let message = cause(change);
            assert!(message.contains(expected) && message.contains("train.bin"), "{message}");
        }
        assert!(matches!(
            TokenFile::open(&folder.path().join("absent")),
            Err(CorpusError::Missing { .. })
        ));
    }

    #[test]
    fn ids_outside_the_vocabulary_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.bin");
        let mut writer = TokenWriter::create(&path, 100, &hash()).unwrap();
        let message = writer.push(&[5, 100]).unwrap_err().to_string();
        assert!(
            message.ends_with("train.bin: token id 100 is outside the vocabulary of 100"),
            "{message}"
        );
        drop(writer);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "nothing half-written stays"
        );
        assert!(TokenWriter::create(&path, 100, "no hash").is_err());
    }

    #[test]
    fn raw_files_have_ids_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nano.bin");
        std::fs::write(&path, [1, 0, 0xFF, 0xFF, 2, 1]).unwrap();
        let file = TokenFile::raw(&path).unwrap();
        let mut ids = Vec::new();
        file.read(0..file.len(), &mut ids);
        assert_eq!(ids, [1, 65_535, 258]);
        assert_eq!((file.vocab_size(), file.tokenizer_hash()), (None, None));

        for (bytes, cause) in [(vec![1, 2, 3], "odd number of bytes"), (vec![], "it is empty")] {
            std::fs::write(&path, bytes).unwrap();
            let message = TokenFile::raw(&path).unwrap_err().to_string();
            assert!(message.contains(cause), "{message}");
        }
    }
}
