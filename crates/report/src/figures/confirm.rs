//! The results of a search against those of the same settings with fresh seeds.

use super::canvas::Canvas;
use super::frame::{Frame, Legend};
use super::scale::{Ruler, Scale};
use super::style::{BESIDE, Ink, NORMAL, SMALL, WIDTH, fitted};
use super::{Figure, caption, note_nothing, number, number_or_empty};

/// Settings that were trained again.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirmed {
    /// Their name, such as `trial 12`.
    pub label: String,
    /// Their result in the search.
    pub search: Option<f64>,
    /// Results with fresh seeds.
    pub values: Vec<f64>,
    /// Mean of those.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub deviation: Option<f64>,
    /// Whether the others are compared with them.
    pub is_baseline: bool,
}

/// A row for each settings: the search's result, every confirmed one, and their mean with one
/// standard deviation to both sides. The mean of the baseline is a line through all rows.
pub fn confirm(title: &str, value: &str, rows: &[Confirmed]) -> Figure {
    let finite = |value: Option<f64>| value.filter(|value| Scale::Linear.has(*value));
    let spread = |row: &Confirmed| finite(row.deviation).unwrap_or(0.0).abs();
    let all = rows.iter().flat_map(|row| {
        let ends = finite(row.mean).map(|mean| [mean - spread(row), mean + spread(row)]);
        row.values.iter().copied().chain(row.search).chain(ends.into_iter().flatten())
    });
    let all: Vec<f64> = all.collect();
    let names: Vec<String> =
        rows.iter().rev().map(|row| fitted(&row.label, BESIDE, SMALL)).collect();
    let legend = Legend::new(["in the search", "fresh seeds", "mean ± 1 sd", "baseline's mean"]);
    let height = 30.0 * rows.len().max(4) as f64 + 2.0 * NORMAL + SMALL + 40.0;
    let mut canvas = Canvas::new(WIDTH, height);
    let frame = Frame::new(
        (0.0, 0.0),
        (WIDTH - legend.width(), height),
        Ruler::of(Scale::Linear, all.iter().copied(), 5),
        Ruler::of_names(&names),
        (value, ""),
    );
    frame.draw(&mut canvas);
    let baseline = rows.iter().find(|row| row.is_baseline).and_then(|row| finite(row.mean));
    if let Some(mean) = baseline {
        let x = frame.across(mean);
        canvas.line(vec![(x, frame.top), (x, frame.bottom)], Ink::FAINT, 1.25);
    }
    for (index, row) in rows.iter().rev().enumerate() {
        let y = frame.down(index as f64);
        let at = |value: f64| (frame.across(value), y);
        if let Some(mean) = finite(row.mean) {
            let ends = [mean - spread(row), mean + spread(row)].map(at);
            canvas.line(ends.to_vec(), Ink::of_series(0), 1.75);
            mark_mean(&mut canvas, at(mean));
        }
        for value in row.values.iter().filter(|value| Scale::Linear.has(**value)) {
            canvas.dot(at(*value), 2.75, Ink::of_series(5));
        }
        if let Some(value) = finite(row.search) {
            canvas.marker(3, at(value), Ink::of_series(1));
        }
    }
    if !all.iter().any(|value| Scale::Linear.has(*value)) {
        note_nothing(&mut canvas, &frame);
    }
    legend.draw(
        &mut canvas,
        (frame.right + 12.0, frame.top),
        |canvas, index, (x, y)| match index {
            0 => canvas.marker(3, (x, y), Ink::of_series(1)),
            1 => canvas.dot((x, y), 2.75, Ink::of_series(5)),
            2 => {
                canvas.line(vec![(x - 8.0, y), (x + 8.0, y)], Ink::of_series(0), 1.75);
                mark_mean(canvas, (x, y));
            }
            _ => canvas.line(vec![(x, y - 7.0), (x, y + 7.0)], Ink::FAINT, 1.25),
        },
    );
    let left_out = all.iter().filter(|value| !Scale::Linear.has(**value)).count();
    let row = |row: &Confirmed| {
        let values: Vec<String> = row.values.iter().copied().map(number).collect();
        let numbers = [row.search, row.mean, row.deviation].map(number_or_empty);
        [row.label.clone()].into_iter().chain(numbers).chain([values.join(" ")]).collect()
    };
    let table = rows.iter().map(row).collect();
    let columns = ["settings", "in the search", "mean", "standard deviation", "fresh seeds"];
    Figure::new(title, caption("", left_out), canvas, &columns).with_rows(table)
}

fn mark_mean(canvas: &mut Canvas, (x, y): (f64, f64)) {
    canvas.line(vec![(x, y - 6.0), (x, y + 6.0)], Ink::of_series(0), 2.5);
}
