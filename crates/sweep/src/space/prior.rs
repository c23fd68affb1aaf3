//! Priors of numeric parameters: their quantiles and probabilities, whole and cut to a range.

use super::special::{beta_cdf, beta_quantile, normal_cdf, normal_quantile};
use crate::distribution::Distribution;

/// Integers beyond this are not exact in a double.
pub(super) const LARGEST_INTEGER: f64 = (1u64 << 53) as f64;

/// A normal prior without a bound is cut at this many standard deviations.
const CUT: f64 = 4.0;

/// A distribution of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Every number from `low` to `high` alike.
    Uniform {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
    },
    /// Every order of magnitude from `low` to `high` alike.
    LogUniform {
        /// The smallest value, above zero.
        low: f64,
        /// The largest value.
        high: f64,
    },
    /// The normal distribution.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        sd: f64,
    },
    /// The distribution of a number whose natural logarithm is normal.
    LogNormal {
        /// The mean of the logarithm.
        mean: f64,
        /// The standard deviation of the logarithm.
        sd: f64,
    },
    /// The beta distribution on `[0, 1]`.
    Beta {
        /// The first parameter.
        a: f64,
        /// The second parameter.
        b: f64,
    },
}

impl Shape {
    /// The value at cumulative probability `u`.
    pub fn quantile(&self, u: f64) -> f64 {
        match *self {
            Self::Uniform { low, high } => low + u * (high - low),
            Self::LogUniform { low, high } => libm::exp(libm::log(low) + u * libm::log(high / low)),
            Self::Normal { mean, sd } => mean + sd * normal_quantile(u),
            Self::LogNormal { mean, sd } => libm::exp(mean + sd * normal_quantile(u)),
            Self::Beta { a, b } => beta_quantile(a, b, u),
        }
    }

    /// The cumulative probability of `x`.
    pub fn cdf(&self, x: f64) -> f64 {
        match *self {
            Self::Uniform { low, high } => (x - low) / (high - low),
            Self::LogUniform { .. } | Self::LogNormal { .. } if x <= 0.0 => 0.0,
            Self::LogUniform { low, high } => {
                let (low, high) = (libm::log(low), libm::log(high));
                (libm::log(x) - low) / (high - low)
            }
            Self::Normal { mean, sd } => normal_cdf((x - mean) / sd),
            Self::LogNormal { mean, sd } => normal_cdf((libm::log(x) - mean) / sd),
            Self::Beta { a, b } => beta_cdf(a, b, x),
        }
    }

    /// Whether the distribution is one of logarithms.
    pub fn is_log(&self) -> bool {
        matches!(self, Self::LogUniform { .. } | Self::LogNormal { .. })
    }

    /// Where the distribution ends, or is cut when it has no end.
    pub(super) fn range(&self) -> (f64, f64) {
        match *self {
            Self::Uniform { low, high } | Self::LogUniform { low, high } => (low, high),
            Self::Normal { mean, sd } => (mean - CUT * sd, mean + CUT * sd),
            Self::LogNormal { mean, sd } => {
                (libm::exp(mean - CUT * sd), libm::exp(mean + CUT * sd))
            }
            Self::Beta { .. } => (0.0, 1.0),
        }
    }
}

/// Which numbers of its range a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grid {
    /// All.
    Real,
    /// Whole numbers; each has the prior's share from half below to half above it.
    Integer,
    /// Multiples of a step: a number from the prior is rounded to the nearest (half to even), as
    /// W&B's `q_` distributions do it.
    Step {
        /// The step.
        q: f64,
        /// Whether the multiples are integers.
        integer: bool,
    },
}

/// `x` as the nearest multiple of `q`, halves to even.
pub fn round_to_step(x: f64, q: f64) -> f64 {
    (x / q).round_ties_even() * q
}

/// A numeric parameter's prior, cut to its range.
///
/// `u` is the cut prior's cumulative probability, in `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericPrior {
    shape: Shape,
    grid: Grid,
    /// The smallest and the largest value.
    bounds: (f64, f64),
    /// The range of the continuous prior, which is wider than the bounds of a grid.
    borders: (f64, f64),
    /// The uncut prior's cumulative probabilities of the borders.
    shares: (f64, f64),
}

