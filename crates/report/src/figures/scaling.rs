//! Loss against the number of words, on a logarithmic axis (BabyLlama-2, arXiv 2409.17312,
//! figure 3).

use super::canvas::{Canvas, Spot};
use super::frame::{Frame, Legend};
use super::scale::{Ruler, Scale};
use super::style::{HEIGHT, WIDTH};
use super::{Figure, Palette, caption, distinct, note_nothing, number, number_or_empty};

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
    let spread = |point: &ScalingPoint| {
        point.deviation.filter(|spread| Scale::Linear.has(*spread)).unwrap_or(0.0).abs()
    };
    let series = distinct(points.iter().map(|point| point.series.as_str()));
    let palette = palette.with(series.iter().copied());
    let legend = Legend::new(series.iter().copied());
    let ends =
        drawn.iter().flat_map(|point| [point.loss - spread(point), point.loss + spread(point)]);
    let frame = Frame::new(
        (0.0, 0.0),
        (WIDTH - legend.width(), HEIGHT),
        Ruler::of(Scale::Log, drawn.iter().map(|point| point.words), 6),
        Ruler::of(Scale::Linear, ends, 6),
        (x, y),
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT + legend.height());
    frame.draw(&mut canvas);
    for name in &series {
        let (marker, ink) = (palette.marker(name), palette.ink(name));
        let mut of_series: Vec<&&ScalingPoint> =
            drawn.iter().filter(|point| point.series == *name).collect();
        of_series.sort_by(|a, b| a.words.total_cmp(&b.words));
        let spots: Vec<Spot> =
            of_series.iter().map(|point| frame.at(point.words, point.loss)).collect();
        for (point, &(x, _)) in
            of_series.iter().zip(&spots).filter(|(point, _)| spread(point) > 0.0)
        {
            let [low, high] = [-1.0, 1.0].map(|sign| frame.down(point.loss + sign * spread(point)));
            canvas.line(vec![(x, low), (x, high)], ink, 1.25);
            for y in [low, high] {
                canvas.line(vec![(x - 3.5, y), (x + 3.5, y)], ink, 1.25);
            }
        }
        spots.iter().for_each(|&spot| canvas.marker(marker, spot, ink));
        if spots.len() > 1 {
            canvas.line(spots, ink, 1.5);
        }
    }
    if drawn.is_empty() {
        note_nothing(&mut canvas, &frame);
    }
    legend.draw(&mut canvas, (frame.right + 12.0, frame.top), |canvas, index, (x, y)| {
        let (marker, ink) = (palette.marker(series[index]), palette.ink(series[index]));
        canvas.line(vec![(x - 8.0, y), (x + 8.0, y)], ink, 1.5);
        canvas.marker(marker, (x, y), ink);
    });
    let text = match drawn.iter().any(|point| spread(point) > 0.0) {
        true => "Bars: one standard deviation to both sides.",
        false => "",
    };
    let row = |point: &ScalingPoint| {
        let deviation = number_or_empty(point.deviation);
        vec![point.series.clone(), number(point.words), number(point.loss), deviation]
    };
    let rows = points.iter().map(row).collect();
    let columns = ["series", x, y, "standard deviation"];
    let left_out = points.len() - drawn.len();
    Figure::new(title, caption(text, left_out), canvas, &columns).with_rows(rows)
}
