//! The log-probability of a continuation after a context, for one model or an ensemble by averaged logits.

use std::collections::{BTreeMap, BTreeSet};

use engine::ops::language_model_loss::{NO_TARGET, Projection};
use model::{Batch, Model};

use crate::error::EvalError;

/// Token ids to score after token ids that are given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// At least one id.
    pub context: Vec<u32>,
    pub continuation: Vec<u32>,
}

/// Scores requests with one model, or with several whose logits are averaged.
pub struct Scorer<'a> {
    models: Vec<&'a Model>,
    max_positions: usize,
    /// Tokens per forward pass.
    batch_tokens: usize,
}

/// What scoring found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The sum of the continuation's log-probabilities (natural), per request.
    pub log_probabilities: Vec<f64>,
    /// Requests that were cut on the left to the model's positions.
    pub truncated: usize,
    /// Tokens that the models read.
    pub tokens: usize,
}

impl<'a> Scorer<'a> {
    /// # Errors
    /// When the models' vocabularies differ in size.
    ///
    /// # Panics
    /// When there is no model.
    pub fn new(models: Vec<&'a Model>) -> Result<Self, EvalError> {
        let first = models[0].config().vocab_size;
        if let Some(other) = models.iter().map(|model| model.config().vocab_size).find(|&size| size != first) {
            return Err(EvalError::EnsembleVocabulary { first, other });
        }
        let max_positions = models.iter().map(|model| model.config().max_positions).min().unwrap_or(0);
        Ok(Self { models, max_positions, batch_tokens: 4096 })
    }

    /// The longest sequence that all models can read.
    pub(crate) fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Tokens that go into one forward pass.
    pub(crate) fn batch_tokens(&self) -> usize {
        self.batch_tokens
    }

    /// Scores all requests: equal ones once, the others by length, packed without padding. `on_progress` hears how many
    /// distinct requests are done, of how many.
    pub fn score(&self, requests: &[Request], mut on_progress: impl FnMut(usize, usize)) -> Result<Scores, EvalError> {
        self.check_ids(requests)?;
        let mut distinct: Vec<&Request> = requests.iter().collect::<BTreeSet<_>>().into_iter().collect();
        distinct.sort_by_key(|request| std::cmp::Reverse(request.context.len() + request.continuation.len()));
        let mut found: BTreeMap<&Request, f64> = BTreeMap::new();
        let (mut truncated, mut tokens) = (0, 0);
        let mut rest = &distinct[..];
        while !rest.is_empty() {
            let count = self.fitting(rest);
            let (group, later) = rest.split_at(count);
            let scored = self.score_group(group);
            truncated += scored.truncated;
            tokens += scored.tokens;
            found.extend(group.iter().copied().zip(scored.log_probabilities));
            rest = later;
            on_progress(found.len(), distinct.len());
        }
        if let Some(&score) = found.values().find(|score| !score.is_finite()) {
            return Err(EvalError::NotFinite { score });
        }
        let log_probabilities = requests.iter().map(|request| found[request]).collect();
        Ok(Scores { log_probabilities, truncated, tokens })
    }

    fn check_ids(&self, requests: &[Request]) -> Result<(), EvalError> {
        requests
            .iter()
            .flat_map(|request| [&request.context, &request.continuation])
            .try_for_each(|ids| self.check_tokens(ids))
    }

