//! Parzen estimators as Optuna 5 builds them: a mixture of products of truncated normal kernels and
//! category probabilities, one for each trial and one for the prior.

use crate::distribution::Distribution;
use crate::sampler::draws::Draws;
use crate::space::special::log_normal_mass;

/// The newest trials have full weight, this many of them.
const FULL_WEIGHTS: usize = 25;

/// What a stored parameter may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::sampler) enum Axis {
    Number(Range),
    Category { count: usize },
}

/// The values of a number.
#[derive(Clone, Copy, Debug)]
pub(in crate::sampler) struct Range {
    low: f64,
    high: f64,
    log: bool,
    step: Option<f64>,
}

impl Axis {
    pub(in crate::sampler) fn of(distribution: Distribution) -> Self {
        match distribution {
            Distribution::Float { low, high, log, step } => {
                Self::Number(Range { low, high, log, step })
            }
            Distribution::Int { low, high, log, step } => Self::Number(Range {
                low: low as f64,
                high: high as f64,
                log,
                step: Some(step as f64),
            }),
            Distribution::Categorical { choices } => Self::Category { count: choices.len() },
        }
    }
}

impl Range {
    /// The scale on which the kernels are normal.
    fn scaled(&self, x: f64) -> f64 {
        if self.log { libm::log(x) } else { x }
    }

    /// The range on that scale; a grid reaches half a step beyond its values.
    fn borders(&self) -> (f64, f64) {
        let half = 0.5 * self.step.unwrap_or(0.0);
        (self.scaled(self.low - half), self.scaled(self.high + half))
    }

    /// The value at a place on that scale.
    fn value(&self, place: f64) -> f64 {
        let x = if self.log { libm::exp(place) } else { place };
        let on_grid = |step: f64| self.low + ((x - self.low) / step).round_ties_even() * step;
        self.step.map_or(x, on_grid).clamp(self.low, self.high)
    }
}

/// The kernels of one parameter, the prior's last.
enum Kernels {
    Number {
        range: Range,
        means: Vec<f64>,
        sds: Vec<f64>,
    },
    /// The probabilities of the categories for each kernel.
    Category(Vec<Vec<f64>>),
}

impl Kernels {
    fn new(axis: &Axis, values: &[f64]) -> Self {
        match *axis {
            Axis::Category { count } => Self::Category(categories(count, values)),
            Axis::Number(range) => {
                let (low, high) = range.borders();
                let mut means: Vec<f64> = values.iter().map(|&x| range.scaled(x)).collect();
                let mut sds = bandwidths(&means, low, high);
                means.push(0.5 * (low + high));
                sds.push(high - low);
                Self::Number { range, means, sds }
            }
        }
    }

    /// A value of one kernel.
    fn sample(&self, index: usize, draws: &mut Draws) -> f64 {
        match self {
            Self::Category(rows) => draws.weighted(&rows[index]) as f64,
            Self::Number { range, means, sds } => {
                let (low, high) = range.borders();
                range.value(draws.truncated_normal(means[index], sds[index], low, high))
            }
        }
    }

    /// The log-density of one kernel; of a value on a grid, its log-probability.
    fn log_density(&self, index: usize, value: f64) -> f64 {
        match self {
            Self::Category(rows) => libm::log(rows[index][value as usize]),
            Self::Number { range, means, sds } => {
                let z = |place: f64| (place - means[index]) / sds[index];
                let (low, high) = range.borders();
                let inside = log_normal_mass(z(low), z(high));
                match range.step {
                    Some(step) => {
                        let below = z(range.scaled(value - 0.5 * step));
                        let above = z(range.scaled(value + 0.5 * step));
                        log_normal_mass(below, above) - inside
                    }
                    None => {
                        let z = z(range.scaled(value));
                        let constant = 0.5 * libm::log(2.0 * std::f64::consts::PI);
                        -0.5 * z * z - constant - libm::log(sds[index]) - inside
                    }
                }
            }
        }
    }
}

