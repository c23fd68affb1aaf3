//! Scores against losses with the straight line of least squares (BabyLlama-2, arXiv 2409.17312,
//! figure 2).

use super::canvas::{Anchor, Spot};
use super::chart::Chart;
use super::frame::{Frame, Legend};
use super::scale::{Ruler, Scale, four_digits};
use super::style::{HEIGHT, Ink, SMALL, WIDTH, fitted, text_width};
use super::{Figure, Palette, caption, distinct, number};

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
    let plot = Plot::new((x, y), points, palette);
    let line = least_squares(&plot.pairs());
    let mut signs = plot.signs_of_groups();
    let frame = plot.frame(&legend_of(&signs));
    let names = Some(&plot.drawn).filter(|drawn| drawn.len() <= NAMED);
    let names = names.and_then(|drawn| place_names(&frame, drawn, line.as_ref()));
    if names.is_none() {
        signs = plot.signs_of_models();
    }
    let legend = legend_of(&signs);
    let mut chart = Chart::of_frame(plot.frame(&legend), legend, HEIGHT);
    if let Some(line) = &line {
        draw_line(&mut chart, line, &plot.pairs());
    }
    plot.draw_points(&mut chart);
    for (name, at) in names.iter().flatten() {
        chart.canvas.text(name, *at, Anchor::Start, SMALL);
    }
    let canvas = chart.finish(!plot.drawn.is_empty(), |canvas, index, at| {
        canvas.marker(signs[index].marker, at, signs[index].ink);
    });
    let left_out = points.len() - plot.drawn.len();
    let columns = ["model", "group", x, y];
    Figure::new(title, caption(&plot.equation(line.as_ref()), left_out), canvas, &columns)
        .with_rows(points.iter().map(row).collect())
}

/// A point as a row of the figure.
fn row(point: &FitPoint) -> Vec<String> {
    vec![point.model.clone(), point.group.clone(), number(point.x), number(point.y)]
}

/// An entry of the legend.
struct Sign<'a> {
    name: &'a str,
    marker: usize,
    ink: Ink,
}

fn legend_of(signs: &[Sign<'_>]) -> Legend {
    Legend::new(signs.iter().map(|sign| sign.name))
}

/// The points that have a place, with their markers and colors.
struct Plot<'a> {
    /// What both axes show.
    titles: (&'a str, &'a str),
    drawn: Vec<&'a FitPoint>,
    groups: Vec<&'a str>,
    palette: Palette,
}

impl<'a> Plot<'a> {
    fn new(titles: (&'a str, &'a str), points: &'a [FitPoint], palette: &Palette) -> Self {
        let has = |point: &&FitPoint| Scale::Linear.has(point.x) && Scale::Linear.has(point.y);
        Self {
            titles,
            drawn: points.iter().filter(has).collect(),
            groups: distinct(points.iter().map(|point| point.group.as_str())),
            palette: palette.with(points.iter().map(|point| point.model.as_str())),
        }
    }

    /// x and y of the points.
    fn pairs(&self) -> Vec<(f64, f64)> {
        self.drawn.iter().map(|point| (point.x, point.y)).collect()
    }

    /// The axes, with room for a legend.
    fn frame(&self, legend: &Legend) -> Frame {
        Frame::new(
            (0.0, ABOVE),
            (WIDTH - legend.width(), HEIGHT),
            Ruler::of(Scale::Linear, self.drawn.iter().map(|point| point.x), 6),
            Ruler::of(Scale::Linear, self.drawn.iter().map(|point| point.y), 6),
            self.titles,
        )
    }

    /// The marker of a point: that of its group, or of its model where there is one group.
    fn marker(&self, point: &FitPoint) -> usize {
        match self.groups.len() {
            1 => self.palette.place(&point.model),
            _ => self.groups.iter().position(|group| *group == point.group).unwrap_or(0),
        }
    }

    /// What is left to name where the points have their names beside them: several groups.
    fn signs_of_groups(&self) -> Vec<Sign<'a>> {
        let named = self.groups.iter().enumerate().filter(|(_, group)| !group.is_empty());
        let named = named.filter(|_| self.groups.len() > 1);
        named.map(|(marker, name)| Sign { name, marker, ink: Ink::TEXT }).collect()
    }

    /// Each model with the marker of its first point.
    fn signs_of_models(&self) -> Vec<Sign<'a>> {
        let sign = |name| {
            let point = self.drawn.iter().find(|point| point.model == name)?;
            Some(Sign { name, marker: self.marker(point), ink: self.palette.ink(name) })
        };
        let models = distinct(self.drawn.iter().map(|point| point.model.as_str()));
        models.into_iter().filter_map(sign).collect()
    }

    /// Markers, and for a pointer the names and numbers of the points.
    fn draw_points(&self, chart: &mut Chart) {
        let (x, y) = self.titles;
        for point in &self.drawn {
            let at = chart.frame.at(point.x, point.y);
            let ink = self.palette.ink(&point.model).faded(0.85);
            chart.canvas.marker(self.marker(point), at, ink);
            let numbers = [point.x, point.y].map(four_digits);
            let hint = format!("{}: {x} {}, {y} {}", point.model, numbers[0], numbers[1]);
            chart.canvas.hint(at, &hint);
        }
    }

    /// A sentence on the line of least squares.
    fn equation(&self, line: Option<&LeastSquares>) -> String {
        let (x, y) = self.titles;
        match line {
            Some(LeastSquares { slope, intercept, r_squared, n }) => format!(
                "Least squares: {y} = {} {} {} × {x}; R² = {}, n = {n}.",
                four_digits(*intercept),
                if *slope < 0.0 { "−" } else { "+" },
                four_digits(slope.abs()),
                share(*r_squared),
            ),
            None => format!("n = {}: no line of least squares.", self.drawn.len()),
        }
    }
}

