//! The regression that predicts ages from surprisals, and its error on words left out.
//!
//! Predictors: whether the word is a function word, whether it is a predicate (nouns are neither),
//! concreteness, surprisal with what frequency explains taken out, the negative logarithm of
//! frequency, and the products of the first two with the last three; twelve coefficients with the
//! intercept.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::AgeOfAcquisition;
use super::error::AgeError;
use super::surprisal::Surprisals;
use super::word_list::{Category, WordList};
use crate::least_squares::{dot, orthonormal_basis};
use crate::results::{Measured, Part};

/// What is known of a word, its surprisal included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Months.
    pub age: f64,
    /// Noun, predicate or function word.
    pub category: Category,
    /// Rated from 1 to 5.
    pub concreteness: f64,
    /// Occurrences in child-directed speech.
    pub frequency: u64,
    /// Mean surprisal in contexts.
    pub surprisal: f64,
}

/// Mean absolute errors in months, over all words and by category, each with its number of words:
/// the fields of the 2023 pipeline's `mean_absolute_deviation_results.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgeScore {
    /// Error over all words.
    pub overall_mad: f64,
    /// Number of words.
    pub n: usize,
    /// Error over nouns.
    pub noun_mad: f64,
    /// Number of nouns.
    pub n_noun: usize,
    /// Error over predicates.
    pub predicate_mad: f64,
    /// Number of predicates.
    pub n_predicate: usize,
    /// Error over function words.
    pub functionword_mad: f64,
    /// Number of function words.
    pub n_functionword: usize,
}

impl AgeScore {
    /// The errors by their names in printed tables, each with its number of words.
    pub fn parts(&self) -> [(&'static str, f64, usize); 4] {
        [
            ("overall", self.overall_mad, self.n),
            ("nouns", self.noun_mad, self.n_noun),
            ("predicates", self.predicate_mad, self.n_predicate),
            ("function_words", self.functionword_mad, self.n_functionword),
        ]
    }

    /// The errors as a benchmark's result.
    pub fn measured(&self) -> Measured {
        let part =
            |(name, value, items): (&str, f64, usize)| Part { name: name.to_owned(), value, items };
        Measured {
            benchmark: &AgeOfAcquisition,
            unit: "months",
            decimals: 3,
            parts: self.parts().into_iter().map(part).collect(),
            json: json!(self),
        }
    }
}

/// The score of a word list with surprisals in the order of [`WordList::texts`]; words without any
/// are left out.
pub fn score_words(list: &WordList, surprisals: &Surprisals) -> Result<AgeScore, AgeError> {
    let by_text: std::collections::BTreeMap<&str, _> =
        list.texts().into_iter().zip(&surprisals.words).collect();
    let observation = |row: &super::Word| {
        let found = by_text.get(row.text.as_str()).filter(|found| found.count > 0)?;
        let (category, concreteness, frequency) = (row.category, row.concreteness, row.frequency);
        Some(Observation { age: row.age, category, concreteness, frequency, surprisal: found.mean })
    };
    let observations: Vec<Observation> = list.rows.iter().filter_map(observation).collect();
    let predictions = predict_ages(&observations)?;
    let error = |category: Option<Category>| {
        let rows = observations
            .iter()
            .zip(&predictions)
            .filter(|(row, _)| category.is_none_or(|c| row.category == c));
        let errors: Vec<f64> = rows.map(|(row, age)| (row.age - age).abs()).collect();
        (errors.iter().sum::<f64>() / errors.len() as f64, errors.len())
    };
    let (overall_mad, n) = error(None);
    let (noun_mad, n_noun) = error(Some(Category::Noun));
    let (predicate_mad, n_predicate) = error(Some(Category::Predicate));
    let (functionword_mad, n_functionword) = error(Some(Category::FunctionWord));
    Ok(AgeScore {
        overall_mad,
        n,
        noun_mad,
        n_noun,
        predicate_mad,
        n_predicate,
        functionword_mad,
        n_functionword,
    })
}

/// The age of each word in months, predicted by the regression on all other words.
///
/// Scaling uses all words, as published. The predictions come from one fit: the error on a word
/// left out is its residual over one less its leverage.
///
/// # Errors
/// When the words, or the words without one of them, do not determine the coefficients.
pub fn predict_ages(observations: &[Observation]) -> Result<Vec<f64>, AgeError> {
    let ages: Vec<f64> = observations.iter().map(|row| row.age).collect();
    let too_few = || {
        let count = |category| observations.iter().filter(|row| row.category == category).count();
        let [nouns, predicates, function_words] =
            [Category::Noun, Category::Predicate, Category::FunctionWord].map(count);
        AgeError::TooFewWords { nouns, predicates, function_words }
    };
    let columns = design(observations);
    let needed = columns.len();
    let basis = orthonormal_basis(columns);
    if basis.len() < needed {
        return Err(too_few());
    }
    let coefficients: Vec<f64> = basis.iter().map(|column| dot(column, &ages)).collect();
    let predict = |(row, &age): (usize, &f64)| {
        let fitted: f64 = basis
            .iter()
            .zip(&coefficients)
            .map(|(column, coefficient)| column[row] * coefficient)
            .sum();
        let leverage: f64 = basis.iter().map(|column| column[row] * column[row]).sum();
        (leverage < 1.0 - 1e-9).then(|| age - (age - fitted) / (1.0 - leverage))
    };
    ages.iter().enumerate().map(predict).collect::<Option<Vec<f64>>>().ok_or_else(too_few)
}

/// The twelve columns of the regression, the intercept first.
fn design(observations: &[Observation]) -> Vec<Vec<f64>> {
    let column =
        |value: &dyn Fn(&Observation) -> f64| observations.iter().map(value).collect::<Vec<f64>>();
    let total: f64 = column(&|row| row.frequency as f64).iter().sum();
    let rarity = column(&|row| -(row.frequency as f64 / total).ln());
    let surprisal = residuals(&column(&|row| row.surprisal), &rarity);
    let is = |category| column(&|row| (row.category == category) as u8 as f64);
    let dummies = [is(Category::FunctionWord), is(Category::Predicate)];
    let continuous =
        [column(&|row| row.concreteness), surprisal, rarity].map(|values| z_scores(&values));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<f64>>();
    let interactions = dummies
        .iter()
        .flat_map(|dummy| continuous.iter().map(move |values| product(dummy, values)));
    let intercept = vec![1.0; observations.len()];
    std::iter::once(intercept)
        .chain(dummies.iter().chain(&continuous).cloned())
        .chain(interactions)
        .collect()
}

/// What a line through (x, y) does not explain of y.
fn residuals(y: &[f64], x: &[f64]) -> Vec<f64> {
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut products, mut squares) = (0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        products += (x - mean_x) * (y - mean_y);
        squares += (x - mean_x) * (x - mean_x);
    }
    let slope = if squares > 0.0 { products / squares } else { 0.0 };
    x.iter().zip(y).map(|(x, y)| y - mean_y - slope * (x - mean_x)).collect()
}

