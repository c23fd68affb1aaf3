//! The log-probability of continuations after contexts, for one model or an ensemble by averaged
//! logits.

mod encoder_decoder;
mod packing;
mod pseudo_log_likelihood;
mod request;

use std::sync::atomic::{AtomicUsize, Ordering};

use base::Stopped;
use engine::ops::language_model_loss::{Projection, Target};
use engine::{Attempt, BatchLimit, OutOfMemory};
use model::{Batch, EncoderDecoderTokens, MaskedTokens, Model};

use crate::error::EvalError;
pub use encoder_decoder::EncoderDecoderRule;
use packing::Packing;
pub use request::{Request, request};

/// Tokens that go into one forward pass where there is memory for them; more only where one text is
/// longer.
const BATCH_TOKENS: usize = 4096;

/// Scores requests with one model, or with several whose logits are averaged.
pub struct Scorer<'a> {
    models: Vec<&'a Model>,
    max_positions: usize,
    /// Tokens per forward pass: fewer from when on the device runs out of memory.
    batch_tokens: AtomicUsize,
    /// The special tokens of models that are read with hidden tokens, whose scores are
    /// pseudo-log-likelihoods.
    masked: Option<MaskedTokens>,
    /// The special tokens of encoder-decoders, and how they are scored.
    encoder_decoder: Option<(EncoderDecoderTokens, EncoderDecoderRule)>,
    /// Whether masked models predict a hidden token at the token before it.
    predicts_before: bool,
    /// Whether scores of masked models are divided by the number of tokens that are scored.
    is_mean: bool,
    /// Called before every forward pass.
    should_stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

/// What scoring found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The sum of the continuation's log-probabilities (natural), per request, or their mean where
    /// the scorer takes that.
    pub log_probabilities: Vec<f64>,
    /// Requests that were cut on the left to the model's positions.
    pub truncated: usize,
    /// Tokens that the models read.
    pub tokens: usize,
}

/// What goes through the models at once: sequences, and the targets of their rows, in the order of
/// these.
pub(crate) struct Pass<P> {
    pub batch: Batch,
    pub targets: Vec<Target>,
    /// How many sequences there are.
    pub count: usize,
    /// Where the answers belong.
    pub places: P,
}

/// A request as the models see it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Sequence {
    /// The last of the request's ids, of which the models read all but the very last.
    ids: Vec<u32>,
    /// Tokens at the beginning that are read but not scored.
    given: usize,
}

impl Sequence {
    fn input(&self) -> &[u32] {
        &self.ids[..self.ids.len().saturating_sub(1)]
    }
}

impl<'a> Scorer<'a> {
    /// A scorer of models that predict the next token; [`Scorer::masked`] and
    /// [`Scorer::encoder_decoder`] are those of the others.
    ///
    /// # Errors
    /// When the models' vocabularies differ in size, or a model does not predict the next token.
    ///
    /// # Panics
    /// When there is no model.
    pub fn new(models: Vec<&'a Model>) -> Result<Self, EvalError> {
        match models.iter().all(|model| model.config().architecture.is_causal()) {
            true => Self::of_any(models),
            false => Err(EvalError::MixedEnsemble),
        }
    }

    fn of_any(models: Vec<&'a Model>) -> Result<Self, EvalError> {
        let first = models[0].config().vocab_size;
        if let Some(other) =
            models.iter().map(|model| model.config().vocab_size).find(|&size| size != first)
        {
            return Err(EvalError::EnsembleVocabulary { first, other });
        }
        let max_positions =
            models.iter().map(|model| model.config().max_positions).min().unwrap_or(0);
        let batch_tokens = AtomicUsize::new(BATCH_TOKENS);
        Ok(Self {
            models,
            max_positions,
            batch_tokens,
            masked: None,
            encoder_decoder: None,
            predicts_before: false,
            is_mean: false,
            should_stop: None,
        })
    }

