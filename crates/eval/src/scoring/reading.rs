//! Texts that models read once, each with the tokens that they are to predict from it.

use engine::ops::language_model_loss::Target;
use model::Batch;

use super::{Pass, Scorer, score_distinct};
use crate::error::EvalError;

/// A text that models read once, and what is predicted from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// What an encoder reads; empty for models that have none.
    pub source: Vec<u32>,
    /// What the model reads; of an encoder-decoder, the decoder.
    pub ids: Vec<u32>,
    /// Whether tokens are read beside those behind them, also by models that predict the next
    /// token. The other models read so in any case.
    pub bidirectional: bool,
    /// Places of `ids`, and the token that is predicted there.
    pub targets: Vec<(usize, u32)>,
}

impl Reading {
    fn tokens(&self) -> usize {
        self.source.len() + self.ids.len()
    }
}

impl Scorer<'_> {
    /// The sum of the log-probabilities (natural) of each reading's targets, and the number of
    /// tokens read. Equal readings are read once. `on_progress` receives how many distinct ones are
    /// done, of how many.
    ///
    /// # Errors
    /// When a text is longer than the models' positions, an id is outside the vocabulary, a sum is
    /// not finite, there is no memory for a single text, or the scorer is stopped.
    pub fn read_texts(
        &self,
        readings: &[Reading],
        mut on_progress: impl FnMut(usize, usize),
    ) -> Result<(Vec<f64>, usize), EvalError> {
        readings.iter().try_for_each(|reading| self.check_reading(reading))?;
        let (sums, tokens) = score_distinct(readings, |distinct| {
            let mut sums = Vec::new();
            let tokens = self.read_all(distinct, pass_of, |taken, found, _| {
                let mut answers = found.into_iter();
                for reading in taken {
                    sums.push(answers.by_ref().take(reading.targets.len()).sum::<f64>());
                }
                on_progress(sums.len(), distinct.len());
            })?;
            Ok((sums, tokens))
        })?;
        match sums.iter().find(|sum| !sum.is_finite()) {
            Some(&score) => Err(EvalError::NotFinite { score }),
            None => Ok((sums, tokens)),
        }
    }

    fn check_reading(&self, reading: &Reading) -> Result<(), EvalError> {
        let longest = reading.ids.len().max(reading.source.len());
        if longest > self.max_positions() {
            let positions = self.max_positions();
            return Err(EvalError::TextTooLong { tokens: longest, positions });
        }
        let targets: Vec<u32> = reading.targets.iter().map(|&(_, id)| id).collect();
        [&reading.source, &reading.ids, &targets]
            .into_iter()
            .try_for_each(|ids| self.check_tokens(ids))
    }
}

/// As many of the first readings as `batch_tokens` tokens hold, but at least one; all are read in
/// the same directions.
fn pass_of<'r>(readings: &[&'r Reading], batch_tokens: usize) -> Pass<Vec<&'r Reading>> {
    let (mut targets, mut taken, mut tokens, mut rows) = (Vec::new(), Vec::new(), 0, 0);
    let bidirectional = readings.first().is_some_and(|first| first.bidirectional);
    for &reading in readings {
        tokens += reading.tokens();
        let fits = tokens <= batch_tokens && reading.bidirectional == bidirectional;
        if !taken.is_empty() && !fits {
            break;
        }
        let target = |&(place, id): &(usize, u32)| Target { row: (rows + place) as u32, id };
        targets.extend(reading.targets.iter().map(target));
        rows += reading.ids.len();
        taken.push(reading);
    }
    let decoded = Batch::from_sequences(taken.iter().map(|reading| &reading.ids));
    let batch = Batch { bidirectional, ..decoded };
    let has_source = taken.iter().any(|reading| !reading.source.is_empty());
    let source = || Batch::from_sequences(taken.iter().map(|reading| &reading.source));
    let batch = if has_source { batch.with_source(source()) } else { batch };
    Pass { batch, targets, count: taken.len(), places: taken }
}
