//! Calls into libraries that may panic, or take without end, on files from outside.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

thread_local! {
    /// Whether a panic of this thread is caught and reported as an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of a call, or the words of its panic, which are not printed.
///
/// # Errors
/// When it panics. What the call worked on may be half changed and must not be used any more.
pub fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    silence_guarded_threads();
    let before = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("a panic without words").lines().next().unwrap_or_default().to_owned()
    })
}

/// As [`catch`] in a thread of its own, which is left behind when the time is over.
///
/// # Errors
/// When the call panics or takes longer.
pub fn catch_within<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().spawn(move || {
        // After the limit the receiver is gone.
        let _ = sender.send(catch(call));
    });
    thread.map_err(|cause| format!("cannot start a thread: {cause}"))?;
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(format!("it takes more than {limit:?}")),
        Err(RecvTimeoutError::Disconnected) => Err("its thread ended".to_owned()),
    }
}

fn silence_guarded_threads() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let other = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                other(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_errors() {
        assert_eq!(catch(|| 3), Ok(3));
        assert_eq!(catch(|| -> u8 { panic!("at {}", 7) }), Err("at 7".to_owned()));
        let nested = catch(|| catch(|| -> u8 { panic!("inner") }));
        assert_eq!(nested, Ok(Err("inner".to_owned())));
    }

    #[test]
    fn what_takes_too_long_is_left_behind() {
        let limit = Duration::from_millis(20);
        let slow = catch_within(limit, || thread::sleep(Duration::from_secs(2)));
        assert_eq!(slow, Err("it takes more than 20ms".to_owned()));
        assert_eq!(catch_within(Duration::from_secs(5), || 3), Ok(3));
        let panics = catch_within(Duration::from_secs(5), || -> u8 { panic!("in there") });
        assert_eq!(panics, Err("in there".to_owned()));
    }
}