    /// The same scorer, which ends with [`EvalError::Stopped`] once `should_stop` returns true.
    pub fn stopping_when(self, should_stop: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { should_stop: Some(should_stop), ..self }
    }

    pub(crate) fn models(&self) -> &[&'a Model] {
        &self.models
    }

    /// Whether a request is cut on the left to the models' positions.
    pub fn is_cut(&self, request: &Request) -> bool {
        match (self.masked, self.encoder_decoder) {
            (Some(tokens), _) => self.masked_length(tokens, request) > self.max_positions,
            (_, Some((_, rule))) => self.is_cut_for_halves(rule, request),
            _ => request.context.len() + request.continuation.len() > self.max_positions + 1,
        }
    }

    /// Scores all requests: equal ones once, and what several begin with is read once. The result
    /// does not depend on their order. `on_progress` receives how many distinct requests are done,
    /// of how many.
    ///
    /// # Errors
    /// When an id is outside the vocabulary, a score is not finite, there is no memory for a
    /// single request, or `should_stop` returned true.
    pub fn score(
        &self,
        requests: &[Request],
        on_progress: impl FnMut(usize, usize),
    ) -> Result<Scores, EvalError> {
        self.check_ids(requests)?;
        let scores = match (self.masked, self.encoder_decoder) {
            (Some(tokens), _) => self.pseudo_log_likelihoods(tokens, requests, on_progress)?,
            (_, Some(how)) => self.encoder_decoder_scores(how, requests, on_progress)?,
            _ => self.log_likelihoods(requests, on_progress)?,
        };
        match scores.log_probabilities.iter().find(|score| !score.is_finite()) {
            None => Ok(scores),
            Some(&score) => Err(EvalError::NotFinite { score }),
        }
    }

    /// The scores of models that predict the next token.
    fn log_likelihoods(
        &self,
        requests: &[Request],
        mut on_progress: impl FnMut(usize, usize),
    ) -> Result<Scores, EvalError> {
        let sequences: Vec<Sequence> =
            requests.iter().map(|request| self.sequence(request)).collect();
        // In their sorted order neighbours share most.
        let mut distinct: Vec<&Sequence> = sequences.iter().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let shares = self.models.iter().all(|model| model.config().architecture.has_kv_cache());
        let (mut found, mut tokens) = (Vec::new(), 0);
        while found.len() < distinct.len() {
            let rest = &distinct[found.len()..];
            let (pass, log_probabilities) =
                self.read(|limit| Packing::of_first(rest, limit, shares).finish())?;
            let score = |places: Vec<usize>| {
                places.into_iter().map(|place| log_probabilities[place]).sum::<f64>()
            };
            tokens += pass.batch.tokens();
            found.extend(pass.places.into_iter().map(score));
            on_progress(found.len(), distinct.len());
        }
        let place = |sequence| {
            distinct.binary_search(&sequence).expect("every sequence is among the distinct ones")
        };
        let log_probabilities = sequences.iter().map(|sequence| found[place(sequence)]).collect();
        let truncated = requests.iter().filter(|request| self.is_cut(request)).count();
        Ok(Scores { log_probabilities, truncated, tokens })
    }

    fn check_ids(&self, requests: &[Request]) -> Result<(), EvalError> {
        let parts = requests.iter().flat_map(|request| [&request.context, &request.continuation]);
        parts.into_iter().try_for_each(|ids| self.check_tokens(ids))
    }