impl NumericPrior {
    /// Cuts a prior to `low` and `high`, or where it ends. An error is the cause.
    pub(super) fn new(
        shape: Shape,
        grid: Grid,
        low: Option<f64>,
        high: Option<f64>,
    ) -> Result<Self, String> {
        let range = shape.range();
        let (low, high) = (low.unwrap_or(range.0), high.unwrap_or(range.1));
        if low >= high {
            return Err(format!("low {low} is not below high {high}"));
        }
        if !(high - low).is_finite() {
            return Err("its range is too wide for a double".to_string());
        }
        if shape.is_log() && (low < 0.0 || (low == 0.0 && grid == Grid::Real)) {
            return Err(format!("a logarithmic prior has values above zero only, low is {low}"));
        }
        let (bounds, borders) = match grid {
            Grid::Real => ((low, high), (low, high)),
            Grid::Integer => {
                let bounds = if matches!(shape, Shape::Uniform { .. } | Shape::LogUniform { .. }) {
                    (low.ceil(), high.floor())
                } else {
                    (low.round_ties_even(), high.round_ties_even().min(LARGEST_INTEGER))
                };
                (bounds, (bounds.0 - 0.5, bounds.1 + 0.5))
            }
            Grid::Step { q, .. } => ((round_to_step(low, q), round_to_step(high, q)), (low, high)),
        };
        if bounds.0 >= bounds.1 {
            return Err(format!("there is one value at most between {low} and {high}"));
        }
        let unit = if let Grid::Step { q, .. } = grid { q.min(1.0) } else { 1.0 };
        let farthest = bounds.0.abs().max(bounds.1.abs());
        if grid != Grid::Real && farthest / unit > LARGEST_INTEGER {
            return Err(format!("{low} to {high} is too wide for steps of {unit}"));
        }
        let shares = (shape.cdf(borders.0), shape.cdf(borders.1));
        // A uniform prior's shares of an integer grid reach beyond 0 and 1, which cancels out.
        if shares.1 - shares.0 < 1e-6 {
            return Err(format!("hardly any of the prior is between {low} and {high}"));
        }
        Ok(Self { shape, grid, bounds, borders, shares })
    }

    /// The uncut prior.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Which numbers of the range occur.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The smallest and the largest value.
    pub fn bounds(&self) -> (f64, f64) {
        self.bounds
    }

    /// The value at `u`.
    pub fn value(&self, u: f64) -> f64 {
        let u = u.clamp(0.0, 1.0);
        let x = self.shape.quantile(self.shares.0 + u * (self.shares.1 - self.shares.0));
        let x = x.clamp(self.borders.0, self.borders.1);
        let on_grid = match self.grid {
            Grid::Real => x,
            Grid::Integer => x.round_ties_even(),
            Grid::Step { q, .. } => round_to_step(x, q),
        };
        on_grid.clamp(self.bounds.0, self.bounds.1)
    }

    /// The coordinate of a value: `u` of a real number, the middle of the range of `u` that gives a
    /// value on a grid.
    pub fn coordinate(&self, x: f64) -> f64 {
        let Some(step) = self.step() else { return self.share(x) };
        0.5 * (self.share(x - 0.5 * step) + self.share(x + 0.5 * step))
    }

    /// The cut prior's share below `x`.
    fn share(&self, x: f64) -> f64 {
        let x = x.clamp(self.borders.0, self.borders.1);
        ((self.shape.cdf(x) - self.shares.0) / (self.shares.1 - self.shares.0)).clamp(0.0, 1.0)
    }

    /// Whether `x` is one of the values.
    pub fn contains(&self, x: f64) -> bool {
        let on_grid = match self.grid {
            Grid::Real => true,
            Grid::Integer => x.fract() == 0.0,
            Grid::Step { q, .. } => (round_to_step(x, q) - x).abs() <= 1e-9 * q,
        };
        self.bounds.0 <= x && x <= self.bounds.1 && on_grid
    }

    /// How many values there are; none of real numbers.
    pub fn count(&self) -> Option<u64> {
        let steps = (self.bounds.1 - self.bounds.0) / self.step()?;
        Some(steps.round() as u64 + 1)
    }

    /// The value at a place among all values of a grid, from the smallest up.
    pub(super) fn at_place(&self, place: u64) -> f64 {
        match self.grid {
            Grid::Step { q, .. } => round_to_step(self.bounds.0 + place as f64 * q, q),
            Grid::Integer | Grid::Real => self.bounds.0 + place as f64,
        }
    }

    fn step(&self) -> Option<f64> {
        match self.grid {
            Grid::Real => None,
            Grid::Integer => Some(1.0),
            Grid::Step { q, .. } => Some(q),
        }
    }

