//! Figures: functions of rows to SVG. Each figure keeps the rows that it was drawn from, so that
//! others can draw them in their own way. The same rows give the same bytes.
//!
//! Values that are not finite (or not positive, on a logarithmic axis) are left out, and counted
//! in the caption.

mod bars;
mod canvas;
mod chart;
mod confirm;
mod curves;
mod fit;
mod folder;
mod frame;
mod history;
mod importance;
mod palette;
mod parallel;
mod png;
mod scale;
mod scaling;
mod setting;
mod slices;
mod style;
mod violin;

pub use bars::{Bar, bars};
pub use confirm::{Confirmed, confirm};
pub use curves::{Curve, curves};
pub use fit::{FitPoint, LeastSquares, fit, least_squares};
pub use folder::{Formats, write_folder};
pub use history::{Ending, HistoryTrial, history};
pub use importance::{ImportanceBar, importance};
pub use palette::Palette;
pub use parallel::{ParallelLine, parallel};
pub use scale::{Axis, Scale};
pub use scaling::{ScalingPoint, scaling};
pub use setting::{Kind, Setting, SettingAxis};
pub use slices::{SlicePoint, slices};
pub use violin::{Mark, Violin, ViolinScore, violin};

pub(crate) use canvas::escaped;
use canvas::{Anchor, Canvas, Spot};
pub(crate) use style::Ink;

use crate::csv;

/// One drawn figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The stem of its files: lower-case ASCII letters, digits and hyphens.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What a reader needs to know to read it; empty where the title suffices.
    pub caption: String,
    /// The drawing. Its ink is `currentColor` and its background transparent, so that a page can
    /// show it in its own colors.
    pub svg: String,
    /// The names of the columns of `rows`.
    pub columns: Vec<String>,
    /// What was drawn.
    pub rows: Vec<Vec<String>>,
}

impl Figure {
    /// A figure whose files are named by its title.
    fn new(title: &str, caption: String, canvas: Canvas, columns: &[&str]) -> Self {
        Self {
            name: file_stem(title),
            title: title.to_owned(),
            caption,
            svg: canvas.into_svg(title),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    fn with_rows(self, rows: Vec<Vec<String>>) -> Self {
        Self { rows, ..self }
    }

    /// Its rows as CSV (RFC 4180, with line feeds).
    pub fn to_csv(&self) -> String {
        let lines = std::iter::once(&self.columns).chain(&self.rows);
        lines.map(|cells| csv::line(cells.iter().map(String::as_str))).collect()
    }
}

/// The longest stem of a file's name.
const LONGEST_STEM: usize = 80;

/// A stem for files of any title: lower-case ASCII letters, digits and single hyphens, and no name
/// that an operating system keeps for itself.
pub fn file_stem(title: &str) -> String {
    let mut stem = String::new();
    for letter in title.chars().map(|letter| letter.to_ascii_lowercase()) {
        match letter.is_ascii_lowercase() || letter.is_ascii_digit() {
            true => stem.push(letter),
            false if !stem.is_empty() && !stem.ends_with('-') => stem.push('-'),
            false => {}
        }
        if stem.len() >= LONGEST_STEM {
            break;
        }
    }
    let stem = stem.trim_end_matches('-');
    let device = |name: &str| {
        let numbered = name.strip_prefix("com").or(name.strip_prefix("lpt"));
        ["con", "prn", "aux", "nul"].contains(&name) || numbered.is_some_and(|rest| rest.len() == 1)
    };
    match stem {
        "" => "figure".to_owned(),
        stem if device(stem) => format!("figure-{stem}"),
        stem => stem.to_owned(),
    }
}

/// A number of a row: as many digits as tell it from its neighbours.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && !(1e-5..1e16).contains(&size) => format!("{value:e}"),
        _ => value.to_string(),
    }
}

/// A number of a row, empty for none.
fn number_or_empty(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

/// A caption with a sentence on what is left out.
fn caption(text: &str, left_out: usize) -> String {
    let sentence = match left_out {
        0 => return text.to_owned(),
        1 => "One value without a place on its axis (not finite, or not positive on a logarithmic \
              axis) is left out."
            .to_owned(),
        count => format!(
            "{count} values without a place on their axes (not finite, or not positive on a \
             logarithmic axis) are left out."
        ),
    };
    [text, &sentence].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// Different names in the order in which they first come.
fn distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().filter(|name| seen.insert(*name)).collect()
}

/// Writes that there is nothing to draw.
fn note_nothing(canvas: &mut Canvas, middle: Spot, size: f64) {
    canvas.text_in("no values", middle, Anchor::Middle, size, Ink::FAINT);
}

#[cfg(test)]
mod gallery;
#[cfg(test)]
mod tests;
