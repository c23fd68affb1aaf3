//! Curves of a quantity along the training, one for each model.

use serde_json::{Value, json};

use crate::Figure;
use crate::figures::{Ink, number};
use crate::format::visible;

/// What curves are drawn against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Steps done.
    Step,
    /// Epochs done.
    Epoch,
    /// Tokens of all steps so far.
    Tokens,
    /// Time in steps so far, in seconds.
    Seconds,
    /// Floating-point operations so far, and all those of the teachers.
    Flops,
}

impl Axis {
    /// All of them, in the order of [`Series::x`].
    pub const ALL: [Self; 5] = [Self::Step, Self::Epoch, Self::Tokens, Self::Seconds, Self::Flops];

    /// The name in the page's data.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Tokens => "tokens",
            Self::Seconds => "seconds",
            Self::Flops => "flops",
        }
    }
}

/// One quantity of several models.
#[derive(Clone, Debug)]
pub struct Curves {
    /// What it shows. Its files and its place in the page have the stem of it.
    pub title: String,
    /// What a reader needs to know to read it; may be empty.
    pub caption: String,
    /// Whether the vertical axis is logarithmic at first.
    pub is_log: bool,
    /// Whether its values are few measured ones, which are drawn as they are: smoothing would
    /// move them.
    pub is_measured: bool,
    /// The curves.
    pub series: Vec<Series>,
    /// The curves as a drawing, for readers without scripts, for paper and for files; see
    /// [`Curves::with_drawing`].
    pub figure: Option<Figure>,
}

/// One curve.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is: the model, with its run where there are several, or with a seed.
    pub name: String,
    /// The place of the model in the page's [`Palette`](crate::figures::Palette), by which it has
    /// its color.
    pub place: usize,
    /// Where its points are on each of [`Axis::ALL`], in ascending order; what is not finite is
    /// not known.
    pub x: [Vec<f64>; 5],
    /// Its values; what is not finite is a gap.
    pub y: Vec<f64>,
}

impl Curves {
    /// The curves with a drawing, whose rows become those of all series, which the page saves as
    /// CSV.
    pub fn with_drawing(self, drawing: Figure) -> Self {
        let names = Axis::ALL.map(Axis::name);
        let columns = ["series"].into_iter().chain(names).chain(["value"]).map(str::to_owned);
        let rows = self.series.iter().flat_map(|series| {
            let columns: Vec<Vec<String>> =
                series.x.iter().chain([&series.y]).map(|values| texts(values)).collect();
            (0..series.y.len()).map(move |row| {
                let cells = columns.iter().map(|column| column.get(row).cloned());
                let cells = cells.map(Option::unwrap_or_default);
                [series.name.clone()].into_iter().chain(cells).collect()
            })
        });
        let figure = Some(Figure { columns: columns.collect(), rows: rows.collect(), ..drawing });
        Self { figure, ..self }
    }

    /// The form in which the page's script reads them.
    pub(super) fn to_value(&self) -> Value {
        // Series of one model have different dashes, and so has a color that comes again.
        let dash = |series: &Series| {
            let before = self.series.iter().take_while(|other| !std::ptr::eq(*other, series));
            let of_model = before.filter(|other| other.place == series.place).count();
            Ink::cycle(series.place) + of_model
        };
        let series = self.series.iter().map(|series| {
            let x = Axis::ALL.iter().zip(&series.x);
            let x = x.map(|(axis, values)| (axis.name().to_owned(), numbers(values)));
            json!({
                "name": visible(&series.name),
                // Null for the page's own color of text.
                "color": Ink::of_series(series.place).to_css(),
                "dash": dash(series),
                "x": x.collect::<serde_json::Map<_, _>>(),
                "y": numbers(&series.y),
            })
        });
        json!({
            "title": visible(&self.title),
            "log": self.is_log,
            "measured": self.is_measured,
            "series": series.collect::<Vec<_>>(),
        })
    }
}

/// A number with seven digits, more than a screen has points; whole ones have all. `None` of what
/// is not finite.
fn rounded(value: f64) -> Option<f64> {
    match value {
        value if !value.is_finite() => None,
        value if value.fract() == 0.0 && value.abs() < 1e15 => Some(value),
        value => format!("{value:.6e}").parse().ok(),
    }
}

/// Numbers for the page's script; null for what is not finite.
fn numbers(values: &[f64]) -> Value {
    let number = |&value: &f64| match rounded(value) {
        Some(whole) if whole.fract() == 0.0 && whole.abs() < 1e15 => json!(whole as i64),
        rounded => json!(rounded),
    };
    values.iter().map(number).collect()
}

/// Numbers as a file has them; empty for what is not finite.
fn texts(values: &[f64]) -> Vec<String> {
    // No file has a negative zero, as the script knows none.
    let text = |&value: &f64| rounded(value).map(|value| number(value + 0.0)).unwrap_or_default();
    values.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_seven_digits_and_gaps() {
        let values = [3.0, 0.123456789, 1234567890123.0, -2.5e-9, f64::NAN, f64::INFINITY];
        let expected = "[3,0.1234568,1234567890123,-2.5e-9,null,null]";
        assert_eq!(numbers(&values).to_string(), expected);
        let expected = ["3", "0.1234568", "1234567890123", "-2.5e-9", "", "", "0", "1e16"];
        let values = [&values[..], &[-0.0, 1e16]].concat();
        assert_eq!(texts(&values), expected);
    }
}
