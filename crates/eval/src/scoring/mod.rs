//! The log-probability of continuations after contexts, for one model or an ensemble by averaged
//! logits.

mod encoder_decoder;
mod packing;
mod pseudo_log_likelihood;
mod reading;
mod request;

use std::sync::atomic::{AtomicUsize, Ordering};

use base::Stopped;
use engine::ops::language_model_loss::Target;
use engine::{Attempt, BatchLimit, OutOfMemory};
use model::{Batch, EncoderDecoderTokens, Model};

use crate::error::EvalError;
pub use encoder_decoder::EncoderDecoderRule;
use packing::Packing;
use pseudo_log_likelihood::PseudoLogLikelihood;
pub use reading::Reading;
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
    method: Method,
    /// Called before every forward pass.
    should_stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

/// How a continuation is scored.
#[derive(Clone, Copy)]
enum Method {
    /// Each token is predicted from all before it.
    LogLikelihood,
    /// Each token is hidden in turn and predicted from all others.
    PseudoLogLikelihood(PseudoLogLikelihood),
    /// By an encoder-decoder with these special tokens.
    EncoderDecoder(EncoderDecoderTokens, EncoderDecoderRule),
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
            true => Self::by(Method::LogLikelihood, models),
            false => Err(EvalError::MixedEnsemble),
        }
    }

    /// A scorer of models of any kind for [`read_texts`](Self::read_texts) alone.
    ///
    /// # Errors
    /// When the models' vocabularies differ in size.
    ///
    /// # Panics
    /// When there is no model.
    pub fn of_readings(models: Vec<&'a Model>) -> Result<Self, EvalError> {
        Self::by(Method::LogLikelihood, models)
    }

    /// This scorer, for which models with rotary positions have no longest text: they read texts
    /// beyond the positions that they were trained with, as transformers has them do.
    pub fn beyond_trained_positions(self) -> Self {
        let positions = |model: &&Model| model.config().longest_readable();
        let max_positions = self.models.iter().map(positions).min().unwrap_or(0);
        Self { max_positions, ..self }
    }

    fn by(method: Method, models: Vec<&'a Model>) -> Result<Self, EvalError> {
        let first = models[0].config().vocab_size;
        if let Some(other) =
            models.iter().map(|model| model.config().vocab_size).find(|&size| size != first)
        {
            return Err(EvalError::EnsembleVocabulary { first, other });
        }
        let max_positions =
            models.iter().map(|model| model.config().max_positions).min().unwrap_or(0);
        let batch_tokens = AtomicUsize::new(BATCH_TOKENS);
        Ok(Self { models, max_positions, batch_tokens, method, should_stop: None })
    }

    /// This scorer, whose work ends with [`EvalError::Stopped`] once `should_stop` returns true.
    pub fn stopping_when(self, should_stop: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { should_stop: Some(should_stop), ..self }
    }

    pub(crate) fn models(&self) -> &[&'a Model] {
        &self.models
    }

    /// Whether a request is cut on the left to the models' positions.
    pub fn is_cut(&self, request: &Request) -> bool {
        let (context, continuation) = (request.context.len(), request.continuation.len());
        let length = match self.method {
            // The very last token is predicted, not read.
            Method::LogLikelihood => (context + continuation).saturating_sub(1),
            Method::PseudoLogLikelihood(by) => by.length(request),
            Method::EncoderDecoder(_, rule) => rule.length(request),
        };
        length > self.max_positions
    }

    /// What stands between a context, which may be empty, and a choice: the pipeline of 2024 puts a
    /// space before texts of masked models that have one already, and that of 2025 none at the
    /// beginning; encoder-decoders read and predict texts that begin with none.
    pub(crate) fn space_before(&self, context: &str) -> &'static str {
        match self.method {
            Method::PseudoLogLikelihood(by) if by.is_mean => "  ",
            Method::PseudoLogLikelihood(by) if by.predicts_before && context.is_empty() => "",
            Method::EncoderDecoder(_, EncoderDecoderRule::Continuation) => "",
            Method::EncoderDecoder(_, EncoderDecoderRule::HiddenTokens) if context.is_empty() => "",
            _ => " ",
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
        let (log_probabilities, tokens) = match self.method {
            Method::LogLikelihood => self.log_likelihoods(requests, on_progress)?,
            Method::PseudoLogLikelihood(by) => {
                self.pseudo_log_likelihoods(by, requests, on_progress)?
            }
            Method::EncoderDecoder(tokens, rule) => {
                self.encoder_decoder_scores(tokens, rule, requests, on_progress)?
            }
        };
        if let Some(&score) = log_probabilities.iter().find(|score| !score.is_finite()) {
            return Err(EvalError::NotFinite { score });
        }
        let truncated = requests.iter().filter(|request| self.is_cut(request)).count();
        Ok(Scores { log_probabilities, truncated, tokens })
    }

    /// The scores of models that predict the next token, and the number of tokens read.
    fn log_likelihoods(
        &self,
        requests: &[Request],
        mut on_progress: impl FnMut(usize, usize),
    ) -> Result<(Vec<f64>, usize), EvalError> {
        let sequences: Vec<Sequence> =
            requests.iter().map(|request| self.sequence(request)).collect();
        let shares = self.models.iter().all(|model| model.config().architecture.has_kv_cache());
        // In their sorted order neighbours share most.
        score_distinct(&sequences, |distinct| {
            let mut scores = Vec::new();
            let take = |rest: &[&Sequence], limit| Packing::of_first(rest, limit, shares).finish();
            let tokens = self.read_all(distinct, take, |of_sequences, found, _| {
                let score =
                    |places: Vec<usize>| places.into_iter().map(|place| found[place]).sum::<f64>();
                scores.extend(of_sequences.into_iter().map(score));
                on_progress(scores.len(), distinct.len());
            })?;
            Ok((scores, tokens))
        })
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
        ids.drain(..ids.len().saturating_sub(self.max_positions.saturating_add(1)));
        let given = ids.len().saturating_sub(request.continuation.len() + 1);
        Sequence { ids, given }
    }

    /// Reads all items, pass after pass: `take` makes one of the first items, for a number of
    /// tokens, and `add` receives its places, the log-probabilities of its targets and the items
    /// that are left. Returns the number of tokens read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn read_all<T, P>(
        &self,
        items: &[T],
        take: impl Fn(&[T], usize) -> Pass<P>,
        mut add: impl FnMut(P, Vec<f64>, &[T]),
    ) -> Result<usize, EvalError> {
        let (mut rest, mut tokens) = (items, 0);
        while !rest.is_empty() {
            let (pass, log_probabilities) = self.read(|limit| take(rest, limit))?;
            let source = pass.batch.source.as_ref().map_or(0, |source| source.tokens());
            tokens += pass.batch.tokens() + source;
            rest = &rest[pass.count..];
            add(pass.places, log_probabilities, rest);
        }
        Ok(tokens)
    }

    /// One forward pass, which `take` makes for a number of tokens, and the log-probability of each
    /// of its targets. Where memory runs out, a smaller one is made.
    ///
    /// # Errors
    /// When `should_stop` returned true, or there is no memory for a pass of one sequence.
    fn read<P>(
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
            let found = model::log_probabilities(&self.models, &pass.batch, &pass.targets);
            (pass, found)
        });
        self.batch_tokens.store(batch_limit.size(), Ordering::Relaxed);
        answered
            .map_err(|OutOfMemory { size, fault }| EvalError::OutOfMemory { tokens: size, fault })
    }
}

/// The score of each item, and the number of tokens read: `score` is called once, with the distinct
/// items in their order, and returns the score of each of these.
fn score_distinct<T: Ord>(
    items: &[T],
    score: impl FnOnce(&[&T]) -> Result<(Vec<f64>, usize), EvalError>,
) -> Result<(Vec<f64>, usize), EvalError> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_unstable_by(|&a, &b| items[a].cmp(&items[b]));
    let (mut distinct, mut places) = (Vec::<&T>::new(), vec![0; items.len()]);
    for index in order {
        if distinct.last() != Some(&&items[index]) {
            distinct.push(&items[index]);
        }
        places[index] = distinct.len() - 1;
    }
    let (scores, tokens) = score(&distinct)?;
    Ok((places.into_iter().map(|place| scores[place]).collect(), tokens))
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
        /// This scorer, reading at most `batch_tokens` tokens at a time.
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
