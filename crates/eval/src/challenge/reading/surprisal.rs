//! Surprisals of words in their contexts.
//!
//! The pipelines ask for a word's pieces one after the other, each as the first token of a text of
//! its own, behind a context without a space at its end. [`ReadingMode::Published`] does the same;
//! [`ReadingMode::Proper`] takes the tokens that the word has in the text.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::table::{ReadingRow, ReadingTable, WordInContext};
use crate::challenge::{ChallengeBackend, ChallengeTokenizer, PlacedToken, SpecialTokens};
use crate::error::EvalError;
use crate::scoring::{Reading, Scorer};

/// Mask tokens behind a context from which a masked model predicts: the pipelines' default.
const MASKS: usize = 3;

/// Which tokens stand for a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadingMode {
    /// Those of the word alone, the first behind the context without a space between them, each
    /// later one spelled out and tokenized anew; predicted where a text's last token stands, even
    /// if the tokenizer ends texts with a special one. The rule of the pipelines of 2025 and 2026.
    #[default]
    Published,
    /// Those of the word in the text of context, space and word; each is predicted from the ones
    /// before it.
    Proper,
}

/// The surprisals of a row in nats: negative natural logarithms of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowSurprisal {
    /// Of the word.
    pub word: f64,
    /// Of the word before it, if it has a context.
    pub previous: Option<f64>,
}

/// The surprisals of all rows, and the number of tokens read. `on_progress` receives how many
/// distinct texts are read, of how many.
///
/// # Errors
/// When the models cannot be asked in this way, the tokenizer lacks a special token or fails, a
/// word has no token, or the models cannot read a text.
pub(super) fn surprisals(
    scorer: &Scorer<'_>,
    backend: ChallengeBackend,
    mode: ReadingMode,
    table: &ReadingTable,
    tokenizer: &impl ChallengeTokenizer,
    on_progress: impl FnMut(usize, usize),
) -> Result<(Vec<RowSurprisal>, usize), EvalError> {
    backend.check(scorer)?;
    let asking = Asking { tokenizer, special: tokenizer.special_tokens(), backend, mode };
    let (mut readings, mut counts) = (Vec::new(), Vec::new());
    for row in &table.rows {
        for word in std::iter::once(&row.word).chain(&row.previous) {
            let of_word = asking.readings(word).map_err(|problem| problem.at(table, row))?;
            counts.push(of_word.len());
            readings.extend(of_word);
        }
    }
    let (log_probabilities, tokens) = scorer.read_texts(&readings, on_progress)?;
    let mut rest = log_probabilities.into_iter();
    let mut sums = counts.into_iter().map(|count| -rest.by_ref().take(count).sum::<f64>());
    let mut of_row = |row: &ReadingRow| {
        let word = sums.next()?;
        let previous = row.previous.as_ref().and_then(|_| sums.next());
        Some(RowSurprisal { word, previous })
    };
    Ok((table.rows.iter().filter_map(&mut of_row).collect(), tokens))
}

/// Why a word cannot be asked for.
enum Problem {
    /// An error that is not about the row.
    Other(EvalError),
    /// The cause alone.
    OfRow(String),
}

impl Problem {
    fn at(self, table: &ReadingTable, row: &ReadingRow) -> EvalError {
        match self {
            Self::Other(error) => error,
            Self::OfRow(cause) => table.error_at(row, cause),
        }
    }
}

impl From<EvalError> for Problem {
    fn from(error: EvalError) -> Self {
        Self::Other(error)
    }
}

/// How the models are asked for a word.
struct Asking<'a, T> {
    tokenizer: &'a T,
    special: SpecialTokens,
    backend: ChallengeBackend,
    mode: ReadingMode,
}

