//! Curves of a quantity along the training, one for each model.

use serde_json::{Value, json};

use crate::Figure;
use crate::figures::Ink;
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
}

impl Axis {
    /// All of them, in the order of [`Series::x`].
    pub const ALL: [Self; 4] = [Self::Step, Self::Epoch, Self::Tokens, Self::Seconds];

    /// The name in the page's data.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Tokens => "tokens",
            Self::Seconds => "seconds",
        }
    }
}

/// One quantity of several models.
#[derive(Clone, Debug)]
pub struct Curves {
    /// The stem of its files: lower-case ASCII letters, digits and hyphens.
    pub name: String,
    /// What it shows.
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
    /// The same as a drawing, for readers without scripts, for paper and for files.
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
    /// Where its points are on each of [`Axis::ALL`], in ascending order.
    pub x: [Vec<f64>; 4],
    /// Its values; what is not finite is a gap.
    pub y: Vec<f64>,
}

impl Curves {
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

/// Numbers with seven digits, more than a screen has points; null for what is not finite.
fn numbers(values: &[f64]) -> Value {
    let number = |&value: &f64| match value {
        value if !value.is_finite() => Value::Null,
        value if value.fract() == 0.0 && value.abs() < 1e15 => json!(value as i64),
        value => match format!("{value:.6e}").parse::<f64>() {
            Ok(rounded) => json!(rounded),
            Err(_) => Value::Null,
        },
    };
    values.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_seven_digits_and_gaps() {
        let values = [3.0, 0.123456789, 1234567890123.0, -2.5e-9, f64::NAN, f64::INFINITY];
        let expected = "[3,0.1234568,1234567890123,-2.5e-9,null,null]";
        assert_eq!(numbers(&values).to_string(), expected);
    }
}
