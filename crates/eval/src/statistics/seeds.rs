//! A training from several seeds: mean and spread of a score.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Interval, standard_deviation};

/// A score over several seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Number of seeds.
    pub count: usize,
    /// Mean of the scores.
    pub mean: f64,
    /// Standard deviation of the sample (with `count - 1`); none for a single seed.
    pub standard_deviation: Option<f64>,
    /// The lowest score.
    pub lowest: f64,
    /// The highest score.
    pub highest: f64,
    /// Student's t interval of the mean over all seeds: right where scores are about normal over
    /// seeds, wide where seeds are few. None for a single seed.
    pub interval: Option<Interval>,
}

impl Spread {
    /// The spread of the scores of several seeds; none without scores, or where the confidence is
    /// not between 0 and 1.
    pub fn of(scores: &[f64], confidence: f64) -> Option<Self> {
        let count = scores.len();
        if count == 0 || !(confidence > 0.0 && confidence < 1.0) {
            return None;
        }
        let mean = scores.iter().sum::<f64>() / count as f64;
        let standard_deviation = (count > 1).then(|| standard_deviation(scores));
        let interval = standard_deviation.map(|deviation| {
            let quantile = student_t_quantile(1.0 - (1.0 - confidence) / 2.0, count as u32 - 1);
            let half = quantile * deviation / (count as f64).sqrt();
            Interval { low: mean - half, high: mean + half }
        });
        let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Self { count, mean, standard_deviation, lowest, highest, interval })
    }
}

/// The value that Student's t with `freedom` degrees of freedom stays below with probability
/// `share` (at least one half and below 1).
pub fn student_t_quantile(share: f64, freedom: u32) -> f64 {
    let central = 2.0 * share - 1.0;
    // Bisection over the angle, whose tangent is t over the root of the degrees of freedom.
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if central_probability(middle, freedom) < central { low = middle } else { high = middle }
    }
    low.tan() * (freedom as f64).sqrt()
}

/// The probability that |t| stays below `tan(angle) * sqrt(freedom)`: the finite sums of Abramowitz
/// and Stegun, 26.7.3 and 26.7.4.
pub(super) fn central_probability(angle: f64, freedom: u32) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = freedom % 2 == 1;
    let (mut term, mut sum) = if is_odd { (cosine, 0.0) } else { (1.0, 0.0) };
    // The powers of the cosine go up by two, to `freedom - 2`.
    let mut power = freedom % 2;
    while power + 2 <= freedom {
        sum += term;
        let [above, below] = [power + 1, power + 2].map(f64::from);
        term *= cosine * cosine * above / below;
        power += 2;
    }
    if is_odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
}
