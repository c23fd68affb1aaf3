//! `babyllama bench evaluate`: how fast minimal pairs are scored.

use std::sync::Arc;
use std::time::Instant;

use engine::Device;
use eval::{EncoderDecoderRule, EvalError, Request, Rules, Scorer};
use model::{EncoderDecoderTokens, MaskedTokens, Model};
use report::format::{decimal, grouped, short};
use report::{Align, Table};
use serde::Serialize;

use super::Report;
use super::machine::{DeviceUse, Machine};
use super::presets::Subject;
use super::process;
use super::steps::Spread;
use super::text;
use crate::progress::Progress;
use experiment::tokenizers::prefix;

/// What scoring showed.
#[derive(Debug, Serialize)]
pub struct EvaluateReport {
    pub machine: Machine,
    pub model: String,
    /// Sentences of all pairs. Equal ones are read once.
    pub sentences: usize,
    /// Tokens that the model reads.
    pub tokens: usize,
    pub seconds: Vec<f64>,
    pub sentences_per_second: Spread,
    pub tokens_per_second: Spread,
    /// Bytes; none where the system does not report it.
    pub peak_memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_memory: Option<DeviceUse>,
}

/// Scores the built-in pairs with random weights, after a first time that does not count.
pub fn evaluate(
    subject: &Subject,
    pairs_per_paradigm: usize,
    repeats: u32,
    device: &Arc<dyn Device>,
) -> anyhow::Result<EvaluateReport> {
    let requests = requests(subject.config.vocab_size, pairs_per_paradigm)?;
    let model = Model::new(subject.config.clone(), device, 1)?;
    let scorer = scorer(&model)?;
    let total = (1 + repeats) as u64 * requests.len() as u64;
    let mut progress = Progress::begin(&subject.name, "sentences", total, 0);
    let mut tokens = 0;
    let mut seconds = Vec::new();
    for round in 0..=repeats {
        let start = Instant::now();
        tokens = scorer.score(&requests, |_, _| ())?.tokens;
        if round > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
        progress.update((round + 1) as u64 * requests.len() as u64, "");
    }
    progress.finish(total, "");
    let spread = Spread::of_seconds(&seconds);
    Ok(EvaluateReport {
        machine: Machine::with(&**device),
        model: subject.name.clone(),
        sentences: requests.len(),
        tokens,
        sentences_per_second: spread.per_second(requests.len() as f64),
        tokens_per_second: spread.per_second(tokens as f64),
        peak_memory: process::peak_memory(),
        device_memory: DeviceUse::of(&**device),
        seconds,
    })
}

/// A scorer of the model's kind. Of random weights it does not matter which tokens hide others.
fn scorer(model: &Model) -> Result<Scorer<'_>, EvalError> {
    let (family, models) = (model.config().architecture, vec![model]);
    if family.is_encoder_decoder() {
        let tokens = EncoderDecoderTokens { begin: None, hidden: 0, end: 1 };
        return Scorer::encoder_decoder(models, tokens, EncoderDecoderRule::HiddenTokens);
    }
    match family.is_causal() {
        true => Scorer::new(models),
        false => Scorer::masked(models, MaskedTokens { start: 0, mask: 1, end: 2 }),
    }
}

/// The sentences of the built-in pairs, as the requests of `evaluate blimp`.
fn requests(vocab_size: usize, pairs_per_paradigm: usize) -> anyhow::Result<Vec<Request>> {
    let tokenizer = text::tokenizer(&text::builtin_text(), vocab_size)?;
    let prefix = prefix(Rules::default(), &tokenizer)?;
    let paradigms = builtin_corpus::minimal_pairs(text::settings(pairs_per_paradigm));
    let pairs = paradigms.iter().flat_map(|(_, pairs)| pairs);
    let sentences = pairs.flat_map(|pair| [&pair.sentence_good, &pair.sentence_bad]);
    let request = |sentence| {
        let continuation = tokenizer.encode(&format!(" {sentence}"))?;
        Ok(Request { context: vec![prefix], continuation })
    };
    sentences.map(request).collect()
}

impl Report for EvaluateReport {
    fn text(&self) -> String {
        let mut table =
            Table::new([("", Align::Left), ("median", Align::Right), ("best", Align::Right)]);
        for (name, spread) in
            [("sentences/s", self.sentences_per_second), ("tokens/s", self.tokens_per_second)]
        {
            table.push(vec![
                name.to_owned(),
                decimal(Some(spread.median), 0),
                decimal(Some(spread.best), 0),
            ]);
        }
        let (sentences, tokens) = (grouped(self.sentences as u64), grouped(self.tokens as u64));
        let memory = self
            .peak_memory
            .map_or(String::new(), |bytes| format!("peak memory: {}B\n", short(bytes as f64)));
        let on_device =
            self.device_memory.map_or(String::new(), |memory| format!("{}\n", memory.line()));
        let machine = self.machine.line();
        format!(
            "{}, {sentences} sentences, {tokens} tokens\n{machine}\n\n{}\n{memory}{on_device}",
            self.model,
            table.to_text()
        )
    }
}
