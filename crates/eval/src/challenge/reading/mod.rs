//! How well a model's surprisals predict human reading times: the reading task of the pipelines of
//! 2025 and 2026, on `reading_data.csv` (de Varda, Marelli and Amenta, Behavior Research Methods,
//! 2024).
//!
//! [`read_table`] reads the words, [`measure`] computes their surprisals and what these add to a
//! regression of the times, and [`predictions`] and [`report`] make the pipelines' files.

mod output;
mod regression;
mod surprisal;
mod table;

pub use output::{predictions, report};
pub use regression::{ReadingRegression, ReadingScore};
pub use surprisal::{ReadingMode, RowSurprisal};
pub use table::{EYE_TRACKING, ReadingRow, ReadingTable, SELF_PACED, WordInContext, read_table};

use serde::{Deserialize, Serialize};

use super::{ChallengeBackend, ChallengeTokenizer};
use crate::error::EvalError;
use crate::scoring::Scorer;

/// What the reading task found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadingOutcome {
    /// The scores.
    pub score: ReadingScore,
    /// Of each row of the table.
    pub surprisals: Vec<RowSurprisal>,
    /// Tokens that the models read.
    pub tokens: usize,
}

/// Computes the surprisal of every word and of the word before it, and what surprisal adds to the
/// prediction of reading times. `on_progress` receives how many distinct texts are read, of how
/// many.
///
/// # Errors
/// When the models cannot be asked by the back end, the tokenizer lacks a token that it needs or
/// fails at a text, a word has no token, a text is longer than the models' positions, a surprisal
/// is not finite, the rows do not determine a regression, or the scorer is stopped.
pub fn measure(
    scorer: &Scorer<'_>,
    backend: ChallengeBackend,
    mode: ReadingMode,
    table: &ReadingTable,
    tokenizer: &impl ChallengeTokenizer,
    on_progress: impl FnMut(usize, usize),
) -> Result<ReadingOutcome, EvalError> {
    let (surprisals, tokens) =
        surprisal::surprisals(scorer, backend, mode, table, tokenizer, on_progress)?;
    let score = ReadingScore::of(table, &surprisals)?;
    Ok(ReadingOutcome { score, surprisals, tokens })
}
