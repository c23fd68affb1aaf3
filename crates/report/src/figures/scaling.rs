//! Loss against the number of words, on a logarithmic axis (BabyLlama-2, arXiv 2409.17312,
//! figure 3).

use super::canvas::Spot;
use super::chart::{Chart, draw_sample};
use super::frame::Legend;
use super::scale::{Ruler, Scale};
use super::style::{HEIGHT, Ink};
use super::{Figure, Palette, caption, distinct, number, number_or_empty};

/// A loss by the number of words.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingPoint {
    /// What is joined by a line, such as models of one family.
    pub series: String,
    /// Words of the text.
    pub words: f64,
    /// The loss, or the mean of several.
    pub loss: f64,
    /// Standard deviation between several models.
    pub deviation: Option<f64>,
}

impl ScalingPoint {
    /// One standard deviation; 0 where there is none.
    fn spread(&self) -> f64 {
        self.deviation.filter(|spread| Scale::Linear.has(*spread)).unwrap_or(0.0).abs()
    }
}

/// A line for each series, with one standard deviation to both sides of its points.
pub fn scaling(
    title: &str,
    x: &str,
    y: &str,
    points: &[ScalingPoint],
    palette: &Palette,
) -> Figure {
    let has = |point: &&ScalingPoint| Scale::Log.has(point.words) && Scale::Linear.has(point.loss);
    let drawn: Vec<&ScalingPoint> = points.iter().filter(has).collect();
    let series = distinct(points.iter().map(|point| point.series.as_str()));
    let palette = palette.with(series.iter().copied());
    let ends = drawn.iter().flat_map(|it| [it.loss - it.spread(), it.loss + it.spread()]);
    let mut chart = Chart::new(
        Legend::new(series.iter().copied()),
        HEIGHT,
        Ruler::of(Scale::Log, drawn.iter().map(|point| point.words), 6),
        Ruler::of(Scale::Linear, ends, 6),
        (x, y),
    );
    for name in &series {
        let mut of_series = drawn.clone();
        of_series.retain(|point| point.series == *name);
        of_series.sort_by(|a, b| a.words.total_cmp(&b.words));
        draw_series(&mut chart, &of_series, palette.marker(name), palette.ink(name));
    }
    let canvas = chart.finish(!drawn.is_empty(), |canvas, index, at| {
        let ink = palette.ink(series[index]);
        draw_sample(canvas, at, ink, 1.5);
        canvas.marker(palette.marker(series[index]), at, ink);
    });
    let text = match drawn.iter().any(|point| point.spread() > 0.0) {
        true => "Bars: one standard deviation to both sides.",
        false => "",
    };
    let columns = ["series", x, y, "standard deviation"];
    Figure::new(title, caption(text, points.len() - drawn.len()), canvas, &columns)
        .with_rows(points.iter().map(row).collect())
}

/// A point as a row of the figure.
fn row(point: &ScalingPoint) -> Vec<String> {
    let deviation = number_or_empty(point.deviation);
    vec![point.series.clone(), number(point.words), number(point.loss), deviation]
}

/// The points of a series, which are sorted by their words, on a line.
fn draw_series(chart: &mut Chart, points: &[&ScalingPoint], marker: usize, ink: Ink) {
    let Chart { canvas, frame, .. } = chart;
    for point in points.iter().filter(|point| point.spread() > 0.0) {
        let x = frame.across(point.words);
        let [low, high] = [-1.0, 1.0].map(|sign| frame.down(point.loss + sign * point.spread()));
        canvas.line(vec![(x, low), (x, high)], ink, 1.25);
        for y in [low, high] {
            canvas.line(vec![(x - 3.5, y), (x + 3.5, y)], ink, 1.25);
        }
    }
    let spots: Vec<Spot> = points.iter().map(|point| frame.at(point.words, point.loss)).collect();
    spots.iter().for_each(|&spot| canvas.marker(marker, spot, ink));
    if spots.len() > 1 {
        canvas.line(spots, ink, 1.5);
    }
}
