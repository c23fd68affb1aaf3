//! Ending long work before its end.

use std::io;

use thiserror::Error;

/// The work was asked to stop, and did. Every library error that can mean this wraps this type as
/// its source, so that a caller finds it anywhere in a chain of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("stopped")]
pub struct Stopped;

/// Asked between the pieces of long work, from any thread; once it answers `true`, the work ends
/// with [`Stopped`].
pub type ShouldStop<'a> = &'a (dyn Fn() -> bool + Sync);

/// The answer of callers that let all work run to its end.
pub fn never() -> bool {
    false
}

/// Ends the work when it was asked to stop.
///
/// # Errors
/// [`Stopped`] once `should_stop` answers `true`.
pub fn check(should_stop: ShouldStop<'_>) -> Result<(), Stopped> {
    if should_stop() { Err(Stopped) } else { Ok(()) }
}

/// Whether reading failed because it was asked to stop.
pub fn is_stop(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_once_it_was_asked_to() {
        assert_eq!(check(&never), Ok(()));
        assert_eq!(check(&|| true), Err(Stopped));
    }
}
