//! Axes: where values are, and which of them are labelled.

use libm::{ceil, floor, log10, pow};

use crate::Best;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances are equal differences.
    Linear,
    /// Equal distances are equal ratios; only positive values have a place.
    Log,
}

/// An axis of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// What the numbers are, with their unit.
    pub title: String,
    /// How they become places.
    pub scale: Scale,
}

impl Axis {
    /// A linear axis.
    pub fn linear(title: impl Into<String>) -> Self {
        Self { title: title.into(), scale: Scale::Linear }
    }

    /// A logarithmic axis.
    pub fn log(title: impl Into<String>) -> Self {
        Self { title: title.into(), scale: Scale::Log }
    }
}

impl Scale {
    /// Whether a value has a place on an axis. Beyond 1e300 differences have none.
    pub fn has(self, value: f64) -> bool {
        match self {
            Self::Linear => value.abs() <= 1e300,
            Self::Log => (1e-300..=1e300).contains(&value),
        }
    }
}

/// An axis with its ends and its labels.
#[derive(Clone, Debug)]
pub(crate) struct Ruler {
    low: f64,
    high: f64,
    scale: Scale,
    /// Values and their labels.
    pub(crate) ticks: Vec<(f64, String)>,
    /// Values of lines without a label.
    pub(crate) minor: Vec<f64>,
}

impl Ruler {
    /// An axis that holds all values that have a place on it, with about `labels` labels.
    pub(crate) fn of(scale: Scale, values: impl IntoIterator<Item = f64>, labels: usize) -> Self {
        let values = values.into_iter().filter(|&value| scale.has(value));
        let ends = values.fold(None, |ends, value| match ends {
            None => Some((value, value)),
            Some((low, high)) => Some((value.min(low), value.max(high))),
        });
        match scale {
            Scale::Linear => Self::linear(ends.unwrap_or((0.0, 1.0)), labels),
            Scale::Log => Self::log(ends.unwrap_or((1.0, 10.0)), labels),
        }
    }

    /// A place for each of some names.
    pub(crate) fn of_names(names: &[String]) -> Self {
        let ticks = names.iter().enumerate().map(|(index, name)| (index as f64, name.clone()));
        Self {
            low: -0.5,
            high: names.len().max(1) as f64 - 0.5,
            scale: Scale::Linear,
            ticks: ticks.collect(),
            minor: Vec::new(),
        }
    }

    /// An axis of whole numbers.
    pub(crate) fn of_counts(values: impl IntoIterator<Item = u64>) -> Self {
        let mut ruler = Self::of(Scale::Linear, values.into_iter().map(|value| value as f64), 6);
        ruler.ticks.retain(|(value, _)| *value >= 0.0 && value.fract() == 0.0);
        for (value, label) in &mut ruler.ticks {
            if label.contains('.') && *value < 1e4 {
                *label = format!("{value:.0}");
            }
        }
        ruler
    }

    fn linear(ends: (f64, f64), labels: usize) -> Self {
        let (low, high) = widened(ends);
        let step = nice_step((high - low) / labels.max(1) as f64);
        let (low, high) = (low - 0.03 * (high - low), high + 0.03 * (high - low));
        let ticks = linear_ticks(low, high, step);
        Self { low, high, scale: Scale::Linear, ticks, minor: Vec::new() }
    }

    fn log((low, high): (f64, f64), labels: usize) -> Self {
        let (low, high) = match low < high * (1.0 - 1e-9) {
            true => (log10(low), log10(high)),
            false => (log10(low) - 0.3, log10(high) + 0.3),
        };
        let margin = 0.03 * (high - low);
        let (low, high) = (pow(10.0, low - margin), pow(10.0, high + margin));
        let (ticks, minor) = log_ticks(low, high, labels);
        Self { low, high, scale: Scale::Log, ticks, minor }
    }

    /// An axis from exactly zero that holds all values, for lengths that begin there.
    pub(crate) fn from_zero(values: impl IntoIterator<Item = f64>, labels: usize) -> Self {
        let mut ruler = Self::of(Scale::Linear, values.into_iter().chain([0.0]), labels);
        if ruler.ticks.iter().all(|(value, _)| *value >= 0.0) {
            ruler.low = 0.0;
        }
        ruler
    }

