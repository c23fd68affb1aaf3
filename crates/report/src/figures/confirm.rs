//! The results of a search against those of the same settings with fresh seeds.

use super::canvas::{Canvas, Spot};
use super::chart::Chart;
use super::frame::Legend;
use super::scale::{Ruler, Scale};
use super::style::{BESIDE, Ink, NORMAL, SMALL, fitted};
use super::{Figure, caption, number, number_or_empty};

/// Settings that were trained again.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirmed {
    /// Their name, such as `trial 12`.
    pub label: String,
    /// Their result in the search.
    pub search: Option<f64>,
    /// Results with fresh seeds.
    pub values: Vec<f64>,
    /// Mean of the results with fresh seeds.
    pub mean: Option<f64>,
    /// Standard deviation of the results with fresh seeds.
    pub deviation: Option<f64>,
    /// Whether the others are compared with them.
    pub is_baseline: bool,
}

impl Confirmed {
    /// The mean where it has a place.
    fn place(&self) -> Option<f64> {
        self.mean.filter(|mean| Scale::Linear.has(*mean))
    }

    /// The mean with one standard deviation to both sides.
    fn ends(&self) -> Option<[f64; 2]> {
        let spread = self.deviation.filter(|spread| Scale::Linear.has(*spread));
        let spread = spread.unwrap_or(0.0).abs();
        self.place().map(|mean| [mean - spread, mean + spread])
    }
}

/// A row for each settings: the search's result, every confirmed one, and their mean with one
/// standard deviation to both sides. The mean of the baseline is a line through all rows.
pub fn confirm(title: &str, value: &str, rows: &[Confirmed]) -> Figure {
    let all = rows.iter().flat_map(|row| {
        row.values.iter().copied().chain(row.search).chain(row.ends().into_iter().flatten())
    });
    let all: Vec<f64> = all.collect();
    let names: Vec<String> =
        rows.iter().rev().map(|row| fitted(&row.label, BESIDE, SMALL)).collect();
    let height = 30.0 * rows.len().max(4) as f64 + 2.0 * NORMAL + SMALL + 40.0;
    let mut chart = Chart::new(
        Legend::new(["in the search", "fresh seeds", "mean ± 1 sd", "baseline's mean"]),
        height,
        Ruler::of(Scale::Linear, all.iter().copied(), 5),
        Ruler::of_names(&names),
        (value, ""),
    );
    let baseline = rows.iter().find(|row| row.is_baseline).and_then(Confirmed::place);
    if let Some(mean) = baseline {
        let (x, frame) = (chart.frame.across(mean), &chart.frame);
        draw_baseline(&mut chart.canvas, x, frame.top, frame.bottom);
    }
    for (index, row) in rows.iter().rev().enumerate() {
        draw_row(&mut chart, index, row);
    }
    let left_out = all.iter().filter(|value| !Scale::Linear.has(**value)).count();
    let canvas = chart.finish(left_out < all.len(), draw_sign);
    let columns = ["settings", "in the search", "mean", "standard deviation", "fresh seeds"];
    Figure::new(title, caption("", left_out), canvas, &columns)
        .with_rows(rows.iter().map(row).collect())
}

/// Settings as a row of the figure.
fn row(row: &Confirmed) -> Vec<String> {
    let values: Vec<String> = row.values.iter().copied().map(number).collect();
    let numbers = [row.search, row.mean, row.deviation].map(number_or_empty);
    [row.label.clone()].into_iter().chain(numbers).chain([values.join(" ")]).collect()
}

/// The results of settings, on a line.
fn draw_row(chart: &mut Chart, index: usize, row: &Confirmed) {
    let Chart { canvas, frame, .. } = chart;
    let at = |value: f64| frame.at(value, index as f64);
    if let (Some(mean), Some(ends)) = (row.place(), row.ends()) {
        draw_mean(canvas, at(mean), ends.map(at));
    }
    for value in row.values.iter().filter(|value| Scale::Linear.has(**value)) {
        draw_fresh(canvas, at(*value));
    }
    if let Some(value) = row.search.filter(|value| Scale::Linear.has(*value)) {
        draw_search(canvas, at(value));
    }
}

/// The sign of each entry of the legend.
fn draw_sign(canvas: &mut Canvas, index: usize, (x, y): Spot) {
    match index {
        0 => draw_search(canvas, (x, y)),
        1 => draw_fresh(canvas, (x, y)),
        2 => draw_mean(canvas, (x, y), [(x - 8.0, y), (x + 8.0, y)]),
        _ => draw_baseline(canvas, x, y - 7.0, y + 7.0),
    }
}

fn draw_search(canvas: &mut Canvas, at: Spot) {
    canvas.marker(3, at, Ink::of_series(1));
}

fn draw_fresh(canvas: &mut Canvas, at: Spot) {
    canvas.dot(at, 2.75, Ink::of_series(5));
}

fn draw_mean(canvas: &mut Canvas, (x, y): Spot, ends: [Spot; 2]) {
    canvas.line(ends.to_vec(), Ink::of_series(0), 1.75);
    canvas.line(vec![(x, y - 6.0), (x, y + 6.0)], Ink::of_series(0), 2.5);
}

fn draw_baseline(canvas: &mut Canvas, x: f64, top: f64, bottom: f64) {
    canvas.line(vec![(x, top), (x, bottom)], Ink::FAINT, 1.25);
}
