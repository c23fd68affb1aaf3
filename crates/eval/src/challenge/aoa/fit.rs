//! Sigmoids through points, by the method of Levenberg and Marquardt.

/// The values of a sigmoid's four parameters, in the order of [`Sigmoid`]'s fields.
pub(super) type Parameters = [f64; 4];

/// `height / (1 + exp(-slope * (x - midpoint))) + floor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sigmoid {
    pub height: f64,
    pub slope: f64,
    pub midpoint: f64,
    pub floor: f64,
}

impl From<Parameters> for Sigmoid {
    fn from([height, slope, midpoint, floor]: Parameters) -> Self {
        Self { height, slope, midpoint, floor }
    }
}

impl Sigmoid {
    /// Where a rising sigmoid reaches a value; none where it never does.
    pub(super) fn crossing(&self, value: f64) -> Option<f64> {
        let above = value - self.floor;
        let is_reached = above > 0.0 && above < self.height;
        is_reached.then(|| self.midpoint - (self.height / above - 1.0).ln() / self.slope)
    }

    /// The value at a point, and its derivatives by the parameters.
    fn with_derivatives(&self, x: f64) -> (f64, Parameters) {
        let share = 1.0 / (1.0 + (-self.slope * (x - self.midpoint)).exp());
        let steepness = self.height * share * (1.0 - share);
        let by_slope = steepness * (x - self.midpoint);
        let value = self.height * share + self.floor;
        (value, [share, by_slope, -steepness * self.slope, 1.0])
    }
}

/// The lowest and the highest value of each parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub low: Parameters,
    pub high: Parameters,
}

impl Bounds {
    /// No bounds.
    pub(super) const NONE: Self = Self { low: [f64::NEG_INFINITY; 4], high: [f64::INFINITY; 4] };

    fn nearest(&self, mut values: Parameters) -> Parameters {
        for (index, value) in values.iter_mut().enumerate() {
            *value = value.clamp(self.low[index], self.high[index]);
        }
        values
    }
}

/// Steps after which a fit has failed.
const MOST_STEPS: usize = 2000;

/// The share of the squared errors that a step must take away, or the fit is done.
const LEAST_GAIN: f64 = 1e-13;

/// The damping beyond which no step can lower the errors any more.
const MOST_DAMPING: f64 = 1e14;

/// The sigmoid with the least sum of squared errors at points (x, y), from a start on: a local
/// minimum. None where the steps do not come to an end, or a value is not finite.
///
/// A step solves the normal equations with the squared norms of the columns, times a damping, added
/// to their diagonal; parameters at a bound that the errors push outwards stay there, and others
/// stop at it. The damping falls after a step that lowers the errors and rises after one that does
/// not.
pub(super) fn fit(points: &[(f64, f64)], start: Parameters, bounds: &Bounds) -> Option<Sigmoid> {
    let mut values = bounds.nearest(start);
    let mut system = System::at(values, points);
    let (mut damping, mut scales) = (1e-10, [0.0_f64; 4]);
    for _ in 0..MOST_STEPS {
        if !system.errors.is_finite() {
            return None;
        }
        for (index, scale) in scales.iter_mut().enumerate() {
            *scale = scale.max(system.products[index][index]);
        }
        let free = system.free(values, bounds);
        let (next, lower) = loop {
            let step = system.step(free, damping, scales);
            let next =
                step.map(|step| bounds.nearest(std::array::from_fn(|i| values[i] + step[i])));
            let lower = next.map(|next| System::at(next, points));
            match next.zip(lower).filter(|(_, lower)| lower.errors < system.errors) {
                Some(found) => break found,
                None if damping > MOST_DAMPING => return Some(values.into()),
                None => damping *= 8.0,
            }
        };
        let gain = (system.errors - lower.errors) / system.errors;
        (values, system) = (next, lower);
        if gain < LEAST_GAIN {
            return Some(values.into());
        }
        damping = (damping / 10.0).max(1e-14);
    }
    None
}

/// The normal equations at values of the parameters.
struct System {
    /// Sum of squared errors.
    errors: f64,
    /// Half its gradient.
    gradient: Parameters,
    /// Products of the columns of derivatives with each other.
    products: [Parameters; 4],
}

impl System {
    fn at(values: Parameters, points: &[(f64, f64)]) -> Self {
        let sigmoid = Sigmoid::from(values);
        let mut system = Self { errors: 0.0, gradient: [0.0; 4], products: [[0.0; 4]; 4] };
        for &(x, y) in points {
            let (value, derivatives) = sigmoid.with_derivatives(x);
            let error = value - y;
            system.errors += error * error;
            for (row, by_row) in derivatives.into_iter().enumerate() {
                system.gradient[row] += error * by_row;
                for (column, by_column) in derivatives.into_iter().enumerate() {
                    system.products[row][column] += by_row * by_column;
                }
            }
        }
        system
    }