    /// The place of a value: 0 at the lower end, 1 at the upper. What is beyond is at the end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => {
                let low = log10(self.low);
                (log10(value) - low) / (log10(self.high) - low)
            }
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }
}

/// Ends that differ by more than the rounding of a value.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    match high - low > 1e-9 * size && high - low > 1e-290 {
        true => (low, high),
        false if size > 1e-280 => (low - 0.1 * size, high + 0.1 * size),
        false => (-1.0, 1.0),
    }
}

/// The nearest of 1, 2 and 5 times a power of ten, by ratio.
fn nice_step(distance: f64) -> f64 {
    let power = pow(10.0, floor(log10(distance)));
    let times = distance / power;
    // Between two neighbours the border is the root of their product.
    let nice = [(1.0, 2.0), (2.0, 10.0), (5.0, 50.0)];
    let nice = nice.into_iter().find(|(_, border)| times * times <= border * (1.0 + 1e-9));
    nice.map_or(10.0, |(nice, _)| nice) * power
}

fn linear_ticks(low: f64, high: f64, step: f64) -> Vec<(f64, String)> {
    let (first, last) = (ceil(low / step - 1e-9), floor(high / step + 1e-9));
    let count = (last - first).clamp(0.0, 40.0) as usize;
    // Adding zero makes the negative zero positive.
    let values = (0..=count).map(|index| (first + index as f64) * step + 0.0);
    let largest = low.abs().max(high.abs());
    values.map(|value| (value, label(value, step, largest))).collect()
}

