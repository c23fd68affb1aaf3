//! Generation: one token after the other, with a KV cache where the family has one.

use std::collections::BTreeSet;

use base::rng::Rng;
use engine::ops::language_model_loss::Projection;
use engine::{Tape, Var};

use crate::batch::Batch;
use crate::hugging_face::GenerationConfig;
use crate::kv_cache::KvCache;
use crate::{Model, ModelError};

/// How the next token is chosen; the meaning of each is transformers'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most probable token.
    pub temperature: f32,
    /// Only the this many most probable tokens; 0 means all.
    pub top_k: usize,
    /// Only the most probable tokens that together reach this probability; 1 means all.
    pub top_p: f32,
    /// Divides the positive logits of tokens that the text already has, and multiplies the negative
    /// ones; 1 changes nothing.
    pub repetition_penalty: f32,
    /// Seed of the draws.
    pub seed: u64,
}

/// Writes on after `prompt` until `max_tokens` new tokens, one of the tokens that end a text in
/// `config`, or the model's last position. `on_token` sees each new token, also the one that ends
/// the text, and may return false to stop.
///
/// An empty prompt starts from the beginning-of-text token of `config`. Its settings of the draw
/// are the caller's to take over.
///
/// # Errors
/// When the model does not predict the next token, the prompt does not fit it, there is nothing to
/// begin with, or a logit is not finite.
pub fn generate(
    model: &Model,
    prompt: &[u32],
    config: &GenerationConfig,
    max_tokens: usize,
    sampling: Sampling,
    mut on_token: impl FnMut(u32) -> bool,
) -> Result<Vec<u32>, ModelError> {
    model.config().require_causal()?;
    let mut input = match prompt {
        [] => vec![config.bos_token_id.ok_or(ModelError::NoBeginToken)?],
        prompt => prompt.to_vec(),
    };
    model.check_sequence(&input)?;
    let max_positions = model.config().max_positions;
    let mut text = Text::new(model, input.len().saturating_add(max_tokens).min(max_positions));
    let mut logits = vec![0.0; model.config().vocab_size];
    let mut seen: BTreeSet<u32> = input.iter().copied().collect();
    let mut written = Vec::new();
    while written.len() < max_tokens && text.length() + input.len() <= max_positions {
        text.next_logits(model, &input, &mut logits);
        if let Some(&value) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(ModelError::LogitsNotFinite { value });
        }
        penalise(&mut logits, &seen, sampling.repetition_penalty);
        let token = choose(&mut logits, sampling, written.len() as u64);
        seen.insert(token);
        written.push(token);
        if !on_token(token) || config.eos_token_ids.contains(&token) {
            break;
        }
        input = vec![token];
    }
    Ok(written)
}

/// What a model has read so far.
enum Text {
    Cached(KvCache),
    /// Of a family without a KV cache, which reads all of it again.
    Whole(Vec<u32>),
}

impl Text {
    fn new(model: &Model, capacity: usize) -> Self {
        match model.config().architecture.has_kv_cache() {
            true => Self::Cached(model.kv_cache(capacity)),
            false => Self::Whole(Vec::new()),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Cached(cache) => cache.length(),
            Self::Whole(ids) => ids.len(),
        }
    }

    /// The logits after some more tokens.
    fn next_logits(&mut self, model: &Model, input: &[u32], logits: &mut [f32]) {
        let hidden = match self {
            Self::Cached(cache) => {
                let mut tape = Tape::inference(model.parameters());
                let batch = Batch::continuation(input, cache.length());
                model.decoder().hidden_states(&mut tape, &batch, Some(cache))
            }
            Self::Whole(ids) => {
                ids.extend_from_slice(input);
                model.hidden_states(&Batch::from_sequences([ids]))
            }
        };
        last_logits(model, &hidden, logits);
    }
}

/// The logits of the last row.
fn last_logits(model: &Model, hidden: &Var, logits: &mut [f32]) {
    let projection = model.projection(hidden, 1.0);
    let last = projection.hidden.rows - 1;
    let hidden = projection.hidden.row_range(last..last + 1);
    model.device().logits(&[Projection { hidden, ..projection }], logits);
}

/// Makes tokens that the text already has less probable.
fn penalise(logits: &mut [f32], seen: &BTreeSet<u32>, penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    for &id in seen {
        let logit = &mut logits[id as usize];
        *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
    }
}

