//! Scores of masked models: pseudo-log-likelihoods (Salazar et al., arXiv 1910.14659). Every token
//! of the continuation is hidden in turn, and the logarithms of its probabilities are added up. The
//! pipeline of 2024 leaves masked models to minicons, which takes their mean. Models that predict
//! the next token can be read so too, if they have learned it, as GPT-BERT has: they predict a
//! hidden token at the token before it (`mntp` in the pipeline of 2025).

use engine::ops::language_model_loss::Target;
use model::{Batch, MaskedTokens, Model};

use super::{Method, Pass, Request, Scorer, score_distinct};
use crate::error::EvalError;

/// How pseudo-log-likelihoods are computed.
#[derive(Clone, Copy)]
pub(super) struct PseudoLogLikelihood {
    pub tokens: MaskedTokens,
    /// Whether a hidden token is predicted at the token before it.
    pub predicts_before: bool,
    /// Whether scores are divided by the number of tokens that are scored.
    pub is_mean: bool,
}

/// A whole text as the models read it, up to the tokens that are hidden.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Text {
    ids: Vec<u32>,
    /// The first token that is scored.
    first: usize,
    /// The one behind the last.
    end: usize,
}

impl Text {
    fn scored(&self) -> std::ops::Range<usize> {
        self.first..self.end
    }
}

impl<'a> Scorer<'a> {
    /// A scorer of masked models. A request's context and continuation stand between
    /// `tokens.start`, unless the context begins with it, and `tokens.end`; neither these nor the
    /// context are hidden.
    ///
    /// # Errors
    /// When the models' vocabularies differ in size or lack one of the tokens, when a model is not
    /// masked, or has no position for one token between the two ends.
    ///
    /// # Panics
    /// When there is no model.
    pub fn masked(models: Vec<&'a Model>, tokens: MaskedTokens) -> Result<Self, EvalError> {
        let is_masked = |model: &&Model| {
            let family = model.config().architecture;
            !family.is_causal() && !family.is_encoder_decoder()
        };
        if !models.iter().all(is_masked) {
            return Err(EvalError::MixedEnsemble);
        }
        let by = PseudoLogLikelihood { tokens, predicts_before: false, is_mean: false };
        let scorer = Self::by(Method::PseudoLogLikelihood(by), models)?;
        scorer.checked([tokens.start, tokens.mask, tokens.end])
    }

    /// A scorer that hides tokens from models that predict the next token, reads the others in both
    /// directions and takes each hidden token's probability at the token before it. A request's
    /// context and continuation stand behind `tokens.start`, unless the context begins with it.
    ///
    /// # Errors
    /// As [`masked`](Self::masked), and when a model is a masked one.
    ///
    /// # Panics
    /// When there is no model.
    pub fn masked_next(models: Vec<&'a Model>, tokens: MaskedTokens) -> Result<Self, EvalError> {
        if models.iter().any(|model| !model.config().architecture.is_causal()) {
            return Err(EvalError::NotMaskedNext);
        }
        let by = PseudoLogLikelihood { tokens, predicts_before: true, is_mean: false };
        let scorer = Self::by(Method::PseudoLogLikelihood(by), models)?;
        scorer.checked([tokens.start, tokens.mask, tokens.mask])
    }

    /// Refuses special tokens outside the vocabulary, and models without a position for a token
    /// between them.
    fn checked(self, tokens: [u32; 3]) -> Result<Self, EvalError> {
        let vocab_size = self.models[0].config().vocab_size;
        if let Some(id) = tokens.into_iter().find(|&id| id as usize >= vocab_size) {
            return Err(EvalError::TokenOutside { id, vocab_size });
        }
        match self.max_positions {
            positions @ 0..3 => Err(EvalError::TooFewPositions { positions }),
            _ => Ok(self),
        }
    }

    /// This scorer with means over the tokens that are scored in place of pseudo-log-likelihoods;
    /// no other scores change.
    pub fn by_mean(mut self) -> Self {
        if let Method::PseudoLogLikelihood(by) = &mut self.method {
            by.is_mean = true;
        }
        self
    }

