//! Curves of one line of text.

/// The letters of a curve, from its lowest number to its highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Letters {
    /// Block elements of Unicode: `▁▂▃▄▅▆▇█`.
    #[default]
    Blocks,
    /// For terminals without them: `_.-:=+*#`.
    Ascii,
}

/// In place of a number that is not finite.
const NOT_FINITE: char = '!';

impl Letters {
    fn all(self) -> [char; 8] {
        match self {
            Self::Blocks => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Self::Ascii => ['_', '.', '-', ':', '=', '+', '*', '#'],
        }
    }
}

/// A curve of at most `width` letters. More numbers than that are put together by their means; a
/// group with a number that is not finite is shown as `!`.
pub fn sparkline(numbers: &[f64], width: usize, letters: Letters) -> String {
    let width = width.min(numbers.len());
    let group = |index: usize| {
        let bounds = [index, index + 1].map(|index| index * numbers.len() / width);
        let group = &numbers[bounds[0]..bounds[1]];
        // Divided first, so that no sum overflows.
        group.iter().map(|number| number / group.len() as f64).sum::<f64>()
    };
    let means: Vec<f64> = (0..width).map(group).collect();
    let finite = || means.iter().copied().filter(|mean| mean.is_finite());
    let (low, high) = (finite().fold(f64::MAX, f64::min), finite().fold(f64::MIN, f64::max));
    let letter = |mean: f64| {
        if !mean.is_finite() {
            return NOT_FINITE;
        }
        // Halves, so that the difference of the largest numbers is finite.
        let height = match low < high {
            true => (mean / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
            false => 0.0,
        };
        letters.all()[((height * 8.0) as usize).min(7)]
    };
    means.into_iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_from_the_lowest_to_the_highest() {
        let rising: Vec<f64> = (0..8).map(f64::from).collect();
        assert_eq!(sparkline(&rising, 80, Letters::Blocks), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&rising, 80, Letters::Ascii), "_.-:=+*#");
        assert_eq!(sparkline(&[3.0, 1.0, 2.0], 80, Letters::Ascii), "#_=");
        assert_eq!(sparkline(&[f64::MAX, f64::MIN, 0.0], 80, Letters::Ascii), "#_=");
    }

    #[test]
    fn more_numbers_than_letters_are_put_together() {
        // Groups of 2 and 3: means 9, 5, 1.
        let numbers = [8.0, 10.0, 5.0, 5.0, 5.0, 0.0, 1.0, 2.0];
        assert_eq!(sparkline(&numbers, 3, Letters::Ascii), "#=_");
        assert_eq!(sparkline(&numbers, 1, Letters::Ascii), "_");
        assert_eq!(sparkline(&vec![1.0; 1000], 60, Letters::Blocks).chars().count(), 60);
        assert_eq!(sparkline(&[1e308; 9], 3, Letters::Ascii), "___");
    }

    #[test]
    fn nothing_and_no_numbers_have_their_own_signs() {
        assert_eq!(sparkline(&[], 10, Letters::Blocks), "");
        assert_eq!(sparkline(&[1.0], 0, Letters::Blocks), "");
        assert_eq!(sparkline(&[2.0, f64::NAN, 1.0, f64::INFINITY], 10, Letters::Ascii), "#!_!");
        assert_eq!(sparkline(&[f64::NAN], 10, Letters::Ascii), "!");
    }
}
