//! What happens when a device has no memory for a whole forward pass: smaller ones, and the same
//! scores.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base::rng::Rng;
use engine::cpu::Cpu;
use engine::{Device, Tensor};
use eval::age_of_acquisition::{Context, score_as_published};
use eval::{EvalError, MaskedTokens, Request, Scorer};
use model::{Model, hugging_face};

fn model(name: &str, device: &Arc<dyn Device>) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(name);
    hugging_face::load_any(&folder, device).unwrap()
}

/// Texts of all lengths that share nothing and some that share much.
fn requests(vocab_size: u64) -> Vec<Request> {
    let rng = Rng::new(1, "test requests");
    let id = |at: u64, place: u64| 3 + rng.below(at << 8 | place, vocab_size - 3) as u32;
    let ids = |at: u64| (0..1 + rng.below(at, 12)).map(|place| id(at, place)).collect();
    let request = |at: u64| Request { context: ids(at % 50), continuation: ids(1000 + at) };
    (0..150).map(request).collect()
}

/// A model on a device that has so much memory beside it; the rest is held by other tensors.
fn cramped(name: &str, bytes: usize) -> (Model, Vec<Tensor>) {
    let device: Arc<dyn Device> = Arc::new(Cpu::with_memory(1 << 24));
    let model = model(name, &device);
    device.trim();
    let free = device.memory().unwrap().free as usize - bytes;
    (model, (0..free >> 10).map(|_| Tensor::zeros(&device, 1, 256)).collect())
}

const TOKENS: MaskedTokens = MaskedTokens { start: 0, mask: 60, end: 2 };

fn scorer(model: &Model) -> Scorer<'_> {
    match model.config().architecture.is_causal() {
        true => Scorer::new(vec![model]).unwrap(),
        false => Scorer::masked(vec![model], TOKENS).unwrap(),
    }
}

#[test]
fn a_pass_that_does_not_fit_is_made_smaller_to_the_same_scores() {
    for name in ["llama", "gpt2", "roberta"] {
        let cpu: Arc<dyn Device> = Arc::new(Cpu::new());
        let whole = model(name, &cpu);
        let requests = requests(whole.config().vocab_size as u64 - 2);
        let expected = scorer(&whole).score(&requests, |_, _| ()).unwrap();

        let (small, _others) = cramped(name, 100 << 10);
        let (scorer, mut sizes) = (scorer(&small), Vec::new());
        let most = scorer.tokens_at_a_time();
        let found = scorer.score(&requests, |_, _| sizes.push(scorer.tokens_at_a_time())).unwrap();
        assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] < most, "{name}: {sizes:?}");
        assert!(found.tokens >= expected.tokens && found.truncated == expected.truncated, "{name}");
        for (a, b) in found.log_probabilities.iter().zip(&expected.log_probabilities) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} instead of {b}");
        }
        // What is known stays known.
        assert!(
            scorer.score(&requests[..1], |_, _| ()).is_ok()
                && scorer.tokens_at_a_time() == *sizes.last().unwrap()
        );
    }
}

#[test]
fn a_single_text_that_does_not_fit_is_an_error() {
    for name in ["llama", "roberta"] {
        let (small, _others) = cramped(name, 4 << 10);
        let requests = requests(40);
        let error = scorer(&small).score(&requests, |_, _| ()).unwrap_err();
        assert!(matches!(error, EvalError::OutOfMemory { .. }), "{error}");
        let message = error.to_string();
        assert!(message.starts_with("there is no memory for one text of "), "{message}");
        assert!(message.contains(" tokens: cpu has no memory for "), "{message}");
    }
}

#[test]
fn published_surprisals_are_read_in_parts_too() {
    let cpu: Arc<dyn Device> = Arc::new(Cpu::new());
    let texts: BTreeMap<String, Vec<u32>> = requests(40)
        .into_iter()
        .enumerate()
        .map(|(index, request)| {
            (format!("text {index}"), [&request.context[..], &request.continuation].concat())
        })
        .chain((0..10).map(|word| (format!("word {word}"), vec![3 + word])))
        .collect();
    let words: Vec<String> = (0..10).map(|word| format!("word {word}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let context = |index: usize| Context {
        sentence: format!("text {index}"),
        words: [index % 10, (index + 3) % 10].into(),
    };
    let contexts: Vec<Context> = (0..150).map(context).collect();
    let encode = |text: &str| Ok(texts[text.trim_start()].clone());
    let whole = model("gpt2", &cpu);
    let score =
        |scorer: &Scorer| score_as_published(scorer, &contexts, &words, encode, |_, _| ()).unwrap();
    let expected = score(&scorer(&whole));
    assert!(expected.words_found() == 10);
    let (small, _others) = cramped("gpt2", 100 << 10);
    let scorer = scorer(&small);
    let found = score(&scorer);
    assert!(scorer.tokens_at_a_time() < 200, "{}", scorer.tokens_at_a_time());
    assert_eq!((found.tokens, found.truncated), (expected.tokens, expected.truncated));
    for (a, b) in found.words.iter().zip(&expected.words) {
        assert!((a.mean - b.mean).abs() < 1e-5 && a.count == b.count, "{a:?} instead of {b:?}");
    }
}
