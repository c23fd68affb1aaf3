//! `babyllama tokens encode`: text as a token file.

use experiment::encode::{EncodeJob, encode};
use report::format::counted;

use crate::args::TokensCommand;
use crate::console::{self, Console};
use crate::failure::Abandon;

/// What the command line asks for.
pub fn tokens(command: &TokensCommand) -> anyhow::Result<()> {
    let TokensCommand::Encode { paths, tokenizer, output, field, begin_of_text, end_of_text } =
        command;
    encode_all(&EncodeJob {
        sources: paths.clone(),
        tokenizer: tokenizer.clone(),
        field: field.clone(),
        begin_of_text: *begin_of_text,
        end_of_text: *end_of_text,
        output: output.clone(),
    })
}

/// Encodes and prints how much it was.
fn encode_all(job: &EncodeJob) -> anyhow::Result<()> {
    let encoded = encode(job, &Console::stopping_on_signals()?).or_abandoned()?;
    console::print(format_args!(
        "{} of {} in {}",
        counted(encoded.tokens, "token"),
        counted(encoded.documents, "document"),
        job.output.display()
    ))
}