/// Powers of ten, or in a short range 1, 2 and 5 times those, or equal steps.
fn log_ticks(low: f64, high: f64, labels: usize) -> (Vec<(f64, String)>, Vec<f64>) {
    let (first, last) = (floor(log10(low)) as i32, ceil(log10(high)) as i32);
    let inside = |value: &f64| (low..=high).contains(value);
    let decades: Vec<f64> = (first..=last).map(|power| pow(10.0, f64::from(power))).collect();
    let times = |factors: &[f64]| -> Vec<f64> {
        decades
            .iter()
            .flat_map(|ten| factors.iter().map(move |by| by * ten))
            .filter(inside)
            .collect()
    };
    let whole = times(&[1.0]);
    let minor = match whole.len() <= 8 {
        true => times(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
        false => Vec::new(),
    };
    let every = whole.len().div_ceil(labels.max(1)).max(1);
    let thinned = |values: Vec<f64>, every: usize| -> Vec<(f64, String)> {
        let kept = values.into_iter().step_by(every);
        kept.map(|value| (value, label(value, value, value))).collect()
    };
    if whole.len() >= 3 {
        return (thinned(whole, every), minor);
    }
    for factors in [&[1.0, 3.0][..], &[1.0, 2.0, 5.0]] {
        let few = times(factors);
        if (3..=labels.max(3)).contains(&few.len()) {
            return (thinned(few, 1), minor);
        }
    }
    if whole.len() == 2 {
        return (thinned(whole, 1), minor);
    }
    let step = nice_step((high - low) / labels.max(1) as f64);
    (linear_ticks(low, high, step), Vec::new())
}

/// The values that an axis shows: those far beyond the others on the worse side, by three
/// interquartile ranges, are drawn at its end.
pub(crate) fn typical(best: Best, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> =
        values.into_iter().filter(|value| Scale::Linear.has(*value)).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    if sorted.len() < 8 {
        return sorted;
    }
    let (lower, upper) = (at(0.25), at(0.75));
    let far = 3.0 * (upper - lower);
    match best {
        Best::Lowest => sorted.retain(|value| *value <= upper + far),
        Best::Highest => sorted.retain(|value| *value >= lower - far),
    }
    sorted
}

/// A value with the digits of a step; large and small numbers are short.
pub(crate) fn label(value: f64, step: f64, largest: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let step = step.abs();
    if !(1e-3..1e15).contains(&largest) {
        let digits = (floor(log10(value.abs())) - floor(log10(step) + 1e-9)).clamp(0.0, 6.0);
        return format!("{value:.*e}", digits as usize);
    }
    let units = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")];
    let (unit, sign) = match units.into_iter().find(|(unit, _)| largest >= *unit) {
        Some((1e4, sign)) => (1e3, sign),
        Some(found) => found,
        None => (1.0, ""),
    };
    let decimals = (-floor(log10(step / unit) + 1e-9)).clamp(0.0, 9.0) as usize;
    format!("{:.decimals$}{sign}", value / unit)
}

/// A number of a caption or a mark, with four digits.
pub(crate) fn four_digits(value: f64) -> String {
    if !value.is_finite() {
        return crate::format::NOTHING.to_owned();
    }
    let size = value.abs();
    match size {
        0.0 => "0".to_owned(),
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.3e}"),
        _ => {
            let decimals = (3.0 - floor(log10(size))).clamp(0.0, 6.0) as usize;
            format!("{value:.decimals$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, values: &[f64]) -> Vec<String> {
        let ruler = Ruler::of(scale, values.iter().copied(), 6);
        ruler.ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn linear_axes_have_round_numbers() {
        assert_eq!(labels(Scale::Linear, &[0.0, 1.0]), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Scale::Linear, &[-3.0, 7.0]), ["-2", "0", "2", "4", "6"]);
        let steps = labels(Scale::Linear, &[0.0, 1_200_000.0]);
        assert_eq!(steps, ["0", "0.2 M", "0.4 M", "0.6 M", "0.8 M", "1.0 M", "1.2 M"]);
        assert_eq!(
            labels(Scale::Linear, &[1e-5, 3e-5]),
            ["1.0e-5", "1.5e-5", "2.0e-5", "2.5e-5", "3.0e-5"]
        );
        assert_eq!(
            labels(Scale::Linear, &[3.25, 3.27]),
            ["3.250", "3.255", "3.260", "3.265", "3.270"]
        );
    }

    #[test]
    fn logarithmic_axes_have_powers_of_ten_or_their_parts() {
        let words = labels(Scale::Log, &[1e5, 1e8]);
        assert_eq!(words, ["100 k", "1 M", "10 M", "100 M"]);
        assert_eq!(labels(Scale::Log, &[1e-4, 1e-2]), ["1e-4", "0.001", "0.01"]);
        assert_eq!(labels(Scale::Log, &[2.0, 30.0]), ["3", "10", "30"]);
        assert_eq!(labels(Scale::Log, &[3.1, 3.6]), ["3.1", "3.2", "3.3", "3.4", "3.5", "3.6"]);
        let few = Ruler::of(Scale::Log, [0.02, 1.4], 3).ticks;
        assert_eq!(few.into_iter().map(|(_, label)| label).collect::<Vec<_>>(), ["0.1", "1"]);
    }

    #[test]
    fn every_input_makes_an_axis() {
        let extremes = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, -1e300, 1e300, 0.0];
        let mut cases: Vec<Vec<f64>> = vec![vec![], extremes.to_vec(), vec![1e9, 1e9 + 1e-7]];
        cases.extend(extremes.map(|value| vec![value]));
        cases.extend([vec![5e-324, 1e-310], vec![7.0; 3], vec![-1e-300, 1e-300]]);
        for values in cases {
            for scale in [Scale::Linear, Scale::Log] {
                let ruler = Ruler::of(scale, values.iter().copied(), 6);
                assert!(ruler.ticks.len() < 50, "{values:?}");
                assert!(ruler.low.is_finite() && ruler.high > ruler.low, "{values:?}: {ruler:?}");
                for value in values.iter().chain(&[1.0]) {
                    assert!((0.0..=1.0).contains(&ruler.place(*value)), "{values:?} {value}");
                }
            }
        }
    }

    #[test]
    fn values_are_where_they_belong() {
        let ruler = Ruler::of(Scale::Log, [1.0, 100.0], 6);
        assert!((ruler.place(10.0) - 0.5).abs() < 1e-12);
        assert!((ruler.place(1.0) - 0.03 / 1.06).abs() < 1e-12);
        let ruler = Ruler::of(Scale::Linear, [0.0, 10.0], 6);
        assert!((ruler.place(5.0) - 0.5).abs() < 1e-12);
        assert_eq!(Ruler::from_zero([1.0, 2.0], 5).place(0.0), 0.0);
    }

    #[test]
    fn four_digits_are_four_digits() {
        let cases = [(2.23607, "2.236"), (52.25, "52.25"), (1e-5, "1.000e-5"), (0.0, "0")];
        for (value, expected) in cases {
            assert_eq!(four_digits(value), expected);
        }
    }
}
