//! Reading a pipe, whose other end may be long in coming: a program that waits for it would not
//! stop when it is asked to.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::stop::{ShouldStop, Stopped};

/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 16;

/// Time between two checks whether the reader is to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// Reads a pipe in a thread of its own, which may wait as long as it takes.
pub struct PipeReader<'a> {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// The bytes that were received last; `given` of them were handed on.
    chunk: Vec<u8>,
    given: usize,
    should_stop: ShouldStop<'a>,
}

impl<'a> PipeReader<'a> {
    /// Opens a pipe. Reading from it fails with [`Stopped`] once `should_stop` answers `true`.
    pub fn open(path: &Path, should_stop: ShouldStop<'a>) -> Self {
        let (sender, chunks) = sync_channel(16);
        let path = path.to_owned();
        // After a stop it waits on, until the process ends.
        thread::spawn(move || send_all(&path, &sender));
        Self { chunks, chunk: Vec::new(), given: 0, should_stop }
    }
}

fn send_all(path: &Path, chunks: &SyncSender<io::Result<Vec<u8>>>) {
    let mut pipe = match File::open(path) {
        Ok(pipe) => pipe,
        // The receiver may be gone.
        Err(cause) => return drop(chunks.send(Err(cause))),
    };
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = match pipe.read(&mut chunk) {
            Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
            Ok(0) => return,
            read => read,
        };
        let is_end = read.is_err();
        let sent = chunks.send(read.map(|count| {
            chunk.truncate(count);
            chunk
        }));
        if sent.is_err() || is_end {
            return;
        }
    }
}

impl Read for PipeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.chunk.len() {
            if (self.should_stop)() {
                return Err(io::Error::other(Stopped));
            }
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => (self.chunk, self.given) = (chunk?, 0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let rest = &self.chunk[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::stop::{is_stop, never};

    fn pipe(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn a_pipe_gives_what_is_written_into_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        let bytes: Vec<u8> = (0..300_000u32).map(|index| (index % 251) as u8).collect();
        let writer = thread::spawn({
            let (path, bytes) = (path.clone(), bytes.clone());
            move || std::fs::write(path, bytes).unwrap()
        });
        let mut found = Vec::new();
        PipeReader::open(&path, &never).read_to_end(&mut found).unwrap();
        writer.join().unwrap();
        assert!(found == bytes);
        let absent = PipeReader::open(&folder.path().join("none"), &never).read(&mut [0; 9]);
        assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_pipe_that_nobody_writes_into_is_not_waited_for_after_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        let asked = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                asked.store(true, Ordering::Relaxed);
            });
            let should_stop = || asked.load(Ordering::Relaxed);
            let mut found = Vec::new();
            let stopped = PipeReader::open(&path, &should_stop).read_to_end(&mut found);
            assert!(is_stop(&stopped.unwrap_err()));
        });
    }
}
