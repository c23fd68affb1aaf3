//! SIGINT and SIGTERM ask a command to finish its step, save and leave. A second one ends it at
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use corpus::CorpusError;
use eval::EvalError;
use eval::age_of_acquisition::AgeError;
use signal_hook::consts::{SIGINT, SIGTERM};
use train::TrainError;

/// Whether somebody asked this process to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen.
    pub fn listen() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the second signal finds the flag set by the first.
            signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone())?;
            signal_hook::flag::register(signal, flag.clone())?;
        }
        Ok(Self(flag))
    }

    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether an error only says that somebody asked to stop.
pub fn is_stop(error: &anyhow::Error) -> bool {
    let corpus = matches!(error.downcast_ref(), Some(CorpusError::Stopped));
    let scoring = matches!(error.downcast_ref(), Some(EvalError::Stopped));
    let measuring = matches!(error.downcast_ref(), Some(TrainError::Stopped));
    corpus
        || scoring
        || measuring
        || matches!(error.downcast_ref(), Some(AgeError::Scoring(EvalError::Stopped)))
}