    /// Refuses ids outside the models' vocabulary.
    pub(crate) fn check_tokens(&self, ids: &[u32]) -> Result<(), EvalError> {
        let vocab_size = self.models[0].config().vocab_size;
        match ids.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(EvalError::TokenOutside { id, vocab_size }),
            None => Ok(()),
        }
    }

    /// The longest sequence that all models can read.
    pub(crate) fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Tokens that go into one forward pass: fewer than at first when the device ran out of memory.
    pub fn tokens_at_a_time(&self) -> usize {
        self.batch_tokens.load(Ordering::Relaxed)
    }

    fn sequence(&self, request: &Request) -> Sequence {
        let mut ids = [&request.context[..], &request.continuation].concat();
        ids.drain(..ids.len().saturating_sub(self.max_positions + 1));
        let given = ids.len().saturating_sub(request.continuation.len() + 1);
        Sequence { ids, given }
    }

    /// One forward pass, which `take` makes for so many tokens, and the log-probability of each of
    /// its targets. Where memory runs out, a smaller one is made.
    ///
    /// # Errors
    /// When `should_stop` returned true, or there is no memory for a pass of one sequence.
    pub(crate) fn read<P>(
        &self,
        mut take: impl FnMut(usize) -> Pass<P>,
    ) -> Result<(Pass<P>, Vec<f64>), EvalError> {
        if self.should_stop.is_some_and(|should_stop| should_stop()) {
            return Err(Stopped.into());
        }
        let attempt = |limit| {
            let pass = take(limit);
            Attempt { size: pass.batch.tokens(), is_minimal: pass.count == 1, work: pass }
        };
        let mut batch_limit = BatchLimit::up_to(self.tokens_at_a_time());
        let answered = batch_limit.fit_attempt(&**self.models[0].device(), attempt, |pass| {
            let log_probabilities = self.log_probabilities(&pass.batch, &pass.targets);
            (pass, log_probabilities)
        });
        self.batch_tokens.store(batch_limit.size(), Ordering::Relaxed);
        answered
            .map_err(|OutOfMemory { size, fault }| EvalError::OutOfMemory { tokens: size, fault })
    }

    fn log_probabilities(&self, batch: &Batch, targets: &[Target]) -> Vec<f64> {
        let hidden: Vec<_> = self.models.iter().map(|model| model.hidden_states(batch)).collect();
        let share = 1.0 / self.models.len() as f32;
        let mut log_probabilities = vec![0.0; targets.len()];
        let project = |(model, hidden)| Model::projection(model, hidden, share);
        let projections: Vec<Projection<'_>> =
            self.models.iter().copied().zip(&hidden).map(project).collect();
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

    fn config(architecture: Architecture, max_positions: usize) -> ModelConfig {
        ModelConfig {
            vocab_size: 30,
            hidden_size: 16,
            intermediate_size: 20,
            num_heads: 2,
            num_kv_heads: 2,
            head_dim: 8,
            max_positions,
            norm_epsilon: 1e-5,
            tie_word_embeddings: false,
            initializer_range: 0.4,
            ..ModelConfig::tiny(architecture)
        }
    }

    impl Scorer<'_> {
        /// The same scorer, which reads so many tokens at a time.
        pub(crate) fn reading(self, batch_tokens: usize) -> Self {
            Self { batch_tokens: AtomicUsize::new(batch_tokens), ..self }
        }
    }

    fn with(config: ModelConfig, seed: u64) -> Model {
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        Model::new(config, &device, seed).unwrap()
    }

    pub(crate) fn small(architecture: Architecture, max_positions: usize, seed: u64) -> Model {
        with(config(architecture, max_positions), seed)
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
                mean.iter_mut()
                    .zip(last)
                    .for_each(|(mean, &logit)| *mean += logit as f64 / models.len() as f64);
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
        let (first, second) = (small(Architecture::LLAMA, 16, 1), small(Architecture::GPT2, 16, 2));
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
            assert_eq!(
                scores.log_probabilities[0].to_bits(),
                scores.log_probabilities[3].to_bits()
            );
            // [1], [1, 4, 8, 5, 6, 7, 8] and [1, 5, 6], one after the other.
            assert_eq!(scores.tokens, 1 + 6 + 2);
        }
    }

    #[test]
    fn scoring_stops_when_it_is_asked_to() {
        let model = small(Architecture::LLAMA, 16, 1);
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let after_two = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 2;
        let scorer = Scorer::new(vec![&model]).unwrap().reading(1).stopping_when(&after_two);
        let requests: Vec<Request> = (5..10).map(|id| request(&[id], &[id])).collect();
        let mut done = 0;
        let stopped = scorer.score(&requests, |count, _| done = count);
        assert!(matches!(stopped, Err(EvalError::Stopped(_))) && done == 2, "{done}");
    }

    #[test]
    fn long_requests_lose_their_left_end_and_are_counted() {
        let model = small(Architecture::LLAMA, 4, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        let scores = scorer.score(&[request(&[1, 2, 3, 4], &[5, 6])], |_, _| ()).unwrap();
        assert_eq!(scores.truncated, 1);
        let expected = reference(&[&model], &request(&[2, 3, 4], &[5, 6]));
        assert!((scores.log_probabilities[0] - expected).abs() < 1e-4);
        assert!(scorer.score(&[request(&[1], &[30])], |_, _| ()).is_err());
    }

    /// Requests with all kinds of common beginnings, longer than the positions some of them, in
    /// batches of all sizes.
    #[test]
    fn what_is_shared_changes_no_score() {
        let rng = base::rng::Rng::new(3, "requests");
        let draw = |index: usize, below: u64| (rng.bits(index as u64) % below) as usize;
        let mut requests: Vec<Request> = (0..60)
            .map(|index| {
                let ids = |seed: usize, length| {
                    (0..length).map(|at| draw(1000 * seed + at, 3) as u32).collect::<Vec<_>>()
                };
                request(
                    &ids(draw(index, 4), 1 + draw(100 + index, 5)),
                    &ids(index, 1 + draw(200 + index, 6)),
                )
            })
            .collect();
        requests.push(request(&[1], &[]));
        requests.extend([
            request(&[2, 1], &[0, 1]),
            request(&[2], &[1, 0, 1]),
            request(&[2, 1, 0], &[1]),
        ]);
        let (first, second) = (small(Architecture::LLAMA, 8, 1), small(Architecture::GPT2, 8, 2));
        let grouped = with(
            ModelConfig {
                num_heads: 4,
                num_kv_heads: 2,
                head_dim: 4,
                ..config(Architecture::LLAMA, 8)
            },
            3,
        );
        for models in [vec![&first], vec![&second], vec![&grouped], vec![&first, &second, &grouped]]
        {
            let expected: Vec<f64> =
                requests.iter().map(|request| reference(&models, &cut(request, 8))).collect();
            for batch_tokens in [1, 7, 50, 4096] {
                let scorer = Scorer::new(models.clone()).unwrap().reading(batch_tokens);
                let scores = scorer.score(&requests, |_, _| ()).unwrap();
                for (found, expected) in scores.log_probabilities.iter().zip(&expected) {
                    assert!(
                        (found - expected).abs() < 1e-4,
                        "{found} instead of {expected}, {batch_tokens} tokens"
                    );
                }
                let backwards: Vec<Request> = requests.iter().rev().cloned().collect();
                let mut again = scorer.score(&backwards, |_, _| ()).unwrap();
                again.log_probabilities.reverse();
                assert_eq!(again, scores, "the order of requests");
                assert!(scores.truncated > 0 && scores.truncated < requests.len());
            }
        }
    }

    /// A request as the model's positions leave it.
    fn cut(request: &Request, max_positions: usize) -> Request {
        let over =
            (request.context.len() + request.continuation.len()).saturating_sub(max_positions + 1);
        Request {
            context: request.context[over..].to_vec(),
            continuation: request.continuation.clone(),
        }
    }

    #[test]
    fn a_continuation_longer_than_the_positions_is_scored_as_far_as_they_reach() {
        let model = small(Architecture::GPT2, 3, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        let scores = scorer.score(&[request(&[1], &[2, 3, 4, 5, 6])], |_, _| ()).unwrap();
        let expected = reference(&[&model], &request(&[3], &[4, 5, 6]));
        assert!((scores.log_probabilities[0] - expected).abs() < 1e-4);
        assert_eq!((scores.truncated, scores.tokens), (1, 3));
    }
}
