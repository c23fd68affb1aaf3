//! Ending long work before its end.

use crate::error::{CorpusError, Result};

/// Asked between the pieces of long work, from any thread; once it answers `true`, the work ends
/// with [`CorpusError::Stopped`].
pub type ShouldStop<'a> = &'a (dyn Fn() -> bool + Sync);

/// The answer of those who let all work run to its end.
pub(crate) fn never() -> bool {
    false
}

pub(crate) fn check(should_stop: ShouldStop<'_>) -> Result<()> {
    if should_stop() { Err(CorpusError::Stopped) } else { Ok(()) }
}
