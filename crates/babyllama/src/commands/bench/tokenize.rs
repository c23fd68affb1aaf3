//! `babyllama bench tokenize`: how fast text becomes tokens.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use corpus::{NamedText, Tokenizer};
use engine::cpu::Cpu;
use report::format::{decimal, grouped, short};
use report::{Align, Table};
use serde::Serialize;

use super::Report;
use super::machine::Machine;
use super::steps::Spread;
use super::text;

/// Entries of the tokenizer when none is given.
const VOCAB_SIZE: usize = 16_000;

/// What encoding showed.
#[derive(Debug, Serialize)]
pub struct TokenizeReport {
    pub machine: Machine,
    pub files: usize,
    pub bytes: usize,
    pub tokens: usize,
    pub vocab_size: usize,
    /// On one thread, and on all if there are more.
    pub speeds: Vec<EncodingSpeed>,
}

/// The speed of encoding on a number of threads.
#[derive(Debug, Serialize)]
pub struct EncodingSpeed {
    pub threads: usize,
    pub seconds: Vec<f64>,
    pub megabytes_per_second: Spread,
    pub tokens_per_second: Spread,
}

/// Encodes a text several times on one thread and on all.
pub fn tokenize(
    data: Option<&Path>,
    tokenizer: Option<&Path>,
    repeats: u32,
) -> anyhow::Result<TokenizeReport> {
    let texts = match data {
        Some(path) => corpus::text::read_corpus(path)
            .with_context(|| format!("cannot use {}", path.display()))?,
        None => text::builtin_text(),
    };
    let tokenizer = match tokenizer {
        Some(path) => Tokenizer::load(path)?,
        None => text::tokenizer(&text::builtin_text(), VOCAB_SIZE)?,
    };
    let alone =
        rayon::ThreadPoolBuilder::new().num_threads(1).build().context("cannot start a thread")?;
    let (ids, speed) = alone.install(|| encode(&texts, &tokenizer, repeats))?;
    let mut speeds = vec![speed];
    if rayon::current_num_threads() > 1 {
        let (same, speed) = encode(&texts, &tokenizer, repeats)?;
        ensure!(same == ids, "the tokens depend on the number of threads");
        speeds.push(speed);
    }
    Ok(TokenizeReport {
        machine: Machine::with(&Cpu::new()),
        files: texts.len(),
        bytes: bytes(&texts),
        tokens: ids.len(),
        vocab_size: tokenizer.vocab_size(),
        speeds,
    })
}

fn bytes(texts: &[NamedText]) -> usize {
    texts.iter().map(|(_, text)| text.len()).sum()
}

/// All tokens, and how fast they were found on this pool's threads.
fn encode(
    texts: &[NamedText],
    tokenizer: &Tokenizer,
    repeats: u32,
) -> anyhow::Result<(Vec<u32>, EncodingSpeed)> {
    let (mut ids, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        let start = Instant::now();
        let encoded = texts.iter().map(|(_, text)| tokenizer.encode_file(text));
        ids = encoded.collect::<Result<Vec<_>, _>>()?.concat();
        seconds.push(start.elapsed().as_secs_f64());
    }
    let spread = Spread::of_seconds(&seconds);
    let speed = EncodingSpeed {
        threads: rayon::current_num_threads(),
        megabytes_per_second: spread.per_second(bytes(texts) as f64 / 1e6),
        tokens_per_second: spread.per_second(ids.len() as f64),
        seconds,
    };
    Ok((ids, speed))
}

impl Report for TokenizeReport {
    fn text(&self) -> String {
        let heads =
            ["MB/s, median", "best", "tokens/s, median", "best"].map(|head| (head, Align::Right));
        let mut table = Table::new([("threads", Align::Right)].into_iter().chain(heads));
        for speed in &self.speeds {
            table.push(vec![
                speed.threads.to_string(),
                decimal(Some(speed.megabytes_per_second.median), 1),
                decimal(Some(speed.megabytes_per_second.best), 1),
                short(speed.tokens_per_second.median),
                short(speed.tokens_per_second.best),
            ]);
        }
        let [files, bytes, tokens, entries] =
            [self.files, self.bytes, self.tokens, self.vocab_size]
                .map(|count| grouped(count as u64));
        format!(
            "{files} files of {bytes} bytes, {tokens} tokens of {entries} entries\n{}\n\n{}",
            self.machine.line(),
            table.to_text()
        )
    }
}