/// R² with three digits.
fn share(r_squared: Option<f64>) -> String {
    r_squared.map_or("undefined".to_owned(), |share| format!("{share:.3}"))
}

/// The line from the first to the last x, and above the frame what it explains.
fn draw_line(chart: &mut Chart, line: &LeastSquares, points: &[(f64, f64)]) {
    let Chart { canvas, frame, .. } = chart;
    let (low, high) = range(points.iter().map(|point| point.0));
    let ends = [low, high].map(|x| frame.at(x, line.intercept + line.slope * x));
    canvas.line(ends.to_vec(), Ink::TEXT.faded(0.7), 1.5);
    let text = format!("R² = {}, n = {}", share(line.r_squared), line.n);
    canvas.text(&text, (frame.right, frame.top - 9.0), Anchor::End, SMALL);
}

/// The lowest and the highest value.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// Where the names of all points are drawn, beside them, so that they hide neither a point nor the
/// line nor another name; `None` where one has no room.
fn place_names(
    frame: &Frame,
    points: &[&FitPoint],
    line: Option<&LeastSquares>,
) -> Option<Vec<(String, Spot)>> {
    let around = |(x, y): Spot, half: f64| Room {
        left: x - half,
        top: y - half,
        right: x + half,
        bottom: y + half,
    };
    let spots = points.iter().map(|point| frame.at(point.x, point.y));
    let mut taken: Vec<Room> = spots.map(|spot| around(spot, 5.0)).collect();
    if let Some(line) = line {
        // The line as many small rooms.
        let (low, high) = range(points.iter().map(|point| point.x));
        let at = |step: u32| low + (high - low) * f64::from(step) / 200.0;
        let spots = (0..=200).map(at).map(|x| frame.at(x, line.intercept + line.slope * x));
        taken.extend(spots.map(|spot| around(spot, 1.0)));
    }
    let mut names = Vec::new();
    for point in points {
        let name = fitted(&point.model, 150.0, SMALL);
        let rooms = rooms_beside(frame.at(point.x, point.y), text_width(&name, SMALL));
        let is_free =
            |room: &Room| room.is_inside(frame) && taken.iter().all(|other| room.is_apart(other));
        let room = rooms.into_iter().find(is_free)?;
        names.push((name, (room.left, (room.top + room.bottom) / 2.0)));
        taken.push(room);
    }
    Some(names)
}

/// Where a name of a width can be beside a point, the best first.
fn rooms_beside((x, y): Spot, width: f64) -> [Room; 8] {
    let (half, above, below) = (SMALL / 2.0, y - 13.0, y + 2.0);
    let room = |left, top, right, bottom| Room { left, top, right, bottom };
    let right_of =
        |distance: f64, top, bottom| room(x + distance, top, x + distance + width, bottom);
    let left_of =
        |distance: f64, top, bottom| room(x - distance - width, top, x - distance, bottom);
    let centered = |top, bottom| room(x - width / 2.0, top, x + width / 2.0, bottom);
    [
        right_of(8.0, y - half, y + half),
        left_of(8.0, y - half, y + half),
        centered(y - 19.0, y - 8.0),
        centered(y + 8.0, y + 19.0),
        right_of(6.0, above, above + SMALL),
        left_of(6.0, below, below + SMALL),
        right_of(6.0, below, below + SMALL),
        left_of(6.0, above, above + SMALL),
    ]
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug)]
struct Room {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Room {
    /// Whether a name in it is in the frame, or little to the right of it.
    fn is_inside(&self, frame: &Frame) -> bool {
        self.left > frame.left
            && self.right < frame.right + 10.0
            && self.top > frame.top
            && self.bottom < frame.bottom
    }

    /// Whether two have nothing in common.
    fn is_apart(&self, other: &Self) -> bool {
        self.right < other.left
            || other.right < self.left
            || self.bottom < other.top
            || other.bottom < self.top
    }
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
