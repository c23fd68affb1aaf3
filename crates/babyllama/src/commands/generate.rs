//! `babyllama generate`: continues a text.

use std::io::Write;

use anyhow::Context;
use corpus::Tokenizer;
use model::generate::{Sampling, generate as write_on};
use model::hugging_face;

use crate::args::{DeviceArgs, GenerateArgs};

/// Prints the prompt and what the model writes after it, as it is written.
pub fn generate(args: &GenerateArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let device = device.open()?;
    let model = hugging_face::load(&args.model, &device)?;
    let tokenizer = Tokenizer::from_folder(&args.model)?;
    let temperature = if args.greedy { 0.0 } else { args.temperature };
    let sampling = Sampling { temperature, top_k: args.top_k, top_p: args.top_p, seed: args.seed };
    let prompt = tokenizer.encode(&args.prompt);

    let mut output = std::io::stdout().lock();
    write!(output, "{}", args.prompt).context("cannot write to standard output")?;
    let (mut ids, mut shown) = (Vec::new(), 0);
    let mut failure = None;
    write_on(&model, &prompt, args.max_tokens, sampling, |id| {
        ids.push(id);
        // A character may take several tokens: what is not whole yet ends in the replacement
        // character.
        let text = tokenizer.decode(&ids);
        let whole = text.trim_end_matches('\u{FFFD}');
        let written = write!(output, "{}", whole.get(shown..).unwrap_or_default())
            .and_then(|()| output.flush());
        shown = shown.max(whole.len());
        failure = written.err();
        failure.is_none()
    })?;
    match failure {
        // The reader of a pipe may have seen enough.
        Some(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Some(cause) => Err(cause).context("cannot write to standard output"),
        None => writeln!(output).context("cannot write to standard output"),
    }
}