/// The rows of category probabilities: a share of 1 spread over all, and 1 on the match.
fn categories(count: usize, values: &[f64]) -> Vec<Vec<f64>> {
    let kernels = values.len() + 1;
    let spread = 1.0 / kernels as f64;
    let row = |observed: Option<&f64>| -> Vec<f64> {
        let weight = |index: usize| match observed {
            Some(&observed) if observed == index as f64 => spread + 1.0,
            _ => spread,
        };
        let sum: f64 = (0..count).map(weight).sum();
        (0..count).map(|index| weight(index) / sum).collect()
    };
    values.iter().map(Some).chain([None]).map(row).collect()
}

/// The standard deviation of each kernel: the larger gap to its neighbours, where the outermost
/// have the inner neighbour only, within a hundredth (more for few kernels) and all of the range.
fn bandwidths(means: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..means.len()).collect();
    order.sort_by(|&a, &b| means[a].total_cmp(&means[b]));
    let at = |place: usize| order.get(place).map_or(high, |&index| means[index]);
    let range = high - low;
    let least = range / (means.len() as f64 + 2.0).min(100.0);
    let mut sds = vec![0.0; means.len()];
    for (place, &index) in order.iter().enumerate() {
        let below = means[index] - if place == 0 { low } else { at(place - 1) };
        let above = at(place + 1) - means[index];
        let gap = if means.len() >= 2 && place == 0 {
            above
        } else if means.len() >= 2 && place + 1 == means.len() {
            below
        } else {
            below.max(above)
        };
        sds[index] = gap.clamp(least, range);
    }
    sds
}

/// The weights of `count` trials in order of number: the oldest rise from `1 / count`, the last 25
/// have 1.
fn weights(count: usize) -> Vec<f64> {
    let ramp = count.saturating_sub(FULL_WEIGHTS);
    let first = 1.0 / count as f64;
    let weight = |index: usize| {
        if index >= ramp {
            1.0
        } else if ramp == 1 {
            first
        } else {
            first + (1.0 - first) * index as f64 / (ramp - 1) as f64
        }
    };
    (0..count).map(weight).collect()
}

/// A mixture of products of kernels, one for each trial and one for the prior.
pub(in crate::sampler) struct Estimator {
    weights: Vec<f64>,
    kernels: Vec<Kernels>,
}

impl Estimator {
    /// From the trials' values, in order of number.
    pub(in crate::sampler) fn new(axes: &[Axis], rows: &[Vec<f64>]) -> Self {
        let mut weights = weights(rows.len());
        weights.push(1.0);
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let column = |index: usize| -> Vec<f64> { rows.iter().map(|row| row[index]).collect() };
        let kernels = axes.iter().enumerate();
        let kernels = kernels.map(|(index, axis)| Kernels::new(axis, &column(index))).collect();
        Self { weights, kernels }
    }

    /// A value for each parameter.
    pub(in crate::sampler) fn sample(&self, draws: &mut Draws) -> Vec<f64> {
        let chosen = draws.weighted(&self.weights);
        self.kernels.iter().map(|kernels| kernels.sample(chosen, draws)).collect()
    }

