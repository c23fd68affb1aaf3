//! Scores of encoder-decoders, by two pipelines.
//!
//! That of 2023 gives the context to the encoder and adds up the logarithms of the probabilities of
//! all that the decoder predicts, the token that ends a text included. Later ones score as masked
//! models are scored: each token of the continuation is hidden from the encoder in turn, and
//! predicted behind the token that stands for it (`enc_dec_mask` of the pipeline of 2025).

use model::{EncoderDecoderTokens, Model};

use super::{Method, Reading, Request, Scorer};
use crate::error::EvalError;

/// How encoder-decoders are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderDecoderRule {
    /// The whole continuation, predicted from the context, and the end of the text.
    Continuation,
    /// Each token of the continuation, hidden from the encoder.
    HiddenTokens,
}

impl EncoderDecoderRule {
    /// Positions that a request needs, with the token behind each text.
    pub(super) fn length(self, request: &Request) -> usize {
        let (context, continuation) = (request.context.len(), request.continuation.len());
        match self {
            Self::Continuation => context.max(continuation) + 1,
            Self::HiddenTokens => context + continuation + 1,
        }
    }
}

impl<'a> Scorer<'a> {
    /// A scorer of encoder-decoders. The encoder reads texts with `tokens.end` behind them; where a
    /// request's context is that token alone, there is no context.
    ///
    /// # Errors
    /// When the models' vocabularies differ in size or lack one of the tokens, or a model is no
    /// encoder-decoder.
    ///
    /// # Panics
    /// When there is no model.
    pub fn encoder_decoder(
        models: Vec<&'a Model>,
        tokens: EncoderDecoderTokens,
        rule: EncoderDecoderRule,
    ) -> Result<Self, EvalError> {
        if !models.iter().all(|model| model.config().architecture.is_encoder_decoder()) {
            return Err(EvalError::MixedEnsemble);
        }
        let scorer = Self::by(Method::EncoderDecoder(tokens, rule), models)?;
        let needed = [Some(tokens.end), tokens.begin, Some(tokens.hidden)];
        scorer.check_tokens(&needed.into_iter().flatten().collect::<Vec<_>>())?;
        match scorer.max_positions {
            positions @ 0..3 => Err(EvalError::TooFewPositions { positions }),
            _ => Ok(scorer),
        }
    }