/// Chooses a token; the logits are used up. `index` counts the choices of one seed.
fn choose(logits: &mut [f32], sampling: Sampling, index: u64) -> u32 {
    // Stable order: by logit, then by id, so that ties do not depend on the sort.
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    if sampling.temperature <= 0.0 {
        return order[0];
    }
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k);
    }
    let top = logits[order[0] as usize];
    let weights: Vec<f64> = order
        .iter()
        .map(|&id| ((logits[id as usize] - top) as f64 / sampling.temperature as f64).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    let mut kept_total = 0.0;
    let mut kept = 0;
    while kept < weights.len() && (kept == 0 || kept_total < sampling.top_p as f64 * total) {
        kept_total += weights[kept];
        kept += 1;
    }
    let bits = Rng::new(sampling.seed, "generation").bits(index) >> 11;
    let mut rest = bits as f64 / (1u64 << 53) as f64 * kept_total;
    for (&id, weight) in order[..kept].iter().zip(&weights) {
        rest -= weight;
        if rest < 0.0 {
            return id;
        }
    }
    order[kept - 1]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::cpu::Cpu;

    use super::*;
    use crate::ModelConfig;
    use crate::families::config::tests::{gpt2, llama, opt, roberta};

    const GREEDY: Sampling =
        Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 };

    /// Without an end.
    fn endless() -> GenerationConfig {
        GenerationConfig { bos_token_id: Some(1), ..GenerationConfig::default() }
    }

    fn logits() -> Vec<f32> {
        vec![0.0, 3.0, 2.0, 1.0]
    }

    #[test]
    fn restrictions_keep_the_most_probable() {
        assert_eq!(choose(&mut logits(), GREEDY, 0), 1);
        let draw = |sampling: Sampling| -> Vec<usize> {
            let mut counts = vec![0; 4];
            (0..4000)
                .for_each(|index| counts[choose(&mut logits(), sampling, index) as usize] += 1);
            counts
        };
        let all = draw(Sampling { temperature: 1.0, ..GREEDY });
        assert!((all[1] as f64 / 4000.0 - 0.644).abs() < 0.03, "{all:?}");
        let two = draw(Sampling { temperature: 1.0, top_k: 2, ..GREEDY });
        assert!(two[0] == 0 && two[3] == 0 && two[2] > 900, "{two:?}");
        let nucleus = draw(Sampling { temperature: 1.0, top_p: 0.7, ..GREEDY });
        assert!(nucleus[0] == 0 && nucleus[3] == 0 && nucleus[2] > 900, "{nucleus:?}");
        assert_eq!(draw(Sampling { temperature: 1.0, top_p: 0.0, ..GREEDY })[1], 4000);
    }

    #[test]
    fn the_cache_changes_nothing_and_the_last_position_ends_it() {
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        for config in [gpt2(16, 24, 2, 4, 8), llama(16, 24, 2, 4, 2), opt(16, 24, 2, 4, 8)] {
            let config =
                ModelConfig { vocab_size: 50, max_positions: 8, initializer_range: 0.3, ..config };
            let model = Model::new(config, &device, 7).unwrap();
            let write = |prompt: &[u32], config: &GenerationConfig, sampling| {
                generate(&model, prompt, config, 100, sampling, |_| true)
            };
            let written = write(&[3, 4, 5], &endless(), GREEDY).unwrap();
            assert_eq!(written.len(), 6);
            let several = GenerationConfig { eos_token_ids: vec![49_999, written[2]], ..endless() };
            let end = written.iter().position(|&token| token == written[2]).unwrap();
            assert_eq!(write(&[3, 4, 5], &several, GREEDY).unwrap(), written[..=end]);
            let penalised = Sampling { repetition_penalty: 1e6, ..GREEDY };
            let mut distinct = write(&[3, 4, 5], &endless(), penalised).unwrap();
            distinct.extend([3, 4, 5]);
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), 9);
            assert_eq!(
                write(&[], &endless(), GREEDY).unwrap(),
                write(&[1], &endless(), GREEDY).unwrap()
            );
            let nothing = write(&[], &GenerationConfig::default(), GREEDY).unwrap_err();
            assert!(nothing.to_string().contains("the prompt is empty"), "{nothing}");
            let mut sequence = vec![3, 4, 5];
            for &token in &written {
                let hidden = model.hidden_states(&Batch::from_sequences([&sequence]));
                let projection = model.projection(&hidden, 1.0);
                let hidden = projection.hidden.row_range(sequence.len() - 1..sequence.len());
                let mut logits = vec![0.0; 50];
                device.logits(&[Projection { hidden, ..projection }], &mut logits);
                assert_eq!(choose(&mut logits, GREEDY, 0), token);
                sequence.push(token);
            }
            assert!(write(&[50], &endless(), GREEDY).is_err());
            assert!(write(&[1; 9], &endless(), GREEDY).is_err());
        }
        let masked = Model::new(roberta(16, 24, 1, 4, 8), &device, 7).unwrap();
        let refusal =
            generate(&masked, &[3], &endless(), 1, GREEDY, |_| true).unwrap_err().to_string();
        assert!(refusal.contains("not predict the next token"), "{refusal}");
    }
}
