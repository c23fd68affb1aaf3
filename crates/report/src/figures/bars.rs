//! Grouped horizontal bars with intervals: scores by group against another model, losses by source.

use super::canvas::{Anchor, Canvas};
use super::frame::{Frame, Legend};
use super::scale::{Ruler, Scale};
use super::style::{BESIDE, Ink, NORMAL, SMALL, WIDTH, fitted, text_width};
use super::{Figure, Palette, caption, distinct, note_nothing, number, number_or_empty};

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What stands beside it, such as a group of tasks; bars of one row are together.
    pub row: String,
    /// What its color stands for, such as a model.
    pub series: String,
    /// How long it is.
    pub value: f64,
    /// Both ends of its interval.
    pub interval: Option<(f64, f64)>,
    /// A short text at its end, such as the mark of a test; empty for none.
    pub mark: String,
}

/// More rows fit on no page.
const ROWS: usize = 80;
/// Bars of more series beside each other are too thin to be told apart.
const SERIES: usize = 24;
/// Widest mark, in pixels.
const WIDEST_MARK: f64 = 60.0;

/// Bars from zero, in rows from the top.
pub fn bars(title: &str, value: &str, bars: &[Bar], palette: &Palette) -> Figure {
    let groups = Groups::of(bars);
    let has = |bar: &&Bar| Scale::Linear.has(bar.value);
    let drawn: Vec<&Bar> = bars.iter().filter(has).filter(|bar| groups.contains(bar)).collect();
    let palette = palette.with(groups.series.iter().copied());
    let legend = Legend::new(groups.series.iter().copied().filter(|_| groups.series.len() > 1));
    let height = groups.height().max(legend.height_beside() + 20.0).round();
    let mut canvas = Canvas::new(WIDTH, height + legend.height());
    let widths = drawn.iter().map(|bar| text_width(&mark(bar), SMALL));
    let frame = Frame::new(
        (0.0, 0.0),
        (WIDTH - legend.width() - widths.fold(0.0, f64::max), height),
        Ruler::from_zero(drawn.iter().flat_map(|bar| ends(bar)), 5),
        Ruler::of_names(&groups.names()),
        (value, ""),
    );
    frame.draw(&mut canvas);
    for bar in &drawn {
        draw_bar(&mut canvas, &frame, groups.span(&frame, bar), bar, palette.ink(&bar.series));
    }
    if drawn.is_empty() {
        note_nothing(&mut canvas, frame.middle(), NORMAL);
    }
    legend.draw(&mut canvas, (WIDTH - legend.width(), frame.top), |canvas, index, (x, y)| {
        let ink = palette.ink(groups.series[index]);
        canvas.rectangle((x - 6.0, y - 5.0), (x + 6.0, y + 5.0), ink);
    });
    let left_out = bars.iter().filter(|bar| !has(bar)).count();
    let columns = ["row", "series", value, "low", "high", "mark"];
    Figure::new(title, caption(&groups.left_out, left_out), canvas, &columns)
        .with_rows(bars.iter().map(row).collect())
}

/// A bar as a row of the figure.
fn row(bar: &Bar) -> Vec<String> {
    let low = number_or_empty(bar.interval.map(|ends| ends.0));
    let high = number_or_empty(bar.interval.map(|ends| ends.1));
    vec![bar.row.clone(), bar.series.clone(), number(bar.value), low, high, bar.mark.clone()]
}

/// Rows and series that are drawn, with the vertical places of their bars.
struct Groups<'a> {
    rows: Vec<&'a str>,
    series: Vec<&'a str>,
    /// How many are not drawn, for the caption.
    left_out: String,
}

impl<'a> Groups<'a> {
    /// The first rows and series of some bars.
    fn of(bars: &'a [Bar]) -> Self {
        let (rows, rows_left_out) = first(bars.iter().map(|bar| &bar.row[..]), ROWS, "rows");
        let (series, series_left_out) =
            first(bars.iter().map(|bar| &bar.series[..]), SERIES, "series");
        let left_out: Vec<String> = rows_left_out.into_iter().chain(series_left_out).collect();
        Self { rows, series, left_out: left_out.join(" ") }
    }

    /// Whether a bar is drawn.
    fn contains(&self, bar: &Bar) -> bool {
        self.rows.contains(&&bar.row[..]) && self.series.contains(&&bar.series[..])
    }

    /// The names of the rows, from the lowest.
    fn names(&self) -> Vec<String> {
        self.rows.iter().rev().map(|row| fitted(row, BESIDE, SMALL)).collect()
    }

    /// The height of a bar with what is free below it.
    fn thick(&self) -> f64 {
        (60.0 / self.series.len().max(1) as f64).clamp(3.0, 11.0)
    }

    /// The height of all rows with the axis below them.
    fn height(&self) -> f64 {
        let row = (self.thick() * self.series.len() as f64 + 6.0).max(SMALL + 4.0);
        row * self.rows.len().max(3) as f64 + 2.0 * NORMAL + SMALL + 26.0
    }

    /// The upper and the lower end of a bar.
    fn span(&self, frame: &Frame, bar: &Bar) -> (f64, f64) {
        let row = self.rows.iter().position(|row| *row == bar.row).unwrap_or(0);
        let index = self.series.iter().position(|series| *series == bar.series).unwrap_or(0);
        let step = (frame.bottom - frame.top) / self.rows.len().max(1) as f64;
        let (thick, group) = (self.thick(), self.thick() * self.series.len() as f64);
        let upper = frame.top + step * (row as f64 + 0.5) - group / 2.0 + thick * index as f64;
        (upper, upper + thick - 1.0)
    }
}

/// The first of different names, and a sentence where there are more.
fn first<'a>(
    names: impl Iterator<Item = &'a str>,
    most: usize,
    what: &str,
) -> (Vec<&'a str>, Option<String>) {
    let mut names = distinct(names);
    let all = names.len();
    names.truncate(most);
    let text = format!("The first {most} of {all} {what} are drawn; the CSV has all.");
    (names, (all > most).then_some(text))
}

/// Both ends of a bar's interval, where they have a place.
fn interval(bar: &Bar) -> Option<(f64, f64)> {
    bar.interval.filter(|(low, high)| Scale::Linear.has(*low) && Scale::Linear.has(*high))
}

/// What an axis has to hold of a bar.
fn ends(bar: &Bar) -> [f64; 3] {
    let (low, high) = interval(bar).unwrap_or((bar.value, bar.value));
    [bar.value, low, high]
}

/// A bar's mark as it is drawn.
fn mark(bar: &Bar) -> String {
    fitted(&bar.mark, WIDEST_MARK, SMALL)
}

/// A bar with its interval, and behind both its mark.
fn draw_bar(canvas: &mut Canvas, frame: &Frame, (upper, lower): (f64, f64), bar: &Bar, ink: Ink) {
    let (zero, end, middle) = (frame.across(0.0), frame.across(bar.value), (upper + lower) / 2.0);
    canvas.rectangle((zero, upper), (end, lower), ink);
    let mut free = end.max(zero);
    if let Some((low, high)) = interval(bar) {
        let [low, high] = [low, high].map(|value| frame.across(value));
        canvas.line(vec![(low, middle), (high, middle)], Ink::TEXT, 1.0);
        for x in [low, high] {
            canvas.line(vec![(x, middle - 2.0), (x, middle + 2.0)], Ink::TEXT, 1.0);
        }
        free = free.max(high);
    }
    if !bar.mark.is_empty() {
        canvas.text(&mark(bar), (free + 4.0, middle), Anchor::Start, SMALL);
    }
}
