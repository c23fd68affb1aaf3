//! Files read in parts, as Python's `Path.read_text()` reads them whole.

use std::io::Read;
use std::path::{Path, PathBuf};

use base::{ShouldStop, input_file};

use crate::error::{CorpusError, Result};

/// How much is read at once, in bytes.
pub(crate) const PART_BYTES: usize = 1 << 20;

/// The text of a file in parts of about [`PART_BYTES`]: strict UTF-8, with `\r\n` and `\r` turned
/// into `\n`. A part ends between characters.
pub(crate) struct TextReader<R> {
    input: R,
    path: PathBuf,
    part_bytes: usize,
    /// What was read and not given out: a character that is not whole, or a `\r`, to which a line
    /// feed may belong.
    pending: Vec<u8>,
    /// Bytes of the file before `pending`.
    offset: usize,
    is_done: bool,
}

impl TextReader<std::fs::File> {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, or is a Git LFS pointer.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = input_file::open(path).map_err(|cause| CorpusError::read(path, cause))?;
        Ok(Self::new(file, path, PART_BYTES))
    }
}

impl<'a> TextReader<Box<dyn Read + 'a>> {
    /// Opens a file or a pipe, which is not waited for any more once `should_stop` answers `true`.
    ///
    /// # Errors
    /// As [`open`](TextReader::open), and when it is neither.
    pub(crate) fn open_unless(should_stop: ShouldStop<'a>, path: &Path) -> Result<Self> {
        let input = input_file::open_unless(should_stop, path);
        let input = input.map_err(|cause| CorpusError::read(path, cause))?;
        Ok(Self::new(input, path, PART_BYTES))
    }
}

impl<R: Read> TextReader<R> {
    /// Reads `input`, which errors call `path`.
    pub(crate) fn new(input: R, path: &Path, part_bytes: usize) -> Self {
        let (pending, offset, is_done) = (Vec::new(), 0, false);
        Self { input, path: path.into(), part_bytes, pending, offset, is_done }
    }

    /// The next part, which may be empty; `None` after the last one.
    fn part(&mut self) -> Result<Option<String>> {
        if self.is_done {
            return Ok(None);
        }
        let mut bytes = std::mem::take(&mut self.pending);
        let part = (&mut self.input).take(self.part_bytes as u64).read_to_end(&mut bytes);
        let count = part.map_err(|cause| CorpusError::read(&self.path, cause))?;
        self.is_done = count < self.part_bytes;
        let end = self.whole(&bytes)?;
        self.pending = bytes.split_off(end);
        self.offset += end;
        // `whole` has checked them.
        let text = String::from_utf8(bytes).map_err(|_| self.invalid(0))?;
        Ok(Some(with_line_feeds(text)))
    }

    /// How many of the bytes can be given out.
    fn whole(&self, bytes: &[u8]) -> Result<usize> {
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text.len(),
            // The rest of the character has not been read yet.
            Err(error) if error.error_len().is_none() && !self.is_done => error.valid_up_to(),
            Err(error) => return Err(self.invalid(error.valid_up_to())),
        };
        let has_open_end = !self.is_done && bytes[..valid].ends_with(b"\r");
        Ok(valid - usize::from(has_open_end))
    }

    fn invalid(&self, at: usize) -> CorpusError {
        CorpusError::InvalidUtf8 { path: self.path.clone(), offset: self.offset + at }
    }
}

impl<R: Read> Iterator for TextReader<R> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.part().transpose()
    }
}

/// The text with `\r\n` and `\r` turned into `\n`.
fn with_line_feeds(text: String) -> String {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], part_bytes: usize) -> Result<String> {
        TextReader::new(bytes, Path::new("a.txt"), part_bytes).collect()
    }

    /// The slow reference: the whole text at once.
    fn read_whole(bytes: &[u8]) -> std::result::Result<String, usize> {
        let text = String::from_utf8(bytes.to_vec());
        let text = text.map_err(|error| error.utf8_error().valid_up_to())?;
        Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
    }

    #[test]
    fn parts_of_any_size_are_the_whole_text() {
        let endless = "no line feed at all ".repeat(40);
        let texts: [&str; 9] = [
            "",
            "\r",
            "\r\r\r\r\r\r\r\r\r",
            "\r\n\r\n\r\r\n\n\r",
            "a\r\nb\rc\n\r\n\r\rd",
            "𝄞🎵\r\n🎶\r𝄢é\u{2028}中",
            "🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵🎵",
            "ends in two\r\r",
            &endless,
        ];
        for text in texts {
            for part_bytes in [1, 2, 3, 7, 64, PART_BYTES] {
                let expected = read_whole(text.as_bytes()).unwrap();
                assert_eq!(read(text.as_bytes(), part_bytes).unwrap(), expected, "{part_bytes}");
            }
        }
    }

    #[test]
    fn the_offset_of_a_bad_byte_is_that_of_the_file() {
        let cases: [&[u8]; 7] = [
            b"caf\xC3\xA9 \xFF after",
            b"\xF0\x9F\x8E",
            b"a\r\n\r\n\xF0\x9F\x8Eb",
            b"\r\xC3",
            b"\xC3\r",
            b"\xED\xA0\x80",
            b"\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\x8E",
        ];
        for bytes in cases {
            let expected = read_whole(bytes).unwrap_err();
            for part_bytes in [1, 2, 3, 7, 64] {
                match read(bytes, part_bytes).unwrap_err() {
                    CorpusError::InvalidUtf8 { offset, .. } => assert_eq!(offset, expected),
                    other => panic!("{other}"),
                }
            }
        }
    }
}
