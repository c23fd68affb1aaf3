//! How far luck alone puts the best of equal trials ahead.

use crate::space::special::{normal_cdf, normal_density};

/// The expected distance of the best of `count` trials of the same settings from their mean, in
/// standard deviations between seeds: the expectation of the largest of `count` standard normal
/// numbers. A search's best has to be better than that before its settings can be the reason.
pub fn expected_best(count: u64) -> f64 {
    // Simpson's rule over the integral of x times the largest's density, n phi(x) Phi(x)^(n-1).
    // Beyond 12 standard deviations nothing is left for any number of trials.
    const HALF_WIDTH: f64 = 12.0;
    const STEPS: usize = 4800;
    if count < 2 {
        return 0.0;
    }
    let step = 2.0 * HALF_WIDTH / STEPS as f64;
    let n = count as f64;
    let integrand = |index: usize| {
        let x = index as f64 * step - HALF_WIDTH;
        x * n * normal_density(x) * libm::pow(normal_cdf(x), n - 1.0)
    };
    let weight = |index: usize| match index {
        0 | STEPS => 1.0,
        odd if odd % 2 == 1 => 4.0,
        _ => 2.0,
    };
    (0..=STEPS).map(|index| weight(index) * integrand(index)).sum::<f64>() * step / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two and three have closed forms; the others are tabulated values of order statistics.
    #[test]
    fn expectations_are_those_of_order_statistics() {
        let pi = std::f64::consts::PI;
        for (count, want, tolerance) in [
            (1, 0.0, 0.0),
            (2, 1.0 / pi.sqrt(), 1e-12),
            (3, 1.5 / pi.sqrt(), 1e-12),
            (20, 1.867, 5e-4),
            (100, 2.508, 5e-4),
            (129, 2.597, 5e-4),
            (265, 2.838, 5e-4),
        ] {
            let got = expected_best(count);
            assert!((got - want).abs() <= tolerance, "{count}: {got} instead of {want}");
        }
        assert!(expected_best(1_000_000) > 4.8);
    }
}
