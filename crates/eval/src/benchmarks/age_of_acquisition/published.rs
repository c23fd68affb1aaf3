//! Average surprisals as the 2023 pipeline's code computes them, for comparison with published
//! scores.
//!
//! It differs from [`score_corrected`](super::score_corrected) in what follows from the code
//! (`aoa_pred/` of github.com/babylm/evaluation-pipeline-2023):
//! - The number at a token is `-log P(that token again | all up to and including it)`: the logits
//!   are read at the token itself and not at the one before it. It is the surprisal of the token
//!   if it came once more.
//! - Sentences come in batches of 32. The words of all of them are searched in every sentence of
//!   the batch.
//! - A word is searched by its tokens with and without a leading space, wherever they stand: the
//!   form without also matches pieces inside other words. Of several tokens, the place that ends
//!   with the sentence is never looked at.
//! - A sentence is cut after 50 tokens, and nothing stands before it.
//! - Batches are padded on the left. The padding is masked, but positions are counted from its
//!   beginning, so that learned positions (GPT-2's) depend on the longest sentence of the batch;
//!   rotary ones depend on distances only, and OPT counts from the mask. Here nothing is padded,
//!   and positions begin where the padding would have ended; with an OPT among the models, at 0.

use std::collections::BTreeSet;

use engine::Spans;
use engine::ops::language_model_loss::Target;
use model::Batch;

use super::contexts::Context;
use super::surprisal::{Sums, Surprisals};
use crate::error::EvalError;
use crate::scoring::{Pass, Scorer};

/// Sentences in a batch.
pub const BATCH_SENTENCES: usize = 32;

/// Tokens after which a sentence is cut.
pub const MAX_TOKENS: usize = 50;

/// Sentences that are read together, and the places of the words that are searched in all of them.
struct Published {
    sentences: Vec<Vec<u32>>,
    words: BTreeSet<usize>,
}

impl Published {
    fn tokens(&self) -> usize {
        self.sentences.iter().map(Vec::len).sum()
    }
}

/// The average surprisal of each word as published. Models with fewer than 50 positions cut
/// sentences to these. `encode` turns text into token ids; `on_progress` receives how many contexts
/// are done, of how many.
pub fn score_as_published(
    scorer: &Scorer<'_>,
    contexts: &[Context],
    words: &[&str],
    encode: impl Fn(&str) -> Result<Vec<u32>, EvalError>,
    mut on_progress: impl FnMut(usize, usize),
) -> Result<Surprisals, EvalError> {
    let forms = words.iter().map(|word| forms(word, &encode)).collect::<Result<Vec<_>, _>>()?;
    let longest = MAX_TOKENS.min(scorer.max_positions());
    let mut found = Surprisals::default();
    let mut sums = Sums::new(words.len());
    let mut waiting: Vec<Published> = Vec::new();
    for (index, contexts_of_batch) in contexts.chunks(BATCH_SENTENCES).enumerate() {
        let words =
            contexts_of_batch.iter().flat_map(|context| context.words.iter().copied()).collect();
        let mut sentences = Vec::new();
        for context in contexts_of_batch {
            let mut ids = encode(&context.sentence)?;
            found.truncated += (ids.len() > longest) as usize;
            ids.truncate(longest);
            scorer.check_tokens(&ids)?;
            found.tokens += ids.len();
            sentences.push(ids);
        }
        let batch = Published { sentences, words };
        let tokens: usize = waiting.iter().chain([&batch]).map(Published::tokens).sum();
        if tokens > scorer.tokens_at_a_time() {
            score_packed(scorer, &waiting, &forms, &mut sums)?;
            waiting.clear();
            on_progress(index * BATCH_SENTENCES, contexts.len());
        }
        waiting.push(batch);
    }
    score_packed(scorer, &waiting, &forms, &mut sums)?;
    on_progress(contexts.len(), contexts.len());
    Ok(Surprisals { words: sums.into_means(), ..found })
}

/// The tokens of a word without and with a leading space, once if they are the same.
fn forms(
    word: &str,
    encode: &impl Fn(&str) -> Result<Vec<u32>, EvalError>,
) -> Result<Vec<Vec<u32>>, EvalError> {
    let mut forms = vec![encode(word)?, encode(&format!(" {word}"))?];
    forms.dedup();
    forms.retain(|form| !form.is_empty());
    Ok(forms)
}

fn score_packed(
    scorer: &Scorer<'_>,
    batches: &[Published],
    forms: &[Vec<Vec<u32>>],
    sums: &mut Sums,
) -> Result<(), EvalError> {
    // Of an ensemble, all must count it.
    let counts_padding =
        scorer.models().iter().all(|model| model.config().architecture.counts_left_padding());
    let mut sentences: Vec<(&[u32], usize)> = Vec::new();
    for batch in batches {
        let longest = batch.sentences.iter().map(Vec::len).max().unwrap_or(0);
        let padding =
            |sentence: &Vec<u32>| if counts_padding { longest - sentence.len() } else { 0 };
        // Sentences without a token have no rows.
        let with_tokens = batch.sentences.iter().filter(|sentence| !sentence.is_empty());
        sentences.extend(with_tokens.map(|sentence| (&sentence[..], padding(sentence))));
    }
    let mut log_probabilities = Vec::new();
    scorer.read_all(&sentences, pass_of, |(), found, _| log_probabilities.extend(found))?;
    let mut rest = &log_probabilities[..];
    for batch in batches {
        let (of_batch, later) = rest.split_at(batch.tokens());
        add_batch(batch, of_batch, forms, sums)?;
        rest = later;
    }
    Ok(())
}

/// A pass over the first of `sentences`, as many as fit into `batch_tokens` tokens, but at least
/// one; each sentence stands with its first position. The target of every row is the token that it
/// has just read.
fn pass_of(sentences: &[(&[u32], usize)], batch_tokens: usize) -> Pass<()> {
    let (mut ids, mut lengths, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    for &(sentence, first) in sentences {
        if !ids.is_empty() && ids.len() + sentence.len() > batch_tokens {
            break;
        }
        ids.extend_from_slice(sentence);
        lengths.push(sentence.len());
        positions.extend((first..first + sentence.len()).map(|position| position as u32));
    }
    let count = lengths.len();
    let batch = Batch {
        bidirectional: false,
        source: None,
        ids: ids.as_slice().into(),
        spans: Spans::from_lengths(lengths),
        positions: positions.into(),
    };
    let targets = (0..).zip(ids).map(|(row, id)| Target { row, id }).collect();
    Pass { batch, targets, count, places: () }
}

/// Searches a batch's words in its sentences; `log_probabilities` are those of its tokens.
fn add_batch(
    batch: &Published,
    log_probabilities: &[f64],
    forms: &[Vec<Vec<u32>>],
    sums: &mut Sums,
) -> Result<(), EvalError> {
    for &word in &batch.words {
        for form in &forms[word] {
            let mut row = 0;
            for sentence in &batch.sentences {
                // The last start is skipped but for single tokens.
                let starts =
                    (sentence.len() + (form.len() == 1) as usize).saturating_sub(form.len());
                for start in (0..starts).filter(|&start| sentence[start..].starts_with(form)) {
                    let tokens = row + start..row + start + form.len();
                    sums.add(word, -log_probabilities[tokens].iter().sum::<f64>())?;
                }
                row += sentence.len();
            }
        }
    }
    Ok(())
}
