//! The mean surprisal of words in contexts: the negative log-probability of the word's own tokens
//! after what stands before it.

use serde_json::{Map, Value, json};

use super::contexts::Context;
use super::occurrences::{Occurrence, WordFinder};
use crate::error::EvalError;
use crate::scoring::{Request, Scorer};

/// The mean over a word's occurrences.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanSurprisal {
    /// Natural logarithm; 0 where there is no occurrence.
    pub mean: f64,
    /// Number of occurrences.
    pub count: u64,
}

/// The mean surprisal of each word in contexts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surprisals {
    /// The words' mean surprisals, by the words' places in the list.
    pub words: Vec<MeanSurprisal>,
    /// Sentences, or occurrences with what stands before them, that were cut to the longest length
    /// allowed.
    pub truncated: usize,
    /// Occurrences that the tokenizer does not keep apart from what stands around them, and which
    /// are left out.
    pub unaligned: usize,
    /// Tokens that the models read.
    pub tokens: usize,
}

impl Surprisals {
    /// The 2023 pipeline's `extracted_average_surprisals.json`: `{word: [mean, count]}`, in the
    /// order of the list.
    pub fn to_json(&self, words: &[&str]) -> Value {
        let entry = |(word, found): (&&str, &MeanSurprisal)| {
            (word.to_string(), json!([found.mean, found.count]))
        };
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
    pub(super) fn new(words: usize) -> Self {
        Self(vec![MeanSurprisal::default(); words])
    }

    pub(super) fn add(&mut self, word: usize, surprisal: f64) -> Result<(), EvalError> {
        if !surprisal.is_finite() {
            return Err(EvalError::NotFinite { score: -surprisal });
        }
        self.0[word].mean += surprisal;
        self.0[word].count += 1;
        Ok(())
    }

    pub(super) fn into_means(mut self) -> Vec<MeanSurprisal> {
        self.0.iter_mut().for_each(|word| word.mean /= word.count.max(1) as f64);
        self.0
    }
}

/// The mean surprisal of each word over its occurrences in the contexts that name it.
///
/// `prefix` stands before every sentence, so that a first word counts too. A word counts where it
/// stands as a whole word ([`WordFinder`]), with all its tokens and none of another word's: where
/// the tokens of the text up to the word are the first tokens of the sentence. `words` is the
/// number of words in the finder; `encode` turns text into token ids; `on_progress` receives how
/// many distinct occurrences are scored, of how many.
pub fn score_corrected(
    scorer: &Scorer<'_>,
    contexts: &[Context],
    finder: &WordFinder,
    words: usize,
    prefix: u32,
    encode: impl Fn(&str) -> Result<Vec<u32>, EvalError>,
    on_progress: impl FnMut(usize, usize),
) -> Result<Surprisals, EvalError> {
    let (mut of_word, mut requests, mut unaligned) = (Vec::new(), Vec::new(), 0);
    for context in contexts {
        let ids = encode(&context.sentence)?;
        let occurrences = finder.find(&context.sentence);
        for occurrence in
            occurrences.into_iter().filter(|occurrence| context.words.contains(&occurrence.word))
        {
            match request(&context.sentence, &ids, &occurrence, prefix, &encode)? {
                Some(request) => {
                    of_word.push(occurrence.word);
                    requests.push(request);
                }
                None => unaligned += 1,
            }
        }
    }
    let scores = scorer.score(&requests, on_progress)?;
    let mut sums = Sums::new(words);
    for (word, log_probability) in of_word.into_iter().zip(scores.log_probabilities) {
        sums.add(word, -log_probability)?;
    }
    Ok(Surprisals {
        words: sums.into_means(),
        truncated: scores.truncated,
        unaligned,
        tokens: scores.tokens,
    })
}

/// The tokens of an occurrence after all that stands before it; none where a token belongs to both,
/// or to the word and what follows.
fn request(
    sentence: &str,
    ids: &[u32],
    occurrence: &Occurrence,
    prefix: u32,
    encode: &impl Fn(&str) -> Result<Vec<u32>, EvalError>,
) -> Result<Option<Request>, EvalError> {
    let before = &sentence[..occurrence.bytes.start];
    // The space before a word belongs to its token.
    let given = encode(before.strip_suffix(' ').unwrap_or(before))?;
    let until = encode(&sentence[..occurrence.bytes.end])?;
    let own = until.strip_prefix(&given[..]).filter(|own| !own.is_empty());
    let request = |own: &[u32]| Request {
        context: [&[prefix], &given[..]].concat(),
        continuation: own.to_vec(),
    };
    Ok(own.filter(|_| ids.starts_with(&until)).map(request))
}
