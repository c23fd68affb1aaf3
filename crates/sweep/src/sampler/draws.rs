//! Random numbers of one proposal, drawn in sequence.

use base::rng::Rng;

use crate::space::special::{normal_cdf, normal_quantile};

/// A sequence of random numbers in double precision.
pub(super) struct Draws {
    rng: Rng,
    next: u64,
}

impl Draws {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, next: 0 }
    }

    fn index(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Uniform in `[0, 1)`, with 53 random bits.
    pub(super) fn uniform(&mut self) -> f64 {
        let index = self.index();
        (self.rng.bits(index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `0..bound`, which is above 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let index = self.index();
        self.rng.below(index, bound as u64) as usize
    }

    /// Normal, cut to `low` and `high`, with the mean between them.
    pub(super) fn truncated_normal(&mut self, mean: f64, sd: f64, low: f64, high: f64) -> f64 {
        let (below, above) = (normal_cdf((low - mean) / sd), normal_cdf((high - mean) / sd));
        let z = normal_quantile(below + self.uniform() * (above - below));
        (mean + sd * z).clamp(low, high)
    }

    /// An index, each with its weight's share of all weights.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_their_moments() {
        let mut draws = Draws::new(Rng::new(1, "draws"));
        let count = 20_000;
        let mut sums = [0.0; 3];
        for _ in 0..count {
            sums[0] += draws.uniform();
            let x = draws.truncated_normal(0.2, 0.3, 0.0, 1.0);
            assert!((0.0..=1.0).contains(&x));
            sums[1] += x;
            sums[2] += draws.weighted(&[1.0, 0.0, 3.0]) as f64;
        }
        // The middle one is scipy's `truncnorm(-2/3, 8/3, 0.2, 0.3).mean()`.
        for (sum, want) in sums.into_iter().zip([0.5, 0.3242685, 1.5]) {
            assert!((sum / f64::from(count) - want).abs() < 0.02, "{sum} {want}");
        }
    }
}
