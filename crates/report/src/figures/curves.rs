//! Training and held-out curves of many runs.

use super::canvas::{Canvas, Spot};
use super::chart::{Chart, draw_sample};
use super::frame::Legend;
use super::scale::{Axis, Ruler};
use super::style::{HEIGHT, Ink};
use super::{Figure, Palette, caption, distinct, number};
use crate::decimate;

/// One curve of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is, such as the model, or the model and a seed.
    pub name: String,
    /// The model; curves of one model have one color.
    pub model: String,
    /// Whether it was measured on held-out text, a few points that are marked, and not at every
    /// step of training.
    pub is_held_out: bool,
    /// Where and what was measured, in order.
    pub points: Vec<(f64, f64)>,
}

/// A drawing is this many pixels wide at most: two points for each.
const POINTS: usize = decimate::MOST_POINTS / 2;
/// Points of more are not marked one by one.
const MARKED: usize = 60;

/// Curves of any number of runs, each with at most 1,000 points: the lowest and highest of each
/// stretch.
pub fn curves(title: &str, x: &Axis, y: &Axis, curves: &[Curve], palette: &Palette) -> Figure {
    let is_drawn = |point: &(f64, f64)| x.scale.has(point.0) && y.scale.has(point.1);
    let kept: Vec<Vec<(f64, f64)>> =
        curves.iter().map(|curve| decimate::points(&curve.points, POINTS)).collect();
    let drawn = || kept.iter().flatten().copied().filter(is_drawn);
    let models = distinct(curves.iter().map(|curve| curve.model.as_str()));
    let palette = palette.with(models.iter().copied());
    let mut chart = Chart::new(
        Legend::new(models.iter().copied()),
        HEIGHT,
        Ruler::of(x.scale, drawn().map(|(x, _)| x), 6),
        Ruler::of(y.scale, drawn().map(|(_, y)| y), 6),
        (&x.title, &y.title),
    );
    // What is held out is few points, above the rest.
    for held_out in [false, true] {
        let of_part = curves.iter().zip(&kept).filter(|(curve, _)| curve.is_held_out == held_out);
        for (curve, points) in of_part {
            let ink = palette.ink(&curve.model);
            let stretches = points.split(|point| !is_drawn(point)).filter(|part| !part.is_empty());
            for stretch in stretches {
                let spots = stretch.iter().map(|&(x, y)| chart.frame.at(x, y)).collect();
                draw(&mut chart.canvas, spots, ink, held_out);
            }
        }
    }
    let canvas = chart.finish(drawn().next().is_some(), |canvas, index, at| {
        draw_sample(canvas, at, palette.ink(models[index]), 2.5);
    });
    let both =
        [false, true].iter().all(|part| curves.iter().any(|curve| curve.is_held_out == *part));
    let parts = if both { "Thin: training. With points: held-out text." } else { "" };
    let all = curves.iter().flat_map(|curve| &curve.points);
    let left_out = all.filter(|point| !is_drawn(point)).count();
    let rows = curves.iter().zip(&kept).flat_map(|(curve, points)| {
        let part = if curve.is_held_out { "held out" } else { "training" };
        let row = move |&(x, y): &(f64, f64)| {
            vec![curve.name.clone(), part.to_owned(), number(x), number(y)]
        };
        points.iter().filter(|point| is_drawn(point)).map(row)
    });
    let rows = rows.collect();
    let columns = ["model", "part", &x.title, &y.title];
    Figure::new(title, caption(parts, left_out), canvas, &columns).with_rows(rows)
}

fn draw(canvas: &mut Canvas, spots: Vec<Spot>, ink: Ink, held_out: bool) {
    if spots.len() == 1 || held_out && spots.len() <= MARKED {
        spots.iter().for_each(|&spot| canvas.dot(spot, 2.75, ink));
    }
    let (ink, width) = if held_out { (ink, 1.75) } else { (ink.faded(0.7), 1.0) };
    if spots.len() > 1 {
        canvas.line(spots, ink, width);
    }
}
