//! `babyllama tokens encode`: text as a token file.

use experiment::encode::{EncodeJob, encode};
use report::format::grouped;

use crate::console::{self, Console};

/// Encodes and prints how much it was.
pub fn encode_all(job: &EncodeJob) -> anyhow::Result<()> {
    // A signal may end it at once: the file appears whole or not at all.
    let encoded = encode(job, &Console::without_signals())?;
    console::print(format_args!(
        "{} tokens of {} documents in {}",
        grouped(encoded.tokens),
        grouped(encoded.documents),
        job.output.display()
    ))
}
