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
    let rows = distinct(bars.iter().map(|bar| bar.row.as_str()));
    let shown = &rows[..rows.len().min(ROWS)];
    let all_series = distinct(bars.iter().map(|bar| bar.series.as_str()));
    let series = &all_series[..all_series.len().min(SERIES)];
    let palette = palette.with(series.iter().copied());
    let legend = Legend::new(series.iter().copied().filter(|_| series.len() > 1));
    let has = |bar: &&Bar| Scale::Linear.has(bar.value);
    let is_shown = |bar: &&Bar| shown.contains(&&bar.row[..]) && series.contains(&&bar.series[..]);
    let drawn: Vec<&Bar> = bars.iter().filter(has).filter(is_shown).collect();
    let interval = |bar: &Bar| {
        bar.interval.filter(|(low, high)| Scale::Linear.has(*low) && Scale::Linear.has(*high))
    };
    let ends = drawn.iter().flat_map(|bar| {
        let (low, high) = interval(bar).unwrap_or((bar.value, bar.value));
        [bar.value, low, high]
    });
    let names: Vec<String> = shown.iter().rev().map(|row| fitted(row, BESIDE, SMALL)).collect();
    let thick = (60.0 / series.len().max(1) as f64).clamp(3.0, 11.0);
    let row_height = (thick * series.len() as f64 + 6.0).max(SMALL + 4.0);
    let height = row_height * shown.len().max(3) as f64 + 2.0 * NORMAL + SMALL + 26.0;
    let height = height.max(legend.height_beside() + 20.0).round();
    let mark = |bar: &Bar| fitted(&bar.mark, WIDEST_MARK, SMALL);
    let widths = drawn.iter().map(|bar| text_width(&mark(bar), SMALL));
    let widest_mark = widths.fold(0.0, f64::max);
    let mut canvas = Canvas::new(WIDTH, height + legend.height());
    let frame = Frame::new(
        (0.0, 0.0),
        (WIDTH - legend.width() - widest_mark, height),
        Ruler::from_zero(ends, 5),
        Ruler::of_names(&names),
        (value, ""),
    );
    frame.draw(&mut canvas);
    let zero = frame.across(0.0);
    let step = (frame.bottom - frame.top) / shown.len().max(1) as f64;
    for bar in &drawn {
        let row = shown.iter().position(|row| *row == bar.row).unwrap_or(0);
        let index = series.iter().position(|series| *series == bar.series).unwrap_or(0);
        let group = thick * series.len() as f64;
        let upper = frame.top + step * (row as f64 + 0.5) - group / 2.0 + thick * index as f64;
        let (lower, end) = (upper + thick - 1.0, frame.across(bar.value));
        canvas.rectangle((zero, upper), (end, lower), palette.ink(&bar.series));
        let middle = (upper + lower) / 2.0;
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
    if drawn.is_empty() {
        note_nothing(&mut canvas, &frame);
    }
    legend.draw(&mut canvas, (WIDTH - legend.width(), frame.top), |canvas, index, (x, y)| {
        canvas.rectangle((x - 6.0, y - 5.0), (x + 6.0, y + 5.0), palette.ink(series[index]));
    });
    let cut = |shown: usize, all: usize, what: &str| {
        let text = format!("The first {shown} of {all} {what} are drawn; the CSV has all.");
        (shown < all).then_some(text)
    };
    let rows = cut(shown.len(), rows.len(), "rows");
    let text = rows.into_iter().chain(cut(series.len(), all_series.len(), "series"));
    let text = text.collect::<Vec<_>>().join(" ");
    let left_out = bars.iter().filter(|bar| !has(bar)).count();
    let row = |bar: &Bar| {
        let (low, high) = (bar.interval.map(|ends| ends.0), bar.interval.map(|ends| ends.1));
        let (low, high) = (number_or_empty(low), number_or_empty(high));
        vec![bar.row.clone(), bar.series.clone(), number(bar.value), low, high, bar.mark.clone()]
    };
    let table = bars.iter().map(row).collect();
    let columns = ["row", "series", value, "low", "high", "mark"];
    Figure::new(title, caption(&text, left_out), canvas, &columns).with_rows(table)
}
