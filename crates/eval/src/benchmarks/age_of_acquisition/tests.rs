//! Both ways to average surprisals against slow ones from plain logits.

use model::{Architecture, Batch, Model};

use super::*;
use crate::scoring::tests::{reference, small};
use crate::scoring::{Request, Scorer};

const WORDS: [&str; 6] = ["dog", "a", "ice cream", "in", "cat", "see"];
const PREFIX: u32 = 1;

/// Tokens from longest to shortest; the tokenizer takes the longest that fits, and drops what no
/// token begins with.
const TOKENS: [&str; 20] = [
    " cream", " dog.", " dog", " ice", " cat", "dog", "ice", " in", " se", " a", "in", " s", "a",
    "s", "e", "g", " ", "c", "t", ".",
];

fn encoded(text: &str) -> Result<Vec<u32>, crate::error::EvalError> {
    Ok(encode(text))
}

fn encode(text: &str) -> Vec<u32> {
    let mut rest = text;
    let mut ids = Vec::new();
    while let Some(character) = rest.chars().next() {
        let fits = TOKENS.iter().position(|token| rest.starts_with(token));
        ids.extend(fits.map(|place| place as u32 + 5));
        rest = &rest[fits.map_or(character.len_utf8(), |place| TOKENS[place].len())..];
    }
    ids
}

fn models() -> [Model; 2] {
    [small(Architecture::LLAMA, 16, 1), small(Architecture::GPT2, 16, 2)]
}

/// Sentences with every trouble: words that are the whole sentence, first and last, twice, inside
/// others, cut, empty, of several tokens, joined to a sign by the tokenizer.
fn contexts() -> Vec<Context> {
    let sentences = [
        "a dog",
        "dog",
        "ice cream in a dog",
        "see a cat see a cat",
        "",
        "in ice cream",
        "see dog.",
        "a a a a a a a a a in a dog a a a a a a cat",
        "see catsee dogs singing",
        "ice cream",
    ];
    let finder = WordFinder::new(&WORDS);
    let context = |index: usize| {
        let sentence = sentences[index % sentences.len()].to_owned();
        let words = finder.find(&sentence).into_iter().map(|occurrence| occurrence.word).collect();
        Context { sentence, words }
    };
    // Two batches of the published way, the second not full.
    (0..45).map(|index| context(index * 7 + index / 10)).collect()
}

fn ensembles(models: &[Model; 2]) -> [Vec<&Model>; 3] {
    [vec![&models[0]], vec![&models[1]], vec![&models[0], &models[1]]]
}

fn assert_means(found: &Surprisals, sums: &[(f64, u64)]) {
    for ((found, (sum, count)), word) in found.words.iter().zip(sums).zip(WORDS) {
        assert_eq!(found.count, *count, "{word}");
        let mean = sum / (*count).max(1) as f64;
        assert!((found.mean - mean).abs() < 1e-4, "{word}: {} instead of {mean}", found.mean);
    }
}

#[test]
fn words_cost_their_own_tokens_after_what_stands_before_them() {
    let models = models();
    let contexts = contexts();
    let finder = WordFinder::new(&WORDS);
    for models in ensembles(&models) {
        let scorer = Scorer::new(models.clone()).unwrap();
        let found =
            score_corrected(&scorer, &contexts, &finder, WORDS.len(), PREFIX, encoded, |_, _| ())
                .unwrap();
        let mut sums = vec![(0.0, 0); WORDS.len()];
        let (mut unaligned, mut truncated) = (0, 0);
        for context in &contexts {
            for (word, text) in WORDS.iter().enumerate() {
                for (start, _) in context.sentence.match_indices(text) {
                    let alone =
                        |sign: Option<char>| sign.is_none_or(|sign| !sign.is_alphanumeric());
                    let (before, after) =
                        (&context.sentence[..start], &context.sentence[start + text.len()..]);
                    if !alone(before.chars().next_back()) || !alone(after.chars().next()) {
                        continue;
                    }
                    let given = encode(before.trim_end());
                    let own =
                        encode(&context.sentence[before.trim_end().len()..start + text.len()]);
                    if !encode(&context.sentence).starts_with(&[&given[..], &own].concat()) {
                        unaligned += 1;
                    } else {
                        let whole = [&[PREFIX], &given[..]].concat();
                        // The models have 16 positions.
                        let over = (whole.len() + own.len()).saturating_sub(17);
                        truncated += (over > 0) as usize;
                        let context = whole[over..].to_vec();
                        sums[word].0 -= reference(&models, &Request { context, continuation: own });
                        sums[word].1 += 1;
                    }
                }
            }
        }
        assert!(unaligned > 0 && truncated > 0 && sums.iter().all(|(_, count)| *count > 0));
        assert_eq!((found.unaligned, found.truncated), (unaligned, truncated));
        assert_means(&found, &sums);
    }
}

/// `-log_softmax` of all logits of a padded batch: `[sentence][position][token]`, positions counted
/// from the padding's beginning. Rows of padding hold nothing.
fn padded_surprisals(models: &[&Model], sentences: &[Vec<Option<u32>>]) -> Vec<Vec<Vec<f64>>> {
    let of_sentence = |sentence: &Vec<Option<u32>>| {
        let ids: Vec<u32> = sentence.iter().copied().flatten().collect();
        let padding = sentence.len() - ids.len();
        let mut rows = vec![vec![f64::NAN; 30]; padding];
        if ids.is_empty() {
            return rows;
        }
        let mut mean = vec![0.0; 30 * ids.len()];
        for model in models {
            let plain = Batch::from_sequences([&ids]);
            let positions =
                plain.positions.iter().map(|position| position + padding as u32).collect();
            let hidden = model.hidden_states(&Batch { positions, ..plain });
            let mut logits = vec![0.0; 30 * ids.len()];
            model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
            mean.iter_mut()
                .zip(&logits)
                .for_each(|(mean, &logit)| *mean += logit as f64 / models.len() as f64);
        }
        for logits in mean.chunks(30) {
            let log_sum = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
            rows.push(logits.iter().map(|logit| log_sum - logit).collect());
        }
        rows
    };
    sentences.iter().map(of_sentence).collect()
}