    /// The distribution under which the values are stored: logarithmic where the prior is and
    /// Optuna has one of that kind.
    pub fn distribution(&self) -> Distribution {
        let (low, high) = self.bounds;
        let step = match self.grid {
            Grid::Real => {
                return Distribution::Float { low, high, log: self.shape.is_log(), step: None };
            }
            Grid::Integer => 1.0,
            Grid::Step { q, integer: true } => q,
            Grid::Step { q, integer: false } => {
                return Distribution::Float { low, high, log: false, step: Some(q) };
            }
        };
        let log = self.shape.is_log() && low >= 1.0 && step == 1.0;
        Distribution::Int { low: low as i64, high: high as i64, log, step: step as i64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn near(got: f64, want: f64, relative: f64) {
        assert!((got - want).abs() <= relative * want.abs(), "{got} instead of {want}");
    }

    /// Values of W&B's `sweeps` 0.3.0.
    #[test]
    fn quantiles_are_wandbs() {
        let at = |shape: Shape| [0.1, 0.5, 0.9].map(|u| shape.quantile(u));
        let rounded = |mean, sd| at(Shape::LogNormal { mean, sd }).map(|x| round_to_step(x, 1.0));
        assert_eq!(rounded(5.0, 1.5), [22.0, 148.0, 1015.0]);
        assert_eq!(rounded(1.8, 0.7), [2.0, 6.0, 15.0]);
        assert_eq!(rounded(5.7, 1.0), [83.0, 299.0, 1077.0]);
        let want = [2.754550513e-4, 6.755387752e-4, 1.656722702e-3];
        for (got, want) in at(Shape::LogNormal { mean: -7.3, sd: 0.7 }).into_iter().zip(want) {
            near(got, want, 1e-9);
        }
        let shape = Shape::LogUniform { low: 1.0, high: 1000.0 };
        let stepped = [0.001, 0.25, 0.5, 0.75].map(|u| round_to_step(shape.quantile(u), 8.0));
        assert_eq!(stepped, [0.0, 8.0, 32.0, 176.0]);
        near(Shape::Beta { a: 2.0, b: 5.0 }.quantile(0.25), 0.1611629168, 1e-9);
    }

    /// Values of W&B's `sweeps` 0.3.0.
    #[test]
    fn probabilities_are_wandbs() {
        near(Shape::LogNormal { mean: 5.0, sd: 1.5 }.cdf(128.0), 0.46070948, 1e-7);
        near(Shape::LogNormal { mean: -7.3, sd: 0.7 }.cdf(7e-4), 0.52026312, 1e-7);
    }

    #[test]
    fn a_step_rounds_halves_to_even() {
        assert_eq!([0.5, 1.5, 2.5].map(|x| round_to_step(x, 1.0)), [0.0, 2.0, 2.0]);
        assert_eq!(round_to_step(12.0, 8.0), 16.0);
        assert_eq!(round_to_step(0.26, 0.1), 0.30000000000000004);
    }

    fn prior(shape: Shape, grid: Grid, low: Option<f64>, high: Option<f64>) -> NumericPrior {
        NumericPrior::new(shape, grid, low, high).unwrap()
    }

    #[test]
    fn normal_priors_are_cut_at_four_standard_deviations_or_their_bounds() {
        let shape = Shape::Normal { mean: 1.0, sd: 0.5 };
        let cut = prior(shape, Grid::Real, None, None);
        near(cut.value(0.0), -1.0, 1e-14);
        near(cut.value(1.0), 3.0, 1e-14);
        near(cut.value(0.5), 1.0, 1e-15);
        let bounded = prior(shape, Grid::Real, Some(1.0), None);
        near(bounded.value(0.0), 1.0, 1e-14);
        near(bounded.value(1.0), 3.0, 1e-14);
        // The upper half of a normal prior has its median at the 75th percentile, nearly.
        near(bounded.value(0.5), 1.0 + 0.5 * 0.6744897501960817, 1e-4);
    }

    #[test]
    fn every_integer_has_its_share_and_comes_back_from_its_coordinate() {
        for shape in [
            Shape::Uniform { low: 1.0, high: 9.0 },
            Shape::LogUniform { low: 1.0, high: 9.0 },
            Shape::LogNormal { mean: 1.0, sd: 1.0 },
        ] {
            let prior = prior(shape, Grid::Integer, Some(1.0), Some(9.0));
            assert_eq!(prior.count(), Some(9));
            let mut previous = 0.0;
            for value in 1..=9 {
                let value = f64::from(value);
                let u = prior.coordinate(value);
                assert!(u > previous && u < 1.0);
                assert_eq!(prior.value(u), value);
                previous = u;
            }
        }
        let uniform = prior(Shape::Uniform { low: 1.0, high: 4.0 }, Grid::Integer, None, None);
        near(uniform.coordinate(2.0), 0.375, 1e-12);
        let log = prior(Shape::LogUniform { low: 1.0, high: 1024.0 }, Grid::Integer, None, None);
        let [low, high] = [127.5, 128.5].map(|x: f64| (x / 0.5).ln() / (1024.5f64 / 0.5).ln());
        near(log.coordinate(128.0), 0.5 * (low + high), 1e-12);
    }

    #[test]
    fn stored_distributions_are_logarithmic_where_optuna_has_such_a_kind() {
        let log_normal = Shape::LogNormal { mean: 5.0, sd: 1.5 };
        assert_eq!(
            prior(log_normal, Grid::Integer, Some(1.0), None).distribution(),
            Distribution::Int { low: 1, high: 59874, log: true, step: 1 }
        );
        assert_eq!(
            prior(log_normal, Grid::Integer, Some(0.0), None).distribution(),
            Distribution::Int { low: 0, high: 59874, log: false, step: 1 }
        );
        let stepped = Grid::Step { q: 8.0, integer: true };
        assert_eq!(
            prior(Shape::LogUniform { low: 1.0, high: 1000.0 }, stepped, None, None).distribution(),
            Distribution::Int { low: 0, high: 1000, log: false, step: 8 }
        );
        let stepped = Grid::Step { q: 0.1, integer: false };
        assert_eq!(
            prior(Shape::Uniform { low: 0.0, high: 0.5 }, stepped, None, None).distribution(),
            Distribution::Float { low: 0.0, high: 0.5, log: false, step: Some(0.1) }
        );
    }

    #[test]
    fn ranges_that_hold_nothing_are_refused() {
        let normal = Shape::Normal { mean: 0.0, sd: 1.0 };
        for (shape, grid, low, high, cause) in [
            (normal, Grid::Real, Some(2.0), Some(1.0), "low 2 is not below high 1"),
            (
                normal,
                Grid::Real,
                Some(8.0),
                Some(9.0),
                "hardly any of the prior is between 8 and 9",
            ),
            (
                Shape::LogNormal { mean: 0.0, sd: 1.0 },
                Grid::Real,
                Some(0.0),
                None,
                "a logarithmic prior has values above zero only, low is 0",
            ),
            (
                Shape::Uniform { low: 0.2, high: 0.8 },
                Grid::Integer,
                None,
                None,
                "there is one value at most between 0.2 and 0.8",
            ),
            (
                Shape::Uniform { low: -1e308, high: 1e308 },
                Grid::Real,
                None,
                None,
                "its range is too wide for a double",
            ),
            (
                Shape::Uniform { low: 0.0, high: 1.0 },
                Grid::Step { q: 1e-300, integer: false },
                None,
                None,
                "0 to 1 is too wide for steps of 0.000",
            ),
        ] {
            let got = NumericPrior::new(shape, grid, low, high).unwrap_err();
            assert!(got.starts_with(cause), "{got}");
        }
    }

    /// The shape and step of a W&B parameter.
    fn of_wandb(config: &serde_json::Value) -> (Shape, Option<f64>) {
        let number = |key: &str| config[key].as_f64().unwrap();
        let name = config["distribution"].as_str().unwrap();
        let shape = match name.strip_prefix("q_").unwrap_or(name) {
            "uniform" | "int_uniform" => Shape::Uniform { low: number("min"), high: number("max") },
            "log_uniform_values" => Shape::LogUniform { low: number("min"), high: number("max") },
            "normal" => Shape::Normal { mean: number("mu"), sd: number("sigma") },
            "log_normal" => Shape::LogNormal { mean: number("mu"), sd: number("sigma") },
            _ => Shape::Beta { a: number("a"), b: number("b") },
        };
        (shape, config["q"].as_f64())
    }

    #[test]
    fn quantiles_of_all_distributions_are_wandbs() {
        for case in fixtures::list(&fixtures::cases("wandb_quantiles")) {
            let (shape, step) = of_wandb(&case["config"]);
            let shares = fixtures::numbers(&case["shares"]);
            for (share, want) in shares.into_iter().zip(fixtures::numbers(&case["values"])) {
                if case["config"]["distribution"] == "int_uniform" {
                    let cut = prior(shape, Grid::Integer, None, None);
                    assert_eq!(cut.value(share), want, "{shape:?} at {share}");
                    continue;
                }
                let got = shape.quantile(share);
                match step {
                    Some(q) => assert_eq!(round_to_step(got, q), want, "{shape:?} at {share}"),
                    None => near(got, want, 1e-11),
                }
            }
        }
    }
}
