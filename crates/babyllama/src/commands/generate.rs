//! `babyllama generate`: continues a text.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use corpus::Tokenizer;
use corpus::tokenizer::TextStream;
use experiment::verify;
use model::generate::{Sampling, generate as write_on};
use model::hugging_face::{self, GenerationConfig};

use crate::args::{DeviceArgs, GenerateArgs};
use crate::console;

/// Tokens that are added at most where neither the command nor the folder states it.
const MAX_TOKENS: usize = 100;

/// Prints the prompt and what the model writes after it, as it is written.
pub fn generate(args: &GenerateArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let device = device.open()?;
    verify::model_folder(&args.model)?;
    let model = hugging_face::load(&args.model, &device)?;
    hugging_face::remarks(&args.model)?.iter().for_each(console::warn);
    let config = hugging_face::load_generation(&args.model, model.config())?;
    let tokenizer = Tokenizer::from_folder(&args.model)?;
    // As transformers continues a text: behind what the tokenizer puts before texts.
    let [before, ..] = tokenizer.tokens_around(false)?;
    let prompt = [before, tokenizer.encode(&args.prompt)?].concat();

    let mut output = std::io::stdout().lock();
    let is_terminal = output.is_terminal();
    let mut show = |text: &str| {
        // A terminal would act on control characters that a model writes.
        let text = if is_terminal { console::visible(text) } else { text.to_owned() };
        output.write_all(text.as_bytes()).and_then(|()| output.flush())
    };
    let mut result = show(&args.prompt);
    let mut stream = TextStream::new(&tokenizer, &prompt);
    let most = args.max_tokens.or(config.most_new_tokens(prompt.len())).unwrap_or(MAX_TOKENS);
    write_on(&model, &prompt, &config, most, sampling(args, &config), |id| {
        // The end of a text is shown where it is a word like any other, such as ".".
        let is_mark = config.eos_token_ids.contains(&id) && tokenizer.is_special(id);
        if result.is_ok() && !is_mark {
            result = show(&stream.push(id));
        }
        result.is_ok()
    })?;
    match result.and_then(|()| show(&stream.finish())).and_then(|()| show("\n")) {
        // The reader of a pipe may have seen enough.
        Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// The options, or where they are not given the folder's own settings.
fn sampling(args: &GenerateArgs, config: &GenerationConfig) -> Sampling {
    let is_asked = args.temperature.or(args.top_p).is_some() || args.top_k.is_some();
    let is_greedy = args.greedy || (config.do_sample == Some(false) && !is_asked);
    let temperature = args.temperature.or(config.temperature).unwrap_or(1.0);
    Sampling {
        temperature: if is_greedy { 0.0 } else { temperature },
        top_k: args.top_k.or(config.top_k).unwrap_or(0),
        top_p: args.top_p.or(config.top_p).unwrap_or(1.0),
        repetition_penalty: config.repetition_penalty.unwrap_or(1.0),
        seed: args.seed,
    }
}
