//! Tokens of text that is not kept.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use crate::error::{CorpusError, Result};
use crate::tokens::TokenFile;

/// Tokens that are gathered to be read for a while: in memory, and beyond a number of them in a
/// temporary file without a name, which nothing leaves behind.
pub struct TokenSpool {
    most_in_memory: usize,
    ids: Vec<u32>,
    file: Option<BufWriter<File>>,
}

/// What a [`TokenSpool`] has gathered.
pub enum SpooledTokens {
    /// All of it in memory.
    Memory(Vec<u32>),
    /// A mapped file.
    File(TokenFile),
}

impl TokenSpool {
    /// A spool that keeps up to `most_in_memory` tokens in memory.
    pub fn new(most_in_memory: usize) -> Self {
        Self { most_in_memory, ids: Vec::new(), file: None }
    }

    /// Appends tokens.
    ///
    /// # Errors
    /// When the temporary file cannot be made or written.
    pub fn push(&mut self, ids: &[u32]) -> Result<()> {
        self.ids.extend_from_slice(ids);
        if self.ids.len() > self.most_in_memory {
            self.write().map_err(Self::failed)?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        for id in self.ids.drain(..) {
            file.write_all(&id.to_le_bytes())?;
        }
        Ok(())
    }

    /// All tokens.
    ///
    /// # Errors
    /// When the temporary file cannot be written or mapped.
    pub fn finish(mut self) -> Result<SpooledTokens> {
        if self.file.is_some() {
            self.write().map_err(Self::failed)?;
        }
        match self.file {
            None => Ok(SpooledTokens::Memory(self.ids)),
            Some(file) => {
                let file = file.into_inner().map_err(|error| Self::failed(error.into_error()))?;
                TokenFile::of_temporary(&file).map(SpooledTokens::File).map_err(Self::failed)
            }
        }
    }

    fn failed(cause: io::Error) -> CorpusError {
        CorpusError::write(std::env::temp_dir(), cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_gathered_in_memory_and_beyond() {
        for most_in_memory in [0, 3, 1000] {
            let mut spool = TokenSpool::new(most_in_memory);
            for ids in [&[1, 70_000][..], &[], &[3, 4, 5, 6]] {
                spool.push(ids).unwrap();
            }
            let ids = match spool.finish().unwrap() {
                SpooledTokens::Memory(ids) => ids,
                SpooledTokens::File(file) => {
                    assert!(most_in_memory < 6);
                    let mut ids = Vec::new();
                    file.read(0..file.len(), &mut ids);
                    ids
                }
            };
            assert_eq!(ids, [1, 70_000, 3, 4, 5, 6]);
        }
    }
}