    /// The logarithm of the density at a value for each parameter.
    pub(in crate::sampler) fn log_density(&self, values: &[f64]) -> f64 {
        let mut logs: Vec<f64> = self.weights.iter().map(|&weight| libm::log(weight)).collect();
        for (kernels, &value) in self.kernels.iter().zip(values) {
            for (index, log) in logs.iter_mut().enumerate() {
                *log += kernels.log_density(index, value);
            }
        }
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        largest + libm::log(logs.iter().map(|log| libm::exp(log - largest)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::space::Space;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() <= 2e-10 * want.abs().max(1.0), "{got} instead of {want}");
    }

    fn axes() -> Vec<Axis> {
        let text = "lr = { log_uniform = [1e-5, 1e-2] }\ndrop = { uniform = [0, 1] }\n\
                    code = [0, 1]\nbatch = { log_uniform = [1, 1024], integer = true }";
        let space = Space::parse(&text.parse().unwrap()).unwrap();
        space.parameters().values().map(|parameter| Axis::of(parameter.distribution())).collect()
    }

    fn good() -> Vec<Vec<f64>> {
        vec![vec![7e-4, 0.1, 1.0, 128.0], vec![3e-4, 0.0, 1.0, 64.0], vec![6e-4, 0.05, 0.0, 100.0]]
    }

    fn bad() -> Vec<Vec<f64>> {
        vec![
            vec![1e-3, 0.5, 0.0, 32.0],
            vec![2e-3, 0.9, 0.0, 512.0],
            vec![5e-4, 0.3, 1.0, 16.0],
            vec![1e-4, 0.2, 0.0, 256.0],
            vec![4e-3, 0.4, 1.0, 8.0],
            vec![2e-5, 0.6, 1.0, 1000.0],
        ]
    }

    /// Optuna 5.0.0's `default_weights`.
    #[test]
    fn weights_are_optunas() {
        assert_eq!(weights(3), [1.0; 3]);
        assert_eq!(weights(25), [1.0; 25]);
        let of_28 = weights(28);
        near(of_28[0], 1.0 / 28.0);
        near(of_28[1], 0.5 * (1.0 + 1.0 / 28.0));
        assert_eq!(of_28[2..], [1.0; 26]);
        near(weights(26)[0], 1.0 / 26.0);
    }

    /// Optuna 5.0.0's `_ParzenEstimator`.
    #[test]
    fn kernels_are_optunas() {
        let estimator = Estimator::new(&axes(), &good());
        for (kernels, want) in
            estimator.kernels.iter().zip([Some(1.3815510558), Some(0.2), None, Some(1.5250214296)])
        {
            match (kernels, want) {
                (Kernels::Number { sds, .. }, Some(want)) => {
                    sds[..3].iter().for_each(|&sd| near(sd, want));
                }
                (Kernels::Category(rows), None) => {
                    let want = [[1.0, 5.0], [1.0, 5.0], [5.0, 1.0], [3.0, 3.0]];
                    for (row, want) in rows.iter().zip(want) {
                        row.iter().zip(want).for_each(|(&got, want)| near(got, want / 6.0));
                    }
                }
                _ => panic!("kernels of another kind"),
            }
        }
    }

    /// Optuna 5.0.0's `_ParzenEstimator.log_pdf`.
    #[test]
    fn log_densities_are_optunas() {
        let at = [6e-4, 0.05, 1.0, 100.0];
        near(Estimator::new(&axes(), &good()).log_density(&at), -6.7558997757);
        near(Estimator::new(&axes(), &bad()).log_density(&at), -10.3338211759);
        let alone = [-1.3876235154, 1.0057593615, -0.5389965007, -6.0365646044];
        for (index, want) in alone.into_iter().enumerate() {
            let rows: Vec<Vec<f64>> = good().iter().map(|row| vec![row[index]]).collect();
            let estimator = Estimator::new(&axes()[index..=index], &rows);
            near(estimator.log_density(&at[index..=index]), want);
        }
    }

    fn distributions(case: &serde_json::Value) -> Vec<Distribution> {
        let texts = fixtures::list(&case["distributions"]).iter();
        texts.map(|text| Distribution::from_json(text.as_str().unwrap()).unwrap()).collect()
    }

    #[test]
    fn random_estimators_are_optunas() {
        for case in fixtures::list(&fixtures::cases("parzen_estimators")) {
            let axes: Vec<Axis> = distributions(case).into_iter().map(Axis::of).collect();
            let estimator = Estimator::new(&axes, &fixtures::rows(&case["rows"]));
            let want = fixtures::numbers(&case["log_density"]);
            for (at, want) in fixtures::rows(&case["at"]).iter().zip(want) {
                near(estimator.log_density(at), want);
            }
        }
    }

    #[test]
    fn draws_are_values_of_their_distributions() {
        for case in fixtures::list(&fixtures::cases("parzen_estimators")) {
            let distributions = distributions(case);
            let axes: Vec<Axis> = distributions.iter().cloned().map(Axis::of).collect();
            let estimator = Estimator::new(&axes, &fixtures::rows(&case["rows"]));
            let mut draws = Draws::new(base::rng::Rng::new(1, "estimator"));
            for _ in 0..100 {
                let values = estimator.sample(&mut draws);
                for (value, distribution) in values.iter().zip(&distributions) {
                    assert!(distribution.contains(*value), "{value} {distribution:?}");
                }
            }
        }
    }
}
