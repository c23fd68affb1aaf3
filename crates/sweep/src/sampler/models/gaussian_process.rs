//! A Gaussian process with a Matern 3/2 kernel of one length scale, fitted by maximum likelihood
//! (Rasmussen and Williams, "Gaussian Processes for Machine Learning", algorithm 2.1).
//!
//! The constants are those of the package `sweeps` 0.3.0, which leaves the search for the length
//! scale to scikit-learn's gradients with restarts; here it is a search in one dimension.

use crate::space::special::{normal_cdf, normal_density};

/// Added to the kernel matrix's diagonal.
const NUGGET: f64 = 1e-7;
/// Added to standard deviations that are divided by.
const SD_OFFSET: f64 = 1e-6;
const LENGTH_SCALES: (f64, f64) = (1e-5, 1e5);

/// A Gaussian process of standardised values.
pub(in crate::sampler) struct Process {
    x: Vec<Vec<f64>>,
    mean: f64,
    sd: f64,
    length_scale: f64,
    /// The lower triangle of the kernel matrix's Cholesky factor, by rows.
    factor: Vec<Vec<f64>>,
    /// The inverse of the kernel matrix times the values.
    weights: Vec<f64>,
}

impl Process {
    /// The process of the length scale with the highest likelihood.
    pub(in crate::sampler) fn fit(x: Vec<Vec<f64>>, y: &[f64]) -> Self {
        let (mean, sd) = moments(y);
        let values: Vec<f64> = y.iter().map(|y| (y - mean) / sd).collect();
        let distances = distances(&x);
        let likelihood = |log_scale: f64| {
            Solved::new(&distances, &values, libm::exp(log_scale)).map(|s| s.log_likelihood)
        };
        let bounds = (libm::log(LENGTH_SCALES.0), libm::log(LENGTH_SCALES.1));
        let log_scale =
            maximum(|log_scale| likelihood(log_scale).unwrap_or(f64::NEG_INFINITY), bounds);
        Self::with_length_scale(x, (mean, sd), &distances, &values, libm::exp(log_scale))
    }

    fn with_length_scale(
        x: Vec<Vec<f64>>,
        (mean, sd): (f64, f64),
        distances: &[Vec<f64>],
        values: &[f64],
        length_scale: f64,
    ) -> Self {
        // Where rounding leaves no factor (never within the bounds), nothing is predicted.
        let solved = Solved::new(distances, values, length_scale);
        let (factor, weights) =
            solved.map(|solved| (solved.factor, solved.weights)).unwrap_or_default();
        Self { x, mean, sd, length_scale, factor, weights }
    }

    /// The mean and the standard deviation at a point, in the values' own units.
    pub(in crate::sampler) fn predict(&self, at: &[f64]) -> (f64, f64) {
        let (mean, sd) = self.standard(at);
        (mean * self.sd + self.mean, sd * self.sd)
    }

    /// The mean and the standard deviation at a point, of standardised values.
    fn standard(&self, at: &[f64]) -> (f64, f64) {
        let column: Vec<f64> = self
            .x
            .iter()
            .take(self.factor.len())
            .map(|x| kernel(distance(x, at), self.length_scale))
            .collect();
        let mean = column.iter().zip(&self.weights).map(|(k, w)| k * w).sum();
        let solved = forward(&self.factor, &column);
        let explained: f64 = solved.iter().map(|v| v * v).sum();
        (mean, (1.0 - explained).max(0.0).sqrt())
    }

    /// How much lower than `best` a value at the point is expected to be, in standard deviations
    /// of the results.
    pub(in crate::sampler) fn expected_improvement(&self, at: &[f64], best: f64) -> f64 {
        let (mean, sd) = self.standard(at);
        let gain = (best - self.mean) / self.sd - mean;
        let z = gain / (sd + SD_OFFSET);
        gain * normal_cdf(z) + sd * normal_density(z)
    }

    /// Whether the length scale is (by numpy's `isclose`, of logarithms) one of its bounds.
    pub(in crate::sampler) fn is_at_bound(&self) -> bool {
        let log = libm::log(self.length_scale);
        [LENGTH_SCALES.0, LENGTH_SCALES.1].into_iter().any(|bound| {
            let bound = libm::log(bound);
            (log - bound).abs() <= 1e-8 + 1e-5 * bound.abs()
        })
    }
}