/// Less the mean, over the population's standard deviation; zeros where all values are equal.
fn z_scores(values: &[f64]) -> Vec<f64> {
    let mean_value = mean(values);
    let deviations: Vec<f64> = values.iter().map(|value| value - mean_value).collect();
    let scale = (dot(&deviations, &deviations) / values.len() as f64).sqrt();
    deviations.iter().map(|deviation| if scale > 0.0 { deviation / scale } else { 0.0 }).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use base::rng::Rng;

    use super::*;

    fn random_words(count: usize) -> Vec<Observation> {
        let rng = Rng::new(3, "words");
        let word = |index: u64| Observation {
            age: 25.0 + 4.0 * rng.normal(4 * index) as f64,
            category: [Category::Noun, Category::Predicate, Category::FunctionWord]
                [index as usize % 3],
            concreteness: 3.0 + rng.normal(4 * index + 1) as f64,
            frequency: 1 + rng.below(4 * index + 2, 5000),
            surprisal: 8.0 + 2.0 * rng.normal(4 * index + 3) as f64,
        };
        (0..count as u64).map(word).collect()
    }

    /// Solves a square system by Gauss's elimination with row exchanges.
    fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
        let size = right.len();
        for step in 0..size {
            let pivot = (step..size)
                .max_by(|&a, &b| matrix[a][step].abs().total_cmp(&matrix[b][step].abs()))
                .unwrap();
            matrix.swap(step, pivot);
            right.swap(step, pivot);
            for row in step + 1..size {
                let factor = matrix[row][step] / matrix[step][step];
                let above = matrix[step].clone();
                matrix[row]
                    .iter_mut()
                    .zip(above)
                    .for_each(|(value, above)| *value -= factor * above);
                right[row] -= factor * right[step];
            }
        }
        for step in (0..size).rev() {
            let known: f64 =
                (step + 1..size).map(|column| matrix[step][column] * right[column]).sum();
            right[step] = (right[step] - known) / matrix[step][step];
        }
        right
    }

    /// Fits the regression anew without each word.
    fn refitted(observations: &[Observation]) -> Vec<f64> {
        let columns = design(observations);
        let predict = |left_out: usize| {
            let without = |values: &[f64]| {
                values
                    .iter()
                    .enumerate()
                    .filter(|(row, _)| *row != left_out)
                    .map(|(_, value)| *value)
                    .collect::<Vec<f64>>()
            };
            let kept: Vec<Vec<f64>> = columns.iter().map(|column| without(column)).collect();
            let ages = without(&observations.iter().map(|row| row.age).collect::<Vec<f64>>());
            let normal = kept.iter().map(|a| kept.iter().map(|b| dot(a, b)).collect()).collect();
            let coefficients =
                solve(normal, kept.iter().map(|column| dot(column, &ages)).collect());
            columns
                .iter()
                .zip(&coefficients)
                .map(|(column, coefficient)| column[left_out] * coefficient)
                .sum()
        };
        (0..observations.len()).map(predict).collect()
    }

    #[test]
    fn one_fit_predicts_as_a_fit_for_every_word_left_out() {
        for count in [19, 60, 133] {
            let words = random_words(count);
            for (found, expected) in predict_ages(&words).unwrap().iter().zip(refitted(&words)) {
                assert!(
                    (found - expected).abs() < 1e-7,
                    "{found} instead of {expected}, {count} words"
                );
            }
        }
    }

    #[test]
    fn words_that_determine_nothing_are_refused() {
        assert!(predict_ages(&[]).is_err());
        assert!(predict_ages(&random_words(12)).is_err(), "no word may be missing");
        let mut words = random_words(40);
        words.iter_mut().for_each(|word| word.concreteness = 3.0);
        assert!(predict_ages(&words).is_err());
        let mut words = random_words(40);
        words.retain(|word| word.category != Category::Predicate);
        let message = predict_ages(&words).unwrap_err().to_string();
        assert!(message.contains("14 nouns, 0 predicates and 13 function words"), "{message}");
    }
}
