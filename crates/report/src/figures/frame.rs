//! The rectangle in which values are drawn, with axes, grid and legend around it.

use super::canvas::{Anchor, Canvas, Spot};
use super::scale::Ruler;
use super::style::{Ink, LEGEND, MOST_NAMES, NORMAL, SMALL, WIDTH, fitted, text_width};

/// A rectangle between two axes.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Left end, in pixels.
    pub(crate) left: f64,
    /// Upper end.
    pub(crate) top: f64,
    /// Right end.
    pub(crate) right: f64,
    /// Lower end.
    pub(crate) bottom: f64,
    /// The horizontal axis.
    pub(crate) x: Ruler,
    /// The vertical axis.
    pub(crate) y: Ruler,
    /// What both axes show; may be empty.
    titles: (String, String),
    /// Whether labels of the horizontal axis are read from below.
    is_upright: bool,
}

/// Widest name of a legend beside a frame, in pixels.
const WIDEST: f64 = 150.0;
/// What is left free around a frame, in pixels: nothing is cut off at the border.
const BORDER: f64 = 16.0;

impl Frame {
    /// A frame in a part of a drawing between two corners, with room for labels and titles.
    pub(crate) fn new(upper: Spot, lower: Spot, x: Ruler, y: Ruler, titles: (&str, &str)) -> Self {
        let room_of = |title: &str| if title.is_empty() { 0.0 } else { NORMAL + 6.0 };
        let left = upper.0 + widest(&y) + 10.0 + room_of(titles.1);
        let right = lower.0 - BORDER;
        let slot = (right - left) / x.ticks.len().max(1) as f64;
        let is_upright = widest(&x) + 6.0 > slot && x.ticks.len() > 1 && x.minor.is_empty();
        let labels = if is_upright { widest(&x) } else { SMALL };
        let bottom = lower.1 - labels - 14.0 - room_of(titles.0);
        let titles = (titles.0.to_owned(), titles.1.to_owned());
        Self { left, top: upper.1 + 10.0, right, bottom, x, y, titles, is_upright }
    }

    /// The place of two values.
    pub(crate) fn at(&self, x: f64, y: f64) -> Spot {
        (self.across(x), self.down(y))
    }

    /// The place in its middle.
    pub(crate) fn middle(&self) -> Spot {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    /// The horizontal place of a value.
    pub(crate) fn across(&self, x: f64) -> f64 {
        self.left + self.x.place(x) * (self.right - self.left)
    }

    /// The vertical place of a value.
    pub(crate) fn down(&self, y: f64) -> f64 {
        self.bottom - self.y.place(y) * (self.bottom - self.top)
    }

    /// Draws axes, grid and titles.
    pub(crate) fn draw(&self, canvas: &mut Canvas) {
        let Self { left, top, right, bottom, .. } = *self;
        for &value in &self.x.minor {
            let x = self.across(value);
            canvas.line(vec![(x, bottom), (x, bottom + 2.5)], Ink::FAINT, 0.75);
        }
        for &value in &self.y.minor {
            let y = self.down(value);
            canvas.line(vec![(left - 2.5, y), (left, y)], Ink::FAINT, 0.75);
        }
        for (value, label) in &self.x.ticks {
            let x = self.across(*value);
            canvas.line(vec![(x, top), (x, bottom)], Ink::GRID, 0.75);
            canvas.line(vec![(x, bottom), (x, bottom + 4.0)], Ink::TEXT, 0.75);
            match self.is_upright {
                true => canvas.upright_text(label, (x, bottom + 8.0), Anchor::End, SMALL),
                false => canvas.text(label, (x, bottom + 13.0), Anchor::Middle, SMALL),
            }
        }
        for (value, label) in &self.y.ticks {
            let y = self.down(*value);
            canvas.line(vec![(left, y), (right, y)], Ink::GRID, 0.75);
            canvas.line(vec![(left - 4.0, y), (left, y)], Ink::TEXT, 0.75);
            canvas.text(label, (left - 7.0, y), Anchor::End, SMALL);
        }
        canvas.line(vec![(left, top), (left, bottom), (right, bottom)], Ink::TEXT, 1.0);
        self.draw_titles(canvas);
    }

    fn draw_titles(&self, canvas: &mut Canvas) {
        let Self { left, top, right, bottom, .. } = *self;
        let labels = if self.is_upright { widest(&self.x) + 4.0 } else { SMALL + 6.0 };
        let x_title = fitted(&self.titles.0, right - left, NORMAL);
        let below = bottom + labels + 6.0 + NORMAL / 2.0;
        let y_title = fitted(&self.titles.1, bottom - top, NORMAL);
        let beside = left - 10.0 - widest(&self.y) - NORMAL / 2.0;
        if !x_title.is_empty() {
            canvas.text(&x_title, ((left + right) / 2.0, below), Anchor::Middle, NORMAL);
        }
        if !y_title.is_empty() {
            canvas.upright_text(&y_title, (beside, (top + bottom) / 2.0), Anchor::Middle, NORMAL);
        }
    }
}

/// The width of an axis's longest label.
fn widest(ruler: &Ruler) -> f64 {
    ruler.ticks.iter().map(|(_, label)| text_width(label, SMALL)).fold(0.0, f64::max)
}

/// The names of series with how they are drawn: right of a frame where they are few and short,
/// otherwise below it in columns.
pub(crate) struct Legend {
    entries: Vec<String>,
    left_out: usize,
    /// Columns below the frame; 0 for a legend beside it.
    columns: usize,
}

/// Distance of two lines of a legend, in pixels.
const LINE: f64 = 17.0;
/// Room of a series' sign before its name, with what is free behind the name.
const SIGN: f64 = 26.0;

impl Legend {
    /// A legend of the first names.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let is_short = |name: &&str| text_width(name, SMALL) <= WIDEST;
        if names.len() <= LEGEND && names.iter().all(is_short) {
            let entries = names.iter().map(|name| fitted(name, WIDEST, SMALL)).collect();
            return Self { entries, left_out: 0, columns: 0 };
        }
        let shown = if names.len() > MOST_NAMES { MOST_NAMES - 1 } else { names.len() };
        let widest = WIDTH - BORDER - SIGN - 12.0;
        let entries: Vec<String> =
            names[..shown].iter().map(|name| fitted(name, widest, SMALL)).collect();
        let widest = entries.iter().map(|name| text_width(name, SMALL)).fold(90.0, f64::max);
        let columns = ((WIDTH - BORDER) / (widest + SIGN + 12.0)).floor().max(1.0) as usize;
        Self { entries, left_out: names.len() - shown, columns }
    }

