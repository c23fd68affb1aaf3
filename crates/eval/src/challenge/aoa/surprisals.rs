//! Surprisals of words in their contexts.

use super::data::WordContexts;
use crate::challenge::question::Candidate;
use crate::challenge::scoring::sums;
use crate::challenge::span::ScoredText;
use crate::challenge::{ChallengeBackend, ChallengeTokenizer};
use crate::error::EvalError;
use crate::scoring::Scorer;

/// The surprisal of each word in each of its contexts, in nats: the negative logarithm of its
/// probability behind the context. None where the text has more tokens than the model positions,
/// which the pipelines write as `NaN`.
pub type Surprisals = Vec<Vec<Option<f64>>>;

/// Texts that are scored in one go: what they ask of a model is in memory together.
const TEXTS_AT_A_TIME: usize = 2000;

/// The surprisals of all words, by the rules for choices between texts: the word is the scored end
/// of context, space and word. `on_progress` receives how many texts are scored, of how many.
///
/// # Errors
/// When a text cannot be encoded, the tokenizer lacks a mask token that the back end needs, or the
/// models cannot score.
pub fn surprisals(
    scorer: &Scorer<'_>,
    backend: ChallengeBackend,
    words: &[WordContexts],
    tokenizer: &dyn ChallengeTokenizer,
    mut on_progress: impl FnMut(usize, usize),
) -> Result<Surprisals, EvalError> {
    let texts: Vec<Candidate> = words.iter().flat_map(texts).collect();
    let mut found = Vec::with_capacity(texts.len());
    for some in texts.chunks(TEXTS_AT_A_TIME) {
        let some = some.iter().map(|text| ScoredText::of(text, backend, tokenizer));
        let some = some.collect::<Result<Vec<_>, EvalError>>()?;
        let is_read = |text: &ScoredText| text.len() <= scorer.max_positions();
        let read: Vec<ScoredText> = some.iter().filter(|text| is_read(text)).cloned().collect();
        let mut sums = sums(scorer, backend, &read, tokenizer)?.into_iter();
        let surprisal = |text| if is_read(text) { sums.next().map(|sum| 0.0 - sum) } else { None };
        found.extend(some.iter().map(surprisal));
        on_progress(found.len(), texts.len());
    }
    let mut found = found.into_iter();
    let of_word = |word: &WordContexts| found.by_ref().take(word.contexts.len()).collect();
    Ok(words.iter().map(of_word).collect())
}

/// The word at the end of each of its contexts.
fn texts(word: &WordContexts) -> impl Iterator<Item = Candidate> {
    let text =
        |context: &String| Candidate::completing(&format!("{} ", context.trim()), word.word.trim());
    word.contexts.iter().map(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_scored_behind_one_space() {
        let contexts = vec![" At the ".to_owned(), String::new()];
        let word = WordContexts { word: "zoo".to_owned(), contexts };
        let found: Vec<(String, usize)> =
            texts(&word).map(|text| (text.text, text.given)).collect();
        assert_eq!(found, [("At the zoo".to_owned(), 7), (" zoo".to_owned(), 1)]);
    }
}
