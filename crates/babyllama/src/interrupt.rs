//! SIGINT, SIGTERM and SIGHUP ask a command to finish its step, save and leave. A second SIGINT or
//! SIGTERM ends it at once.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::console;

/// How long a command that was asked to stop may go on without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lets a write beyond the limit of file sizes (`ulimit -f`) fail as an error, which has a cause
/// and a next step, where its signal would end the process.
pub fn survive_file_limits() {
    // Without the handler the process ends as it would have.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Whether this process was asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Installs the signal handlers.
    pub fn install() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the second signal finds the flag set by the first.
            signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone())?;
            signal_hook::flag::register(signal, flag.clone())?;
        }
        answer_in_time()?;
        // The end of a session may send it twice, and `nohup` has it ignored, which stays so.
        if !ignores_hangups() {
            signal_hook::flag::register(SIGHUP, flag.clone())?;
        }
        Ok(Self(flag))
    }

    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Names what a signal waits for where a command does not end soon: a step of a large model takes
/// many seconds.
fn answer_in_time() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let answer = move || {
        if signals.forever().next().is_some() {
            thread::sleep(PATIENCE);
            // A bar stands on the line.
            let new_line = if std::io::stderr().is_terminal() { "\n" } else { "" };
            console::note_unless_quiet(format_args!(
                "{new_line}stopping when the step at hand is done and saved; the same signal again \
                 stops at once"
            ));
        }
    };
    thread::Builder::new().name("signals".into()).spawn(answer).map(drop)
}

/// Whether this process was started to go on after the end of its session. Where the system does
/// not show that (other than Linux, proc(5)), it is taken for so.
fn ignores_hangups() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & 1 << (SIGHUP - 1) != 0)
}
