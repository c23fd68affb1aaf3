//! Pearson's correlation.

use super::seeds::central_probability;

/// A correlation, and how likely one at least as large is where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// Pearson's r.
    pub r: f64,
    /// Probability of a correlation at least as far from 0 between independent values of normal
    /// distributions, by Student's t with two degrees of freedom fewer than there are pairs.
    pub p: f64,
}

impl Correlation {
    /// The correlation of pairs; none of fewer than three, and where a side has one value alone.
    pub fn of(x: &[f64], y: &[f64]) -> Option<Self> {
        let count = x.len().min(y.len());
        let freedom = u32::try_from(count).ok()?.checked_sub(2).filter(|&freedom| freedom > 0)?;
        let r = pearson(&x[..count], &y[..count])?;
        // t over the root of the degrees of freedom is r over the root of 1 - r²: the tangent of
        // the angle whose sine is r.
        let p = 1.0 - central_probability(r.abs().asin(), freedom);
        Some(Self { r, p: p.max(0.0) })
    }
}

/// Pearson's r of two sides of equal length; none where one of them has one value alone.
pub(crate) fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let centred = |values: &[f64]| -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        values.iter().map(|value| value - mean).collect()
    };
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (x, y) = (centred(x), centred(y));
    let spread = (sum(&x, &x) * sum(&y, &y)).sqrt();
    (spread > 0.0).then(|| (sum(&x, &y) / spread).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of `scipy.stats.pearsonr` (1.17.1).
    #[test]
    fn correlations_are_those_of_scipy() {
        let (x, y) = ([1.0, 2.0, 4.0, 7.0, 7.5, 9.0], [2.0, 1.0, 5.0, 4.0, 9.0, 6.0]);
        for (count, r, p) in [
            (3, 0.8386278693775344, 0.36671657332092333),
            (5, 0.8063222396783827, 0.09929238244027945),
            (6, 0.7787786696551031, 0.06799515376163436),
        ] {
            let found = Correlation::of(&x[..count], &y[..count]).unwrap();
            assert!((found.r - r).abs() < 1e-12, "{found:?}");
            assert!((found.p - p).abs() < 1e-10, "{found:?}");
        }
        assert_eq!(Correlation::of(&x[..2], &y[..2]), None);
        assert_eq!(Correlation::of(&[1.0; 6], &y), None);
        assert_eq!(Correlation::of(&x, &x.map(|x| 3.0 - x)), Some(Correlation { r: -1.0, p: 0.0 }));
    }
}
