//! `babyllama tokens encode`: text as a token file.

use experiment::encode::{EncodeJob, encode};
use report::format::counted;

use crate::console::{self, Console};
use crate::failure::Abandon;

/// Encodes and prints how much it was.
pub fn encode_all(job: &EncodeJob) -> anyhow::Result<()> {
    let encoded = encode(job, &Console::stopping_on_signals()?).or_abandoned()?;
    console::print(format_args!(
        "{} of {} in {}",
        counted(encoded.tokens, "token"),
        counted(encoded.documents, "document"),
        job.output.display()
    ))
}
