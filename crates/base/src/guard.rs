//! Calls into libraries that may panic, or take without end, on files from outside.

use std::cell::Cell;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

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

/// The result of a call in a thread of its own, or the words of its panic, as [`catch`]; the
/// thread is left behind when it has used up the limit. The limit is of the thread's processor
/// time, so that the answer does not depend on what else the machine does; of real time where the
/// system does not count processor time.
///
/// # Errors
/// When the call panics or takes longer.
pub fn catch_within<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = mpsc::channel();
    let (send_clock, clock) = mpsc::channel();
    let thread = thread::Builder::new().spawn(move || {
        // After the limit the receivers are gone.
        let _ = send_clock.send(ThreadClock::of_this_thread());
        let _ = sender.send(catch(call));
    });
    thread.map_err(|cause| format!("cannot start a thread: {cause}"))?;
    let clock = clock.recv().unwrap_or(ThreadClock(None));
    let begun = Instant::now();
    loop {
        match receiver.recv_timeout(limit.min(BETWEEN_LOOKS)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => return Err("its thread ended".to_owned()),
            Err(RecvTimeoutError::Timeout) => {
                let real = begun.elapsed();
                if clock.used().unwrap_or(real) >= limit || real >= limit * WAITING {
                    return Err(format!("it takes more than {limit:?}"));
                }
            }
        }
    }
}

/// How long a call that stays within its limit is waited for between two looks at its clock.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How many times its limit a call may take that waits instead of using the processor.
const WAITING: u32 = 30;

/// The processor time of a thread: its `stat` file (Linux, proc(5)).
struct ThreadClock(Option<PathBuf>);

impl ThreadClock {
    fn of_this_thread() -> Self {
        let thread = fs::read_link("/proc/thread-self").ok();
        Self(thread.map(|thread| Path::new("/proc").join(thread).join("stat")))
    }

    /// What the thread has used, where that is known.
    fn used(&self) -> Option<Duration> {
        let stat = fs::read_to_string(self.0.as_ref()?).ok()?;
        // The second field is a name in parentheses; the 14th and 15th are hundredths of seconds in
        // the program and in the system.
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ticks = fields.take(2).map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
        Some(Duration::from_millis(10 * ticks))
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
    use std::hint::black_box;

    use super::*;

    /// A machine that is busy gives a thread little of its time, which must not count.
    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_processor_time_of_the_call_counts() {
        let limit = Duration::from_millis(200);
        let waits = || thread::sleep(2 * Duration::from_millis(200));
        assert_eq!(catch_within(limit, waits), Ok(()));
    }

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
        let waits = catch_within(limit, || thread::sleep(Duration::from_secs(20)));
        assert_eq!(waits, Err("it takes more than 20ms".to_owned()));
        let works = catch_within(limit, || (0u64..).find(|&number| black_box(number) == u64::MAX));
        assert_eq!(works, Err("it takes more than 20ms".to_owned()));
        assert_eq!(catch_within(Duration::from_secs(5), || 3), Ok(3));
        let panics = catch_within(Duration::from_secs(5), || -> u8 { panic!("in there") });
        assert_eq!(panics, Err("in there".to_owned()));
    }
}
