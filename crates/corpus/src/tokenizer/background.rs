//! Work of the library that cannot be interrupted.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use base::stop::{self, ShouldStop};

use crate::error::{CorpusError, Result};

/// How often it is asked whether to stop.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Does work in a thread of its own. When it is asked to stop, the thread is left behind, and ends
/// with the process or by itself. `doing` is the work in an error.
///
/// # Errors
/// When it is asked to stop, the thread cannot start, or it ends without a result.
pub(super) fn in_background<R: Send + 'static>(
    should_stop: ShouldStop<'_>,
    doing: &'static str,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R> {
    let failed = |cause: String| CorpusError::Tokenizer { doing, cause };
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        // After a stop the receiver is gone.
        let _ = sender.send(work());
    };
    thread::Builder::new().spawn(work).map_err(|cause| failed(cause.to_string()))?;
    loop {
        stop::check(should_stop)?;
        match receiver.recv_timeout(CHECK_INTERVAL) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(failed("the library ended without a result".to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_gives_its_result_or_is_left_behind() {
        assert_eq!(in_background(&stop::never, "adding", || 1 + 1).unwrap(), 2);
        let long = || thread::sleep(Duration::from_secs(60));
        let stopped = in_background(&|| true, "sleeping", long);
        assert!(matches!(stopped, Err(CorpusError::Stopped(_))));
    }
}
