//! The mean surprisal of words in contexts: the negative log-probability of the word's own tokens after what stands
//! before it.

use std::ops::Range;

use engine::ops::language_model_loss::NO_TARGET;
use model::Batch;
use serde_json::{Map, Value, json};

use super::contexts::Context;
use super::occurrences::WordFinder;
use crate::error::EvalError;
use crate::scoring::Scorer;

/// The mean over a word's occurrences.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanSurprisal {
    /// Natural logarithm; 0 where there is no occurrence.
    pub mean: f64,
    pub count: u64,
}

/// What the contexts say of each word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surprisals {
    /// By the words' places in the list.
    pub words: Vec<MeanSurprisal>,
    /// Sentences that lost tokens to the longest length allowed.
    pub truncated: usize,
    /// Occurrences that the tokenizer does not keep apart from what stands around them, and which are left out.
    pub unaligned: usize,
    /// Tokens that the models read.
    pub tokens: usize,
}

impl Surprisals {
    /// The 2023 pipeline's `extracted_average_surprisals.json`: `{word: [mean, count]}`, in the order of the list.
    pub fn to_json(&self, words: &[&str]) -> Value {
        let entry = |(word, found): (&&str, &MeanSurprisal)| (word.to_string(), json!([found.mean, found.count]));
        Value::Object(words.iter().zip(&self.words).map(entry).collect::<Map<_, _>>())
    }

    /// Words that occur at least once.
    pub fn words_found(&self) -> usize {
        self.words.iter().filter(|word| word.count > 0).count()
    }
}

/// Sums over occurrences, added up in the order of the contexts.
pub(super) struct Sums(Vec<MeanSurprisal>);

impl Sums {
    pub fn new(words: usize) -> Self {
        Self(vec![MeanSurprisal::default(); words])
    }

    pub fn add(&mut self, word: usize, surprisal: f64) -> Result<(), EvalError> {
        if !surprisal.is_finite() {
            return Err(EvalError::NotFinite { score: -surprisal });
        }
        self.0[word].mean += surprisal;
        self.0[word].count += 1;
        Ok(())
    }

    pub fn into_means(mut self) -> Vec<MeanSurprisal> {
        self.0.iter_mut().for_each(|word| word.mean /= word.count.max(1) as f64);
        self.0
    }
}

/// A sentence's tokens, and where the words to be scored stand in it.
struct Sentence {
    /// Up to the last token that is scored.
    ids: Vec<u32>,
    places: Vec<(usize, Range<usize>)>,
}

/// The mean surprisal of each word over its occurrences in the contexts that name it.
///
/// `prefix` stands before every sentence, so that a first word counts too. A word counts where it stands as a whole word
/// ([`WordFinder`]), with all its tokens and none of another word's: where the tokens of the text up to the word are the
/// first tokens of the sentence. `words` is the number of words in the finder; `encode` turns text into token ids;
/// `on_progress` hears how many contexts are done, of how many.
pub fn score_corrected(
    scorer: &Scorer<'_>,
    contexts: &[Context],
    finder: &WordFinder,
    words: usize,
    prefix: u32,
    encode: impl Fn(&str) -> Vec<u32>,
    mut on_progress: impl FnMut(usize, usize),
) -> Result<Surprisals, EvalError> {
    scorer.check_tokens(&[prefix])?;
    let mut found = Surprisals::default();
    let mut sums = Sums::new(words);
    let mut waiting: Vec<Sentence> = Vec::new();
    let mut tokens = 0;
    for (index, context) in contexts.iter().enumerate() {
        let sentence = locate(context, finder, scorer.max_positions(), &encode, &mut found);
        if sentence.ids.is_empty() {
            continue;
        }
        scorer.check_tokens(&sentence.ids)?;
        if tokens + sentence.ids.len() > scorer.batch_tokens() {
            score_packed(scorer, &waiting, prefix, &mut sums)?;
            waiting.clear();
            found.tokens += std::mem::take(&mut tokens);
            on_progress(index, contexts.len());
        }
        tokens += sentence.ids.len();
        waiting.push(sentence);
    }
    score_packed(scorer, &waiting, prefix, &mut sums)?;
    found.tokens += tokens;
    on_progress(contexts.len(), contexts.len());
    Ok(Surprisals { words: sums.into_means(), ..found })
}

/// Finds a context's words among its tokens; counts what cannot be scored.
fn locate(
    context: &Context,
    finder: &WordFinder,
    max_positions: usize,
    encode: &impl Fn(&str) -> Vec<u32>,
    found: &mut Surprisals,
) -> Sentence {
    let text = context.sentence.as_str();
    let mut ids = encode(text);
    let (mut places, mut is_cut) = (Vec::new(), false);
    for occurrence in finder.find(text).into_iter().filter(|occurrence| context.words.contains(&occurrence.word)) {
        // The space before a word belongs to its token.
        let start = occurrence.bytes.start - text[..occurrence.bytes.start].ends_with(' ') as usize;
        let (before, until) = (encode(&text[..start]), encode(&text[..occurrence.bytes.end]));
        if before.len() == until.len() || !until.starts_with(&before) || !ids.starts_with(&until) {
            found.unaligned += 1;
        } else if until.len() > max_positions {
            is_cut = true;
        } else {
            places.push((occurrence.word, before.len()..until.len()));
        }
    }
    found.truncated += is_cut as usize;
    ids.truncate(places.iter().map(|(_, tokens)| tokens.end).max().unwrap_or(0));
    Sentence { ids, places }
}

fn score_packed(scorer: &Scorer<'_>, sentences: &[Sentence], prefix: u32, sums: &mut Sums) -> Result<(), EvalError> {
    if sentences.is_empty() {
        return Ok(());
    }
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for Sentence { ids, places } in sentences {
        inputs.push([&[prefix], &ids[..ids.len() - 1]].concat());
        let is_scored = |token: usize| places.iter().any(|(_, tokens)| tokens.contains(&token));
        targets.extend(ids.iter().enumerate().map(|(token, &id)| if is_scored(token) { id } else { NO_TARGET }));
    }
    let batch = Batch::from_sequences(&inputs);
    let log_probabilities = scorer.target_log_probabilities(&batch, &targets);
    for (rows, sentence) in batch.spans.iter().zip(sentences) {
        for (word, tokens) in &sentence.places {
            let own = rows.start + tokens.start..rows.start + tokens.end;
            sums.add(*word, -log_probabilities[own].iter().sum::<f64>())?;
        }
    }
    Ok(())
}
