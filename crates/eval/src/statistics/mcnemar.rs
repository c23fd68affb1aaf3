//! McNemar's test of two models' right and wrong answers (Fagerland, Lydersen and Laake, "The
//! McNemar test for binary matched-pairs data: mid-p and asymptotic are better than exact
//! conditional", 2013).

use serde::{Deserialize, Serialize};

/// Two models on the same items, of which only those count that one model answers right and the
/// other wrong.
///
/// The exact test is the binomial one and never rejects too often; the mid-p version rejects a
/// little more often and is closer to its nominal level. Both treat all items alike: of several
/// tasks they test the pooled accuracy, not the mean of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Items that only the first model answers right.
    pub first_only: u64,
    /// Items that only the second model answers right.
    pub second_only: u64,
    /// Two-sided, exact.
    pub p_value: f64,
    /// Two-sided, counting the outcome at hand half.
    pub mid_p: f64,
}

impl McNemar {
    /// The test of pairs of outcomes: whether the first and whether the second model is right.
    pub fn of_outcomes(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let (mut first_only, mut second_only) = (0, 0);
        for (first, second) in pairs {
            first_only += (first && !second) as u64;
            second_only += (second && !first) as u64;
        }
        Self::of_counts(first_only, second_only)
    }

    /// The test of how many items only one of the models answers right.
    pub fn of_counts(first_only: u64, second_only: u64) -> Self {
        let fewer = first_only.min(second_only);
        let total = first_only + second_only;
        let at = half_binomial(fewer, total);
        // P(X <= fewer), from the largest term down.
        let (mut below, mut term) = (0.0, at);
        for count in (1..=fewer).rev() {
            term *= count as f64 / (total - count + 1) as f64;
            below += term;
            if term < below * 1e-18 {
                break;
            }
        }
        Self {
            first_only,
            second_only,
            p_value: (2.0 * (below + at)).min(1.0),
            mid_p: (2.0 * below + at).min(1.0),
        }
    }
}

/// The probability of `count` heads in `total` throws of a fair coin.
fn half_binomial(count: u64, total: u64) -> f64 {
    let choose: f64 = (1..=count).map(|k| ((total - count + k) as f64 / k as f64).ln()).sum();
    (choose - total as f64 * std::f64::consts::LN_2).exp()
}