    /// The pseudo-log-likelihoods of requests, and the number of tokens read. Copies with one
    /// hidden token each are packed without padding.
    pub(super) fn pseudo_log_likelihoods(
        &self,
        by: PseudoLogLikelihood,
        requests: &[Request],
        mut on_progress: impl FnMut(usize, usize),
    ) -> Result<(Vec<f64>, usize), EvalError> {
        let text = |request| by.text(request, self.max_positions);
        let texts: Vec<Text> = requests.iter().map(text).collect();
        score_distinct(&texts, |distinct| {
            let places =
                |(index, text): (usize, &&Text)| text.scored().map(move |place| (index, place));
            let copies: Vec<(usize, usize)> =
                distinct.iter().enumerate().flat_map(places).collect();
            let mut scores = vec![0.0; distinct.len()];
            let take = |rest: &[(usize, usize)], limit| by.copies(distinct, rest, limit);
            let tokens = self.read_all(&copies, take, |owners, found, rest| {
                for (owner, log_probability) in owners.into_iter().zip(found) {
                    scores[owner] += log_probability;
                }
                let done = rest.first().map_or(distinct.len(), |&(next, _)| next);
                on_progress(done, distinct.len());
            })?;
            if by.is_mean {
                for (score, text) in scores.iter_mut().zip(distinct) {
                    *score /= text.scored().len().max(1) as f64;
                }
            }
            Ok((scores, tokens))
        })
    }
}

impl PseudoLogLikelihood {
    /// Number of special tokens behind a text.
    fn ends(&self) -> usize {
        usize::from(!self.predicts_before)
    }

    /// Tokens of a request and what stands around it.
    pub(super) fn length(&self, request: &Request) -> usize {
        let has_start = request.context.first() == Some(&self.tokens.start);
        let around = self.ends() + usize::from(!has_start);
        request.context.len() + request.continuation.len() + around
    }

    fn text(&self, request: &Request, max_positions: usize) -> Text {
        let tokens = self.tokens;
        let context = request.context.strip_prefix(&[tokens.start]).unwrap_or(&request.context);
        let inner = [context, &request.continuation].concat();
        let ends = &[tokens.end][..self.ends()];
        let kept = inner.len().min(max_positions - 1 - ends.len());
        let scored = request.continuation.len().min(kept);
        let ids = [&[tokens.start], &inner[inner.len() - kept..], ends].concat();
        Text { first: 1 + kept - scored, end: 1 + kept, ids }
    }

