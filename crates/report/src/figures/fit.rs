//! Scores against losses with the straight line of least squares (BabyLlama-2, arXiv 2409.17312,
//! figure 2).

use super::canvas::{Anchor, Canvas, Spot};
use super::frame::{Frame, Legend};
use super::scale::{Ruler, Scale, four_digits};
use super::style::{HEIGHT, Ink, SMALL, WIDTH, fitted, text_width};
use super::{Figure, Palette, caption, distinct, note_nothing, number};

/// A model with two numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct FitPoint {
    /// The model.
    pub model: String,
    /// What it belongs to, such as a run: points of a group have one marker.
    pub group: String,
    /// The horizontal value.
    pub x: f64,
    /// The vertical value.
    pub y: f64,
}

/// A straight line through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeastSquares {
    /// The change of y by one of x.
    pub slope: f64,
    /// y where x is 0.
    pub intercept: f64,
    /// Share of the variance of y that the line explains; `None` where y does not vary.
    pub r_squared: Option<f64>,
    /// How many points.
    pub n: usize,
}

/// The line of least squares; `None` of fewer than two points, or of equal x.
pub fn least_squares(points: &[(f64, f64)]) -> Option<LeastSquares> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(|point| of(point) / n).sum::<f64>();
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        points.iter().map(|point| of(point.0 - x, point.1 - y)).sum()
    };
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    let slope = xy / xx;
    let intercept = y - slope * x;
    let r_squared = (yy > 0.0).then(|| xy * xy / (xx * yy)).filter(|share| share.is_finite());
    let is_line = points.len() >= 2
        && xx > 0.0
        && xx.is_finite()
        && slope.is_finite()
        && intercept.is_finite();
    is_line.then_some(LeastSquares { slope, intercept, r_squared, n: points.len() })
}

/// Of more points, names would hide each other.
const NAMED: usize = 12;

/// What is free above the frame for the share that the line explains, in pixels.
const ABOVE: f64 = 12.0;

/// Points with the line of least squares through all of them, its R² and n. Each has its name
/// beside it where all names have room, and otherwise in the legend.
pub fn fit(title: &str, x: &str, y: &str, points: &[FitPoint], palette: &Palette) -> Figure {
    let has = |point: &&FitPoint| Scale::Linear.has(point.x) && Scale::Linear.has(point.y);
    let drawn: Vec<&FitPoint> = points.iter().filter(has).collect();
    let groups = distinct(points.iter().map(|point| point.group.as_str()));
    let palette = palette.with(points.iter().map(|point| point.model.as_str()));
    let shape = |point: &FitPoint| match groups.len() {
        1 => palette.place(&point.model),
        _ => groups.iter().position(|group| *group == point.group).unwrap_or(0),
    };
    let pairs: Vec<(f64, f64)> = drawn.iter().map(|point| (point.x, point.y)).collect();
    let line = least_squares(&pairs);
    let frame_beside = |legend: &Legend| {
        Frame::new(
            (0.0, ABOVE),
            (WIDTH - legend.width(), HEIGHT),
            Ruler::of(Scale::Linear, drawn.iter().map(|point| point.x), 6),
            Ruler::of(Scale::Linear, drawn.iter().map(|point| point.y), 6),
            (x, y),
        )
    };
    let legend_of =
        |entries: &[(&str, usize, Ink)]| Legend::new(entries.iter().map(|(name, ..)| *name));
    // Where the points have their names beside them, what is left to name are the groups.
    let named = groups.iter().enumerate().filter(|(_, group)| !group.is_empty());
    let named = named.filter(|_| groups.len() > 1);
    let mut entries: Vec<(&str, usize, Ink)> =
        named.map(|(index, group)| (*group, index, Ink::TEXT)).collect();
    let frame = frame_beside(&legend_of(&entries));
    let names = (drawn.len() <= NAMED).then(|| place_names(&frame, &drawn, line.as_ref()));
    let names = names.flatten();
    if names.is_none() {
        let models = distinct(drawn.iter().map(|point| point.model.as_str())).into_iter();
        let point = |model: &str| drawn.iter().find(|point| point.model == model);
        let entry = |model| Some((model, shape(point(model)?), palette.ink(model)));
        entries = models.filter_map(entry).collect();
    }
    let legend = legend_of(&entries);
    let frame = frame_beside(&legend);
    let mut canvas = Canvas::new(WIDTH, HEIGHT + legend.height());
    frame.draw(&mut canvas);
    if let Some(line) = &line {
        draw_line(&mut canvas, &frame, line, &pairs);
    }
    for point in &drawn {
        let (at, ink) = (frame.at(point.x, point.y), palette.ink(&point.model).faded(0.85));
        canvas.marker(shape(point), at, ink);
        let numbers = [point.x, point.y].map(four_digits);
        canvas.hint(at, &format!("{}: {x} {}, {y} {}", point.model, numbers[0], numbers[1]));
    }
    for (name, at) in names.iter().flatten() {
        canvas.text(name, *at, Anchor::Start, SMALL);
    }
    if drawn.is_empty() {
        note_nothing(&mut canvas, &frame);
    }
    legend.draw(&mut canvas, (frame.right + 12.0, frame.top), |canvas, index, at| {
        let (_, shape, ink) = entries[index];
        canvas.marker(shape, at, ink);
    });
    let text = match &line {
        Some(LeastSquares { slope, intercept, r_squared, n }) => format!(
            "Least squares: {y} = {} {} {} × {x}; R² = {}, n = {n}.",
            four_digits(*intercept),
            if *slope < 0.0 { "−" } else { "+" },
            four_digits(slope.abs()),
            share(*r_squared),
        ),
        None => format!("n = {}: no line of least squares.", drawn.len()),
    };
    let row = |point: &FitPoint| {
        vec![point.model.clone(), point.group.clone(), number(point.x), number(point.y)]
    };
    let rows = points.iter().map(row).collect();
    let left_out = points.len() - drawn.len();
    let columns = ["model", "group", x, y];
    Figure::new(title, caption(&text, left_out), canvas, &columns).with_rows(rows)
}