    /// The room that it takes beside the frame, in pixels.
    pub(crate) fn width(&self) -> f64 {
        let widths = self.entries.iter().map(|name| text_width(name, SMALL));
        match self.entries.is_empty() || self.columns > 0 {
            true => 0.0,
            false => widths.fold(0.0, f64::max).max(50.0) + SIGN,
        }
    }

    /// The room that it takes below the frame.
    pub(crate) fn height(&self) -> f64 {
        match self.columns {
            0 => 0.0,
            columns => LINE * self.lines().div_ceil(columns) as f64 + 12.0,
        }
    }

    /// The height that a legend beside a frame needs.
    pub(crate) fn height_beside(&self) -> f64 {
        if self.columns > 0 { 0.0 } else { LINE * self.lines() as f64 }
    }

    /// Entries, and the line on what is left out.
    fn lines(&self) -> usize {
        self.entries.len() + usize::from(self.left_out > 0)
    }

    /// Draws it with its upper left corner at a place beside the frame, or at the lower end of the
    /// canvas; `sample` draws the sign of a series.
    pub(crate) fn draw(
        &self,
        canvas: &mut Canvas,
        beside: Spot,
        mut sample: impl FnMut(&mut Canvas, usize, Spot),
    ) {
        let below = (BORDER / 2.0, canvas.size.1 - self.height());
        let (x, y) = if self.columns > 0 { below } else { beside };
        let wide = (WIDTH - BORDER) / self.columns.max(1) as f64;
        let place = |index: usize| {
            let (line, column) = (index / self.columns.max(1), index % self.columns.max(1));
            (x + wide * column as f64, y + 8.0 + LINE * line as f64)
        };
        for (index, name) in self.entries.iter().enumerate() {
            let (x, middle) = place(index);
            sample(canvas, index, (x + 9.0, middle));
            canvas.text(name, (x + 23.0, middle), Anchor::Start, SMALL);
        }
        if self.left_out > 0 {
            let (x, middle) = place(self.entries.len());
            let rest = format!("and {} more (CSV)", self.left_out);
            canvas.text_in(&rest, (x + 23.0, middle), Anchor::Start, SMALL, Ink::FAINT.faded(0.8));
        }
    }
}