impl<T: ChallengeTokenizer> Asking<'_, T> {
    /// What models read to predict a word: the sum of the log-probabilities of all targets is that
    /// of the word.
    fn readings(&self, word: &WordInContext) -> Result<Vec<Reading>, Problem> {
        match self.mode {
            ReadingMode::Published => self.published(word),
            ReadingMode::Proper => self.proper(word),
        }
    }

    fn published(&self, word: &WordInContext) -> Result<Vec<Reading>, Problem> {
        let pieces = self.tokenizer.encode(&word.word)?;
        if pieces.is_empty() {
            return Err(no_token(&word.word));
        }
        let (mut text, mut readings) = (word.context.clone(), Vec::with_capacity(pieces.len()));
        for (index, id) in pieces.into_iter().enumerate() {
            let spelled = self.tokenizer.decode(id);
            let target = match index {
                0 => id,
                _ => *self.tokenizer.encode(&spelled)?.first().ok_or_else(|| no_token(&spelled))?,
            };
            let next = self.next_of(&text, target)?;
            readings.push(next.ok_or_else(|| no_token_before(word))?);
            text.push_str(&spelled);
        }
        Ok(readings)
    }

    /// A token as the first behind a text; None if the text has no token to predict it from.
    fn next_of(&self, text: &str, target: u32) -> Result<Option<Reading>, EvalError> {
        let with_special = |text: &str| -> Result<Vec<u32>, EvalError> {
            let tokens = self.tokenizer.encode_placed(text)?;
            Ok(tokens.into_iter().map(|token| token.id).collect())
        };
        let (ids, from_end) = match self.backend {
            ChallengeBackend::Causal => (with_special(text)?, 1),
            ChallengeBackend::Mlm | ChallengeBackend::Mntp => {
                let mask = self.mask()?;
                let masks = self.tokenizer.decode(mask).repeat(MASKS);
                let ids = with_special(&format!("{text}{masks}"))?;
                // Behind the masks there may be one token, which ends the text.
                let ends = usize::from(ids.last() != Some(&mask));
                let before = usize::from(self.backend == ChallengeBackend::Mntp);
                (ids, MASKS + ends + before)
            }
            ChallengeBackend::EncDecMask => {
                return Ok(Some(self.decoded(&self.tokenizer.encode(text)?, &[target])?));
            }
        };
        let place = ids.len().checked_sub(from_end);
        Ok(place.map(|place| self.reading(ids, vec![(place, target)])))
    }

    fn proper(&self, word: &WordInContext) -> Result<Vec<Reading>, Problem> {
        let (ids, of_word) = self.in_text(word)?;
        let before = |place: usize| place.checked_sub(1).ok_or_else(|| no_token_before(word));
        match self.backend {
            ChallengeBackend::Causal => {
                let target = |place: usize| Ok((before(place)?, ids[place]));
                let targets = of_word.clone().map(target).collect::<Result<Vec<_>, Problem>>()?;
                Ok(vec![self.reading(ids[..of_word.end - 1].to_vec(), targets)])
            }
            ChallengeBackend::Mlm | ChallengeBackend::Mntp => {
                let masks = [self.mask()?; MASKS];
                let hidden_from = |place: usize| {
                    let read = [&ids[..place], &masks, &ids[of_word.end..]].concat();
                    let predicted_at = match self.backend {
                        ChallengeBackend::Mntp => before(place)?,
                        _ => place,
                    };
                    Ok(self.reading(read, vec![(predicted_at, ids[place])]))
                };
                of_word.clone().map(hidden_from).collect()
            }
            ChallengeBackend::EncDecMask => {
                let mut context = self.tokenizer.encode(&word.text())?;
                context.truncate(context.len().saturating_sub(of_word.len()));
                Ok(vec![self.decoded(&context, &ids[of_word])?])
            }
        }
    }

    /// The tokens of context, space and word with the special tokens around them, and which of them
    /// are the word's: those that end behind the context.
    fn in_text(&self, word: &WordInContext) -> Result<(Vec<u32>, Range<usize>), Problem> {
        let tokens = self.tokenizer.encode_placed(&word.text())?;
        let start = word.context.chars().count();
        let is_of_word = |token: &PlacedToken| token.end > start;
        let first = tokens.iter().position(is_of_word).ok_or_else(|| no_token(&word.word))?;
        let count = tokens[first..].iter().take_while(|token| is_of_word(token)).count();
        Ok((tokens.into_iter().map(|token| token.id).collect(), first..first + count))
    }

    fn reading(&self, ids: Vec<u32>, targets: Vec<(usize, u32)>) -> Reading {
        let bidirectional = self.backend == ChallengeBackend::Mntp;
        Reading { source: Vec::new(), ids, bidirectional, targets }
    }

    /// Tokens that an encoder-decoder predicts, one after the other, for what is hidden behind
    /// others.
    fn decoded(&self, before: &[u32], predicted: &[u32]) -> Result<Reading, EvalError> {
        let SpecialTokens { classifier, end, begin, .. } = self.special;
        let mask = self.mask()?;
        let source = classifier.into_iter().chain(before.iter().copied()).chain([mask]).chain(end);
        let read = &predicted[..predicted.len().saturating_sub(1)];
        Ok(Reading {
            source: source.collect(),
            ids: [&[begin.unwrap_or(mask)], read].concat(),
            bidirectional: false,
            targets: predicted.iter().copied().enumerate().collect(),
        })
    }

    fn mask(&self) -> Result<u32, EvalError> {
        let role = "mask token";
        self.special.mask.ok_or(match self.backend.is_encoder_decoder() {
            true => EvalError::NoEncoderDecoderToken { role },
            false => EvalError::NoMaskedToken { role },
        })
    }
}

fn no_token(text: &str) -> Problem {
    Problem::OfRow(format!("{text:?} has no token to predict"))
}

fn no_token_before(word: &WordInContext) -> Problem {
    Problem::OfRow(format!("the context {:?} has no token to predict from", word.context))
}