/// The mean, and the standard deviation (of the sample) with an offset that keeps it above zero.
fn moments(y: &[f64]) -> (f64, f64) {
    let count = y.len() as f64;
    let mean = y.iter().sum::<f64>() / count;
    let variance = y.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / count;
    (mean, variance.sqrt() + SD_OFFSET)
}

/// The kernel matrix of one length scale, factored and applied to the values.
struct Solved {
    factor: Vec<Vec<f64>>,
    weights: Vec<f64>,
    log_likelihood: f64,
}

impl Solved {
    fn new(distances: &[Vec<f64>], values: &[f64], length_scale: f64) -> Option<Self> {
        let row = |(index, row): (usize, &Vec<f64>)| {
            let mut row: Vec<f64> = row.iter().map(|&d| kernel(d, length_scale)).collect();
            row[index] += NUGGET;
            row
        };
        let factor = cholesky(distances.iter().enumerate().map(row).collect())?;
        let weights = backward(&factor, forward(&factor, values));
        let fit: f64 = values.iter().zip(&weights).map(|(y, w)| y * w).sum();
        let log_determinant: f64 =
            factor.iter().enumerate().map(|(index, row)| libm::log(row[index])).sum();
        let constant = 0.5 * values.len() as f64 * libm::log(2.0 * std::f64::consts::PI);
        let log_likelihood = -0.5 * fit - log_determinant - constant;
        Some(Self { factor, weights, log_likelihood })
    }
}

/// The Matern kernel of smoothness 3/2.
fn kernel(distance: f64, length_scale: f64) -> f64 {
    let a = 3f64.sqrt() * distance / length_scale;
    (1.0 + a) * libm::exp(-a)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// The distances of each point to itself and those before it.
fn distances(x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let row = |(index, point): (usize, &Vec<f64>)| {
        x[..=index].iter().map(|other| distance(other, point)).collect()
    };
    x.iter().enumerate().map(row).collect()
}

/// The lower triangular factor of a positive definite matrix, of which the lower triangle is
/// given by rows; none when the matrix is not positive definite.
fn cholesky(mut rows: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    for i in 0..rows.len() {
        let (done, rest) = rows.split_at_mut(i);
        let row = &mut rest[0];
        for j in 0..i {
            let sum: f64 = row[..j].iter().zip(&done[j][..j]).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - sum) / done[j][j];
        }
        let rest = row[i] - row[..i].iter().map(|a| a * a).sum::<f64>();
        if rest.is_nan() || rest <= 0.0 {
            return None;
        }
        row[i] = rest.sqrt();
    }
    Some(rows)
}

/// Solves `factor * result = values`.
fn forward(factor: &[Vec<f64>], values: &[f64]) -> Vec<f64> {
    let mut result: Vec<f64> = Vec::with_capacity(factor.len());
    for (row, value) in factor.iter().zip(values) {
        let sum: f64 = row.iter().zip(&result).map(|(a, b)| a * b).sum();
        result.push((value - sum) / row[result.len()]);
    }
    result
}

/// Solves `transposed factor * result = values`.
fn backward(factor: &[Vec<f64>], mut values: Vec<f64>) -> Vec<f64> {
    for (i, row) in factor.iter().enumerate().rev() {
        values[i] /= row[i];
        let solved = values[i];
        for (value, a) in values.iter_mut().zip(&row[..i]) {
            *value -= a * solved;
        }
    }
    values
}

/// Where a function is highest: the best of equal steps, then golden section between its
/// neighbours.
fn maximum(function: impl Fn(f64) -> f64, (low, high): (f64, f64)) -> f64 {
    const STEPS: usize = 24;
    const SECTIONS: usize = 30;
    let step = (high - low) / STEPS as f64;
    let grid: Vec<f64> = (0..=STEPS).map(|index| function(low + index as f64 * step)).collect();
    let best = first_largest(&grid);
    let golden = 0.5 * (5f64.sqrt() - 1.0);
    let mut a = low + best.saturating_sub(1) as f64 * step;
    let mut b = (low + (best + 1) as f64 * step).min(high);
    let (mut c, mut d) = (b - golden * (b - a), a + golden * (b - a));
    let (mut at_c, mut at_d) = (function(c), function(d));
    for _ in 0..SECTIONS {
        if at_c >= at_d {
            (b, d, at_d) = (d, c, at_c);
            c = b - golden * (b - a);
            at_c = function(c);
        } else {
            (a, c, at_c) = (c, d, at_d);
            d = a + golden * (b - a);
            at_d = function(d);
        }
    }
    let section = 0.5 * (a + b);
    // At a bound the section ends short of it.
    let edge = low + best as f64 * step;
    if function(section) >= grid[best] { section } else { edge }
}

