//! How much surprisal adds to what predicts reading times.
//!
//! Two regressions of a time are compared, without and with the word's surprisal: the gain is the
//! share of the variance left by the first that the second explains, in percent. The times of eye
//! tracking are predicted by frequency, length and words before, those of self-paced reading also
//! by length and surprisal of the word before; products of each two of these are predictors too.

use serde::{Deserialize, Serialize};

use super::surprisal::RowSurprisal;
use super::table::{EYE_TRACKING, ReadingRow, ReadingTable, SELF_PACED};
use crate::error::EvalError;
use crate::least_squares::{dot, orthonormal_basis, unexplained};

/// The two regressions of a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadingRegression {
    /// The column of the time.
    pub time: String,
    /// Rows that have all values.
    pub rows: usize,
    /// R² without the surprisal of the word.
    pub r_squared_without: f64,
    /// R² with it.
    pub r_squared_with: f64,
    /// Share of the variance left without it that it explains, in percent.
    pub gain: f64,
}

/// The scores of the reading task, in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadingScore {
    /// Mean gain of the four times of eye tracking.
    pub eye_tracking: f64,
    /// Gain of the time of self-paced reading.
    pub self_paced: f64,
    /// Mean of both, which leaderboards show as `Reading`.
    pub mean: f64,
    /// The four times of eye tracking, then that of self-paced reading.
    pub regressions: Vec<ReadingRegression>,
}

impl ReadingScore {
    /// The scores of surprisals, one for each row of the table.
    ///
    /// # Errors
    /// When the rows do not determine a regression, or it leaves no variance.
    pub fn of(table: &ReadingTable, surprisals: &[RowSurprisal]) -> Result<Self, EvalError> {
        let rows = || table.rows.iter().zip(surprisals);
        let mut regressions = Vec::new();
        for (index, time) in EYE_TRACKING.into_iter().enumerate() {
            let values = rows().filter_map(|(row, found)| {
                Some(Observation {
                    time: row.eye_tracking[index]?,
                    predictors: word_predictors(row)?.to_vec(),
                    surprisal: found.word,
                })
            });
            regressions.push(regress(time, values.collect())?);
        }
        let eye_tracking = regressions.iter().map(|found| found.gain).sum::<f64>() / 4.0;
        let values = rows().filter_map(|(row, found)| {
            let of_previous = [row.previous_length?, found.previous?];
            Some(Observation {
                time: row.self_paced?,
                predictors: [&word_predictors(row)?[..], &of_previous].concat(),
                surprisal: found.word,
            })
        });
        let self_paced = regress(SELF_PACED, values.collect())?;
        let score = self_paced.gain;
        regressions.push(self_paced);
        let mean = (eye_tracking + score) / 2.0;
        Ok(Self { eye_tracking, self_paced: score, mean, regressions })
    }
}

/// What predicts the time of a word without its surprisal.
fn word_predictors(row: &ReadingRow) -> Option<[f64; 3]> {
    Some([row.log_frequency?, row.length?, row.context_length?])
}

/// The values of a row that has all of them.
struct Observation {
    time: f64,
    /// As many in every row.
    predictors: Vec<f64>,
    surprisal: f64,
}

impl Observation {
    /// The intercept, the predictors and the products of each two.
    fn terms(&self) -> Vec<f64> {
        let single = &self.predictors;
        let product = |a: usize| single[a + 1..].iter().map(move |b| single[a] * b);
        let products = (0..single.len()).flat_map(product);
        std::iter::once(1.0).chain(single.iter().copied()).chain(products).collect()
    }
}

/// The regressions of a time without and with surprisal.
fn regress(time: &'static str, rows: Vec<Observation>) -> Result<ReadingRegression, EvalError> {
    let fail = |cause| EvalError::NoRegression { time, rows: rows.len(), cause };
    let times: Vec<f64> = rows.iter().map(|row| row.time).collect();
    let terms: Vec<Vec<f64>> = rows.iter().map(Observation::terms).collect();
    let count = terms.first().map_or(0, Vec::len);
    if rows.len() <= count + 1 {
        return Err(fail("which are too few"));
    }
    let mut columns: Vec<Vec<f64>> =
        (0..count).map(|term| terms.iter().map(|terms| terms[term]).collect()).collect();
    columns.push(rows.iter().map(|row| row.surprisal).collect());
    if columns.iter().chain([&times]).any(|column| !dot(column, column).is_finite()) {
        return Err(fail("of which some are too large to compute with"));
    }
    let left = |columns: &[Vec<f64>]| {
        let left = unexplained(&orthonormal_basis(columns.to_vec()), &times);
        left.ok_or_else(|| fail("whose times are all equal"))
    };
    let (without, with) = (left(&columns[..count])?, left(&columns)?);
    // What rounding leaves is less.
    if without < 1e-20 {
        return Err(fail("whose times follow from the other predictors alone"));
    }
    Ok(ReadingRegression {
        time: time.to_owned(),
        rows: rows.len(),
        r_squared_without: 1.0 - without,
        r_squared_with: 1.0 - with,
        gain: 100.0 * (without - with) / without,
    })
}