fn share(r_squared: Option<f64>) -> String {
    r_squared.map_or("undefined".to_owned(), |share| format!("{share:.3}"))
}

/// The line from the first to the last x, and above the frame what it explains.
fn draw_line(canvas: &mut Canvas, frame: &Frame, line: &LeastSquares, points: &[(f64, f64)]) {
    let low = points.iter().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    let ends = [low, high].map(|x| frame.at(x, line.intercept + line.slope * x));
    canvas.line(ends.to_vec(), Ink::TEXT.faded(0.7), 1.5);
    let text = format!("R² = {}, n = {}", share(line.r_squared), line.n);
    canvas.text(&text, (frame.right, frame.top - 9.0), Anchor::End, SMALL);
}

/// Where the names of all points are drawn, beside them, so that they hide neither a point nor the
/// line nor another name; `None` where one has no room.
fn place_names(
    frame: &Frame,
    points: &[&FitPoint],
    line: Option<&LeastSquares>,
) -> Option<Vec<(String, Spot)>> {
    let mut taken: Vec<(f64, f64, f64, f64)> = points
        .iter()
        .map(|point| frame.at(point.x, point.y))
        .map(|(x, y)| (x - 5.0, y - 5.0, x + 5.0, y + 5.0))
        .collect();
    if let Some(line) = line {
        // The line as many small rooms.
        let low = points.iter().map(|point| point.x).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(|point| point.x).fold(f64::NEG_INFINITY, f64::max);
        let at = |step: u32| low + (high - low) * f64::from(step) / 200.0;
        let spots = (0..=200).map(at).map(|x| frame.at(x, line.intercept + line.slope * x));
        taken.extend(spots.map(|(x, y)| (x - 1.0, y - 1.0, x + 1.0, y + 1.0)));
    }
    let mut names = Vec::new();
    for point in points {
        let name = fitted(&point.model, 150.0, SMALL);
        let (x, y) = frame.at(point.x, point.y);
        let width = text_width(&name, SMALL);
        let half = SMALL / 2.0;
        let right = (x + 8.0, y - half, x + 8.0 + width, y + half);
        let left = (x - 8.0 - width, y - half, x - 8.0, y + half);
        let above = (x - width / 2.0, y - 19.0, x + width / 2.0, y - 8.0);
        let below = (x - width / 2.0, y + 8.0, x + width / 2.0, y + 19.0);
        let [upper_right, lower_right] =
            [-13.0, 2.0].map(|down| (x + 6.0, y + down, x + 6.0 + width, y + down + SMALL));
        let [upper_left, lower_left] =
            [-13.0, 2.0].map(|down| (x - 6.0 - width, y + down, x - 6.0, y + down + SMALL));
        let rooms = [right, left, above, below, upper_right, lower_left, lower_right, upper_left];
        let is_free = |room: &(f64, f64, f64, f64)| {
            let apart = |other: &(f64, f64, f64, f64)| {
                room.2 < other.0 || other.2 < room.0 || room.3 < other.1 || other.3 < room.1
            };
            let inside = room.0 > frame.left
                && room.2 < frame.right + 10.0
                && room.1 > frame.top
                && room.3 < frame.bottom;
            inside && taken.iter().all(apart)
        };
        let room = rooms.into_iter().find(is_free)?;
        taken.push(room);
        names.push((name, (room.0, (room.1 + room.3) / 2.0)));
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anscombe's first set (1973): every textbook has its line and R².
    #[test]
    fn lines_are_those_of_a_textbook() {
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
        let points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
        let line = least_squares(&points).unwrap();
        assert!((line.slope - 0.5001).abs() < 5e-5, "{line:?}");
        assert!((line.intercept - 3.0001).abs() < 5e-5, "{line:?}");
        assert!((line.r_squared.unwrap() - 0.6665).abs() < 5e-5, "{line:?}");
        assert_eq!(line.n, 11);
    }

    /// `numpy.corrcoef([1, 2, 4, 8], [3, 1, 4, 9])[0, 1] ** 2`
    #[test]
    fn r_squared_is_the_square_of_the_correlation() {
        let line = least_squares(&[(1.0, 3.0), (2.0, 1.0), (4.0, 4.0), (8.0, 9.0)]).unwrap();
        assert!((line.r_squared.unwrap() - 0.856_365_343).abs() < 1e-8);
    }

    #[test]
    fn what_has_no_line_has_none() {
        assert_eq!(least_squares(&[]), None);
        assert_eq!(least_squares(&[(1.0, 2.0)]), None);
        assert_eq!(least_squares(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(least_squares(&[(1e300, 1.0), (-1e300, 2.0)]), None);
        let flat = least_squares(&[(1.0, 2.0), (2.0, 2.0)]).unwrap();
        assert_eq!((flat.slope, flat.intercept, flat.r_squared), (0.0, 2.0, None));
    }
}