/// Where the largest value is, the first of equals.
pub(in crate::sampler) fn first_largest(values: &[f64]) -> usize {
    let mut largest = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[largest] {
            largest = index;
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    const X: [[f64; 2]; 6] =
        [[0.1, 0.2], [0.4, 0.9], [0.7, 0.3], [0.9, 0.8], [0.5, 0.5], [0.25, 0.75]];
    const Y: [f64; 6] = [4.3, 4.1, 4.6, 5.2, 4.0, 4.05];
    const AT: [[f64; 2]; 5] = [[0.3, 0.6], [0.5, 0.6], [0.05, 0.95], [0.8, 0.1], [0.45, 0.7]];

    fn points() -> Vec<Vec<f64>> {
        X.iter().map(|x| x.to_vec()).collect()
    }

    fn near(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "{got} instead of {want}");
    }

    fn standardised() -> Vec<f64> {
        let (mean, sd) = moments(&Y);
        near(mean, 4.375, 1e-12);
        near(sd, 0.4200704387, 1e-10);
        Y.iter().map(|y| (y - mean) / sd).collect()
    }

    /// Values of `sweeps` 0.3.0 (scikit-learn).
    #[test]
    fn likelihoods_are_wandbs() {
        let (distances, values) = (distances(&points()), standardised());
        for (length_scale, want) in [(0.1, -8.464239572), (0.5, -9.470705914), (1.0, -19.20347270)]
        {
            let solved = Solved::new(&distances, &values, length_scale).unwrap();
            near(solved.log_likelihood, want, 1e-7);
        }
        let process = Process::fit(points(), &Y);
        near(process.length_scale, 0.21417, 5e-6);
        let solved = Solved::new(&distances, &values, process.length_scale).unwrap();
        near(solved.log_likelihood, -8.362689, 5e-7);
    }

    /// Values of `sweeps` 0.3.0 (scikit-learn).
    #[test]
    fn predictions_and_improvements_are_wandbs() {
        let values = standardised();
        let fixed =
            Process::with_length_scale(points(), moments(&Y), &distances(&points()), &values, 0.5);
        let means = [-0.9715387434, -0.8348200405, -0.4709057003, 0.7544580088, -0.8106770038];
        let sds = [0.2856563197, 0.2271002766, 0.6381706453, 0.5407900453, 0.3008814467];
        for (at, want) in AT.iter().zip(means.into_iter().zip(sds)) {
            let got = fixed.standard(at);
            near(got.0, want.0, 1e-9);
            near(got.1, want.1, 1e-9);
        }

        let process = Process::fit(points(), &Y);
        let means = [4.04997256, 4.04731154, 4.26840065, 4.50539690, 4.07780666];
        let sds = [0.29114875, 0.23601681, 0.39456385, 0.37174462, 0.29863501];
        let improvements = [0.22108671, 0.17232059, 0.13875068, 0.03545279, 0.20057523];
        for (index, at) in AT.iter().enumerate() {
            let (mean, sd) = process.predict(at);
            near(mean, means[index], 2e-6);
            near(sd, sds[index], 2e-6);
            near(process.expected_improvement(at, 4.0), improvements[index], 2e-6);
        }
        let improvements: Vec<f64> =
            AT.iter().map(|at| process.expected_improvement(at, 4.0)).collect();
        assert_eq!(first_largest(&improvements), 0);
        assert!(!process.is_at_bound());
    }

    #[test]
    fn random_processes_are_those_of_scikit_learn() {
        for case in fixtures::list(&fixtures::cases("gaussian_processes")) {
            let (x, y) = (fixtures::rows(&case["x"]), fixtures::numbers(&case["y"]));
            let (distances, (mean, sd)) = (distances(&x), moments(&y));
            let values: Vec<f64> = y.iter().map(|y| (y - mean) / sd).collect();
            let at = |length_scale: f64| {
                Solved::new(&distances, &values, length_scale).unwrap().log_likelihood
            };
            near(at(0.4), case["log_likelihood_at_0.4"].as_f64().unwrap(), 1e-7);
            // The best one is at least as likely as what gradients found.
            let process = Process::fit(x, &y);
            let found = case["log_likelihood"].as_f64().unwrap();
            assert!(at(process.length_scale) > found - 1e-9, "{}", process.length_scale);
        }
    }
}