    /// As many of the first copies as `batch_tokens` tokens hold, but at least one. A copy is the
    /// number of a text and the place that is hidden in it; the answers belong to the texts.
    fn copies(
        &self,
        texts: &[&Text],
        copies: &[(usize, usize)],
        batch_tokens: usize,
    ) -> Pass<Vec<usize>> {
        let (mut sequences, mut targets, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = 0;
        for &(index, place) in copies {
            let mut ids = texts[index].ids.clone();
            if rows > 0 && rows + ids.len() > batch_tokens {
                break;
            }
            let id = std::mem::replace(&mut ids[place], self.tokens.mask);
            let row = rows + place - usize::from(self.predicts_before);
            targets.push(Target { row: row as u32, id });
            rows += ids.len();
            sequences.push(ids);
            owners.push(index);
        }
        let batch = Batch { bidirectional: true, ..Batch::from_sequences(&sequences) };
        Pass { batch, targets, count: owners.len(), places: owners }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use engine::cpu::Cpu;
    use model::{Architecture, hugging_face};

    use super::*;
    use crate::scoring::tests::small;

    const TOKENS: MaskedTokens = MaskedTokens { start: 0, mask: 60, end: 2 };

    fn roberta() -> Model {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/roberta");
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        hugging_face::load_any(&folder, &device).unwrap()
    }

    #[derive(serde::Deserialize)]
    struct Scored {
        ids: Vec<u32>,
        score: f64,
    }

    fn expected() -> Vec<Scored> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pseudo_log_likelihood.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn request(context: &[u32], continuation: &[u32]) -> Request {
        Request { context: context.to_vec(), continuation: continuation.to_vec() }
    }

    #[test]
    fn packed_scores_are_those_of_transformers_one_text_at_a_time() {
        let model = roberta();
        let expected = expected();
        let mut requests: Vec<Request> =
            expected.iter().map(|text| request(&[0], &text.ids[1..text.ids.len() - 1])).collect();
        requests.push(requests[1].clone());
        for batch_tokens in [1, 20, 50, 4096] {
            let scorer = Scorer::masked(vec![&model], TOKENS).unwrap().reading(batch_tokens);
            let mut seen = Vec::new();
            let scores = scorer.score(&requests, |done, of| seen.push((done, of))).unwrap();
            for (found, text) in scores.log_probabilities.iter().zip(&expected) {
                assert!((found - text.score).abs() < 1e-4, "{found} instead of {}", text.score);
            }
            assert_eq!(
                scores.log_probabilities[1].to_bits(),
                scores.log_probabilities[5].to_bits()
            );
            // As many copies as tokens between the ends, each of all tokens; the equal texts once.
            let lengths = [1, 2, 5, 9, 14];
            assert_eq!(
                scores.tokens,
                lengths.map(|length| length * (length + 2)).iter().sum::<usize>()
            );
            assert_eq!((scores.truncated, seen.last()), (0, Some(&(5, 5))));
            assert!(seen.is_sorted());
            let backwards: Vec<Request> = requests.iter().rev().cloned().collect();
            let mut again = scorer.score(&backwards, |_, _| ()).unwrap();
            again.log_probabilities.reverse();
            assert_eq!(again, scores, "the order of requests");
        }
    }

    #[test]
    fn a_context_is_seen_and_not_scored() {
        let model = roberta();
        let scorer = Scorer::masked(vec![&model], TOKENS).unwrap();
        let score = |context: &[u32], continuation: &[u32]| {
            scorer.score(&[request(context, continuation)], |_, _| ()).unwrap().log_probabilities[0]
        };
        let whole = score(&[0], &[5, 6, 7]);
        let (alone, with_start) = (score(&[5], &[6, 7]), score(&[0, 5], &[6, 7]));
        assert_eq!(alone, with_start, "the start is put there where it is missing");
        assert!(alone > whole && alone != score(&[0], &[6, 7]));
        assert_eq!(score(&[], &[5, 6, 7]), whole);
    }

    /// In 2024 the token that ends texts stands before them as a context.
    #[test]
    fn scores_of_an_ltg_bert_are_those_of_pytorch_by_both_pipelines() {
        #[derive(serde::Deserialize)]
        struct Expected {
            ids: Vec<u32>,
            sum: f64,
            mean: f64,
        }
        let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        let model = crates.join("../model/tests/fixtures/ltg-bert");
        let model = hugging_face::load_any(&model, &device).unwrap();
        let expected = crates.join("tests/fixtures/ltg_bert_scores.json");
        let expected = std::fs::read_to_string(expected).unwrap();
        let expected: Vec<Expected> = serde_json::from_str(&expected).unwrap();
        let tokens = MaskedTokens { start: 1, mask: 4, end: 2 };
        let score = |scorer: Scorer, context: u32| {
            let requests: Vec<_> =
                expected.iter().map(|text| request(&[context], &text.ids)).collect();
            scorer.score(&requests, |_, _| ()).unwrap().log_probabilities
        };
        let sums = score(Scorer::masked(vec![&model], tokens).unwrap(), 1);
        let means = score(Scorer::masked(vec![&model], tokens).unwrap().by_mean(), 2);
        for ((text, sum), mean) in expected.iter().zip(sums).zip(means) {
            assert!((sum - text.sum).abs() < 1e-4, "{sum} instead of {}", text.sum);
            assert!((mean - text.mean).abs() < 1e-4, "{mean} instead of {}", text.mean);
        }
    }

    /// In 2025 the token that begins texts stands before them, and nothing behind.
    #[test]
    fn scores_of_a_gpt_bert_are_those_of_pytorch_by_both_back_ends() {
        #[derive(serde::Deserialize)]
        struct Expected {
            ids: Vec<u32>,
            causal: f64,
            mntp: f64,
        }
        let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        let model = crates.join("../model/tests/fixtures/gpt-bert");
        let model = hugging_face::load(&model, &device).unwrap();
        let expected = crates.join("tests/fixtures/gpt_bert_scores.json");
        let expected = std::fs::read_to_string(expected).unwrap();
        let mut expected: Vec<Expected> = serde_json::from_str(&expected).unwrap();
        // Beginnings that texts share are read with each of them.
        expected.push(Expected { ids: expected[4].ids.clone(), ..expected[4] });
        let tokens = MaskedTokens { start: 1, mask: 4, end: 2 };
        let requests: Vec<_> = expected.iter().map(|text| request(&[1], &text.ids)).collect();
        for batch_tokens in [1, 20, 4096] {
            let score = |scorer: Scorer| {
                let scores = scorer.reading(batch_tokens).score(&requests, |_, _| ()).unwrap();
                assert_eq!(scores.truncated, 0);
                scores.log_probabilities
            };
            let causal = score(Scorer::new(vec![&model]).unwrap());
            let mntp = score(Scorer::masked_next(vec![&model], tokens).unwrap());
            for ((text, causal), mntp) in expected.iter().zip(causal).zip(mntp) {
                assert!((causal - text.causal).abs() < 1e-4, "{causal}, not {}", text.causal);
                assert!((mntp - text.mntp).abs() < 1e-4, "{mntp}, not {}", text.mntp);
            }
        }
        // Sixteen positions, one of them of the token that begins texts.
        let scorer = Scorer::masked_next(vec![&model], tokens).unwrap();
        let cut = |length| scorer.is_cut(&request(&[1], &vec![7; length]));
        assert_eq!([cut(15), cut(16)], [false, true]);
        assert!(Scorer::masked_next(vec![&roberta()], TOKENS).is_err());
    }

    #[test]
    fn means_are_sums_over_the_number_of_scored_tokens() {
        let model = roberta();
        let requests = [request(&[2], &[5, 9, 20]), request(&[7, 8], &[9]), request(&[0], &[3, 4])];
        let scores = |scorer: Scorer| scorer.score(&requests, |_, _| ()).unwrap();
        let sums = scores(Scorer::masked(vec![&model], TOKENS).unwrap());
        let means = scores(Scorer::masked(vec![&model], TOKENS).unwrap().by_mean());
        let pairs = means.log_probabilities.iter().zip(&sums.log_probabilities);
        for ((mean, sum), count) in pairs.zip([3.0, 1.0, 2.0]) {
            assert!((mean * count - sum).abs() < 1e-9, "{mean} of {sum}");
        }
        assert_eq!(means.tokens, sums.tokens);
    }

    #[test]
    fn an_ensemble_averages_logits() {
        let model = roberta();
        let one = Scorer::masked(vec![&model], TOKENS).unwrap();
        let twice = Scorer::masked(vec![&model, &model], TOKENS).unwrap();
        let requests = [request(&[0], &[5, 9, 20, 31])];
        let score =
            |scorer: &Scorer| scorer.score(&requests, |_, _| ()).unwrap().log_probabilities[0];
        assert!((score(&one) - score(&twice)).abs() < 1e-5);
    }

    #[test]
    fn long_texts_lose_their_left_end_but_not_the_start() {
        let model = roberta();
        let scorer = Scorer::masked(vec![&model], TOKENS).unwrap();
        let ids: Vec<u32> = (3..23).collect();
        let long = [request(&[0], &ids), request(&[0, 9, 9], &ids[6..]), request(&[0], &ids[6..])];
        let scores = scorer.score(&long, |_, _| ()).unwrap();
        assert_eq!(
            (scores.truncated, scores.log_probabilities[0]),
            (2, scores.log_probabilities[2])
        );
        assert_eq!(scores.log_probabilities[1], scores.log_probabilities[2]);
        assert_eq!(long.each_ref().map(|request| scorer.is_cut(request)), [true, true, false]);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let (masked, causal) = (roberta(), small(Architecture::GPT2, 16, 1));
        let message = |result: Result<Scorer, EvalError>| result.err().unwrap().to_string();
        assert!(message(Scorer::new(vec![&masked])).contains("predict the next token"));
        assert!(message(Scorer::masked(vec![&causal], TOKENS)).contains("predict the next token"));
        let outside = MaskedTokens { mask: 61, ..TOKENS };
        assert!(message(Scorer::masked(vec![&masked], outside)).contains("id 61"));
        let scorer = Scorer::masked(vec![&masked], TOKENS).unwrap();
        assert!(scorer.score(&[request(&[0], &[61])], |_, _| ()).is_err());
    }
}
