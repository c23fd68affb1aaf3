//! Keeps two processes out of one run.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

/// Why a run could not be taken.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each message documents its variant")]
pub enum LockError {
    #[error("{} is in use by {}", run.display(), holder(*.process))]
    Held { run: PathBuf, process: Option<u32> },
    #[error("cannot lock {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

fn holder(process: Option<u32>) -> String {
    process.map_or("another process".to_string(), |id| format!("process {id}"))
}

/// The name of the file.
pub(crate) const FILE: &str = "lock";

/// How often a lock is tried, and the time between two tries: [`holder_of`] has it for a moment.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(5);

/// Holds a run's folder until dropped. The operating system releases the lock when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the run in this folder, which must exist, by its file `lock`.
    pub fn acquire(run: &Path) -> Result<Self, LockError> {
        let path = run.join(FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        require_own(&path).map_err(failed)?;
        // Not truncated: until the lock is ours, the file names its holder.
        let options = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let mut file = options.map_err(failed)?;
        match try_often(&file, || std::thread::sleep(PAUSE)) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    run: run.to_path_buf(),
                    process: read_process(&path),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(failed)?;
        Ok(Self { file })
    }
}

/// Locks a file that another process may have for a moment; `pause` passes the time between tries.
fn try_often(file: &File, mut pause: impl FnMut()) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => pause(),
            done => return done,
        }
    }
    file.try_lock()
}

/// Whether a lock is there, free or held.
pub(crate) fn is_lock(path: &Path) -> bool {
    path.symlink_metadata().is_ok() && require_own(path).is_ok()
}

/// Refuses a foreign file under the lock's name, which would be emptied: a lock is a
/// plain file that is empty or names a process.
fn require_own(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
        Ok(metadata) if !metadata.is_file() => {
            return Err(io::Error::other("it is a link, a folder or a device, not a run's lock"));
        }
        Ok(metadata) if metadata.len() == 0 => return Ok(()),
        Ok(_) => {}
    }
    match read_process(path) {
        Some(_) => Ok(()),
        None => Err(io::Error::other("it holds something else than a run's lock")),
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // An empty file means that it is free; failing to empty it harms nothing.
        let _ = self.file.set_len(0);
    }
}

/// The process that holds a run's folder, if one does.
pub fn holder_of(run: &Path) -> Option<u32> {
    let path = run.join("lock");
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_process(&path),
        _ => None,
    }
}

fn read_process(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_lock_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let [own, path] = ["own.txt", "lock"].map(|name| folder.path().join(name));
        fs::write(&path, "precious").unwrap();
        let error = RunLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it holds something else than a run's lock"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        #[cfg(unix)]
        {
            fs::rename(&path, &own).unwrap();
            std::os::unix::fs::symlink(&own, &path).unwrap();
            let error = RunLock::acquire(folder.path()).unwrap_err().to_string();
            assert!(error.contains("it is a link"), "{error}");
            assert_eq!(fs::read_to_string(&own).unwrap(), "precious");
        }
    }

    #[test]
    fn a_run_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(folder.path()).unwrap();
        let message = RunLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(
            message.ends_with(&format!("is in use by process {}", std::process::id())),
            "{message}"
        );
        assert_eq!(holder_of(folder.path()), Some(std::process::id()));
        drop(first);
        assert_eq!(holder_of(folder.path()), None);
        assert_eq!(fs::read_to_string(folder.path().join("lock")).unwrap(), "");
        RunLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn a_look_at_the_holder_keeps_no_one_out() {
        let folder = tempfile::tempdir().unwrap();
        drop(RunLock::acquire(folder.path()).unwrap());
        let open = || File::open(folder.path().join(FILE)).unwrap();
        let looking = open();
        looking.try_lock_shared().unwrap();
        let (file, mut pauses) = (open(), 0);
        let wait = || {
            pauses += 1;
            if pauses == 3 {
                looking.unlock().unwrap();
            }
        };
        try_often(&file, wait).unwrap();
        assert_eq!(pauses, 3);
        // A lock that stays held is an error after the last try.
        let mut pauses = 0;
        assert!(matches!(try_often(&open(), || pauses += 1), Err(TryLockError::WouldBlock)));
        assert_eq!(pauses, TRIES - 1);
    }

    #[test]
    fn a_lock_that_a_dead_process_left_is_free() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lock"), "4000000000\n").unwrap();
        let lock = RunLock::acquire(folder.path()).unwrap();
        assert_eq!(read_process(&folder.path().join("lock")), Some(std::process::id()));
        drop(lock);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = RunLock::acquire(&folder.path().join("none")).unwrap_err().to_string();
        assert!(message.starts_with("cannot lock ") && message.contains("none"), "{message}");
    }
}