    /// Which parameters are not held at a bound.
    fn free(&self, values: Parameters, bounds: &Bounds) -> [bool; 4] {
        std::array::from_fn(|index| {
            let (value, slope) = (values[index], self.gradient[index]);
            let is_held = (value <= bounds.low[index] && slope > 0.0)
                || (value >= bounds.high[index] && slope < 0.0);
            !is_held
        })
    }

    /// The damped step of the free parameters, by Cholesky's decomposition; none where the
    /// equations have no solution.
    fn step(&self, free: [bool; 4], damping: f64, scales: Parameters) -> Option<Parameters> {
        // Columns of unit length make a decomposition that rounds least.
        let unit = scales.map(|scale| if scale > 0.0 { scale.sqrt().recip() } else { 1.0 });
        let mut factor = [[0.0; 4]; 4];
        let mut solved = [0.0; 4];
        for row in 0..4 {
            for column in 0..=row {
                let is_free = free[row] && free[column];
                let product = self.products[row][column] * unit[row] * unit[column];
                let mut rest = if is_free { product } else { 0.0 };
                if row == column {
                    rest += if is_free { damping } else { 1.0 };
                }
                rest -= (0..column).map(|k| factor[row][k] * factor[column][k]).sum::<f64>();
                factor[row][column] = match row == column {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return None,
                    false => rest / factor[column][column],
                };
            }
            let wanted = if free[row] { -self.gradient[row] * unit[row] } else { 0.0 };
            let known = (0..row).map(|k| factor[row][k] * solved[k]).sum::<f64>();
            solved[row] = (wanted - known) / factor[row][row];
        }
        for row in (0..4).rev() {
            let known = (row + 1..4).map(|k| factor[k][row] * solved[k]).sum::<f64>();
            solved[row] = (solved[row] - known) / factor[row][row];
        }
        let step: Parameters = std::array::from_fn(|index| solved[index] * unit[index]);
        step.iter().all(|value| value.is_finite()).then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Sigmoid = Sigmoid { height: 3.0, slope: 1.5, midpoint: 4.0, floor: -1.0 };

    fn values(sigmoid: &Sigmoid) -> Parameters {
        [sigmoid.height, sigmoid.slope, sigmoid.midpoint, sigmoid.floor]
    }

    fn points(sigmoid: Sigmoid) -> Vec<(f64, f64)> {
        let at = |x: u32| f64::from(x) * 0.7;
        (0..12).map(|x| (at(x), sigmoid.with_derivatives(at(x)).0)).collect()
    }

    #[test]
    fn derivatives_are_those_of_finite_differences() {
        let (x, width) = (3.2, 1e-6);
        let (_, derivatives) = SHAPE.with_derivatives(x);
        for (index, derivative) in derivatives.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = values(&SHAPE);
                moved[index] += by;
                Sigmoid::from(moved).with_derivatives(x).0
            };
            let difference = (moved(width) - moved(-width)) / (2.0 * width);
            assert!((derivative - difference).abs() < 1e-8, "{index}: {derivative}");
        }
    }

    #[test]
    fn a_sigmoid_is_found_from_its_points_and_where_it_reaches_a_value() {
        let found = fit(&points(SHAPE), [2.0, 1.0, 3.0, 0.0], &Bounds::NONE).unwrap();
        for (found, expected) in values(&found).into_iter().zip(values(&SHAPE)) {
            assert!((found - expected).abs() < 1e-7, "{found}, not {expected}");
        }
        // Half-way between floor and height at the midpoint.
        assert!((SHAPE.crossing(0.5).unwrap() - 4.0).abs() < 1e-12);
        let x = SHAPE.crossing(1.0).unwrap();
        assert!((SHAPE.with_derivatives(x).0 - 1.0).abs() < 1e-12);
        assert_eq!([-1.0, 2.0, 5.0].map(|value| SHAPE.crossing(value)), [None; 3]);
    }

    /// At a bound the errors fall only outwards, and do not change with what is free.
    #[test]
    fn bounds_are_kept_and_the_rest_is_the_best_within_them() {
        let bounds = Bounds { low: [0.0, 0.0, 0.0, -0.4], high: [2.0, 9.0, 9.0, 9.0] };
        let points = points(SHAPE);
        let found = values(&fit(&points, [1.0, 1.0, 3.0, 0.0], &bounds).unwrap());
        assert_eq!((found[0], found[3]), (2.0, -0.4));
        let gradient = System::at(found, &points).gradient;
        assert!(gradient[0] < -0.01 && gradient[3] > 0.01, "{gradient:?}");
        assert!(gradient[1].abs() < 1e-5 && gradient[2].abs() < 1e-5, "{gradient:?}");
    }

    #[test]
    fn values_that_are_not_finite_have_no_fit() {
        let points = [(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0)];
        assert_eq!(fit(&points, [1.0, 1.0, 2.0, 0.0], &Bounds::NONE), None);
    }
}