#[test]
fn the_published_numbers_are_those_of_padded_batches() {
    let models = models();
    let contexts = contexts();
    for models in ensembles(&models) {
        let scorer = Scorer::new(models.clone()).unwrap();
        let found = score_as_published(&scorer, &contexts, &WORDS, encoded, |_, _| ()).unwrap();
        let mut sums = vec![(0.0, 0); WORDS.len()];
        for batch in contexts.chunks(32) {
            let ids: Vec<Vec<u32>> =
                batch.iter().map(|c| encode(&c.sentence).into_iter().take(16).collect()).collect();
            let length = ids.iter().map(Vec::len).max().unwrap();
            let pad = |ids: &Vec<u32>| {
                let padding = std::iter::repeat_n(None, length - ids.len());
                padding.chain(ids.iter().copied().map(Some)).collect::<Vec<_>>()
            };
            let labels: Vec<Vec<Option<u32>>> = ids.iter().map(pad).collect();
            let surprisals = padded_surprisals(&models, &labels);
            for (word, text) in WORDS.iter().enumerate() {
                if !batch.iter().any(|context| context.words.contains(&word)) {
                    continue;
                }
                let spaced = format!(" {text}");
                let both = [encode(text), encode(&spaced)];
                let distinct = if both[0] == both[1] { &both[..1] } else { &both[..] };
                for form in distinct {
                    let starts = if form.len() == 1 { length } else { length - form.len() };
                    for (labels, surprisals) in labels.iter().zip(&surprisals) {
                        for start in 0..starts {
                            let here = &labels[start..start + form.len()];
                            if here.iter().zip(form).all(|(label, id)| *label == Some(*id)) {
                                let own = form.iter().enumerate();
                                sums[word].0 += own
                                    .map(|(j, &id)| surprisals[start + j][id as usize])
                                    .sum::<f64>();
                                sums[word].1 += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(sums.iter().all(|(_, count)| *count > 0));
        assert!(found.truncated > 0);
        assert_means(&found, &sums);
    }
}

#[test]
fn the_two_ways_differ_and_words_without_occurrence_have_none() {
    let [model, _] = models();
    let scorer = Scorer::new(vec![&model]).unwrap();
    let context = |sentence: &str| Context { sentence: sentence.into(), words: vec![0] };
    let contexts = [context("a dog"), context("dog a")];
    let finder = WordFinder::new(&WORDS);
    let corrected =
        score_corrected(&scorer, &contexts, &finder, WORDS.len(), PREFIX, encoded, |_, _| ())
            .unwrap();
    let published = score_as_published(&scorer, &contexts, &WORDS, encoded, |_, _| ()).unwrap();
    assert_eq!((corrected.words[0].count, published.words[0].count), (2, 2));
    assert!((corrected.words[0].mean - published.words[0].mean).abs() > 1e-3);
    assert_eq!(
        corrected.words[1],
        MeanSurprisal::default(),
        "`a` is not among the words of the contexts"
    );
    assert_eq!(corrected.words_found(), 1);
    let json = corrected.to_json(&WORDS);
    assert_eq!(json["cat"], serde_json::json!([0.0, 0]));
    assert_eq!(json["dog"][1], 2);
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), WORDS);
}

#[test]
fn results_do_not_depend_on_threads_or_on_how_sentences_are_packed() {
    let [_, model] = models();
    let scorer = Scorer::new(vec![&model]).unwrap();
    let contexts: Vec<Context> = (0..40).flat_map(|_| contexts()).collect();
    let finder = WordFinder::new(&WORDS);
    let run = || {
        let corrected =
            score_corrected(&scorer, &contexts, &finder, WORDS.len(), PREFIX, encoded, |_, _| ())
                .unwrap();
        (corrected, score_as_published(&scorer, &contexts, &WORDS, encoded, |_, _| ()).unwrap())
    };
    let on = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
    };
    let (corrected, published) = on(1);
    assert_eq!((&corrected, &published), (&on(3).0, &on(3).1));
    assert!(published.tokens > 4096, "several forward passes");
    let once = &contexts[..45];
    let few =
        score_corrected(&scorer, once, &finder, WORDS.len(), PREFIX, encoded, |_, _| ()).unwrap();
    for (one, all) in few.words.iter().zip(&corrected.words) {
        assert_eq!(40 * one.count, all.count);
        assert!((one.mean - all.mean).abs() < 1e-5);
    }
}

#[test]
fn tokens_outside_the_vocabulary_are_refused() {
    let [model, _] = models();
    let scorer = Scorer::new(vec![&model]).unwrap();
    let contexts = [Context { sentence: "dog".into(), words: vec![0] }];
    let finder = WordFinder::new(&WORDS);
    let outside = |_: &str| Ok(vec![30]);
    assert!(score_as_published(&scorer, &contexts, &WORDS, outside, |_, _| ()).is_err());
    let whole = |text: &str| Ok(if text.is_empty() { vec![] } else { vec![30] });
    assert!(
        score_corrected(&scorer, &contexts, &finder, WORDS.len(), PREFIX, whole, |_, _| ())
            .is_err()
    );
    assert!(
        score_corrected(&scorer, &contexts, &finder, WORDS.len(), 30, encoded, |_, _| ()).is_err()
    );
}
