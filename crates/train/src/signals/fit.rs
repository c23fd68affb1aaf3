//! The teachers' weights that predict the held-out text best, as the shares of a mixture of their
//! distributions: expectation maximisation (Dempster, Laird and Rubin, 1977), whose likelihood has
//! one maximum here.

use std::sync::Arc;

use engine::Device;

use super::Distillation;
use crate::data::{TokenSource, heldout_sequences};
use crate::error::TrainError;
use crate::heldout::Heldout;
use crate::settings::TrainSettings;

/// Rounds of expectation maximisation; far fewer are needed to three digits.
const ROUNDS: usize = 200;

/// A share that a teacher keeps at least, so that every weight is one.
const SMALLEST: f64 = 1e-3;

/// Fits the weights of a distillation's teachers on held-out text. That the teachers are for its
/// vocabulary is for the caller to check.
///
/// # Errors
/// When a teacher cannot be read, or the caller asked to stop.
pub fn weights(
    distillation: &Distillation,
    settings: &TrainSettings,
    device: &Arc<dyn Device>,
    validation: &dyn TokenSource,
    should_stop: &dyn Fn() -> bool,
) -> Result<Vec<f64>, TrainError> {
    let (chunks, sequences) = heldout_sequences(settings, validation.len())?;
    let heldout = Heldout {
        source: validation,
        chunks,
        sequences,
        batch_size: settings.batch_size,
        masking: None,
        should_stop: Some(should_stop),
    };
    let mut all = Vec::new();
    for teacher in &distillation.teachers {
        let model = teacher.load(device)?;
        let mut probabilities = Vec::new();
        heldout.cross_entropy_of_each(&[&model], |_, of_sequence| {
            probabilities.extend(of_sequence.iter().map(|value| value.exp()));
        })?;
        all.push(probabilities);
    }
    Ok(mixture(&all))
}

/// The shares of distributions in the mixture that gives tokens the highest likelihood.
/// `probabilities` has the tokens' probabilities under each distribution.
fn mixture(probabilities: &[Vec<f64>]) -> Vec<f64> {
    let (count, tokens) = (probabilities.len(), probabilities.first().map_or(0, Vec::len));
    let mut shares = vec![1.0 / count as f64; count];
    for _ in 0..ROUNDS {
        let mut sums = vec![0.0; count];
        for token in 0..tokens {
            let parts = shares.iter().zip(probabilities).map(|(share, of)| share * of[token]);
            let parts: Vec<f64> = parts.collect();
            let whole: f64 = parts.iter().sum();
            if whole > 0.0 {
                sums.iter_mut().zip(&parts).for_each(|(sum, part)| *sum += part / whole);
            }
        }
        let all: f64 = sums.iter().sum();
        if all > 0.0 {
            shares = sums.iter().map(|sum| sum / all).collect();
        }
    }
    shares.iter().map(|share| share.max(SMALLEST)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_likelihood(shares: &[f64], probabilities: &[Vec<f64>]) -> f64 {
        let of_token = |token: usize| {
            let parts = shares.iter().zip(probabilities).map(|(share, of)| share * of[token]);
            parts.sum::<f64>().ln()
        };
        (0..probabilities[0].len()).map(of_token).sum()
    }

    #[test]
    fn no_other_shares_have_a_higher_likelihood() {
        let rng = base::rng::Rng::new(3, "mixture");
        let probability = |index: u64, best: f64| best * f64::from(rng.uniform(index)) + 1e-3;
        let first: Vec<f64> = (0..500).map(|index| probability(index, 0.6)).collect();
        let second: Vec<f64> = (0..500).map(|index| probability(1000 + index, 0.9)).collect();
        let probabilities = [first, second];
        let found = mixture(&probabilities);
        assert!((found[0] + found[1] - 1.0).abs() < 1e-9 && found[1] > found[0], "{found:?}");
        let best = log_likelihood(&found, &probabilities);
        for step in 0..=100 {
            let shares = [step as f64 / 100.0, 1.0 - step as f64 / 100.0];
            assert!(log_likelihood(&shares, &probabilities) <= best + 1e-6, "{shares:?} {found:?}");
        }
    }

    #[test]
    fn a_useless_teacher_keeps_a_small_weight() {
        let found = mixture(&[vec![0.5; 50], vec![0.01; 50]]);
        assert!(found[0] > 0.99 && found[1] == SMALLEST, "{found:?}");
    }
}