    /// Refuses ids outside the models' vocabulary.
    pub(crate) fn check_tokens(&self, ids: &[u32]) -> Result<(), EvalError> {
        let vocab_size = self.models[0].config().vocab_size;
        match ids.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(EvalError::TokenOutside { id, vocab_size }),
            None => Ok(()),
        }
    }

    /// How many of the requests go into one forward pass: at least one.
    fn fitting(&self, requests: &[&Request]) -> usize {
        let mut tokens = 0;
        let fits = requests.iter().take_while(|request| {
            tokens += request.context.len() + request.continuation.len();
            tokens <= self.batch_tokens
        });
        fits.count().max(1)
    }

    fn score_group(&self, group: &[&Request]) -> Scores {
        let (mut inputs, mut targets, mut truncated) = (Vec::new(), Vec::new(), 0);
        for request in group {
            let (input, input_targets, cut) = self.input(request);
            truncated += cut as usize;
            inputs.push(input);
            targets.extend(input_targets);
        }
        let batch = Batch::from_sequences(&inputs);
        let per_token = self.target_log_probabilities(&batch, &targets);
        let log_probabilities = batch.spans.iter().map(|rows| per_token[rows].iter().sum()).collect();
        Scores { log_probabilities, truncated, tokens: batch.tokens() }
    }

    /// The ids that the model reads (all but the last, the last `max_positions` of them), what each position is to
    /// predict, and whether anything was cut.
    fn input(&self, request: &Request) -> (Vec<u32>, Vec<u32>, bool) {
        let full: Vec<u32> = request.context.iter().chain(&request.continuation).copied().collect();
        let start = full.len().saturating_sub(self.max_positions + 1);
        let input = full[start..full.len() - 1].to_vec();
        let unscored = input.len().saturating_sub(request.continuation.len());
        let target = |(index, &id): (usize, &u32)| if index < unscored { NO_TARGET } else { id };
        let targets = full[start + 1..].iter().enumerate().map(target).collect();
        (input, targets, start > 0)
    }

    /// The log-probability of each row's target; 0 where there is none.
    pub(crate) fn target_log_probabilities(&self, batch: &Batch, targets: &[u32]) -> Vec<f64> {
        let hidden: Vec<_> = self.models.iter().map(|model| model.hidden_states(batch)).collect();
        let share = 1.0 / self.models.len() as f32;
        let mut log_probabilities = vec![0.0; targets.len()];
        let project = |(model, hidden)| Model::projection(model, hidden, share);
        let projections: Vec<Projection<'_>> = self.models.iter().copied().zip(&hidden).map(project).collect();
        self.models[0].device().log_probabilities(&projections, targets, &mut log_probabilities);
        log_probabilities
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use engine::cpu::Cpu;
    use model::{Architecture, ModelConfig};

    use super::*;

    pub(crate) fn small(architecture: Architecture, max_positions: usize, seed: u64) -> Model {
        let config = ModelConfig {
            architecture,
            vocab_size: 30,
            hidden_size: 16,
            intermediate_size: 20,
            num_layers: 2,
            num_heads: 2,
            num_kv_heads: 2,
            head_dim: 8,
            max_positions,
            norm_epsilon: 1e-5,
            rope_theta: 10_000.0,
            tie_word_embeddings: false,
            embedding_dropout: 0.0,
            attention_dropout: 0.0,
            residual_dropout: 0.0,
            initializer_range: 0.4,
            bos_token_id: 1,
            eos_token_id: 2,
            pad_token_id: None,
        };
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        Model::new(config, &device, seed).unwrap()
    }

    /// One request at a time, from plain logits.
    pub(crate) fn reference(models: &[&Model], request: &Request) -> f64 {
        let mut ids = request.context.clone();
        let mut total = 0.0;
        for &next in &request.continuation {
            let mut mean = [0.0f64; 30];
            for model in models {
                let hidden = model.hidden_states(&Batch::from_sequences([&ids]));
                let mut logits = vec![0.0; 30 * ids.len()];
                model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
                let last = &logits[30 * (ids.len() - 1)..];
                mean.iter_mut().zip(last).for_each(|(mean, &logit)| *mean += logit as f64 / models.len() as f64);
            }
            let log_sum = mean.iter().map(|logit| logit.exp()).sum::<f64>().ln();
            total += mean[next as usize] - log_sum;
            ids.push(next);
        }
        total
    }

    fn request(context: &[u32], continuation: &[u32]) -> Request {
        Request { context: context.to_vec(), continuation: continuation.to_vec() }
    }

    #[test]
    fn packed_scores_are_those_of_one_request_at_a_time() {
        let (first, second) = (small(Architecture::Llama, 16, 1), small(Architecture::Gpt2, 16, 2));
        let requests = [
            request(&[1], &[5, 6, 7]),
            request(&[1], &[9]),
            request(&[1, 4, 8], &[5, 6, 7, 8, 9]),
            request(&[1], &[5, 6, 7]),
        ];
        for models in [vec![&first], vec![&second], vec![&first, &second]] {
            let scores = Scorer::new(models.clone()).unwrap().score(&requests, |_, _| ()).unwrap();
            for (found, request) in scores.log_probabilities.iter().zip(&requests) {
                assert!((found - reference(&models, request)).abs() < 1e-4);
            }
            assert_eq!(scores.log_probabilities[0].to_bits(), scores.log_probabilities[3].to_bits());
            assert_eq!(scores.tokens, 3 + 1 + 7);
        }
    }

    #[test]
    fn long_requests_lose_their_left_end_and_are_counted() {
        let model = small(Architecture::Llama, 4, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        let scores = scorer.score(&[request(&[1, 2, 3, 4], &[5, 6])], |_, _| ()).unwrap();
        assert_eq!(scores.truncated, 1);
        let expected = reference(&[&model], &request(&[2, 3, 4], &[5, 6]));
        assert!((scores.log_probabilities[0] - expected).abs() < 1e-4);
        assert!(scorer.score(&[request(&[1], &[30])], |_, _| ()).is_err());
    }
}