    /// The last ids of a text that leave a position for the token behind them.
    fn cut<'t>(&self, ids: &'t [u32]) -> &'t [u32] {
        &ids[ids.len().saturating_sub(self.max_positions - 1)..]
    }

    /// What is read of a request, once or for each of its tokens.
    fn readings(
        &self,
        tokens: EncoderDecoderTokens,
        rule: EncoderDecoderRule,
        request: &Request,
    ) -> Vec<Reading> {
        let source = |ids: &[u32]| [ids, &[tokens.end]].concat();
        match rule {
            EncoderDecoderRule::Continuation => {
                let predicted = source(self.cut(&request.continuation));
                let start = self.models[0].config().encoder_decoder;
                let start = start.map_or(0, |own| own.decoder_start_token_id);
                let before = &predicted[..predicted.len() - 1];
                vec![Reading {
                    source: source(self.cut(&request.context)),
                    ids: [&[start], before].concat(),
                    targets: predicted.iter().copied().enumerate().collect(),
                    bidirectional: false,
                }]
            }
            EncoderDecoderRule::HiddenTokens => {
                let has_context = request.context != [tokens.end];
                let context = if has_context { &request.context[..] } else { &[] };
                let whole = [context, &request.continuation].concat();
                let whole = self.cut(&whole);
                let scored = request.continuation.len().min(whole.len());
                let decoded: Vec<u32> = tokens.begin.into_iter().chain([tokens.hidden]).collect();
                let hide = |place: usize| {
                    let mut read = source(whole);
                    let id = std::mem::replace(&mut read[place], tokens.hidden);
                    let targets = vec![(decoded.len() - 1, id)];
                    let (ids, bidirectional) = (decoded.clone(), false);
                    Reading { source: read, ids, bidirectional, targets }
                };
                (whole.len() - scored..whole.len()).map(hide).collect()
            }
        }
    }

    /// The scores of encoder-decoders, and the number of tokens read.
    pub(super) fn encoder_decoder_scores(
        &self,
        tokens: EncoderDecoderTokens,
        rule: EncoderDecoderRule,
        requests: &[Request],
        on_progress: impl FnMut(usize, usize),
    ) -> Result<(Vec<f64>, usize), EvalError> {
        let (mut readings, mut counts) = (Vec::new(), Vec::new());
        for request in requests {
            let of_request = self.readings(tokens, rule, request);
            counts.push(of_request.len());
            readings.extend(of_request);
        }
        let (scores, tokens) = self.read_texts(&readings, on_progress)?;
        let mut rest = scores.into_iter();
        let of_request = |count| rest.by_ref().take(count).sum();
        Ok((counts.into_iter().map(of_request).collect(), tokens))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use engine::cpu::Cpu;
    use model::{Architecture, MaskedTokens, hugging_face};

    use super::*;
    use crate::scoring::tests::small;

    const TOKENS: EncoderDecoderTokens = EncoderDecoderTokens { begin: None, hidden: 40, end: 1 };

    #[derive(serde::Deserialize)]
    struct Expected {
        ids: Vec<u32>,
        whole: f64,
        hidden: f64,
    }

    fn crates() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn model(name: &str) -> Model {
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        let folder = crates().join("../model/tests/fixtures").join(name);
        hugging_face::load_any(&folder, &device).unwrap()
    }

    fn request(context: &[u32], continuation: &[u32]) -> Request {
        Request { context: context.to_vec(), continuation: continuation.to_vec() }
    }

    #[test]
    fn scores_are_those_of_transformers_by_both_rules() {
        let expected = crates().join("tests/fixtures/t5_scores.json");
        let expected = std::fs::read_to_string(expected).unwrap();
        let expected: BTreeMap<String, Vec<Expected>> = serde_json::from_str(&expected).unwrap();
        for (name, texts) in &expected {
            let model = model(name);
            let requests: Vec<_> = texts.iter().map(|text| request(&[1], &text.ids)).collect();
            for batch_tokens in [1, 30, 4096] {
                let score = |rule| {
                    let scorer = Scorer::encoder_decoder(vec![&model], TOKENS, rule).unwrap();
                    let mut seen = Vec::new();
                    let scores = scorer
                        .reading(batch_tokens)
                        .score(&requests, |done, of| seen.push((done, of)))
                        .unwrap();
                    assert!(seen.is_sorted() && scores.truncated == 0);
                    assert_eq!(seen.last().map(|(done, of)| done == of), Some(true));
                    scores.log_probabilities
                };
                let whole = score(EncoderDecoderRule::Continuation);
                let hidden = score(EncoderDecoderRule::HiddenTokens);
                for ((text, whole), hidden) in texts.iter().zip(whole).zip(hidden) {
                    assert!((whole - text.whole).abs() < 1e-4, "{whole}, not {}", text.whole);
                    assert!((hidden - text.hidden).abs() < 1e-4, "{hidden}, not {}", text.hidden);
                }
            }
        }
    }

    #[test]
    fn a_context_is_read_and_not_scored() {
        let model = model("t5");
        for rule in [EncoderDecoderRule::Continuation, EncoderDecoderRule::HiddenTokens] {
            let scorer = Scorer::encoder_decoder(vec![&model], TOKENS, rule).unwrap();
            let score = |context: &[u32]| {
                let scores = scorer.score(&[request(context, &[5, 6])], |_, _| ()).unwrap();
                scores.log_probabilities[0]
            };
            assert_ne!(score(&[9]), score(&[1]));
            assert_ne!(score(&[9]), score(&[8]));
        }
    }

    #[test]
    fn long_texts_lose_their_left_end() {
        let model = model("t5");
        let ids: Vec<u32> = (2..40).collect();
        for rule in [EncoderDecoderRule::Continuation, EncoderDecoderRule::HiddenTokens] {
            let scorer = Scorer::encoder_decoder(vec![&model], TOKENS, rule).unwrap();
            let requests = [request(&[1], &ids), request(&[1], &ids[15..])];
            let scores = scorer.score(&requests, |_, _| ()).unwrap();
            assert_eq!(scores.log_probabilities[0], scores.log_probabilities[1]);
            let fits = 22 + usize::from(rule == EncoderDecoderRule::Continuation);
            assert!(scorer.is_cut(&requests[0]));
            assert!(!scorer.is_cut(&request(&[1], &ids[..fits])));
            assert!(scorer.is_cut(&request(&[1], &ids[..fits + 1])));
        }
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let (model, causal) = (model("t5"), small(Architecture::GPT2, 16, 1));
        let rule = EncoderDecoderRule::Continuation;
        let message = |result: Result<Scorer, EvalError>| result.err().unwrap().to_string();
        for found in [
            message(Scorer::encoder_decoder(vec![&causal], TOKENS, rule)),
            message(Scorer::new(vec![&model])),
            message(Scorer::masked(vec![&model], MaskedTokens { start: 2, mask: 3, end: 1 })),
        ] {
            assert!(found.contains("all must predict the next token"), "{found}");
        }
        let outside = EncoderDecoderTokens { hidden: 41, ..TOKENS };
        let found = message(Scorer::encoder_decoder(vec![&model], outside, rule));
        assert!(found.contains("id 41"), "{found}");
    }
}
